/**
 * Quality against the share of calls that go to the stronger of two agents, as RouteLLM defines it (Ong
 * et al. 2024). PGR is the part of the gap between weak and strong that a share of strong calls closes.
 */
import { AppError } from '../../base/base.ts';
import type { Random } from './statistics.ts';

export interface CurveQuestion {
  readonly weak: boolean;
  readonly strong: boolean;
}

export interface CurveFigures {
  /** Share of right answers at 0 %, 10 %, … 100 % strong calls. */
  readonly quality: readonly number[];
  /** Mean PGR over all shares, by trapezoids between those eleven: 0.5 at random. */
  readonly apgr: number;
  /** Least share of strong calls for 50 % and 80 % of the gap; on the straight lines between the eleven. */
  readonly cpt50: number;
  readonly cpt80: number;
}

/** The shares that curves are read at: those of RouteLLM's own evaluation. */
export const shares: readonly number[] = Array.from({ length: 11 }, (_, step) => step / 10);

/**
 * Questions in the order in which they go to the strong agent: highest score first, equal ones by chance.
 */
export function orderByScore(scores: readonly number[], random: Random): number[] {
  return scores
    .map((score, question) => ({ score, question, chance: random() }))
    .toSorted((a, b) => b.score - a.score || a.chance - b.chance)
    .map(({ question }) => question);
}

/**
 * The figures of an order of questions. `counts` says how often each question counts, once unless given.
 * PGR is NaN where weak and strong are right equally often: there is no gap to close.
 */
export function curveOf(
  questions: readonly CurveQuestion[],
  order: readonly number[],
  counts?: Uint32Array,
): CurveFigures {
  if (order.length !== questions.length) {
    throw new AppError('internal', `${order.length} places for ${questions.length} questions`);
  }
  const countOf = (question: number): number => counts?.[question] ?? 1;
  let total = 0;
  let right = 0;
  for (const [question, { weak }] of questions.entries()) {
    total += countOf(question);
    right += weak ? countOf(question) : 0;
  }
  const quality: number[] = [];
  const weakQuality = right / total;
  let strongCalls = 0;
  let next = 0;
  for (const question of [...order, undefined]) {
    const { weak = false, strong = false } = questions[question ?? -1] ?? {};
    const count = question === undefined ? 0 : countOf(question);
    const gain = Number(strong) - Number(weak);
    // A share that falls within a question counts a part of it.
    while (next < shares.length && (shares[next] ?? 0) * total <= strongCalls + count + 1e-9) {
      const part = Math.max(0, (shares[next] ?? 0) * total - strongCalls);
      quality.push((right + part * gain) / total);
      next += 1;
    }
    strongCalls += count;
    right += count * gain;
  }
  const gap = right / total - weakQuality;
  const pgr = quality.map((each) => (gap === 0 ? Number.NaN : (each - weakQuality) / gap));
  return {
    quality,
    apgr: trapezoids(pgr),
    cpt50: firstShare(pgr, 0.5),
    cpt80: firstShare(pgr, 0.8),
  };
}

/** Strong only where it helps, and never where it harms: what nobody can beat. */
export const oracleScores = (questions: readonly CurveQuestion[]): number[] =>
  questions.map(({ weak, strong }) => Number(strong) - Number(weak));

function trapezoids(values: readonly number[]): number {
  let sum = 0;
  for (let step = 1; step < values.length; step += 1) {
    sum += ((values[step - 1] ?? 0) + (values[step] ?? 0)) / 2;
  }
  return sum / (values.length - 1);
}

/** Where the line first reaches the value; NaN where it never does, or nothing is known. */
function firstShare(pgr: readonly number[], value: number): number {
  const step = pgr.findIndex((each) => each >= value);
  if (step <= 0) return step === 0 ? 0 : Number.NaN;
  const [before = 0, after = 0] = pgr.slice(step - 1, step + 1);
  return (step - 1 + (value - before) / (after - before)) / (pgr.length - 1);
}
