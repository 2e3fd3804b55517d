/** Ridge logistic regression, small and plain: a baseline must be easy to check. */
import { logistic } from './calibration.ts';

/**
 * Weights of a constant and of each feature, each feature brought to mean 0 and deviation 1. `ridge` is
 * the prior that holds all but the constant near 0. Newton's method with the matrix that bounds every
 * Hessian, X'X / 4 + ridge (Böhning & Lindsay 1988): factored once, and each step still goes down.
 */
export function fitLogistic(
  rows: readonly (readonly number[])[],
  labels: readonly number[],
  ridge: number,
): (row: readonly number[]) => number {
  if (rows.length === 0) return () => 0.5;
  const scale = standardise(rows);
  const scaled = rows.map(scale);
  const size = scaled[0]?.length ?? 0;
  const factor = cholesky(boundOf(scaled, size, ridge), size);
  const weights = new Float64Array(size);
  for (let step = 0; step < 40; step += 1) {
    const gradient = Float64Array.from(weights, (weight, i) => (i === 0 ? 0 : -ridge * weight));
    for (const [index, row] of scaled.entries()) {
      addTo(gradient, row, (labels[index] ?? 0) - logistic(dot(weights, row, size)));
    }
    const move = solve(factor, gradient);
    addTo(weights, move, 1);
    if (move.every((value) => Math.abs(value) < 1e-4)) break;
  }
  return (row) => logistic(dot(weights, scale(row), size));
}

/** Each feature with mean 0 and deviation 1, behind a constant of 1. */
function standardise(
  rows: readonly (readonly number[])[],
): (row: readonly number[]) => Float64Array<ArrayBuffer> {
  const size = rows[0]?.length ?? 0;
  const means = new Float64Array(size);
  const deviations = new Float64Array(size);
  for (let i = 0; i < size; i += 1) {
    let sum = 0;
    let squares = 0;
    for (const row of rows) sum += row[i] ?? 0;
    const middle = sum / rows.length;
    for (const row of rows) squares += ((row[i] ?? 0) - middle) ** 2;
    means[i] = middle;
    // What never differs says nothing, and must not divide by 0.
    deviations[i] = Math.sqrt(squares / rows.length) || 1;
  }
  return (row) => {
    const scaled = new Float64Array(size + 1);
    scaled[0] = 1;
    for (let i = 0; i < size; i += 1) {
      scaled[i + 1] = ((row[i] ?? 0) - (means[i] ?? 0)) / (deviations[i] ?? 1);
    }
    return scaled;
  };
}

/** Rows of the lower half. No prior holds the constant. */
function boundOf(rows: readonly Float64Array[], size: number, ridge: number): Float64Array[] {
  const bound = Array.from({ length: size }, (_, i) => new Float64Array(i + 1));
  for (const row of rows) {
    for (const [i, line] of bound.entries()) {
      const factor = (row[i] ?? 0) / 4;
      for (let j = 0; j <= i; j += 1) line[j] = (line[j] ?? 0) + factor * (row[j] ?? 0);
    }
  }
  for (const [i, line] of bound.entries()) line[i] = (line[i] ?? 0) + (i === 0 ? 1e-9 : ridge);
  return bound;
}

/** Lower triangle L of a symmetric positive matrix LL', row by row. */
function cholesky(matrix: readonly Float64Array[], size: number): Float64Array[] {
  const lower: Float64Array[] = [];
  for (let i = 0; i < size; i += 1) {
    const row = Float64Array.from(matrix[i] ?? []);
    lower.push(row);
    for (let j = 0; j <= i; j += 1) {
      const other = lower[j] ?? row;
      const rest = (row[j] ?? 0) - dot(row, other, j);
      row[j] = i === j ? Math.sqrt(rest) : rest / (other[j] ?? 1);
    }
  }
  return lower;
}

/** x of LL'x = y. */
function solve(lower: readonly Float64Array[], y: Float64Array): Float64Array {
  const x = Float64Array.from(y);
  for (const [i, row] of lower.entries()) {
    x[i] = ((x[i] ?? 0) - dot(row, x, i)) / (row[i] ?? 1);
  }
  for (let i = lower.length - 1; i >= 0; i -= 1) {
    const row = lower[i] ?? y;
    const value = (x[i] ?? 0) / (row[i] ?? 1);
    x[i] = value;
    for (let k = 0; k < i; k += 1) x[k] = (x[k] ?? 0) - (row[k] ?? 0) * value;
  }
  return x;
}

/** Of the first `size` numbers. */
function dot(a: Float64Array, b: Float64Array, size: number): number {
  let sum = 0;
  for (let i = 0; i < size; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

function addTo(sum: Float64Array, row: Float64Array, factor: number): void {
  for (let i = 0; i < sum.length; i += 1) sum[i] = (sum[i] ?? 0) + factor * (row[i] ?? 0);
}
