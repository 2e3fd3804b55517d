/** Whether a stated probability of success is one: of all tasks that were said to succeed with 0.8, 80 % do. */
import { AppError } from '../../base/base.ts';
import { wilsonInterval, type Interval } from './statistics.ts';

export interface Stated {
  /** 0 to 1. */
  readonly probability: number;
  readonly succeeded: boolean;
}

export interface Bin {
  readonly count: number;
  /** Mean of what was stated. */
  readonly stated: number;
  /** Share that succeeded, with its 95 % interval (Wilson). */
  readonly observed: number;
  readonly interval: Interval;
}

export interface Binning {
  /** Bins of equal width from 0 to 1, or with as many rows in each. */
  readonly by: 'width' | 'mass';
  /** 10 unless given. */
  readonly bins?: number;
}

/** Mean squared distance of what was stated from what came: 0 is perfect, 0.25 is what 0.5 for all gives. Brier 1950. */
export function brierScore(rows: readonly Stated[]): number {
  checkStated(rows);
  return (
    rows.reduce((sum, row) => sum + (row.probability - (row.succeeded ? 1 : 0)) ** 2, 0) /
    rows.length
  );
}

/** Expected calibration error: distance of stated from observed, by bin, weighed by rows. Naeini et al. 2015. */
export function calibrationError(rows: readonly Stated[], binning: Binning): number {
  const bins = reliability(rows, binning);
  return (
    bins.reduce((sum, bin) => sum + bin.count * Math.abs(bin.stated - bin.observed), 0) /
    rows.length
  );
}

/** The points of a reliability diagram, from low to high; bins without rows are left out. */
export function reliability(rows: readonly Stated[], { by, bins = 10 }: Binning): Bin[] {
  checkStated(rows);
  const sorted = rows.toSorted((a, b) => a.probability - b.probability);
  const grouped = new Map<number, Stated[]>();
  let first = 0;
  for (const [index, row] of sorted.entries()) {
    // Equal statements stay in one bin of equal mass: apart, only chance would part them.
    if (row.probability !== sorted[first]?.probability) first = index;
    const place = by === 'width' ? row.probability : first / sorted.length;
    // 1 belongs to the last bin.
    const bin = Math.min(bins - 1, Math.floor(place * bins));
    const group = grouped.get(bin);
    if (group === undefined) grouped.set(bin, [row]);
    else group.push(row);
  }
  return [...grouped.values()].map((group) => {
    const succeeded = group.filter((row) => row.succeeded).length;
    return {
      count: group.length,
      stated: group.reduce((sum, row) => sum + row.probability, 0) / group.length,
      observed: succeeded / group.length,
      interval: wilsonInterval(succeeded, group.length, 0.95),
    };
  });
}

/** What turns a stated probability into a calibrated one. */
export type Calibrator = (probability: number) => number;

/**
 * Logistic regression on the log odds of what was stated, with the targets that Platt 1999 smooths so
 * that few rows do not end at 0 and 1. Newton's method; two numbers.
 */
export function fitPlatt(rows: readonly Stated[]): Calibrator {
  checkStated(rows);
  const positives = rows.filter((row) => row.succeeded).length;
  const high = (positives + 1) / (positives + 2);
  const low = 1 / (rows.length - positives + 2);
  const points = rows.map((row) => ({
    x: logOdds(row.probability),
    y: row.succeeded ? high : low,
  }));
  let slope = 1;
  let offset = 0;
  for (let step = 0; step < 50; step += 1) {
    // A little of a prior keeps the matrix invertible when all rows state the same.
    const sums = { ss: 1e-6, so: 0, oo: 1e-6, s: -1e-6 * (slope - 1), o: -1e-6 * offset };
    for (const { x, y } of points) {
      const p = logistic(slope * x + offset);
      const weight = p * (1 - p);
      sums.ss += weight * x * x;
      sums.so += weight * x;
      sums.oo += weight;
      sums.s += (y - p) * x;
      sums.o += y - p;
    }
    const determinant = sums.ss * sums.oo - sums.so ** 2;
    const move = [
      (sums.oo * sums.s - sums.so * sums.o) / determinant,
      (sums.ss * sums.o - sums.so * sums.s) / determinant,
    ] as const;
    // Half of a step that is far too long, where the curve is flat.
    const reach = Math.max(1, Math.abs(move[0]), Math.abs(move[1]));
    slope += move[0] / reach;
    offset += move[1] / reach;
    if (Math.abs(move[0]) + Math.abs(move[1]) < 1e-10) break;
  }
  return (probability) => logistic(slope * logOdds(probability) + offset);
}

interface Block {
  from: number;
  to: number;
  rows: number;
  succeeded: number;
}

/**
 * The rising steps nearest to the outcomes, by pooling neighbours that fall (PAV; Ayer et al. 1955,
 * Zadrozny & Elkan 2002). Between two steps it goes straight from one to the other.
 */
export function fitIsotonic(rows: readonly Stated[]): Calibrator {
  checkStated(rows);
  const blocks: Block[] = [];
  for (const { probability, succeeded } of rows.toSorted((a, b) => a.probability - b.probability)) {
    const last = blocks.at(-1);
    const one = { from: probability, to: probability, rows: 1, succeeded: succeeded ? 1 : 0 };
    // Equal statements are one point, whatever order their outcomes came in.
    if (last !== undefined && last.to === probability) merge(last, one);
    else blocks.push(one);
  }
  const rising: Block[] = [];
  for (const block of blocks) {
    rising.push(block);
    for (;;) {
      const [before, after] = rising.slice(-2);
      if (before === undefined || after === undefined || shareOf(before) < shareOf(after)) break;
      merge(before, after);
      rising.pop();
    }
  }
  return (probability) => readSteps(rising, probability);
}

/** A stated lower bound, of tasks that are alike: of one agent and type, for instance. */
export interface StatedBound {
  readonly group: string;
  readonly bound: number;
  readonly succeeded: boolean;
}

export interface BoundCoverage {
  /** Groups with at least so many outcomes as asked for. */
  readonly groups: number;
  /** In which no fewer succeeded than the mean bound said; with bounds of 95 %, most. */
  readonly held: number;
  /** In which so few succeeded that the bound is wrong: by chance that happens to fewer than one in twenty. */
  readonly contradicted: readonly string[];
  /** Rows of smaller groups, which say nothing. */
  readonly skipped: number;
}

/** How the stated lower bounds fared, by group of at least `least` outcomes (20 unless given). */
export function boundCoverage(rows: readonly StatedBound[], least = 20): BoundCoverage {
  const groups = Map.groupBy(rows, (row) => row.group);
  const counted = [...groups].filter(([, group]) => group.length >= least);
  const compared = counted.map(([name, group]) => {
    const succeeded = group.filter((row) => row.succeeded).length;
    const bound = group.reduce((sum, row) => sum + row.bound, 0) / group.length;
    return {
      name,
      held: succeeded >= bound * group.length - 1e-9,
      contradicted: binomialTail(succeeded, group.length, bound) < 0.05,
    };
  });
  return {
    groups: counted.length,
    held: compared.filter(({ held }) => held).length,
    contradicted: compared.filter(({ contradicted }) => contradicted).map(({ name }) => name),
    skipped: rows.length - counted.reduce((sum, [, group]) => sum + group.length, 0),
  };
}

/** Probability of at most `count` successes among `of`. */
export function binomialTail(count: number, of: number, probability: number): number {
  if (count >= of || probability <= 0) return 1;
  if (probability >= 1) return 0;
  // In logarithms: the first term of a thousand outcomes is below the smallest number there is.
  let term = of * Math.log1p(-probability);
  let sum = 0;
  for (let k = 0; k <= count; k += 1) {
    sum += Math.exp(term);
    term += Math.log(of - k) - Math.log(k + 1) + Math.log(probability) - Math.log1p(-probability);
  }
  return Math.min(1, sum);
}

export const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

/** Of a probability kept a millionth away from 0 and 1, whose log odds are infinite. */
function logOdds(probability: number): number {
  const kept = Math.min(1 - 1e-6, Math.max(1e-6, probability));
  return Math.log(kept / (1 - kept));
}

const shareOf = ({ succeeded, rows }: Block): number => succeeded / rows;

function merge(into: Block, other: Block): void {
  into.to = other.to;
  into.rows += other.rows;
  into.succeeded += other.succeeded;
}

function readSteps(rising: readonly Block[], probability: number): number {
  const at = rising.findIndex((block) => probability <= block.to);
  const block = rising.at(at);
  if (block === undefined) return probability;
  const before = at > 0 ? rising[at - 1] : undefined;
  if (at === -1 || probability >= block.from || before === undefined) return shareOf(block);
  const way = (probability - before.to) / (block.from - before.to);
  return shareOf(before) + way * (shareOf(block) - shareOf(before));
}

function checkStated(rows: readonly Stated[]): void {
  if (rows.length === 0) throw new AppError('invalid_input', 'there is no outcome to compare with');
  const wrong = rows.findIndex(({ probability }) => !(probability >= 0 && probability <= 1));
  if (wrong === -1) return;
  throw new AppError(
    'invalid_input',
    `row ${wrong + 1}: the stated probability is ${rows[wrong]?.probability}; it is 0 to 1`,
    { details: { row: wrong + 1 } },
  );
}
