/** Vectors as embeddings of many texts are: not all over the sphere, but in clusters. */
import { embeddingLength } from '../../src/learning/learning.ts';
import { randomFrom } from './random.ts';

export type MakeVector = () => Float32Array;

/**
 * A mixture on the sphere: directions around `clusters` random centres, the n-th of which has a weight
 * of 1/n. Two vectors of one cluster have a cosine of about 1 / (1 + spread²): 0.74 unless given,
 * two of different ones about 0. The same seed gives the same centres and vectors.
 */
export function clusteredVectors(seed: number, clusters: number, spread = 0.6): MakeVector {
  const random = randomFrom(seed);
  const normal = normalFrom(random);
  const centres = Array.from({ length: clusters }, () => direction(normal));
  const ends: number[] = [];
  for (let rank = 1; rank <= clusters; rank += 1) ends.push((ends.at(-1) ?? 0) + 1 / rank);
  const total = ends.at(-1) ?? 1;
  return () => {
    const draw = random() * total;
    let [low, high] = [0, clusters - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ends[middle] ?? 0) < draw) low = middle + 1;
      else high = middle;
    }
    const vector = direction(normal);
    const centre = centres[low] ?? vector;
    for (let index = 0; index < embeddingLength; index += 1) {
      vector[index] = (centre[index] ?? 0) + (vector[index] ?? 0) * spread;
    }
    return unit(vector);
  };
}

/** The ids of the `k` nearest, by a sort of all cosines in double precision; of equals the first. */
export function sortedNearest(
  vectors: ReadonlyMap<string, Float32Array>,
  query: Float32Array,
  k: number,
): { readonly id: string; readonly similarity: number }[] {
  return [...vectors]
    .map(([id, vector]) => ({ id, similarity: cosine(vector, query) }))
    .toSorted((a, b) => b.similarity - a.similarity)
    .slice(0, k);
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, ofA, ofB] = [0, 0, 0];
  for (let index = 0; index < embeddingLength; index += 1) {
    const [value, other] = [a[index] ?? 0, b[index] ?? 0];
    dot += value * other;
    ofA += value * value;
    ofB += other * other;
  }
  return dot / Math.sqrt(ofA * ofB);
}

function direction(normal: () => number): Float32Array {
  return unit(Float32Array.from({ length: embeddingLength }, normal));
}

function unit(vector: Float32Array): Float32Array {
  let squares = 0;
  for (const value of vector) squares += value * value;
  const length = Math.sqrt(squares);
  for (let index = 0; index < vector.length; index += 1) {
    vector[index] = (vector[index] ?? 0) / length;
  }
  return vector;
}

/** Marsaglia's polar method: two normal numbers a turn. */
function normalFrom(random: () => number): () => number {
  let kept: number | undefined;
  return () => {
    if (kept !== undefined) {
      const value = kept;
      kept = undefined;
      return value;
    }
    for (;;) {
      const [x, y] = [random() * 2 - 1, random() * 2 - 1];
      const square = x * x + y * y;
      if (square === 0 || square >= 1) continue;
      const factor = Math.sqrt((-2 * Math.log(square)) / square);
      kept = y * factor;
      return x * factor;
    }
  };
}
