/**
 * How well an agent is chosen, on questions of which it is known what every agent would have come to.
 * Learners are fitted on one half of the questions and measured on the other one, which never moves.
 */
import { AppError } from '../../base/base.ts';
import type { Embedder } from '../types.ts';
import { measureBandit, type BanditFigures } from './routing-bandit.ts';
import { measureCalibration, type CalibrationFigures } from './routing-calibration.ts';
import {
  curveOf,
  oracleScores,
  orderByScore,
  shares,
  type CurveFigures,
  type CurveQuestion,
} from './routing-curve.ts';
import type { RoutingData, RoutingRow } from './routing-data.ts';
import { logisticRegression, nearestNeighbours, type RoutingLearner } from './routing-learners.ts';
import { seedNumbers, splitQuestions, type RoutingSplit } from './routing-split.ts';
import {
  drawAgain,
  mean,
  percentileInterval,
  randomFrom,
  wilsonInterval,
  type Interval,
} from './statistics.ts';

export interface RoutingEvaluationOptions {
  readonly data: RoutingData;
  readonly embedder: Embedder;
  /** What is measured beside the baselines, the router first. */
  readonly learners?: readonly RoutingLearner[];
  /** k-NN and logistic regression unless given. */
  readonly baselines?: readonly RoutingLearner[];
  /** Orders of learning, ties and draws are taken anew with each; 5 unless given. */
  readonly seeds?: number;
  /** Of every bootstrap; 1,000 unless given. */
  readonly resamples?: number;
  readonly signal?: AbortSignal;
  progress?(text: string): void;
}

/** A figure over all seeds, with its 95 % interval over questions, and its range over seeds. */
export interface SeededFigure {
  readonly mean: number;
  readonly interval: Interval;
  readonly spread: Interval;
}

export interface MeasuredCurve {
  readonly name: string;
  readonly about: string;
  /** At each of the shares. */
  readonly quality: readonly number[];
  readonly band: readonly Interval[];
  readonly apgr: SeededFigure;
  readonly cpt50: SeededFigure;
  readonly cpt80: SeededFigure;
  /** The interval of APGR lies above 0.5. */
  readonly beatsRandom: boolean;
}

export interface RoutingEvaluation {
  readonly file: string;
  readonly embedder: string;
  readonly seeds: number;
  readonly resamples: number;
  readonly training: number;
  readonly heldOut: number;
  readonly agents: readonly {
    readonly agent: string;
    readonly rate: number;
    readonly interval: Interval;
    readonly meanCostUsd?: number;
    readonly meanMs?: number;
  }[];
  readonly weak: string;
  readonly strong: string;
  /** The learners in their order, then random and oracle. */
  readonly curves: readonly MeasuredCurve[];
  readonly calibration: readonly CalibrationFigures[];
  readonly bandit: readonly BanditFigures[];
}

/** Throws `invalid_input` for data too small to be halved, or in which no agent is better than another. */
export async function evaluateRouting(
  options: RoutingEvaluationOptions,
): Promise<RoutingEvaluation> {
  const { data, embedder, learners = [], seeds = 5, resamples = 1000 } = options;
  const { signal, progress } = options;
  progress?.(`${data.rows.length} questions to embed by ${embedder.name}`);
  const split = await splitQuestions(data, embedder, signal);
  const { baselines = [nearestNeighbours, logisticRegression] } = options;
  const all = [...learners, ...baselines];
  const step = (text: string): void => {
    signal?.throwIfAborted();
    progress?.(text);
  };
  const scored = all.map((learner) => {
    step(`${learner.name}: ${seeds} times on ${split.training.length} questions`);
    return { ...learner, scores: scoresOf(learner, split, seeds) };
  });
  const none = split.heldOut.map(() => 0);
  const oracle = oracleScores(pairsOf(split));
  const every = (scores: readonly number[]): (readonly number[])[] =>
    seedNumbers(seeds).map(() => scores);
  step('intervals');
  const curves = [
    ...scored,
    { name: 'random', about: 'any question to either', scores: every(none) },
    { name: 'oracle', about: 'knows the answers: nobody can do better', scores: every(oracle) },
  ].map((one) => measureCurve(one, split, resamples));
  const calibration = all.map((learner) => {
    step(`${learner.name}: whether its probabilities are true`);
    return measureCalibration(learner, split);
  });
  step('the same questions as a log that knows one outcome each');
  const bandit = measureBandit(all, split, { seeds, resamples, step });
  return {
    file: data.file,
    embedder: embedder.name,
    seeds,
    resamples,
    training: split.training.length,
    heldOut: split.heldOut.length,
    agents: describeAgents(data, split),
    weak: split.agents[split.weak] ?? '',
    strong: split.agents[split.strong] ?? '',
    curves,
    calibration,
    bandit,
  };
}

/** By seed, for each held-out question: how much likelier the strong one succeeds. */
function scoresOf(learner: RoutingLearner, split: RoutingSplit, seeds: number): number[][] {
  return seedNumbers(seeds).map((seed) => {
    const predict = learner.fit(split.training, split.agents, randomFrom(seed));
    return split.heldOut.map((task) => {
      const { success } = predict(task);
      return checked(success[split.strong], learner) - checked(success[split.weak], learner);
    });
  });
}

function checked(probability: number | undefined, { name }: RoutingLearner): number {
  if (probability !== undefined && probability >= 0 && probability <= 1) return probability;
  throw new AppError('internal', `${name} predicts ${probability}, which is no probability`);
}

function measureCurve(
  one: {
    readonly name: string;
    readonly about: string;
    readonly scores: readonly (readonly number[])[];
  },
  split: RoutingSplit,
  resamples: number,
): MeasuredCurve {
  const pairs = pairsOf(split);
  const orders = one.scores.map((scores, seed) => orderByScore(scores, randomFrom(seed + 1)));
  const curves = orders.map((order) => curveOf(pairs, order));
  // Every figure comes from the same resamples: one pass over them gives all intervals.
  const drawn = drawAgain(
    pairs.length,
    (counts) => orders.map((order) => curveOf(pairs, order, counts)),
    { random: randomFrom(1), resamples },
  );
  const intervalOf = (figure: (curve: CurveFigures) => number): Interval =>
    percentileInterval(
      drawn.map((each) => mean(each.map(figure))),
      0.95,
    );
  const seeded = (figure: (curve: CurveFigures) => number): SeededFigure => {
    const values = curves.map(figure);
    return {
      mean: mean(values),
      interval: intervalOf(figure),
      spread: { low: Math.min(...values), high: Math.max(...values) },
    };
  };
  const apgr = seeded((curve) => curve.apgr);
  return {
    name: one.name,
    about: one.about,
    quality: shares.map((_, step) =>
      mean(curves.map((curve) => curve.quality[step] ?? Number.NaN)),
    ),
    band: shares.map((_, step) => intervalOf((curve) => curve.quality[step] ?? Number.NaN)),
    apgr,
    cpt50: seeded((curve) => curve.cpt50),
    cpt80: seeded((curve) => curve.cpt80),
    beatsRandom: apgr.interval.low > 0.5,
  };
}

const pairsOf = ({ heldOut, weak, strong }: RoutingSplit): CurveQuestion[] =>
  heldOut.map(({ succeeded }) => ({
    weak: succeeded[weak] ?? false,
    strong: succeeded[strong] ?? false,
  }));

function describeAgents(data: RoutingData, split: RoutingSplit): RoutingEvaluation['agents'] {
  const meanOf = (of: (row: RoutingRow) => number | undefined): number =>
    mean(data.rows.map((row) => of(row) ?? Number.NaN));
  const [first] = data.rows;
  return data.agents.map((agent, index) => {
    const right = split.heldOut.filter(({ succeeded }) => succeeded[index]).length;
    return {
      agent,
      rate: right / split.heldOut.length,
      interval: wilsonInterval(right, split.heldOut.length, 0.95),
      ...(first?.costUsd === undefined
        ? {}
        : { meanCostUsd: meanOf((row) => row.costUsd?.[index]) }),
      ...(first?.ms === undefined ? {} : { meanMs: meanOf((row) => row.ms?.[index]) }),
    };
  });
}
