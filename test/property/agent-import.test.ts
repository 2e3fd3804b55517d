import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { prompt, value } from '../support/random-fields.ts';
import { exportAgents, formatAgent, importAgents, parseAgent } from '../../src/agents/agents.ts';

let place: string;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'centuria-import-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

const newFolder = (): string => mkdtempSync(join(place, 'f'));
const read = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'latin1')]),
  );

/** Imported, exported, and both again: the four folders, each of one file. */
async function aroundTwice(text: string): Promise<Record<string, string>[]> {
  const first = newFolder();
  writeFileSync(join(first, 'x.md'), text);
  const folders = [first];
  for (const turn of [1, 2]) {
    const imported = newFolder();
    await importAgents([folders.at(-1) ?? ''], { to: imported, known: ['git-history'] });
    const definitions = readdirSync(imported).flatMap((name) => {
      const { definition } = parseAgent(readFileSync(join(imported, name)), name);
      return definition ?? [];
    });
    const exported = newFolder();
    await exportAgents(definitions, { to: exported });
    folders.push(imported, exported);
    expect(definitions, `turn ${turn}`).toHaveLength(1);
  }
  return folders.slice(1).map(read);
}

test('a definition of Claude Code keeps its bytes through import, export, import and export', async () => {
  await fc.assert(
    fc.asyncProperty(
      value,
      prompt,
      fc.constantFrom('', '\uFEFF'),
      fc.boolean(),
      async (extra, body, mark, windows) => {
        const frontmatter = { name: 'x', description: 'b', extra };
        const plain = formatAgent({ frontmatter, prompt: body }).replace('name:', '# odd\nname:  ');
        const text = mark + (windows ? plain.replaceAll('\n', '\r\n') : plain);
        // Line ends inside a text are part of it: then the file says something else, and is no less stable.
        for (const folder of await aroundTwice(text)) {
          expect(folder).toEqual({ 'x.md': Buffer.from(text).toString('latin1') });
        }
      },
    ),
    { numRuns: 12 },
  );
}, 60_000);
