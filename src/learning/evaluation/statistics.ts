/** Intervals, and the random numbers that they are drawn with: what every figure here is told with. */
import { AppError } from '../../base/base.ts';

/** With which probability a two-sided interval holds what it is about. */
export type Level = 0.9 | 0.95;

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** Quantiles of the standard normal distribution at (1 + level) / 2. */
const normalQuantiles: Readonly<Record<Level, number>> = {
  0.9: 1.6448536269514722,
  0.95: 1.959963984540054,
};

/** Uniform from 0 up to 1. */
export type Random = () => number;

/** Mulberry32: the same seed gives the same numbers on every machine. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A copy in random order (Fisher–Yates). */
export function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  const copy = [...items];
  for (let last = copy.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    const kept = copy[last] as Item;
    copy[last] = copy[other] as Item;
    copy[other] = kept;
  }
  return copy;
}

/** NaN of nothing. */
export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < values.length; index += 1) sum += values[index] ?? 0;
  return sum / values.length;
}

/** Of a sample: divides by n − 1. NaN of fewer than two. */
export function variance(values: ArrayLike<number>): number {
  const middle = mean(values);
  let sum = 0;
  for (let index = 0; index < values.length; index += 1)
    sum += ((values[index] ?? 0) - middle) ** 2;
  return values.length < 2 ? Number.NaN : sum / (values.length - 1);
}

/** Between the two nearest in order, as most programs do it (type 7 of Hyndman & Fan 1996). */
export function quantile(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).toSorted();
  if (sorted.length === 0) return Number.NaN;
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below + (above - below) * (place - Math.floor(place));
}

/** Of the mean of independent values, by the central limit theorem. */
export function normalInterval(values: ArrayLike<number>, level: Level): Interval {
  const middle = mean(values);
  const reach = normalQuantiles[level] * Math.sqrt(variance(values) / values.length);
  return { low: middle - reach, high: middle + reach };
}

/** Of a share, of `count` ones among `of`; holds near 0 and 1 too (Wilson 1927). */
export function wilsonInterval(count: number, of: number, level: Level): Interval {
  if (of === 0) return { low: 0, high: 1 };
  const z = normalQuantiles[level];
  const share = count / of;
  const middle = (share + (z * z) / (2 * of)) / (1 + (z * z) / of);
  const reach =
    (z / (1 + (z * z) / of)) * Math.sqrt((share * (1 - share)) / of + (z * z) / (4 * of * of));
  return { low: Math.max(0, middle - reach), high: Math.min(1, middle + reach) };
}

export interface BootstrapOptions {
  readonly random: Random;
  /** How often to draw; 1,000 unless given. */
  readonly resamples?: number;
  /** 0.95 unless given. */
  readonly level?: Level;
}

/**
 * Percentile bootstrap (Efron 1979). `statistic` gets how often each of the `size` rows was drawn. A
 * resample for which it is NaN (a ratio by zero) is left out; more than one in twenty are refused.
 */
export function bootstrapInterval(
  size: number,
  statistic: (counts: Uint32Array) => number,
  options: BootstrapOptions,
): Interval {
  return percentileInterval(drawAgain(size, statistic, options), options.level ?? 0.95);
}

/** What `make` gives for each resample; it gets how often each of the `size` rows was drawn. */
export function drawAgain<Made>(
  size: number,
  make: (counts: Uint32Array) => Made,
  { random, resamples = 1000 }: Omit<BootstrapOptions, 'level'>,
): Made[] {
  const counts = new Uint32Array(size);
  return Array.from({ length: resamples }, () => {
    counts.fill(0);
    for (let row = 0; row < size; row += 1) {
      const place = Math.floor(random() * size);
      counts[place] = (counts[place] ?? 0) + 1;
    }
    return make(counts);
  });
}

/** From the figures of all resamples. */
export function percentileInterval(drawn: readonly number[], level: Level): Interval {
  const known = drawn.filter((value) => !Number.isNaN(value));
  if (known.length < 0.95 * drawn.length) {
    throw new AppError('invalid_input', 'there are too few rows: the figure is often undefined');
  }
  return { low: quantile(known, (1 - level) / 2), high: quantile(known, (1 + level) / 2) };
}

/** Mean of the values as often as they were drawn. */
export function countedMean(values: ArrayLike<number>, counts: Uint32Array): number {
  let sum = 0;
  let rows = 0;
  for (let row = 0; row < counts.length; row += 1) {
    sum += (counts[row] ?? 0) * (values[row] ?? 0);
    rows += counts[row] ?? 0;
  }
  return sum / rows;
}
