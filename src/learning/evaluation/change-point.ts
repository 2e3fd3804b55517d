/** Whether the mean of a series changed on the way, and where. */
import { mean, variance } from './statistics.ts';

export interface ChangePoint {
  readonly values: number;
  /** Largest distance of the cumulative sum from where a steady series would stand, in deviations. */
  readonly statistic: number;
  /** How often a steady series would stray as far. */
  readonly pValue: number;
  /** p below 0.01: the log is looked at often, and one alarm in twenty looks would be noise. */
  readonly changed: boolean;
  /** Values before the change, where it most likely was, and the means on both sides. */
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

/**
 * CUSUM of the residuals from the mean (Ploberger & Krämer 1992): under a steady mean it is a Brownian
 * bridge, whose largest distance has Kolmogorov's distribution. A series without any variation has not
 * changed. The values are to be independent; those of one task in a row are less so.
 */
export function changePoint(values: readonly number[]): ChangePoint {
  const middle = mean(values);
  const scale = Math.sqrt(variance(values) * values.length);
  let sum = 0;
  let [farthest, at] = [0, values.length];
  for (const [index, value] of values.entries()) {
    sum += value - middle;
    if (scale > 0 && Math.abs(sum) / scale > farthest + 1e-12) {
      [farthest, at] = [Math.abs(sum) / scale, index + 1];
    }
  }
  const pValue = kolmogorovTail(farthest);
  return {
    values: values.length,
    statistic: farthest,
    pValue,
    changed: pValue < 0.01,
    at,
    before: mean(values.slice(0, at)),
    after: at < values.length ? mean(values.slice(at)) : middle,
  };
}

/** Probability that a Brownian bridge strays farther: 2 Σ (−1)^(k−1) exp(−2 k² x²). */
export function kolmogorovTail(x: number): number {
  // Below it the series converges too slowly to be summed, and the probability is 1 to eight digits.
  if (x < 0.3) return 1;
  let sum = 0;
  for (let k = 1; k <= 40; k += 1) sum += (k % 2 === 1 ? 2 : -2) * Math.exp(-2 * k * k * x * x);
  return Math.min(1, Math.max(0, sum));
}
