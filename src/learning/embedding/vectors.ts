/** Vectors as they are kept, and what every one of them must be. */
import { AppError } from '../../base/base.ts';
import { embeddingLength } from '../types.ts';

const bytesPerNumber = Float32Array.BYTES_PER_ELEMENT;
/** Of a length from 1: float32 rounding leaves about 1e-7, and half precision elsewhere 1e-3. */
const lengthTolerance = 1e-3;

/** Little-endian float32, as `task_embeddings` keeps it. Throws `embedding_invalid` for what is no embedding. */
export function vectorBytes(vector: Float32Array): Uint8Array {
  assertEmbedding(vector, 'the vector');
  const bytes = new Uint8Array(embeddingLength * bytesPerNumber);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of vector.entries()) {
    view.setFloat32(index * bytesPerNumber, value, true);
  }
  return bytes;
}

/** The other way. Throws `embedding_invalid` for another number of bytes, a number that is none, or another length than 1. */
export function vectorFromBytes(bytes: Uint8Array): Float32Array {
  const expected = embeddingLength * bytesPerNumber;
  if (bytes.byteLength !== expected) {
    throw invalid(`an embedding has ${expected} bytes, these are ${bytes.byteLength}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const vector = new Float32Array(embeddingLength);
  for (let index = 0; index < embeddingLength; index += 1) {
    vector[index] = view.getFloat32(index * bytesPerNumber, true);
  }
  assertEmbedding(vector, 'the kept vector');
  return vector;
}

/** Throws `embedding_invalid` unless it has 256 finite numbers and the length 1. */
export function assertEmbedding(vector: Float32Array, what: string): void {
  assertNumbers(vector, what);
  if (vector.length !== embeddingLength) {
    throw invalid(`${what} has ${vector.length} numbers, not ${embeddingLength}`);
  }
  const length = Math.sqrt(squares(vector));
  if (Math.abs(length - 1) > lengthTolerance) {
    throw invalid(`${what} has the length ${length.toPrecision(6)}, not 1`);
  }
}

/** A vector of that direction and the length 1. Throws `embedding_invalid` where there is no direction. */
export function unit(vector: Float32Array | Float64Array, what: string): Float32Array {
  assertNumbers(vector, what);
  const length = Math.sqrt(squares(vector));
  if (length === 0) throw invalid(`${what} is all zeros: it has no direction`);
  if (!Number.isFinite(length)) throw invalid(`${what} has numbers too large to work with`);
  const result = new Float32Array(vector.length);
  for (let index = 0; index < vector.length; index += 1) {
    result[index] = (vector[index] ?? 0) / length;
  }
  return result;
}

export function invalid(message: string, remedy?: string): AppError {
  return new AppError('embedding_invalid', message, remedy === undefined ? {} : { remedy });
}

function assertNumbers(vector: Float32Array | Float64Array, what: string): void {
  const wrong = vector.findIndex((value) => !Number.isFinite(value));
  if (wrong !== -1) throw invalid(`${what} has ${String(vector[wrong])} as number ${wrong}`);
}

function squares(vector: Float32Array | Float64Array): number {
  let sum = 0;
  for (const value of vector) sum += value * value;
  return sum;
}
