import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLog, systemClock } from '../../src/base/base.ts';
import { openWorkspaces, type Workspaces } from '../../src/workspaces/workspaces.ts';
import { applyEdits, contentsOf, edit } from '../support/folders.ts';
import { GitRepository } from '../support/git-repository.ts';

const log = createLog({ level: 'silent' });
const signal = new AbortController().signal;

let around: string;
let workspaces: Workspaces;

beforeEach(() => {
  around = realpathSync(mkdtempSync(join(tmpdir(), 'centuria-workspaces-')));
  workspaces = openWorkspaces({ home: join(around, 'home'), log, clock: systemClock });
});
afterEach(() => rmSync(around, { recursive: true, force: true }));

let counter = 0;
const repositories: GitRepository[] = [];
afterEach(() => {
  for (const repository of repositories.splice(0)) repository.dispose();
});

/** An empty folder, or a repository that ignores logs and node_modules. */
function makeFolder(kind: 'plain' | 'git'): string {
  if (kind === 'git') {
    const repository = new GitRepository({ '.gitignore': '*.log\nnode_modules/\n' });
    repositories.push(repository);
    return repository.path;
  }
  counter += 1;
  const folder = join(around, `folder-${counter}`);
  mkdirSync(folder);
  return folder;
}

const withoutGit = (path: string): boolean => path === '.git';

test.each(['plain', 'git'] as const)(
  'undoing a random attempt in a %s folder brings every byte and mode back',
  async (kind) => {
    const edits = fc.array(edit, { maxLength: 25 });
    await fc.assert(
      fc.asyncProperty(edits, edits, async (first, work) => {
        const folder = makeFolder(kind);
        applyEdits(folder, first);
        const before = contentsOf(folder, withoutGit);
        const runId = `run-${(counter += 1)}`;
        const request = { runId, task: 't', attemptId: 'a1', folder, kind: 'snapshot' as const };
        const mark = await workspaces.begin({ ...request, signal });
        applyEdits(folder, work);
        const after = contentsOf(folder, withoutGit);
        const change = await workspaces.finish(mark);
        const plan = await workspaces.plan([change]);
        expect(contentsOf(folder, withoutGit)).toEqual(after);
        const result = await workspaces.undo([change], { force: false, signal });
        expect(result.folders[0]?.conflicts).toEqual([]);
        expect(plan.folders[0]?.delete).toEqual(result.folders[0]?.delete);
        expect(contentsOf(folder, withoutGit)).toEqual(before);
        const again = await workspaces.undo([change], { force: false, signal });
        expect(again.folders[0]).toMatchObject({
          restore: [],
          recreate: [],
          delete: [],
          conflicts: [],
        });
        expect(contentsOf(folder, withoutGit)).toEqual(before);
      }),
      { numRuns: 40 },
    );
  },
  120_000,
);
