/** The few largest eigenvectors of a large, sparse, symmetric matrix: Halko, Martinsson and Tropp (2011), §4.5. */
import { seeded } from './random.ts';

/** Row i has `columns` and `values` from `starts[i]` up to `starts[i + 1]`. */
export interface Sparse {
  readonly size: number;
  readonly starts: Uint32Array;
  readonly columns: Uint32Array;
  readonly values: Float64Array;
}

/** `rows` × `width` numbers, a row after the other. */
export type Dense = Float64Array;

const spare = 16;
const turns = 4;

/** `width` eigenvectors of the largest magnitude as columns (size × width), with their values. */
export function largestEigen(matrix: Sparse, width: number): { vectors: Dense; values: number[] } {
  const wide = Math.min(width + spare, matrix.size);
  const random = seeded(1);
  let basis: Dense = Float64Array.from({ length: matrix.size * wide }, () => random() - 0.5);
  for (let count = 0; count < turns; count += 1) {
    orthonormalise(basis, matrix.size, wide);
    basis = times(matrix, basis, wide);
  }
  orthonormalise(basis, matrix.size, wide);
  const image = times(matrix, basis, wide);
  const small = new Float64Array(wide * wide);
  for (let row = 0; row < matrix.size; row += 1) addOuter(small, basis, image, row * wide, wide);
  const { values, vectors } = jacobi(small, wide);
  const order = values.map((_, index) => index);
  order.sort((a, b) => Math.abs(values[b] as number) - Math.abs(values[a] as number));
  const taken = order.slice(0, width);
  const result = new Float64Array(matrix.size * width);
  for (let row = 0; row < matrix.size; row += 1) {
    for (const [column, from] of taken.entries()) {
      let sum = 0;
      for (let k = 0; k < wide; k += 1) {
        sum += (basis[row * wide + k] as number) * (vectors[k * wide + from] as number);
      }
      result[row * width + column] = sum;
    }
  }
  return { vectors: result, values: taken.map((index) => values[index] as number) };
}

function times({ size, starts, columns, values }: Sparse, dense: Dense, width: number): Dense {
  const result = new Float64Array(size * width);
  for (let row = 0; row < size; row += 1) {
    for (let at = starts[row] as number; at < (starts[row + 1] as number); at += 1) {
      const value = values[at] as number;
      const from = (columns[at] as number) * width;
      for (let k = 0; k < width; k += 1) {
        result[row * width + k] =
          (result[row * width + k] as number) + value * (dense[from + k] as number);
      }
    }
  }
  return result;
}

/** Gram and Schmidt, each column twice against those before: once leaves too much with 64 bits. */
function orthonormalise(dense: Dense, rows: number, width: number): void {
  const columns = Array.from({ length: width }, (_, column) =>
    Float64Array.from({ length: rows }, (__, row) => dense[row * width + column] as number),
  );
  for (const [index, column] of columns.entries()) {
    for (let pass = 0; pass < 2; pass += 1) {
      for (const before of columns.slice(0, index)) {
        const share = dot(before, column);
        for (let row = 0; row < rows; row += 1) {
          column[row] = (column[row] as number) - share * (before[row] as number);
        }
      }
    }
    const length = Math.sqrt(dot(column, column)) || 1;
    for (let row = 0; row < rows; row += 1) {
      column[row] = (column[row] as number) / length;
      dense[row * width + index] = column[row] as number;
    }
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let index = 0; index < a.length; index += 1) {
    sum += (a[index] as number) * (b[index] as number);
  }
  return sum;
}

function addOuter(into: Dense, a: Dense, b: Dense, start: number, width: number): void {
  for (let i = 0; i < width; i += 1) {
    const factor = a[start + i] as number;
    for (let j = 0; j < width; j += 1) {
      into[i * width + j] = (into[i * width + j] as number) + factor * (b[start + j] as number);
    }
  }
}

/** All eigenvectors (columns) of a small symmetric matrix, by turning one pair of axes after the other. */
export function jacobi(matrix: Dense, size: number): { values: number[]; vectors: Dense } {
  const vectors = new Float64Array(size * size);
  for (let index = 0; index < size; index += 1) vectors[index * size + index] = 1;
  for (let sweep = 0; sweep < 12; sweep += 1) {
    let rest = 0;
    for (let p = 0; p < size; p += 1) {
      for (let q = p + 1; q < size; q += 1) {
        const off = matrix[p * size + q] as number;
        rest += off * off;
        if (Math.abs(off) > 1e-12) turn(matrix, vectors, size, p, q);
      }
    }
    if (rest < 1e-16) break;
  }
  const values = Array.from({ length: size }, (_, i) => matrix[i * size + i] as number);
  return { values, vectors };
}

function turn(matrix: Dense, vectors: Dense, size: number, p: number, q: number): void {
  const difference = (matrix[q * size + q] as number) - (matrix[p * size + p] as number);
  const theta = difference / (2 * (matrix[p * size + q] as number));
  const tangent = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const cosine = 1 / Math.sqrt(tangent * tangent + 1);
  const sine = tangent * cosine;
  for (let k = 0; k < size; k += 1) rotate(matrix, k * size + p, k * size + q, cosine, sine);
  for (let k = 0; k < size; k += 1) rotate(matrix, p * size + k, q * size + k, cosine, sine);
  for (let k = 0; k < size; k += 1) rotate(vectors, k * size + p, k * size + q, cosine, sine);
}

function rotate(values: Dense, a: number, b: number, cosine: number, sine: number): void {
  const [one, other] = [values[a] as number, values[b] as number];
  values[a] = cosine * one - sine * other;
  values[b] = sine * one + cosine * other;
}
