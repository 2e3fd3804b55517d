import { AppError } from '../../base/base.ts';
import { embeddingLength } from '../types.ts';

/**
 * The length of a vector. Throws `embedding_invalid` for one that has no direction: not 256 numbers, one
 * that is not finite, or all of them 0.
 */
export function lengthOf(vector: Float32Array): number {
  if (vector.length !== embeddingLength) {
    throw invalid(`a vector has ${vector.length} numbers, not ${embeddingLength}`);
  }
  let squares = 0;
  for (let index = 0; index < vector.length; index += 1) squares += (vector[index] as number) ** 2;
  if (Number.isNaN(squares) || squares === Infinity) {
    const index = vector.findIndex((value) => !Number.isFinite(value));
    throw invalid(`number ${index} of a vector is ${vector[index]}`);
  }
  if (squares === 0) throw invalid('all numbers of a vector are 0: it has no direction');
  return Math.sqrt(squares);
}

function invalid(message: string): AppError {
  return new AppError('embedding_invalid', message, {
    remedy: `Pass ${embeddingLength} finite numbers that are not all 0, as the embedder gives them.`,
  });
}

/** The product of two vectors in double precision. */
export function product(a: Float32Array, b: Float32Array, bAt = 0): number {
  let sum = 0;
  for (let index = 0; index < embeddingLength; index += 1) {
    sum += (a[index] as number) * (b[bAt + index] as number);
  }
  return sum;
}

/**
 * The direction of a vector in whole numbers of at most `most`. `residual` is the length of what the
 * numbers times `step` are off; by the inequality of Cauchy and Schwarz no cosine is off by more.
 */
export function quantise(
  vector: Float32Array,
  norm: number,
  most: number,
  into: Int8Array | Int16Array,
): { readonly step: number; readonly residual: number } {
  let largest = 0;
  for (let index = 0; index < vector.length; index += 1) {
    largest = Math.max(largest, Math.abs(vector[index] as number));
  }
  const step = Math.fround(largest / norm / most);
  let squares = 0;
  for (let index = 0; index < vector.length; index += 1) {
    const exact = (vector[index] as number) / norm;
    const whole = Math.min(most, Math.max(-most, Math.round(exact / step)));
    into[index] = whole;
    squares += (exact - whole * step) ** 2;
  }
  return { step, residual: Math.sqrt(squares) };
}

/** A vector as pgvector reads it. Throws `embedding_invalid`. */
export function vectorText(vector: Float32Array): string {
  lengthOf(vector);
  return `[${vector.join(',')}]`;
}
