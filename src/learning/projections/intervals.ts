/** Intervals of rates and means: what may be said of a few outcomes, and what not. Pure. */

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** Of the normal distribution: 95 % lie within so many standard deviations. */
export const z95 = 1.959963984540054;

/**
 * The score interval of a rate (Wilson 1927): it keeps its level for few outcomes and near 0 and 1,
 * where the usual one fails. Without outcomes it is 0 to 1.
 */
export function wilson(succeeded: number, tried: number, z = z95): Interval {
  if (tried <= 0) return { low: 0, high: 1 };
  const rate = succeeded / tried;
  const square = (z * z) / tried;
  const centre = (rate + square / 2) / (1 + square);
  const half = (z * Math.sqrt((rate * (1 - rate)) / tried + square / (4 * tried))) / (1 + square);
  // At 0 and at all of them the formula gives its end only up to rounding.
  return {
    low: succeeded <= 0 ? 0 : Math.max(0, centre - half),
    high: succeeded >= tried ? 1 : Math.min(1, centre + half),
  };
}

export interface Tally {
  readonly succeeded: number;
  readonly tried: number;
}

/** The first rate less the second, with an interval made of both score intervals (Newcombe 1998, method 10). */
export function difference(first: Tally, second: Tally): Interval & { readonly mean: number } {
  const [a, b] = [wilson(first.succeeded, first.tried), wilson(second.succeeded, second.tried)];
  const [p, q] = [rateOf(first), rateOf(second)];
  if (p === undefined || q === undefined) return { mean: 0, low: -1, high: 1 };
  return {
    mean: p - q,
    low: Math.max(-1, p - q - Math.hypot(p - a.low, b.high - q)),
    high: Math.min(1, p - q + Math.hypot(a.high - p, q - b.low)),
  };
}

/** Undefined while nothing was tried: an unknown is no zero. */
export function rateOf({ succeeded, tried }: Tally): number | undefined {
  return tried > 0 ? succeeded / tried : undefined;
}

/** Count, sum and sum of squares of something measured. */
export interface Sums {
  readonly n: number;
  readonly sum: number;
  readonly squares: number;
}

/** The mean with its normal interval; undefined for fewer than two. */
export function meanOf(
  { n, sum, squares }: Sums,
  z = z95,
): (Interval & { readonly mean: number; readonly error: number }) | undefined {
  if (n < 2) return undefined;
  const mean = sum / n;
  const variance = Math.max(0, (squares - n * mean * mean) / (n - 1));
  const error = Math.sqrt(variance / n);
  return { mean, error, low: mean - z * error, high: mean + z * error };
}

/** The normal distribution's share below `z`, right to 1.5e-7 (Abramowitz & Stegun 7.1.26). */
export function normalShare(z: number): number {
  const t = 1 / (1 + 0.3275911 * (Math.abs(z) / Math.SQRT2));
  const series =
    t *
    (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const beyond = (series * Math.exp((-z * z) / 2)) / 2;
  return z < 0 ? beyond : 1 - beyond;
}
