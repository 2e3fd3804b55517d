import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { components, layers, shortestCycle, type Graph } from './cycles.ts';

const graph = (edges: Record<string, string[]>): Graph => new Map(Object.entries(edges));

test('a cycle is found with its shortest way, and what hangs on it is not in it', () => {
  const g = graph({ a: ['b'], b: ['c', 'a'], c: ['d'], d: ['b', 'e'], e: [] });
  const parts = components(g).filter((part) => part.length > 1);
  expect(parts.map((part) => part.toSorted())).toEqual([['a', 'b', 'c', 'd']]);
  expect(shortestCycle(g, parts[0] ?? [], 'a')).toEqual(['a', 'b']);
  expect(shortestCycle(g, parts[0] ?? [], 'c')).toEqual(['c', 'd', 'b']);
});

test('layers are the longest chain, a cycle being one layer', () => {
  const g = graph({ a: ['b'], b: ['a', 'c'], c: ['d'], d: [], x: ['d'] });
  expect(layers(g, components(g))).toBe(3);
});

test('two nodes share a component exactly where each reaches the other', () => {
  const nodes = ['a', 'b', 'c', 'd', 'e', 'f'];
  const edges = fc.array(fc.tuple(fc.constantFrom(...nodes), fc.constantFrom(...nodes)), {
    maxLength: 14,
  });
  fc.assert(
    fc.property(edges, (list) => {
      const g = new Map(
        nodes.map((node) => [node, list.filter(([from]) => from === node).map(([, to]) => to)]),
      );
      const parts = components(g);
      expect(parts.flat().toSorted()).toEqual(nodes);
      for (const a of nodes)
        for (const b of nodes) {
          const together = parts.some((part) => part.includes(a) && part.includes(b));
          expect(together).toBe(a === b || (reaches(g, a, b) && reaches(g, b, a)));
        }
      // A component comes after those that it leads to.
      for (const [at, part] of parts.entries())
        for (const target of part.flatMap((node) => g.get(node) ?? []))
          expect(parts.findIndex((other) => other.includes(target))).toBeLessThanOrEqual(at);
    }),
  );
});

function reaches(g: Graph, from: string, to: string): boolean {
  const seen = new Set(g.get(from));
  for (const node of seen) for (const next of g.get(node) ?? []) seen.add(next);
  return seen.has(to);
}
