/** What the database's own log says of choices: what policies are worth, whether what was predicted came, and drift. */
import { brierScore, calibrationError, reliability, type Bin, type Stated } from './calibration.ts';
import { changePoint, type ChangePoint } from './change-point.ts';
import { crossFit } from './cross-fit.ts';
import { valuePolicy, type OpeRow, type PolicyValue, type Probabilities } from './ope.ts';
import {
  decidePromotion,
  type PromotionDecision,
  type PromotionRequest,
  type PromotionRow,
} from './promotion.ts';
import { quantile, randomFrom, wilsonInterval, type Interval } from './statistics.ts';

/** A routed attempt that succeeded or failed; cancelled ones say nothing of the agent. */
export interface LoggedExecution {
  readonly attemptId: string;
  /** Outcomes of one task are one group: no model that predicts one was fitted on another. */
  readonly taskHash: string;
  readonly type: string;
  readonly agent: string;
  readonly succeeded: boolean;
  readonly endedAtMs: number;
  readonly propensity: number;
  /** Of all that could have been chosen, where it is known; without it support is checked by the log as a whole. */
  readonly logging?: Probabilities;
  readonly predictedSuccess?: number;
  readonly predictedMs?: number;
  /** Of 90 %, where it was kept. */
  readonly predictedMsInterval?: Interval;
  readonly ms?: number;
}

export interface LoggedPolicy {
  readonly name: string;
  /** How it would choose for the task; it must not have been fitted on the row. */
  probabilities(row: LoggedExecution): Probabilities;
}

/** Something that could be measured, or why it could not. */
export type Measured<Figures> = Figures | { readonly unavailable: string };

export interface TimeFigures {
  readonly outcomes: number;
  /** Median of |ln(actual / predicted)|; 0.69 is off by a factor of 2. */
  readonly medianLogError: number;
  /** Median of ln(actual / predicted): above 0 when tasks take longer than was said. */
  readonly medianLogRatio: number;
  /** Share of actual times within the 90 % interval that was stated. */
  readonly coverage: Measured<{
    readonly outcomes: number;
    readonly share: number;
    readonly interval: Interval;
  }>;
}

export interface LogEvaluation {
  readonly executions: number;
  readonly agents: number;
  readonly successRate: Measured<{ readonly share: number; readonly interval: Interval }>;
  /** By policy, in the order given: doubly robust, and the two that need no model. */
  readonly policies: readonly {
    readonly policy: string;
    readonly values: Measured<readonly PolicyValue[]>;
  }[];
  /** Of the first policy as the incumbent and the second as the candidate. */
  readonly promotion?: Measured<PromotionDecision>;
  readonly calibration: Measured<{
    readonly outcomes: number;
    readonly brier: number;
    readonly byWidth: number;
    readonly byMass: number;
    readonly reliability: readonly Bin[];
  }>;
  readonly times: Measured<TimeFigures>;
  /** Whether outcomes less their prediction, and times against theirs, changed on the way. */
  readonly drift: {
    readonly success: Measured<ChangePoint>;
    readonly times: Measured<ChangePoint>;
  };
}

export interface LogEvaluationOptions {
  /** The incumbent first, then candidates. */
  readonly policies?: readonly LoggedPolicy[];
  readonly resamples?: number;
  readonly promotion?: Pick<PromotionRequest, 'leastOutcomes' | 'leastEffective'>;
}

/** Fewer say nothing that an interval would not swallow. */
const least = 20;

/**
 * Throws `invalid_input` by row number for a propensity that is none, and for a policy that chooses what
 * the log never tried.
 */
export function evaluateLog(
  rows: readonly LoggedExecution[],
  { policies = [], resamples = 1000, promotion }: LogEvaluationOptions = {},
): LogEvaluation {
  const inOrder = rows.toSorted((a, b) => a.endedAtMs - b.endedAtMs);
  const succeeded = inOrder.filter((row) => row.succeeded).length;
  const tooFew = tooFewOf(rows.length, 'routed outcomes');
  const groups = new Set(rows.map(({ taskHash }) => taskHash)).size;
  const cannot = tooFew ?? (groups < 2 ? 'all outcomes are of one task' : undefined);
  const predicted =
    cannot === undefined && policies.length > 0
      ? crossFit(inOrder, ({ taskHash }) => taskHash, fitRates)
      : [];
  const rowsOf = (policy: LoggedPolicy): OpeRow[] =>
    inOrder.map((row, index) => ({
      agent: row.agent,
      propensity: row.propensity,
      reward: Number(row.succeeded),
      ...(row.logging === undefined ? {} : { logging: row.logging }),
      policy: policy.probabilities(row),
      predicted: completed(predicted[index], policy.probabilities(row)),
    }));
  const [incumbent, candidate] = policies;
  return {
    executions: rows.length,
    agents: new Set(rows.map(({ agent }) => agent)).size,
    successRate:
      tooFew === undefined
        ? { share: succeeded / rows.length, interval: wilsonInterval(succeeded, rows.length, 0.95) }
        : { unavailable: tooFew },
    policies: policies.map((policy) => ({
      policy: policy.name,
      values:
        cannot === undefined
          ? (['dr', 'snips', 'ips'] as const).map((estimator) =>
              valuePolicy(rowsOf(policy), estimator, { random: randomFrom(1), resamples }),
            )
          : { unavailable: cannot },
    })),
    ...(incumbent === undefined || candidate === undefined
      ? {}
      : {
          promotion:
            cannot === undefined
              ? decidePromotion({
                  candidate: candidate.name,
                  incumbent: incumbent.name,
                  rows: promotionRows(rowsOf(candidate), rowsOf(incumbent)),
                  resamples,
                  ...promotion,
                })
              : { unavailable: cannot },
        }),
    calibration: calibrationOf(inOrder),
    times: timesOf(inOrder),
    drift: driftOf(inOrder),
  };
}

/** Success of an agent on a type of task, drawn towards its success on all, and that towards one half. */
function fitRates(rows: readonly LoggedExecution[]): (row: LoggedExecution) => Map<string, number> {
  const count = new Map<string, { tried: number; succeeded: number }>();
  for (const { agent, type, succeeded } of rows) {
    for (const key of [agent, `${agent}\0${type}`]) {
      const known = count.get(key) ?? { tried: 0, succeeded: 0 };
      known.tried += 1;
      known.succeeded += Number(succeeded);
      count.set(key, known);
    }
  }
  const agents = new Set(rows.map(({ agent }) => agent));
  const drawn = (key: string, towards: number): number => {
    const { tried = 0, succeeded = 0 } = count.get(key) ?? {};
    return (succeeded + 2 * towards) / (tried + 2);
  };
  return ({ type }) =>
    new Map([...agents].map((agent) => [agent, drawn(`${agent}\0${type}`, drawn(agent, 0.5))]));
}

/** An agent that only the row's own fold has seen is predicted as one of which nothing is known. */
const completed = (
  predicted: Map<string, number> | undefined,
  policy: Probabilities,
): Map<string, number> =>
  new Map([...[...policy.keys()].map((agent) => [agent, 0.5] as const), ...(predicted ?? [])]);

function promotionRows(candidate: readonly OpeRow[], incumbent: readonly OpeRow[]): PromotionRow[] {
  return candidate.map((row, index) => {
    const other = incumbent[index] ?? row;
    return {
      ...row,
      predicted: new Map([...(row.predicted ?? []), ...(other.predicted ?? [])]),
      candidate: row.policy,
      incumbent: other.policy,
    };
  });
}

function calibrationOf(rows: readonly LoggedExecution[]): LogEvaluation['calibration'] {
  const stated = rows.flatMap(({ predictedSuccess, succeeded }): Stated[] =>
    predictedSuccess === undefined ? [] : [{ probability: predictedSuccess, succeeded }],
  );
  const tooFew = tooFewOf(stated.length, 'outcomes with a predicted success');
  if (tooFew !== undefined) return { unavailable: tooFew };
  return {
    outcomes: stated.length,
    brier: brierScore(stated),
    byWidth: calibrationError(stated, { by: 'width' }),
    byMass: calibrationError(stated, { by: 'mass', bins: 15 }),
    reliability: reliability(stated, { by: 'mass' }),
  };
}

/** Of successes only: how long a failure took says little of how long the work takes. */
function logRatios(rows: readonly LoggedExecution[]): number[] {
  return rows.flatMap(({ succeeded, ms = 0, predictedMs = 0 }) =>
    succeeded && ms > 0 && predictedMs > 0 ? [Math.log(ms / predictedMs)] : [],
  );
}

function timesOf(rows: readonly LoggedExecution[]): LogEvaluation['times'] {
  const ratios = logRatios(rows);
  const tooFew = tooFewOf(ratios.length, 'successes with a predicted time');
  if (tooFew !== undefined) return { unavailable: tooFew };
  const stated = rows.flatMap(({ succeeded, ms, predictedMsInterval: interval }) =>
    succeeded && ms !== undefined && interval !== undefined
      ? [interval.low <= ms && ms <= interval.high]
      : [],
  );
  const within = stated.filter(Boolean).length;
  const tooFewStated = tooFewOf(stated.length, 'successes with an interval of the time');
  return {
    outcomes: ratios.length,
    medianLogError: quantile(ratios.map(Math.abs), 0.5),
    medianLogRatio: quantile(ratios, 0.5),
    coverage:
      tooFewStated === undefined
        ? {
            outcomes: stated.length,
            share: within / stated.length,
            interval: wilsonInterval(within, stated.length, 0.95),
          }
        : { unavailable: tooFewStated },
  };
}

function driftOf(rows: readonly LoggedExecution[]): LogEvaluation['drift'] {
  // Without a prediction the outcome itself: then a change of the tasks is seen as well.
  const all = rows.every(({ predictedSuccess }) => predictedSuccess !== undefined);
  const residuals = rows.map(
    (row) => Number(row.succeeded) - (all ? (row.predictedSuccess ?? 0) : 0),
  );
  const ratios = logRatios(rows);
  return {
    success: changeOf(residuals, 'routed outcomes'),
    times: changeOf(ratios, 'successes with a predicted time'),
  };
}

function changeOf(values: readonly number[], what: string): Measured<ChangePoint> {
  const tooFew = tooFewOf(values.length, what);
  return tooFew === undefined ? changePoint(values) : { unavailable: tooFew };
}

const tooFewOf = (count: number, what: string): string | undefined =>
  count < least ? `${count} ${what}; ${least} are needed` : undefined;
