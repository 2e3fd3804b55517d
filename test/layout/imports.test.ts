import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parts, root, sources, type Import, type Source } from './tree.ts';

/** A part may import what stands in a row above its own, and nothing beside it. */
const layers: readonly (readonly string[])[] = [
  ['base'],
  ['database', 'wire', 'outbound'],
  ['identity', 'trust', 'audit'],
  ['agents', 'workspaces', 'learning', 'hardware'],
  ['coordination', 'monitoring', 'recovery', 'ext'],
  ['api'],
  ['server.ts'],
  ['cli'],
];

/** Parts outside the rows, with everything that they may import; `types` of a part are erased. */
const apart: Readonly<Record<string, { values: readonly string[]; types: readonly string[] }>> = {
  client: { values: ['base'], types: ['base', 'api', 'coordination', 'agents'] },
  tools: { values: ['base'], types: ['base'] },
};

const rank = (part: string): number => layers.findIndex((row) => row.includes(part));

function partOf(target: string): string {
  return target.split('/')[1] ?? '';
}

function isAllowed(from: Source, imported: Import): boolean {
  const to = partOf(imported.target);
  if (!imported.target.startsWith('src/')) return from.isTest;
  if (to === from.part) return true;
  const own = apart[from.part];
  if (own !== undefined) return (imported.typeOnly ? own.types : own.values).includes(to);
  // The command line uses the client, and the composition root gives workers the door that it has.
  if (to === 'client') return from.part === 'cli' || from.part === 'server.ts';
  if (rank(from.part) === -1 || rank(to) === -1) return false;
  return rank(to) < rank(from.part);
}

test('every folder of src has its place in the direction of imports', () => {
  const placed = new Set([...layers.flat(), ...Object.keys(apart)]);
  expect(parts.filter((part) => !placed.has(part))).toEqual([]);
});

test('imports go in one direction only', () => {
  const wrong = sources.flatMap((source) =>
    source.imports
      .filter((imported) => imported.own && !isAllowed(source, imported))
      .map((imported) => `${source.path} imports ${imported.target}`),
  );
  expect(wrong).toEqual([]);
});

test('a folder is imported only through the file that bears its name', () => {
  const wrong = sources.flatMap((source) =>
    source.imports
      .filter(({ own, target }) => {
        if (!own || !target.startsWith('src/') || partOf(target) === source.part) return false;
        const part = partOf(target);
        return parts.includes(part) && target !== `src/${part}/${part}.ts`;
      })
      .map(({ target }) => `${source.path} imports ${target}`),
  );
  expect(wrong).toEqual([]);
});

test('every folder of src has the file that bears its name', () => {
  expect(parts.filter((part) => !existsSync(join(root, `src/${part}/${part}.ts`)))).toEqual([]);
});

test('an imported file exists, under exactly that name', () => {
  // Listed, not asked for one by one: some file systems take another case for the same name.
  const files = new Set(
    readdirSync(join(root, 'src'), { recursive: true }).map((path) => `src/${String(path)}`),
  );
  const wrong = sources.flatMap((source) =>
    source.imports
      .filter(({ own, target }) => own && target.startsWith('src/') && !files.has(target))
      .map(({ target }) => `${source.path} imports ${target}`),
  );
  expect(wrong).toEqual([]);
});

test('no file imports itself over others', () => {
  const graph = new Map(
    sources.map((source) => [
      source.path,
      source.imports
        .filter((imported) => imported.own && !imported.typeOnly && !imported.dynamic)
        .map((imported) => imported.target),
    ]),
  );
  expect(findCycle(graph)).toBeUndefined();
});

test('a main file is the only one that does nothing but export others', () => {
  const barrels = sources
    .filter((source) => source.path !== `src/${source.part}/${source.part}.ts`)
    .filter(
      ({ program }) =>
        program.body.length > 0 &&
        program.body.every(
          (statement) =>
            statement.type === 'ExportAllDeclaration' ||
            (statement.type === 'ExportNamedDeclaration' && statement.source !== null),
        ),
    );
  expect(barrels.map((source) => source.path)).toEqual([]);
});

/** The first way round that is found, as a text. */
function findCycle(graph: ReadonlyMap<string, readonly string[]>): string | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (node: string): string | undefined => {
    if (path.includes(node)) return [...path.slice(path.indexOf(node)), node].join(' → ');
    if (done.has(node)) return undefined;
    path.push(node);
    for (const next of graph.get(node) ?? []) {
      const found = visit(next);
      if (found !== undefined) return found;
    }
    path.pop();
    done.add(node);
    return undefined;
  };
  for (const node of graph.keys()) {
    const found = visit(node);
    if (found !== undefined) return found;
  }
  return undefined;
}
