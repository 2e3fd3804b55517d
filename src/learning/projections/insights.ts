/**
 * What can be said of agents beyond their figures, in sentences with their numbers. Pure. Nothing is
 * said of fewer than 20 outcomes a side, or when intervals of 95 % still overlap.
 */
import { anomalyRate, newDetectors } from './detectors.ts';
import { driftSentence, driftShownMs } from './figures.ts';
import type {
  AgentTypeRow,
  AgentWeekRow,
  CombinationRow,
  FoundInsight,
} from './insight-queries.ts';
import { difference, meanOf, normalShare, rateOf, wilson, z95, type Tally } from './intervals.ts';
import { dollars, list, milliseconds, percent } from './sentences.ts';

export const leastForInsight = 20;
/** An agent that costs less, or is faster, may at most be so much worse, with a probability of 97.5 %. */
const toleratedLoss = 0.05;
/** Of times beyond 2 σ: an agent that has not changed has 4.6 % of them. */
const mostAnomalies = 0.1;

export interface InsightSource {
  readonly agentTypes: readonly AgentTypeRow[];
  readonly weeks: readonly AgentWeekRow[];
  readonly combinations: readonly CombinationRow[];
}

/** The surest `most`. */
export function findInsights(source: InsightSource, most: number): readonly FoundInsight[] {
  const types = [...Map.groupBy(source.agentTypes, (row) => row.task_type).values()];
  const found = [
    ...source.combinations.map(combination),
    ...source.agentTypes.map(speciality),
    ...types.flatMap((rows) => [tip(rows), saving(rows), speedUp(rows)]),
    ...source.weeks.flatMap((row) => [turn(row), drift(row), unsteady(row)]),
  ].filter((each) => each !== undefined);
  return found
    .toSorted((a, b) => b.confidence - a.confidence || (a.key < b.key ? -1 : 1))
    .slice(0, most);
}

/** How probable it is that a gap has the sign that it seems to have, from half its 95 % interval. */
function sureOf(gap: number, half: number): number {
  return half <= 0 ? 1 : normalShare((z95 * Math.abs(gap)) / half);
}

function sureOfRates(better: Tally, worse: Tally): number {
  const { mean, low } = difference(better, worse);
  return sureOf(mean, mean - low);
}

function isEnough({ tried }: Tally): boolean {
  return tried >= leastForInsight;
}

/** Whether all that the first rate may be is above all that the second may be. */
function isAbove(first: Tally, second: Tally): boolean {
  if (!isEnough(first) || !isEnough(second)) return false;
  return wilson(first.succeeded, first.tried).low > wilson(second.succeeded, second.tried).high;
}

const shown = (tally: Tally): string => `${percent(rateOf(tally) ?? 0)} of ${tally.tried}`;

/** Agents that do better together than expected, or worse. */
function combination(row: CombinationRow): FoundInsight | undefined {
  const tally = { succeeded: row.succeeded, tried: row.executions };
  if (!isEnough(tally)) return undefined;
  const { low, high } = wilson(tally.succeeded, tally.tried);
  const expected = row.expected / row.executions;
  const rate = row.succeeded / row.executions;
  const isBetter = low > expected;
  if (!isBetter && high >= expected) return undefined;
  const kind = isBetter ? 'optimal_combo' : 'avoid_pattern';
  return {
    key: `${kind}:${row.hash}`,
    kind,
    agents: row.agents,
    task_type: null,
    statement: `${list(row.agents)} succeed together (${row.mode}) in ${shown(tally)} times: ${isBetter ? 'more' : 'less'} than the ${percent(expected)} that their own rates lead to expect.`,
    evidence: { mode: row.mode, executions: row.executions, rate, low, high, expected },
    confidence: sureOf(rate - expected, isBetter ? rate - low : high - rate),
  };
}

/** An agent that does one type better than its others, or worse. */
function speciality(row: AgentTypeRow): FoundInsight | undefined {
  const others = {
    succeeded: row.all_succeeded - row.succeeded,
    tried: row.all_tried - row.tried,
  };
  const isBetter = isAbove(row, others);
  if (!isBetter && !isAbove(others, row)) return undefined;
  const kind = isBetter ? 'specialization' : 'avoid_pattern';
  return {
    key: `${kind}:${row.agent}:${row.task_type}`,
    kind,
    agents: [row.agent],
    task_type: row.task_type,
    statement: `${row.agent} succeeds with ${row.task_type} in ${shown(row)} outcomes, and with other types in ${shown(others)}.`,
    evidence: {
      succeeded: row.succeeded,
      tried: row.tried,
      otherSucceeded: others.succeeded,
      otherTried: others.tried,
    },
    confidence: isBetter ? sureOfRates(row, others) : sureOfRates(others, row),
  };
}

/** The agent of a type that is used most: what others are held against. */
function mostUsed(rows: readonly AgentTypeRow[]): AgentTypeRow | undefined {
  return rows.toSorted((a, b) => b.tried - a.tried || (a.agent < b.agent ? -1 : 1))[0];
}

/** Another agent than the most used one would succeed more often. */
function tip(rows: readonly AgentTypeRow[]): FoundInsight | undefined {
  const usual = mostUsed(rows);
  if (usual === undefined) return undefined;
  const [best] = rows
    .filter((row) => isAbove(row, usual))
    .toSorted((a, b) => wilson(b.succeeded, b.tried).low - wilson(a.succeeded, a.tried).low);
  if (best === undefined) return undefined;
  const type = best.task_type;
  return {
    key: `performance_tip:${type}`,
    kind: 'performance_tip',
    agents: [best.agent, usual.agent],
    task_type: type,
    statement: `${best.agent} succeeds with ${type} in ${shown(best)} outcomes; ${usual.agent}, which mostly does it, in ${shown(usual)}.`,
    evidence: {
      succeeded: best.succeeded,
      tried: best.tried,
      usualSucceeded: usual.succeeded,
      usualTried: usual.tried,
    },
    confidence: sureOfRates(best, usual),
  };
}

interface Measured {
  readonly row: AgentTypeRow;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  readonly error: number;
}

type Measure = (row: AgentTypeRow) => Measured | undefined;

const costOf: Measure = (row) => {
  const sums = { n: row.paid, sum: row.micro_usd, squares: row.micro_usd_squares };
  const mean = row.paid < leastForInsight ? undefined : meanOf(sums);
  return mean === undefined ? undefined : { row, ...mean };
};

const timeOf: Measure = (row) => {
  const sums = { n: row.succeeded, sum: row.log_ms, squares: row.log_ms_squares };
  const mean = row.succeeded < leastForInsight ? undefined : meanOf(sums);
  return mean === undefined ? undefined : { row, ...mean };
};

/** The least by a measure among those that are hardly worse than the most used one, if it is surely less. */
function lessThanUsual(
  rows: readonly AgentTypeRow[],
  measure: Measure,
): { readonly usual: Measured; readonly less: Measured; readonly confidence: number } | undefined {
  const row = mostUsed(rows);
  const usual = row === undefined ? undefined : measure(row);
  if (usual === undefined) return undefined;
  const [less] = rows
    .filter((each) => each !== usual.row && isEnough(each))
    .filter((each) => difference(each, usual.row).low > -toleratedLoss)
    .map(measure)
    .filter((each) => each !== undefined && each.high < usual.low)
    .toSorted((a, b) => (a?.mean ?? 0) - (b?.mean ?? 0));
  if (less === undefined) return undefined;
  const half = z95 * Math.hypot(less.error, usual.error);
  return { usual, less, confidence: sureOf(usual.mean - less.mean, half) };
}

/** Another agent would do the same for less money. */
function saving(rows: readonly AgentTypeRow[]): FoundInsight | undefined {
  const found = lessThanUsual(rows, costOf);
  if (found === undefined) return undefined;
  const { less, usual, confidence } = found;
  const type = less.row.task_type;
  return {
    key: `resource_optimization:${type}`,
    kind: 'resource_optimization',
    agents: [less.row.agent, usual.row.agent],
    task_type: type,
    statement: `${less.row.agent} does ${type} for ${dollars(less.mean)} a task (${shown(less.row)} outcomes succeed); ${usual.row.agent} takes ${dollars(usual.mean)} (${shown(usual.row)}).`,
    evidence: evidenceOf('MicroUsd', less, usual, (value) => value),
    confidence,
  };
}

/** Another agent would do the same in less time. */
function speedUp(rows: readonly AgentTypeRow[]): FoundInsight | undefined {
  const found = lessThanUsual(rows, timeOf);
  if (found === undefined) return undefined;
  const { less, usual, confidence } = found;
  const type = less.row.task_type;
  return {
    key: `efficiency_improvement:${type}`,
    kind: 'efficiency_improvement',
    agents: [less.row.agent, usual.row.agent],
    task_type: type,
    statement: `${less.row.agent} typically does ${type} in ${milliseconds(Math.exp(less.mean))} (${shown(less.row)} outcomes succeed); ${usual.row.agent} in ${milliseconds(Math.exp(usual.mean))} (${shown(usual.row)}).`,
    evidence: evidenceOf('Ms', less, usual, Math.exp),
    confidence,
  };
}

function evidenceOf(
  unit: string,
  less: Measured,
  usual: Measured,
  value: (mean: number) => number,
): Record<string, number> {
  return {
    [`mean${unit}`]: value(less.mean),
    [`high${unit}`]: value(less.high),
    succeeded: less.row.succeeded,
    tried: less.row.tried,
    [`usualMean${unit}`]: value(usual.mean),
    [`usualLow${unit}`]: value(usual.low),
    usualSucceeded: usual.row.succeeded,
    usualTried: usual.row.tried,
  };
}

/** The last week against the weeks before. */
function turn(row: AgentWeekRow): FoundInsight | undefined {
  const week = { succeeded: row.week_succeeded, tried: row.week_tried };
  const before = { succeeded: row.before_succeeded, tried: row.before_tried };
  const isBetter = isAbove(week, before);
  if (!isBetter && !isAbove(before, week)) return undefined;
  return {
    key: `trend_alert:${row.agent}`,
    kind: 'trend_alert',
    agents: [row.agent],
    task_type: null,
    statement: `${row.agent} succeeds ${isBetter ? 'more' : 'less'} often than before: in ${shown(week)} outcomes of the last 7 days, after ${shown(before)} in the 23 days before.`,
    evidence: {
      weekSucceeded: week.succeeded,
      weekTried: week.tried,
      beforeSucceeded: before.succeeded,
      beforeTried: before.tried,
    },
    confidence: isBetter ? sureOfRates(week, before) : sureOfRates(before, week),
  };
}

/** A drift of the last week whose interval leaves out what was before. */
function drift(row: AgentWeekRow): FoundInsight | undefined {
  const found = row.detectors?.drifts.at(-1);
  if (found === undefined || row.now_ms - found.foundAtMs > driftShownMs) return undefined;
  const { kind, before, after, beforeOutcomes, afterOutcomes, interval } = found;
  if (beforeOutcomes < leastForInsight) return undefined;
  if (interval.low <= before && before <= interval.high) return undefined;
  return {
    key: `anomaly_detection:${row.agent}`,
    kind: 'anomaly_detection',
    agents: [row.agent],
    task_type: null,
    statement: `${row.agent} is ${driftSentence(found)}.`,
    evidence: {
      drift: kind,
      since: new Date(found.sinceMs).toISOString(),
      before,
      beforeOutcomes,
      after,
      afterOutcomes,
      low: interval.low,
      high: interval.high,
    },
    confidence: sureOf(after - before, (interval.high - interval.low) / 2),
  };
}

/** More unusual times than an agent has that does not change. */
function unsteady(row: AgentWeekRow): FoundInsight | undefined {
  const detectors = row.detectors ?? newDetectors();
  const rate = anomalyRate(detectors);
  const tried = detectors.flags.length;
  if (rate === undefined) return undefined;
  const succeeded = Math.round(rate * tried);
  const { low, high } = wilson(succeeded, tried);
  if (low <= mostAnomalies) return undefined;
  return {
    key: `anomaly_detection:times:${row.agent}`,
    kind: 'anomaly_detection',
    agents: [row.agent],
    task_type: null,
    statement: `Times of ${row.agent} are unusual in ${percent(rate)} of its last ${tried} successes: more than ${percent(mostAnomalies)}.`,
    evidence: { anomalies: succeeded, judged: tried, rate, low, high },
    confidence: sureOf(rate - mostAnomalies, rate - low),
  };
}
