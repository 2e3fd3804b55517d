/** Whether a candidate policy takes the incumbent's place: only when the log shows that it is better. */
import type { Estimate } from '../types.ts';
import type { PolicyView } from '../views.ts';
import {
  differenceOf,
  valuePolicy,
  type LoggedChoice,
  type PolicyValue,
  type Probabilities,
  type ValueDifference,
} from './ope.ts';
import { normalInterval, randomFrom } from './statistics.ts';

/** An outcome that neither policy was fitted on, with what each would have done. */
export interface PromotionRow extends LoggedChoice {
  readonly candidate: Probabilities;
  readonly incumbent: Probabilities;
}

export interface PromotionRequest {
  readonly candidate: string;
  readonly incumbent: string;
  readonly rows: readonly PromotionRow[];
  /** Outcomes without which nothing is decided; 200 unless given. */
  readonly leastOutcomes?: number;
  /** The same, of outcomes that weigh: a log that seldom did what a policy would do says little of it; 50. */
  readonly leastEffective?: number;
  /** Of the bootstrap; 1,000 unless given. */
  readonly resamples?: number;
}

export interface PromotionDecision {
  /** `candidate`: it stays one, for want of proof; `refused`: it is proven to be worse. */
  readonly state: 'incumbent' | 'candidate' | 'refused';
  /** A sentence with the numbers that decided. */
  readonly reason: string;
  /** Candidate less incumbent. Absent while there are too few outcomes. */
  readonly difference?: ValueDifference;
  readonly evaluation?: NonNullable<PolicyView['evaluation']>;
}

/**
 * By the difference of two doubly robust values on the same rows: the lower bound of its two-sided 95 %
 * interval, the lower one of normal approximation and bootstrap, must lie above 0.
 */
export function decidePromotion(request: PromotionRequest): PromotionDecision {
  const { candidate, incumbent, rows, leastOutcomes = 200, leastEffective = 50 } = request;
  const { resamples = 1000 } = request;
  if (rows.length < leastOutcomes) {
    return stays(`${candidate} stays a candidate: ${rows.length} of ${leastOutcomes} outcomes`);
  }
  const untried = untriedOf(rows);
  if (untried !== undefined) {
    return stays(
      `${candidate} stays a candidate: the log never tried ${untried}, which it may choose`,
    );
  }
  // The same numbers decide the same way whenever they are looked at.
  const random = randomFrom(rows.length);
  const valueOf = (policyOf: (row: PromotionRow) => Probabilities): PolicyValue =>
    valuePolicy(
      rows.map((row) => ({ ...row, policy: policyOf(row) })),
      'dr',
      { random, resamples: 0 },
    );
  const [mine, theirs] = [valueOf((row) => row.candidate), valueOf((row) => row.incumbent)];
  const effective = Math.min(mine.effectiveRows, theirs.effectiveRows);
  if (effective < leastEffective) {
    return stays(
      `${candidate} stays a candidate: ${rows.length} outcomes weigh as much as ` +
        `${Math.floor(effective)} of its own choices, fewer than ${leastEffective}`,
    );
  }
  const difference = differenceOf(mine, theirs, { random, resamples });
  const low = Math.min(difference.interval.low, difference.bootstrap.low);
  const high = Math.max(difference.interval.high, difference.bootstrap.high);
  const numbers =
    `it is worth ${shown(mine.value)} against ${shown(theirs.value)} of ${incumbent}, ` +
    `a difference of ${shown(difference.value)} (95 % interval ${shown(low)} to ${shown(high)}, ` +
    `doubly robust, on ${rows.length} outcomes)`;
  const evaluation = {
    estimator: 'dr',
    outcomes: rows.length,
    value: toEstimate(mine),
    incumbent: toEstimate(theirs),
  };
  if (low > 0) {
    const reason = `${candidate} takes the place of ${incumbent}: ${numbers}`;
    return { state: 'incumbent', reason, difference, evaluation };
  }
  const [state, verdict] =
    high < 0
      ? (['refused', `${candidate} is refused`] as const)
      : (['candidate', `${candidate} stays a candidate, since it may be no better`] as const);
  return { state, reason: `${verdict}: ${numbers}`, difference, evaluation };
}

/** An agent that a policy may choose and nobody did: chance, with many agents, and no fault of the log. */
function untriedOf(rows: readonly PromotionRow[]): string | undefined {
  const tried = new Set(rows.map(({ agent }) => agent));
  for (const { candidate, incumbent } of rows) {
    for (const [agent, share] of [...candidate, ...incumbent]) {
      if (share > 0 && !tried.has(agent)) return agent;
    }
  }
  return undefined;
}

const stays = (reason: string): PromotionDecision => ({ state: 'candidate', reason });

const shown = (value: number): string => value.toFixed(3);

function toEstimate({ value, influences }: PolicyValue): Estimate {
  return { mean: value, ...normalInterval(influences, 0.9) };
}
