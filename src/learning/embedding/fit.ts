/** From whatever length a model gives to 256 numbers, where that may be done. */
import { embeddingLength } from '../types.ts';
import { invalid, unit } from './vectors.ts';

/** What to do with a vector of more than 256 numbers: models that were trained for it keep their sense in the first ones. */
export const longVectorChoices = ['refuse', 'truncate'] as const;
export type LongVectors = (typeof longVectorChoices)[number];

/** Of the length 1. Throws `embedding_invalid` naming both lengths, for numbers that are none, and for zeros. */
export function fitted(
  vector: Float32Array | Float64Array,
  choice: LongVectors,
  what: string,
): Float32Array {
  const { length } = vector;
  if (length === embeddingLength) return unit(vector, what);
  if (length > embeddingLength && choice === 'truncate') {
    return unit(
      vector.slice(0, embeddingLength),
      `the first ${embeddingLength} numbers of ${what}`,
    );
  }
  throw invalid(
    `${what} has ${length} numbers, and embeddings here have ${embeddingLength}`,
    length > embeddingLength
      ? 'Take a model that gives 256, or set embeddingLongVectors to truncate for one that was trained to be shortened (Matryoshka).'
      : 'Take a model that gives 256.',
  );
}
