/** Functions of the normal distribution and the logistic one, good to 1e-7: enough to choose by. */

export function logistic(z: number): number {
  // Two forms, so that neither end overflows.
  if (z >= 0) return 1 / (1 + Math.exp(-z));
  const e = Math.exp(z);
  return e / (1 + e);
}

/** Of a probability, held within [1e-4, 1 − 1e-4]: nothing measured is certain. */
export function logit(p: number): number {
  const held = Math.min(1 - 1e-4, Math.max(1e-4, p));
  return Math.log(held / (1 - held));
}

/** The standard normal distribution function; Abramowitz & Stegun 26.2.17, error below 7.5e-8. */
export function normalCdf(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const tail =
    0.3989422804014327 *
    Math.exp((-x * x) / 2) *
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return x >= 0 ? 1 - tail : tail;
}

/** What the logistic function of a normal variable is on average; MacKay 1992, equation 4. */
export function logisticMean(mean: number, variance: number): number {
  return logistic(mean / Math.sqrt(1 + (Math.PI * variance) / 8));
}

/** 90 % of a normal distribution lie within so many standard deviations of its mean. */
export const ninety = 1.6448536269514722;
