/** Figures of agents and types from sums of days. Pure; unknown is null, never 0. */
import { anomalyRate, leastObservations, newDetectors, type Drift } from './detectors.ts';
import type {
  AgentFigures,
  AgentSumsRow,
  SumsRow,
  TypeFigures,
  TypeSumsRow,
} from './figure-queries.ts';
import { rateOf, wilson } from './intervals.ts';
import { milliseconds, percent } from './sentences.ts';
import { quantile } from './times.ts';

/** Alerts: what is seen in 30 days of at least 10 outcomes, and of anomalies among at least 20. */
const leastSuccess = 0.7;
const mostP95Ms = 120_000;
const mostAnomalies = 0.1;
const leastOutcomes = 10;
/** The best agent of a type has at least so many outcomes with it. */
const leastForBest = 3;
/** So long is a drift told of. */
export const driftShownMs = 7 * 86_400_000;

export function agentFigures(row: AgentSumsRow): AgentFigures {
  const sums = withoutNulls(row);
  const week = tallyOf(row.week_succeeded, row.week_failed);
  const month = tallyOf(row.month_succeeded, row.month_failed);
  const detectors = row.detectors ?? newDetectors();
  const rate = anomalyRate(detectors);
  return {
    agent: row.agent,
    ...countsOf(sums),
    failed: sums.failed + sums.faultless,
    cancelled: sums.cancelled,
    avg_micro_usd: meanOrNull(row.micro_usd, row.paid),
    avg_tokens: meanOrNull(row.tokens, row.told_tokens),
    feedback: row.feedback,
    feedback_principals: row.feedback_principals,
    trend_7d: trend(sums, week),
    trend_30d: trend(sums, month),
    anomaly_rate: rate ?? null,
    anomaly: anomalyOf(detectors.drifts, row.now_ms) ?? null,
    alerts: alertsOf(month, quantile(row.month_times ?? {}, 0.95), rate, detectors.flags.length),
    last_at_ms: row.last_at_ms,
  };
}

export function typeFigures(row: TypeSumsRow): TypeFigures {
  const known = (row.by_agent ?? []).filter(({ tried }) => tried >= leastForBest);
  const low = (each: (typeof known)[number]): number => wilson(each.succeeded, each.tried).low;
  const [best] = known.toSorted((a, b) => low(b) - low(a) || b.tried - a.tried);
  return {
    task_type: row.task_type,
    ...countsOf(withoutNulls(row)),
    avg_complexity: meanOrNull(row.complexity, row.told_complexity),
    agents: row.agents,
    best_agent: best?.agent ?? null,
    best_rate: best === undefined ? null : (rateOf(best) ?? null),
    last_at_ms: row.last_at_ms,
  };
}

/** What a drift is told as while it is new. */
export function anomalyOf(drifts: readonly Drift[], nowMs: number): string | undefined {
  const drift = drifts.at(-1);
  if (drift === undefined || nowMs - drift.foundAtMs > driftShownMs) return undefined;
  return driftSentence(drift);
}

export function driftSentence(drift: Drift): string {
  const isTime = drift.kind === 'slower' || drift.kind === 'faster';
  const shown = isTime ? milliseconds : percent;
  const what = {
    slower: 'slower',
    faster: 'faster',
    failing: 'failing more often',
    recovering: 'failing less often',
  }[drift.kind];
  const measured = isTime ? 'typical time' : 'success rate';
  const since = new Date(drift.sinceMs).toISOString();
  return `${what} since ${since}: ${measured} ${shown(drift.after)} in ${drift.afterOutcomes} outcomes, after ${shown(drift.before)} in ${drift.beforeOutcomes}`;
}

interface Counted {
  readonly succeeded: number;
  readonly tried: number;
}

type Sums = ReturnType<typeof withoutNulls>;

function withoutNulls(row: SumsRow) {
  return {
    succeeded: row.succeeded ?? 0,
    failed: row.failed ?? 0,
    faultless: row.faultless ?? 0,
    cancelled: row.cancelled ?? 0,
    ms: row.ms ?? 0,
    times: row.times ?? {},
  };
}

function countsOf({ succeeded, failed, faultless, cancelled, ms, times }: Sums) {
  const tried = succeeded + failed;
  return {
    executions: tried + faultless + cancelled,
    succeeded,
    tried,
    success_rate: rateOf({ succeeded, tried }) ?? null,
    avg_ms: meanOrNull(ms, tried),
    p95_ms: quantile(times, 0.95) ?? null,
  };
}

function tallyOf(succeeded: number | null, failed: number | null): Counted {
  return { succeeded: succeeded ?? 0, tried: (succeeded ?? 0) + (failed ?? 0) };
}

function meanOrNull(sum: number | null, n: number | null): number | null {
  return sum === null || n === null || n === 0 ? null : sum / n;
}

/** The rate of the last days less that of the days before them; null while one of them is unknown. */
function trend(all: Sums, recent: Counted): number | null {
  const now = rateOf(recent);
  const before = rateOf({
    succeeded: all.succeeded - recent.succeeded,
    tried: all.succeeded + all.failed - recent.tried,
  });
  return now === undefined || before === undefined ? null : now - before;
}

function alertsOf(
  month: Counted,
  p95Ms: number | undefined,
  anomalies: number | undefined,
  judged: number,
): readonly string[] {
  const alerts: string[] = [];
  const rate = rateOf(month);
  const isKnown = month.tried >= leastOutcomes;
  const of = `${month.tried} outcomes of 30 days`;
  if (isKnown && rate !== undefined && rate < leastSuccess) {
    alerts.push(`success rate ${percent(rate)} in ${of}: below ${percent(leastSuccess)}`);
  }
  if (isKnown && p95Ms !== undefined && p95Ms > mostP95Ms) {
    alerts.push(
      `one in twenty of ${of} took over ${milliseconds(p95Ms)}: more than ${milliseconds(mostP95Ms)}`,
    );
  }
  if (anomalies !== undefined && judged >= leastObservations && anomalies > mostAnomalies) {
    alerts.push(
      `unusual times in ${percent(anomalies)} of the last ${judged} successes: more than ${percent(mostAnomalies)}`,
    );
  }
  return alerts;
}
