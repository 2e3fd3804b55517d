import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { clusteredVectors, sortedNearest } from '../../../test/support/vectors.ts';
import { embeddingLength } from '../types.ts';
import { ExactIndex, mostNear } from './exact-index.ts';

/** Cosines that differ by less are taken for equal: float32 keeps no more. */
const tolerance = 1e-6;

function axis(...values: number[]): Float32Array {
  const vector = new Float32Array(embeddingLength);
  vector.set(values);
  return vector;
}

/** Both answers have the same ids, but where their cosines are as good as equal. */
function expectSame(
  found: readonly { readonly id: string; readonly similarity: number }[],
  sorted: readonly { readonly id: string; readonly similarity: number }[],
): void {
  expect(found.length).toBe(sorted.length);
  for (const [index, { id, similarity }] of found.entries()) {
    const expected = sorted[index];
    expect(Math.abs(similarity - (expected?.similarity ?? 9))).toBeLessThan(tolerance);
    if (id === expected?.id) continue;
    const elsewhere = sorted.find((other) => other.id === id) ?? sorted.at(-1);
    expect(Math.abs(similarity - (elsewhere?.similarity ?? 9))).toBeLessThan(tolerance);
  }
}

test('finds what a sort of all cosines finds, whatever was added, replaced and removed, with SIMD and without', async () => {
  const cases = fc.record({
    seed: fc.nat(),
    count: fc.integer({ min: 1, max: 400 }),
    clusters: fc.integer({ min: 1, max: 20 }),
    // 0.001: all of a cluster as good as equal, so that bounds of bytes tell nothing.
    spread: fc.constantFrom(0.001, 0.1, 0.6, 3),
    scale: fc.constantFrom(1e-20, 1, 1e15),
    k: fc.integer({ min: 1, max: 50 }),
    changes: fc.array(fc.tuple(fc.nat(), fc.boolean()), { maxLength: 60 }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ seed, count, clusters, spread, scale, k, changes }) => {
      const next = clusteredVectors(seed, clusters, spread);
      const make = (): Float32Array => next().map((value) => value * scale);
      const vectors = new Map<string, Float32Array>();
      const indexes = [new ExactIndex(), new ExactIndex({ simd: false })];
      const set = (id: string): void => {
        const vector = make();
        vectors.set(id, vector);
        for (const index of indexes) index.set(id, vector);
      };
      for (let added = 0; added < count; added += 1) set(`v${added}`);
      for (const [pick, isRemoval] of changes) {
        const id = `v${pick % (count + 5)}`;
        if (!isRemoval) set(id);
        else for (const index of indexes) expect(index.remove(id)).toBe(vectors.has(id));
        if (isRemoval) vectors.delete(id);
      }
      const query = make();
      const sorted = sortedNearest(vectors, query, k);
      const [simd, plain] = await Promise.all(indexes.map((index) => index.near(query, k)));
      expectSame(simd ?? [], sorted);
      expect(plain).toEqual(simd);
      expect(indexes[0]?.size).toBe(vectors.size);
    }),
    { numRuns: 25 },
  );
});

test('scans with SIMD here, and without it only when told so', () => {
  expect(new ExactIndex().isSimd).toBe(true);
  expect(new ExactIndex({ simd: false }).isSimd).toBe(false);
});

test('of vectors that are equally near the one added first comes first, also when it was replaced', async () => {
  const index = new ExactIndex();
  for (const id of ['c', 'a', 'b']) index.set(id, axis(0.6, 0.8));
  index.set('c', axis(1.2, 1.6));
  index.remove('a');
  index.set('a', axis(0.6, 0.8));
  index.set('far', axis(-1));
  const found = await index.near(axis(3, 4), 3);
  expect(found.map(({ id }) => id)).toEqual(['c', 'b', 'a']);
});

test('the cosine of a vector with itself is 1 and with its opposite −1', async () => {
  const index = new ExactIndex();
  index.set('same', axis(0.1, 0.2, 0.3));
  index.set('opposite', axis(-0.1, -0.2, -0.3));
  const found = await index.near(axis(1, 2, 3), 2);
  expect(found.map(({ id, similarity }) => [id, similarity.toFixed(6)])).toEqual([
    ['same', '1.000000'],
    ['opposite', '-1.000000'],
  ]);
});

test('finds what its bytes say least of, and does not trust them above their bound', async () => {
  const index = new ExactIndex();
  // In steps of 1 each is what it is: its cosine with the query is 0.111.
  const decoy = Float32Array.from({ length: embeddingLength }, (_, at) =>
    at === 0 ? 127 : at <= 100 ? 1 : 0,
  );
  // All but one of its numbers are rounded to nothing: by its bytes 0.062, in truth 0.119.
  const hidden = new Float32Array(embeddingLength).fill(0.45);
  hidden[0] = 127;
  for (let added = 0; added < 600; added += 1) index.set(`decoy ${added}`, decoy);
  index.set('hidden', hidden);
  const found = await index.near(new Float32Array(embeddingLength).fill(1), 2);
  expect(found.map(({ id }) => id)).toEqual(['hidden', 'decoy 0']);
});

test('a search sees the index as it was when it began, and lets others work between slices', async () => {
  const next = clusteredVectors(1, 40);
  const fillers = Array.from({ length: 300 }, next);
  const index = new ExactIndex();
  // More than is looked at before the first pause; the near ones come after it.
  for (let added = 0; added < 13_700; added += 1) {
    index.set(`filler ${added}`, fillers[added % fillers.length] ?? next());
  }
  index.set('first', axis(1, 0.1));
  index.set('second', axis(1, 0.2));
  index.set('third', axis(1, 0.3));
  // Leaves its place to one that is added while the search is under way.
  index.set('gone', axis(1));
  index.remove('gone');
  const ids = async (): Promise<readonly string[]> =>
    (await index.near(axis(1), 3)).map(({ id }) => id);
  const told: string[] = [];
  // Before the search, so that it comes before its second slice.
  setImmediate(() => told.push('other work'));
  const early = ids().finally(() => told.push('search'));
  index.set('exact', axis(2));
  index.remove('first');
  index.set('second', axis(-1));
  const late = ids();
  expect(await early).toEqual(['first', 'second', 'third']);
  expect(told).toEqual(['other work', 'search']);
  expect((await late).slice(0, 2)).toEqual(['exact', 'third']);
  expect((await ids()).slice(0, 2)).toEqual(['exact', 'third']);
});

test('a slot that was left is used again when no search is under way', () => {
  const index = new ExactIndex({ capacity: 2 });
  index.set('a', axis(1));
  for (let times = 0; times < 5; times += 1) index.set('a', axis(1, times));
  index.set('b', axis(1));
  expect(() => index.set('c', axis(1))).toThrow(
    expect.objectContaining({ code: 'limit_exceeded', details: { vectors: 2 } }) as Error,
  );
  expect(index.size).toBe(2);
  index.remove('b');
  index.set('c', axis(1));
  expect([index.has('b'), index.has('c'), index.size]).toEqual([false, true, 2]);
});

test.for<[string, Float32Array]>([
  ['a number that is none', axis(1, Number.NaN)],
  ['an endless one', axis(1, Infinity)],
  ['too few numbers', new Float32Array(255).fill(1)],
  ['too many', new Float32Array(257).fill(1)],
  ['no direction', axis(0)],
])('refuses a vector with %s, to add and to search for', async ([, vector]) => {
  const index = new ExactIndex();
  index.set('kept', axis(1));
  const refused = expect.objectContaining({ code: 'embedding_invalid' }) as Error;
  expect(() => index.set('kept', vector)).toThrow(refused);
  await expect(index.near(vector, 1)).rejects.toThrow(refused);
  expect(await index.near(axis(2), 5)).toEqual([{ id: 'kept', similarity: 1 }]);
});

test.for([0, -1, 1.5, mostNear + 1, Number.NaN])('refuses to find %d vectors', async (k) => {
  await expect(new ExactIndex().near(axis(1), k)).rejects.toThrow(
    expect.objectContaining({ code: 'invalid_input' }) as Error,
  );
});

test('an empty index has nothing near', async () => {
  expect(await new ExactIndex().near(axis(1), 3)).toEqual([]);
});
