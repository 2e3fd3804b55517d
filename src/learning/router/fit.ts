/** A policy fitted anew on the outcomes so far, and what it would have chosen on those it has not seen. */
import type { PromotionRow } from '../evaluation/promotion.ts';
import { fitPlatt, type Stated } from '../evaluation/calibration.ts';
import type { Candidate } from '../types.ts';
import { Belief } from './bayes.ts';
import { logit } from './gaussian.ts';
import { RouterModel, type LearnedRow } from './model.ts';
import type { PolicyParameters } from './policy.ts';

/** An outcome of before, with its neighbours as they were then. */
export interface PastRow extends LearnedRow {
  /** Of a routed task: with which probability it was chosen, and among whom. */
  readonly propensity?: number;
  readonly candidates?: readonly Candidate[];
}

export interface FittedPolicy {
  readonly policy: PolicyParameters;
  /** Mean log loss of what was expected of the outcomes in the second half of those it was fitted on. */
  readonly logLoss: { readonly before: number; readonly after: number };
}

/** Fewer say too little of eleven numbers. */
export const leastToFit = 100;
const textVariances = [0.03, 0.1, 0.3, 1];
/** How freely the fitted means may leave those of before, as a multiple of what one agent may. */
const freedom = 4;
/** Rows between two pauses: others want the processor too. */
const rowsAtOnce = 50;
const probabilityFloor = 1e-6;

/**
 * Fits on rows in their order: what the features are worth for all agents together (one belief learns from
 * all), how much the words of a task may say, and the calibration. Each choice is made by predictions
 * ahead of the outcome (Dawid 1984), so no row is judged by what was learned from it.
 */
export async function fitPolicy(
  rows: readonly PastRow[],
  incumbent: PolicyParameters,
  name: string,
): Promise<FittedPolicy> {
  const { prior } = incumbent;
  const shared = new Belief(
    {
      mean: prior.mean,
      variance: prior.variance.map((variance) => variance * freedom),
      textVariance: 0,
    },
    0,
  );
  const before = await replay(new RouterModel(incumbent), rows, (row, { features }) => {
    const happened = row.result === 'succeeded' ? 1 : 0;
    shared.learnEvent({ summary: features.summary, text: undefined }, happened, row.weight);
  });
  const mean = shared.weights;
  let best: { policy: PolicyParameters; stated: readonly Stated[]; loss: number } | undefined;
  for (const textVariance of textVariances) {
    const policy: PolicyParameters = {
      ...incumbent,
      name,
      prior: { ...prior, mean, textVariance },
      calibration: { slope: 1, offset: 0 },
    };
    const stated = await replay(new RouterModel(policy), rows);
    const loss = logLoss(secondHalf(stated));
    if (best === undefined || loss < best.loss) best = { policy, stated, loss };
  }
  if (best === undefined) return { policy: incumbent, logLoss: { before: 0, after: 0 } };
  const calibrate = fitPlatt(secondHalf(best.stated));
  const offset = logit(calibrate(0.5));
  // Two points of a line in log-odds give it back.
  const slope = Math.max(0.05, logit(calibrate(1 / (1 + Math.exp(-1)))) - offset);
  return {
    policy: { ...best.policy, calibration: { slope, offset } },
    logLoss: { before: logLoss(secondHalf(before)), after: best.loss },
  };
}

/**
 * What two policies would have done on routed rows, having learned all rows before: for `decidePromotion`.
 * `rows` follow `learned`, on which the candidate was fitted.
 */
export async function comparePolicies(
  learned: readonly PastRow[],
  rows: readonly PastRow[],
  policies: { readonly candidate: PolicyParameters; readonly incumbent: PolicyParameters },
): Promise<PromotionRow[]> {
  const models = {
    candidate: new RouterModel(policies.candidate),
    incumbent: new RouterModel(policies.incumbent),
  };
  await replay(models.candidate, learned);
  await replay(models.incumbent, learned);
  const compared: PromotionRow[] = [];
  for (const [index, row] of rows.entries()) {
    const own = choiceOf(row, models, policies.incumbent.worth);
    if (own !== undefined) compared.push(own);
    models.candidate.learn(row);
    models.incumbent.learn(row);
    if (index % rowsAtOnce === rowsAtOnce - 1) await pause();
  }
  return compared;
}

function choiceOf(
  row: PastRow,
  models: { readonly candidate: RouterModel; readonly incumbent: RouterModel },
  worth: PolicyParameters['worth'],
): PromotionRow | undefined {
  const { propensity, candidates, facts, vector, near, agent, result, isOwnFault = true } = row;
  if (propensity === undefined || candidates === undefined) return undefined;
  // What says nothing of the agent says nothing of who chose it.
  if (result === 'cancelled' || (result === 'failed' && !isOwnFault)) return undefined;
  const prospects = (model: RouterModel) =>
    model.prospects(facts, vector, near, candidates, { mode: 'balanced' });
  const theirs = prospects(models.incumbent);
  const reward =
    (result === 'succeeded' ? 1 : 0) -
    (worth.perUsd * (row.microUsd ?? 0)) / 1e6 -
    (worth.perMinute * (row.ms ?? 0)) / 60_000;
  return {
    agent,
    propensity,
    reward,
    predicted: new Map(theirs.map(({ agent: name, score }) => [name, score])),
    incumbent: new Map(theirs.map((each) => [each.agent, each.propensity])),
    candidate: new Map(prospects(models.candidate).map((each) => [each.agent, each.propensity])),
  };
}

/** Learns rows in their order and says what was expected of each before. */
export async function replay(
  model: RouterModel,
  rows: readonly PastRow[],
  each?: (row: PastRow, expected: NonNullable<ReturnType<RouterModel['learn']>>) => void,
): Promise<Stated[]> {
  const stated: Stated[] = [];
  for (const [index, row] of rows.entries()) {
    const expected = model.learn(row);
    if (expected !== undefined) {
      stated.push({ probability: expected.success.mean, succeeded: row.result === 'succeeded' });
      each?.(row, expected);
    }
    if (index % rowsAtOnce === rowsAtOnce - 1) await pause();
  }
  return stated;
}

function secondHalf<Item>(items: readonly Item[]): readonly Item[] {
  return items.slice(Math.floor(items.length / 2));
}

function logLoss(stated: readonly Stated[]): number {
  const sum = stated.reduce((total, { probability, succeeded }) => {
    const held = succeeded ? probability : 1 - probability;
    return total - Math.log(Math.max(probabilityFloor, held));
  }, 0);
  return sum / Math.max(1, stated.length);
}

function pause(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
