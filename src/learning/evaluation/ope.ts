/**
 * What a policy would have been worth, from a log that another one wrote (off-policy evaluation). Each
 * row says who was chosen, with which probability, and what came of it.
 *
 * - IPS: every outcome counts by how much more often the policy would have made that choice. Unbiased,
 *   wide. Horvitz & Thompson 1952.
 * - SNIPS: the same, divided by the sum of its weights. Narrower, with a bias that vanishes with the
 *   number of rows. Swaminathan & Joachims 2015.
 * - DR: what a reward model predicts, corrected by IPS of what it got wrong. Unbiased whatever the model
 *   says, as long as it was not fitted on the row that it predicts. Dudík, Langford & Li 2011.
 */
import { AppError } from '../../base/base.ts';
import {
  bootstrapInterval,
  countedMean,
  mean,
  normalInterval,
  type Interval,
  type Level,
  type Random,
} from './statistics.ts';

/** By agent; absent is 0. */
export type Probabilities = ReadonlyMap<string, number>;

export interface LoggedChoice {
  readonly agent: string;
  /** With which it was chosen: above 0, at most 1. */
  readonly propensity: number;
  readonly reward: number;
  /** Of all that could have been chosen, where the log says so; then support is checked by row. */
  readonly logging?: Probabilities;
  /** Predicted reward by agent, of a model that was not fitted on this row. DR needs it. */
  readonly predicted?: ReadonlyMap<string, number>;
}

/** The row as it stands before a policy that is to be valued. */
export interface OpeRow extends LoggedChoice {
  /** With which probability the policy would choose each; they add up to 1. */
  readonly policy: Probabilities;
}

export type Estimator = 'ips' | 'snips' | 'dr';

export interface PolicyValue {
  readonly estimator: Estimator;
  readonly value: number;
  readonly level: Level;
  /** By the variance of the influence function. */
  readonly interval: Interval;
  /** By drawing rows again; absent where none were. */
  readonly bootstrap?: Interval;
  readonly rows: number;
  /** (Σw)² / Σw² (Kish 1965): as many rows of the policy's own would say as much. */
  readonly effectiveRows: number;
  readonly largestWeight: number;
  /** Weights above it count as it, which draws the value down; `clipped` says how many. */
  readonly clip?: number;
  readonly clipped: number;
  /** One a row; their mean is the value. Differences of two policies on the same rows are taken by row. */
  readonly influences: Float64Array;
}

export interface OpeOptions {
  /** Draws the bootstrap. */
  readonly random: Random;
  /** 0.95 unless given. */
  readonly level?: Level;
  /** 1,000 unless given; 0 for none. */
  readonly resamples?: number;
  /** No weight counts more; at least 1. Nothing is clipped unless given. */
  readonly clip?: number;
}

/**
 * Values a policy. Throws `invalid_input` with the row's number for a propensity that is none, a reward
 * that is no number, probabilities that do not add up, and a choice that the log can not speak for.
 */
export function valuePolicy(
  rows: readonly OpeRow[],
  estimator: Estimator,
  options: OpeOptions,
): PolicyValue {
  const { random, level = 0.95, resamples = 1000, clip } = options;
  if (clip !== undefined && !(clip >= 1)) {
    throw new AppError('invalid_input', `clip is ${clip}; a weight is clipped at 1 or above`);
  }
  checkRows(rows, estimator);
  const raw = rows.map((row) => (row.policy.get(row.agent) ?? 0) / row.propensity);
  const weights = Float64Array.from(raw, (weight) => Math.min(weight, clip ?? Infinity));
  if (weights.every((weight) => weight === 0)) {
    throw new AppError('invalid_input', 'the policy never makes a choice that was logged');
  }
  const influences = influencesOf(rows, weights, estimator);
  const rewarded = Float64Array.from(rows, (row, index) => (weights[index] ?? 0) * row.reward);
  // The ratio itself is drawn again, not its linear approximation: their difference is the check.
  const statistic = (counts: Uint32Array): number =>
    estimator === 'snips'
      ? countedMean(rewarded, counts) / countedMean(weights, counts)
      : countedMean(influences, counts);
  return {
    estimator,
    value: mean(influences),
    level,
    interval: normalInterval(influences, level),
    ...(resamples === 0
      ? {}
      : { bootstrap: bootstrapInterval(rows.length, statistic, { random, resamples, level }) }),
    rows: rows.length,
    effectiveRows: effectiveRows(weights),
    largestWeight: Math.max(...weights),
    ...(clip === undefined ? {} : { clip }),
    clipped: raw.filter((weight) => weight > (clip ?? Infinity)).length,
    influences,
  };
}

export interface ValueDifference {
  readonly value: number;
  readonly level: Level;
  readonly interval: Interval;
  readonly bootstrap: Interval;
}

/** `first` less `second`, both valued on the same rows: what both share falls out. */
export function differenceOf(
  first: PolicyValue,
  second: PolicyValue,
  { random, level = 0.95, resamples = 1000 }: Omit<OpeOptions, 'clip'>,
): ValueDifference {
  if (first.rows !== second.rows || first.estimator !== second.estimator) {
    throw new AppError(
      'invalid_input',
      'two values are compared on the same rows, by one estimator',
    );
  }
  const by = first.influences.map((value, row) => value - (second.influences[row] ?? 0));
  return {
    value: mean(by),
    level,
    interval: normalInterval(by, level),
    bootstrap: bootstrapInterval(by.length, (counts) => countedMean(by, counts), {
      random,
      resamples,
      level,
    }),
  };
}

function influencesOf(
  rows: readonly OpeRow[],
  weights: Float64Array,
  estimator: Estimator,
): Float64Array {
  const weightAt = (row: number): number => weights[row] ?? 0;
  if (estimator === 'ips') return Float64Array.from(rows, (row, at) => weightAt(at) * row.reward);
  if (estimator === 'snips') {
    const size = mean(weights);
    const value = mean(rows.map((row, at) => weightAt(at) * row.reward)) / size;
    return Float64Array.from(
      rows,
      (row, at) => value + (weightAt(at) * (row.reward - value)) / size,
    );
  }
  return Float64Array.from(rows, ({ policy, predicted, agent, reward }, at) => {
    let direct = 0;
    for (const [name, share] of policy) direct += share * (predicted?.get(name) ?? 0);
    return direct + weightAt(at) * (reward - (predicted?.get(agent) ?? 0));
  });
}

function effectiveRows(weights: Float64Array): number {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return (sum * sum) / weights.reduce((total, weight) => total + weight * weight, 0);
}

function checkRows(rows: readonly OpeRow[], estimator: Estimator): void {
  if (rows.length < 2) {
    throw new AppError('invalid_input', `the log has ${rows.length} rows; an interval needs 2`);
  }
  const seen = new Set(rows.map(({ agent }) => agent));
  for (const [index, row] of rows.entries()) {
    const wrong =
      wrongNumbers(row) ??
      wrongPolicy(row.policy) ??
      withoutSupport(row, seen) ??
      (estimator === 'dr' ? wrongPrediction(row) : undefined);
    if (wrong === undefined) continue;
    throw new AppError('invalid_input', `row ${index + 1}: ${wrong}`, {
      details: { row: index + 1 },
    });
  }
}

function wrongNumbers({ agent, propensity, reward, logging }: OpeRow): string | undefined {
  if (!(propensity > 0 && propensity <= 1)) {
    return `propensity is ${propensity}; it is above 0 and at most 1`;
  }
  if (!Number.isFinite(reward)) return `reward is ${reward}, which is no number`;
  const logged = logging?.get(agent);
  if (logging !== undefined && !(Math.abs((logged ?? 0) - propensity) < 1e-6)) {
    return `propensity is ${propensity}, but the logged probability of ${agent} is ${logged ?? 0}`;
  }
  return undefined;
}

function wrongPolicy(policy: Probabilities): string | undefined {
  let sum = 0;
  for (const [agent, share] of policy) {
    if (!(share >= 0 && share <= 1)) return `the policy chooses ${agent} with ${share}`;
    sum += share;
  }
  return Math.abs(sum - 1) < 1e-6
    ? undefined
    : `the policy's probabilities add up to ${sum}, not 1`;
}

/** What was never tried says nothing: no weight can make up for it. */
function withoutSupport({ policy, logging }: OpeRow, seen: Set<string>): string | undefined {
  for (const [agent, share] of policy) {
    if (share === 0) continue;
    if (logging !== undefined && !((logging.get(agent) ?? 0) > 0)) {
      return `the policy chooses ${agent}, which could not have been chosen here`;
    }
    if (!seen.has(agent)) return `the policy chooses ${agent}, which the log never tried`;
  }
  return undefined;
}

function wrongPrediction({ policy, predicted, agent }: OpeRow): string | undefined {
  for (const name of new Set([agent, ...policy.keys()])) {
    if (Number.isFinite(predicted?.get(name))) continue;
    return `the reward model predicts ${predicted?.get(name) ?? 'nothing'} for ${name}`;
  }
  return undefined;
}
