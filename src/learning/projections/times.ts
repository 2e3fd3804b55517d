/**
 * Quantiles of times from counts by size: each bucket is 4 % wide, so that a quantile is right to 2 %
 * however many times there were, and counts of days can be added up (DDSketch: Masson et al. 2019). Pure.
 */
const accuracy = 0.02;
const growth = (1 + accuracy) / (1 - accuracy);
const logGrowth = Math.log(growth);
/** A leap year in milliseconds: longer times are not taken of reports. */
const longestMs = 31_622_400_000;

export type TimeCounts = Readonly<Record<string, number>>;

/** The bucket of a time in ms; below 1 ms all are one. */
export function bucketOf(ms: number): number {
  return Math.ceil(Math.log(Math.min(longestMs, Math.max(1, ms))) / logGrowth);
}

/** The time that a share of all did not exceed, 0 to 1; undefined when there is none. */
export function quantile(counts: TimeCounts, share: number): number | undefined {
  const buckets = Object.entries(counts)
    .map(([bucket, n]) => ({ bucket: Number(bucket), n }))
    .toSorted((a, b) => a.bucket - b.bucket);
  const total = buckets.reduce((sum, { n }) => sum + n, 0);
  if (total === 0) return undefined;
  let left = Math.max(1, Math.ceil(share * total));
  for (const { bucket, n } of buckets) {
    left -= n;
    if (left <= 0) return (2 * growth ** bucket) / (growth + 1);
  }
  return undefined;
}
