import * as fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { applyEdits, contentsOf, edit } from '../support/folders.ts';
import { Place } from '../support/workspaces.ts';

let place: Place;
beforeEach(() => void (place = new Place()));
afterEach(() => place.dispose());

const withoutGit = (path: string): boolean => path === '.git';
const edits = fc.array(edit, { maxLength: 25 });

test.each(['plain', 'git'] as const)(
  'undoing random attempts in a %s folder brings every byte and mode back',
  async (kind) => {
    await fc.assert(
      fc.asyncProperty(edits, edits, edits, async (first, work, more) => {
        const ignores = { '.gitignore': '*.log\nnode_modules/\n' };
        const folder = kind === 'git' ? place.repository(ignores).path : place.folder();
        applyEdits(folder, first);
        const before = contentsOf(folder, withoutGit);
        const one = await place.attempt(folder, () => applyEdits(folder, work));
        const two = await place.attempt(folder, () => applyEdits(folder, more));
        const after = contentsOf(folder, withoutGit);
        const plan = (await place.workspaces.plan([two, one])).folders[0];
        expect(contentsOf(folder, withoutGit)).toEqual(after);
        const result = (await place.undo([two, one])).folders[0];
        expect(contentsOf(folder, withoutGit)).toEqual(before);
        expect({ ...result, replacedIn: undefined }).toEqual({ ...plan, replacedIn: undefined });
        expect(result?.conflicts).toEqual([]);
        const again = (await place.undo([two, one])).folders[0];
        expect(again).toMatchObject({ restore: [], recreate: [], delete: [], conflicts: [] });
        expect(contentsOf(folder, withoutGit)).toEqual(before);
      }),
      { numRuns: kind === 'git' ? 6 : 12 },
    );
  },
  120_000,
);
