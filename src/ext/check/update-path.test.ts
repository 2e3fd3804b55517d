import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { downPath, installPath, scriptsOf, updatePath, versionsOf } from './update-path.ts';

const files = ['x--1.sql', 'x--1--2.sql', 'x--2--3.sql', 'x--1--3.sql', 'x--3--2.sql', 'x.control'];

test('an update takes the fewest steps, and says whether there is a way back', () => {
  expect(updatePath('x', files, '1', '3')).toEqual(['1', '3']);
  expect(updatePath('x', files, '1', '2')).toEqual(['1', '2']);
  expect(updatePath('x', files, '3', '1')).toBeUndefined();
  expect(updatePath('x', files, '9', '3')).toBeUndefined();
  expect(updatePath('x', files, '3', '3')).toEqual(['3']);
  const equal = ['x--1--b.sql', 'x--1--a.sql', 'x--b--2.sql', 'x--a--2.sql'];
  expect(updatePath('x', equal, '1', '2')).toEqual(['1', 'a', '2']);
  expect(downPath('x', files, '2', '3')).toEqual(['3', '2']);
  expect(downPath('x', files, '1', '3')).toBeUndefined();
});

test('an installation begins at a script of its own, the nearest one', () => {
  expect(installPath('x', files, '1')).toEqual(['1']);
  expect(installPath('x', files, '3')).toEqual(['1', '3']);
  const two = [...files, 'x--2.sql', 'x--3--4.sql'];
  // From 1 and from 2 it is as far: PostgreSQL takes the greater name.
  expect(installPath('x', two, '4')).toEqual(['2', '3', '4']);
  expect(installPath('x', ['x--2--3.sql'], '3')).toBeUndefined();
  expect(scriptsOf('x', ['2', '3', '4'], true)).toEqual(['x--2.sql', 'x--2--3.sql', 'x--3--4.sql']);
  expect(scriptsOf('x', ['2', '3'], false)).toEqual(['x--2--3.sql']);
});

test('only names that PostgreSQL takes for scripts count', () => {
  const odd = [
    'x--1.sql',
    'x--1--2--3.sql',
    'x-y--9.sql',
    'xx--8.sql',
    'x--7.control',
    'x--4.sql~',
  ];
  expect(versionsOf('x', odd)).toEqual(['1']);
  expect(versionsOf('x', files)).toEqual(['1', '2', '3']);
});

test('every path is the one that Dijkstra’s algorithm finds as PostgreSQL runs it', () => {
  const version = fc.constantFrom('1', '1.10', '1.9', '2', 'a', 'b', 'é', 'dev');
  const edges = fc.uniqueArray(fc.tuple(version, version), {
    maxLength: 24,
    selector: (pair) => pair.join('--'),
  });
  const scripts = fc.uniqueArray(version, { maxLength: 4 });
  fc.assert(
    fc.property(edges, scripts, version, version, (pairs, own, from, to) => {
      const names = [
        ...pairs.map(([one, other]) => `x--${one}--${other}.sql`),
        ...own.map((one) => `x--${one}.sql`),
      ];
      const update = from === to ? [from] : dijkstra(pairs, own, from, to, false);
      expect(updatePath('x', names, from, to)).toEqual(update);
      expect(installPath('x', names, to)).toEqual(install(pairs, own, to));
    }),
    { numRuns: 500 },
  );
});

const lower = (one: string, other: string): boolean =>
  Buffer.compare(Buffer.from(one), Buffer.from(other)) < 0;

/** find_install_path: among the installable ones the shortest, and of those the one with the greatest name. */
function install(
  pairs: readonly (readonly [string, string])[],
  own: readonly string[],
  to: string,
): readonly string[] | undefined {
  if (own.includes(to)) return [to];
  let best: readonly string[] | undefined;
  for (const start of own) {
    const path = dijkstra(pairs, own, start, to, true);
    if (path === undefined) continue;
    const isNearer = best === undefined || path.length < best.length;
    if (isNearer || (path.length === best?.length && lower(best[0] ?? '', start))) best = path;
  }
  return best;
}

/** find_update_path: vertices by their distance, the predecessor with the smaller name where two are as near. */
function dijkstra(
  pairs: readonly (readonly [string, string])[],
  own: readonly string[],
  from: string,
  to: string,
  rejectIndirect: boolean,
): readonly string[] | undefined {
  const left = new Set(pairs.flat()).add(from);
  const distance = new Map([[from, 0]]);
  const previous = new Map<string, string>();
  for (;;) {
    const known = [...left].filter((version) => distance.has(version));
    const [at] = known.toSorted((a, b) => (distance.get(a) ?? 0) - (distance.get(b) ?? 0));
    if (at === undefined) return undefined;
    left.delete(at);
    if (at === to) break;
    for (const [, target] of pairs.filter(([start]) => start === at)) {
      if (rejectIndirect && own.includes(target)) continue;
      const far = (distance.get(at) ?? 0) + 1;
      const now = distance.get(target) ?? Infinity;
      const before = previous.get(target);
      if (far < now || (far === now && before !== undefined && lower(at, before))) {
        distance.set(target, far);
        previous.set(target, at);
      }
    }
  }
  const path = [to];
  while (path[0] !== from) path.unshift(previous.get(path[0] ?? '') ?? from);
  return path;
}
