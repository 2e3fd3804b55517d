/** What the database's own record says of choices, in figures for people. */
import type { RoutedRow } from '../router/queries.ts';
import type { Bounded, LogReport } from '../views.ts';
import type { ChangePoint } from './change-point.ts';
import { evaluateLog, type LoggedExecution, type Measured } from './evaluate-log.ts';
import type { Interval } from './statistics.ts';

/** Choosing by chance among those who could have been chosen. */
const byChance = {
  name: 'chance',
  probabilities: ({ agent, candidates = [agent] }: LoggedExecution) =>
    new Map(candidates.map((name) => [name, 1 / candidates.length])),
};

export function reportOfLog(rows: readonly RoutedRow[]): LogReport {
  const logged = rows.map(executionOf);
  const found = evaluateLog(logged, { policies: [byChance], resamples: 200 });
  const unavailable: string[] = [];
  const known = <Figures extends object>(what: string, figures: Measured<Figures>) => {
    if (!('unavailable' in figures)) return figures;
    unavailable.push(`${what}: ${figures.unavailable}`);
    return undefined;
  };
  const rate = known('success rate', found.successRate);
  const [chance] = known('choosing by chance', found.policies[0]?.values ?? []) ?? [];
  const calibration = known('calibration', found.calibration);
  const times = known('times', found.times);
  const coverage = times && known('coverage of times', times.coverage);
  const success = known('drift of success', found.drift.success);
  const slower = known('drift of times', found.drift.times);
  return {
    outcomes: found.executions,
    agents: found.agents,
    ...(rate && { successRate: bounded(rate.share, rate.interval) }),
    ...(chance && { byChance: bounded(chance.value, chance.interval) }),
    ...(calibration && {
      calibration: {
        outcomes: calibration.outcomes,
        brier: calibration.brier,
        expectedCalibrationError: calibration.byMass,
        bins: calibration.reliability.map(({ stated, observed, interval, count }) => ({
          ...bounded(observed, interval),
          stated,
          outcomes: count,
        })),
      },
    }),
    ...(times && {
      times: {
        outcomes: times.outcomes,
        medianFactor: Math.exp(times.medianLogError),
        ...(coverage && { coverage: bounded(coverage.share, coverage.interval) }),
      },
    }),
    drift: { ...since('success', success, logged), ...since('times', slower, logged) },
    unavailable,
  };
}

function executionOf(row: RoutedRow): LoggedExecution {
  const { predicted_ms_low: low, predicted_ms_high: high } = row;
  return {
    attemptId: row.attempt_id,
    taskHash: row.task_hash,
    type: row.task_type,
    agent: row.agent,
    succeeded: row.succeeded,
    endedAtMs: row.ended_at_ms,
    propensity: row.propensity,
    ...(row.candidates === null ? {} : { candidates: row.candidates }),
    ...(row.predicted_success === null ? {} : { predictedSuccess: row.predicted_success }),
    ...(row.predicted_ms === null ? {} : { predictedMs: row.predicted_ms }),
    ...(low === null || high === null ? {} : { predictedMsInterval: { low, high } }),
    ...(row.ms === null ? {} : { ms: row.ms }),
  };
}

function bounded(value: number, { low, high }: Interval): Bounded {
  return { value, low, high };
}

/** A sentence where what is predicted does not hold any more. */
function since(
  what: keyof LogReport['drift'],
  change: ChangePoint | undefined,
  rows: readonly LoggedExecution[],
): LogReport['drift'] {
  if (change === undefined || !change.changed) return {};
  const counted = rows
    .filter(({ succeeded, ms = 0, predictedMs = 0 }) =>
      what === 'success' ? true : succeeded && ms > 0 && predictedMs > 0,
    )
    .toSorted((a, b) => a.endedAtMs - b.endedAtMs);
  const at = new Date(counted[change.at]?.endedAtMs ?? 0).toISOString();
  const [before, after] = [change.before, change.after];
  const text =
    what === 'success'
      ? `since ${at} success differs from what is predicted by ${shown(after)}, before by ${shown(before)}`
      : `since ${at} tasks take ${Math.exp(after).toFixed(2)} times what is predicted, before ${Math.exp(before).toFixed(2)} times`;
  return { [what]: text };
}

function shown(difference: number): string {
  return `${difference > 0 ? '+' : ''}${difference.toFixed(3)}`;
}
