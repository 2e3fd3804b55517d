/** The periods that a budget can be for. They begin at midnight UTC; a week on Monday. */
export const periods = ['day', 'week', 'month', 'forever'] as const;
export type Period = (typeof periods)[number];

const dayMs = 86_400_000;
/** The first of January 1970 was a Thursday. */
const mondayMs = 4 * dayMs;

/** When the period began that a moment lies in; 0 for the one that never ends. */
export function periodStartMs(period: Period, atMs: number): number {
  const at = new Date(atMs);
  if (period === 'day') return Math.floor(atMs / dayMs) * dayMs;
  if (period === 'week') {
    return Math.floor((atMs - mondayMs) / (7 * dayMs)) * 7 * dayMs + mondayMs;
  }
  return period === 'month' ? Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), 1) : 0;
}

/** When the next period begins; undefined when there is none. */
export function periodEndMs(period: Period, atMs: number): number | undefined {
  const startMs = periodStartMs(period, atMs);
  if (period === 'day') return startMs + dayMs;
  if (period === 'week') return startMs + 7 * dayMs;
  const start = new Date(startMs);
  return period === 'month'
    ? Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1, 1)
    : undefined;
}
