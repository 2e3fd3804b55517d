/** Vectors to search, and the ways to search them. */
import { createHash } from 'node:crypto';
import type { Database } from '../../src/database/database.ts';
import { sql } from '../../src/database/database.ts';
import { addVectors } from '../../src/learning/similarity/queries.ts';
import { vectorText } from '../../src/learning/similarity/vectors.ts';
import { embeddingLength } from '../../src/learning/learning.ts';
import { clusteredVectors } from '../../test/support/vectors.ts';

export const embedder = 'bench';
/** Vectors of one statement. */
const batch = 500;

export interface VectorSet {
  readonly count: number;
  /** All of them, one behind the other. */
  readonly flat: Float32Array;
  readonly queries: readonly Float32Array[];
}

/** One cluster for a hundred vectors, the n-th of a weight of 1/n; queries come from the same mixture. */
export function makeVectors(count: number, queryCount: number): VectorSet {
  const next = clusteredVectors(count, Math.max(10, Math.floor(count / 100)));
  const flat = new Float32Array(count * embeddingLength);
  for (let index = 0; index < count; index += 1) flat.set(next(), index * embeddingLength);
  return { count, flat, queries: Array.from({ length: queryCount }, next) };
}

export function vectorAt({ flat }: VectorSet, index: number): Float32Array {
  return flat.subarray(index * embeddingLength, (index + 1) * embeddingLength);
}

/** The id of a vector everywhere. */
export function hashAt(index: number): string {
  return createHash('sha256').update(String(index)).digest('hex');
}

/** Writes texts and their vectors, which have no index yet. */
export async function writeVectors(
  database: Database,
  set: VectorSet,
  progress: (text: string) => void,
): Promise<void> {
  for (let from = 0; from < set.count; from += batch) {
    const to = Math.min(from + batch, set.count);
    const hashes = Array.from({ length: to - from }, (_, index) => hashAt(from + index));
    const texts = hashes.map((_, index) => vectorText(vectorAt(set, from + index)));
    await database.query(sql`insert into task_texts (task_hash, task_type, description)
      select decode(hash, 'hex'), 'bench', 'Task ' || hash from unnest(${hashes}::text[]) as n (hash)`);
    await database.query(addVectors(embedder, hashes, texts), { timeoutMs: 0 });
    if (to % 50_000 === 0) progress(`${to} of ${set.count} vectors are written`);
  }
}

/** The peer: every product, in the plainest loop that does not allocate, and the 10 best of a sorted list. */
export function plainSearch({ flat, count }: VectorSet, query: Float32Array, k: number): number[] {
  const best: { index: number; cosine: number }[] = [];
  let least = -Infinity;
  for (let index = 0; index < count; index += 1) {
    const at = index * embeddingLength;
    let cosine = 0;
    for (let number = 0; number < embeddingLength; number += 1) {
      cosine += (flat[at + number] as number) * (query[number] as number);
    }
    if (best.length === k && cosine <= least) continue;
    best.push({ index, cosine });
    best.sort((a, b) => b.cosine - a.cosine);
    if (best.length > k) best.pop();
    least = best.length === k ? (best.at(-1)?.cosine ?? -Infinity) : -Infinity;
  }
  return best.map(({ index }) => index);
}
