/**
 * N-grams learn to say what words say that are made of them, so that a word that was never seen stands
 * near those it resembles (Zhao, Mudgal and Liang, 2018: a word as the bag of its subwords).
 */
import { gramLength, randomRows } from '../../src/learning/embedding/offline-model.ts';
import { bucketCount, bucketsOf } from '../../src/learning/embedding/words.ts';
import { embeddingLength } from '../../src/learning/types.ts';
import { jacobi } from './eigen.ts';
import { seeded, shuffle } from './random.ts';
import type { Vocabulary } from './vocabulary.ts';

const rounds = 40;
const rate = 0.5;
/** What an n-gram begins with, and keeps where no word taught it more: a direction of its own. */
const begunLength = 0.3;

/**
 * `bucketCount` rows of `gramLength`, for the first numbers of vectors. `meanings`: a vector a word, of what
 * it says beside its own direction.
 */
export function fitGrams(vocabulary: Vocabulary, meanings: Float64Array): Float64Array {
  const begun = randomRows(bucketCount, gramLength, 0);
  const unit = 1 / Math.sqrt(gramLength);
  const rows = Float64Array.from(begun.bytes, (sign) => sign * unit * begunLength);
  const buckets = vocabulary.words.map(bucketsOf);
  const order = vocabulary.words.map((_, word) => word);
  const random = seeded(3);
  for (let round = 0; round < rounds; round += 1) {
    for (const word of shuffle(order, random)) {
      const start = word * embeddingLength;
      approach(rows, buckets[word] ?? [], meanings.subarray(start, start + gramLength));
    }
  }
  return rows;
}

function approach(rows: Float64Array, buckets: readonly number[], target: Float64Array): void {
  for (let k = 0; k < gramLength; k += 1) {
    let mean = 0;
    for (const bucket of buckets) mean += rows[bucket * gramLength + k] as number;
    // Shared out evenly, one step takes `rate` of what is missing.
    const step = rate * ((target[k] as number) - mean / buckets.length);
    for (const bucket of buckets) {
      const at = bucket * gramLength + k;
      rows[at] = (rows[at] as number) + step;
    }
  }
}

/** The axes along which vectors differ, the most first, a row each. */
export function principalAxes(vectors: Float64Array): Float64Array {
  const squares = new Float64Array(embeddingLength * embeddingLength);
  for (let start = 0; start < vectors.length; start += embeddingLength) {
    for (let i = 0; i < embeddingLength; i += 1) {
      const factor = vectors[start + i] as number;
      for (let j = 0; j < embeddingLength; j += 1) {
        const at = i * embeddingLength + j;
        squares[at] = (squares[at] as number) + factor * (vectors[start + j] as number);
      }
    }
  }
  const { values, vectors: axes } = jacobi(squares, embeddingLength);
  const order = values.map((_, index) => index);
  order.sort((a, b) => (values[b] as number) - (values[a] as number));
  return Float64Array.from(squares, (_, at) => {
    const row = order[Math.floor(at / embeddingLength)] as number;
    return axes[(at % embeddingLength) * embeddingLength + row] as number;
  });
}

/** The vectors seen along other axes: likenesses stay as they are. */
export function turned(vectors: Float64Array, axes: Float64Array): Float64Array {
  const result = new Float64Array(vectors.length);
  for (let start = 0; start < vectors.length; start += embeddingLength) {
    for (let row = 0; row < embeddingLength; row += 1) {
      let sum = 0;
      for (let k = 0; k < embeddingLength; k += 1) {
        sum += (axes[row * embeddingLength + k] as number) * (vectors[start + k] as number);
      }
      result[start + row] = sum;
    }
  }
  return result;
}
