/** What a log says that somebody who was called should know first. */
import type { Finding } from '../base/base.ts';
import { burstOf, familiesOf, sumSeries, type Family } from './log-families.ts';
import { levels } from './log-formats.ts';
import { withoutSecrets } from './log-kinds.ts';
import type { LogStatistics, Place, TemplateStatistics } from './log-statistics.ts';
import { count, type ReportBuilder } from './report.ts';

const shownFamilies = 40;
const shownGaps = 5;
const shownStops = 5;
const shownBefore = 5;
/** What began so long before the first failures may have brought them about. */
const beforeMs = 300_000;

export function addFindings(log: LogStatistics, report: ReportBuilder): void {
  const families = familiesOf(log);
  const points = pointsOf(log);
  for (const family of families.slice(0, shownFamilies)) report.add(describe(family, log, points));
  if (families.length > shownFamilies)
    report.note(`${families.length - shownFamilies} rarer families of failures are left out.`);
  const failures = families.filter(({ severity }) => severity !== 'low' && severity !== 'info');
  addIncident(log, failures, points, report);
  addBefore(log, failures, report);
  addRestarts(log, report);
  addGaps(log, report);
  addStops(log, report);
  addRelated(log, report);
  report.metric('families', families.length);
}

function pointsOf(log: LogStatistics): number {
  return Math.max(1, Math.ceil(((log.toMs ?? 0) - (log.fromMs ?? 0)) / log.pointMs));
}

function describe(family: Family, log: LogStatistics, points: number): Finding {
  const { first, count: amount } = family;
  const burst = burstOf(family.series, points);
  const kinds =
    family.members.length > 1 ? ` (${count(family.members.length, 'kind')} of message)` : '';
  const when =
    family.firstMs === undefined
      ? ''
      : amount === 1
        ? `, at ${at(family.firstMs)}`
        : `, from ${at(family.firstMs)} to ${at(family.lastMs ?? family.firstMs)}`;
  const peak =
    burst === undefined
      ? ''
      : `; most at ${at(burst.point * log.pointMs)}: ${burst.amount} in ${span(log.pointMs)}, ${burst.times} times the average`;
  const share =
    first.status === undefined
      ? ''
      : ` (${percent(amount / Math.max(1, log.requests))} of all requests)`;
  return {
    severity: family.severity,
    rule: family.rule,
    message: `${amount} × ${text(first)}${kinds}${share}${when}${peak}.`,
    ...placeOf(first.first),
    evidence: [first.sample, ...first.following].join(' ⏎ '),
    ...(family.look === undefined ? {} : { fix: `Look at: ${family.look}` }),
  };
}

/** When failures rose above what is usual here, how far, and until when. */
function addIncident(
  log: LogStatistics,
  failures: readonly Family[],
  points: number,
  report: ReportBuilder,
): void {
  const series = sumSeries(failures);
  const burst = burstOf(series, points);
  if (burst === undefined) return;
  const usual = [...series.values()].reduce((sum, amount) => sum + amount, 0) / points;
  const hot = [...series].filter(([, amount]) => amount >= Math.max(3, usual * 2));
  const start = Math.min(...hot.map(([point]) => point));
  const end = Math.max(...hot.map(([point]) => point)) + 1;
  // What came shortly before the rise belongs to it: the cause is often said once.
  const involved = failures.filter(
    ({ lastMs }) => lastMs !== undefined && lastMs >= start * log.pointMs - beforeMs,
  );
  const opening = involved
    .toSorted((a, b) => (a.firstMs ?? 0) - (b.firstMs ?? 0))
    .slice(0, 4)
    .map(({ rule, firstMs }) => `${rule} ${at(firstMs ?? 0)}`);
  const [worst] = involved;
  report.add({
    severity: 'high',
    rule: 'incident',
    message: `Failures rise at ${at(start * log.pointMs)} and fall by ${at(end * log.pointMs)}: up to ${burst.amount} in ${span(log.pointMs)}, where ${usual.toFixed(1)} is the average. In the order of their first appearance: ${opening.join(', ')}.`,
    ...(worst === undefined ? {} : placeOf(worst.first.first)),
    evidence: `failures by ${span(log.pointMs * fold(points))} from ${at(log.fromMs ?? 0)}: ${curve(log, series, points)}`,
  });
}

const curvePoints = 48;

function fold(points: number): number {
  return Math.max(1, Math.ceil(points / curvePoints));
}

/** The course of a series in few numbers. */
function curve(log: LogStatistics, series: ReadonlyMap<number, number>, points: number): string {
  const width = fold(points);
  const start = Math.floor((log.fromMs ?? 0) / log.pointMs);
  const sums: number[] = [];
  for (let index = 0; index <= points; index += 1) {
    const slot = Math.floor(index / width);
    sums[slot] = (sums[slot] ?? 0) + (series.get(start + index) ?? 0);
  }
  return sums.join(' ');
}

/** What is new shortly before the first grave failure, and did not fail itself. */
function addBefore(log: LogStatistics, failures: readonly Family[], report: ReportBuilder): void {
  const grave = failures.filter(({ severity }) => severity !== 'medium');
  const begin = Math.min(...grave.map(({ firstMs }) => firstMs ?? Infinity));
  const { fromMs } = log;
  // In the first minutes everything is new.
  if (fromMs === undefined || !Number.isFinite(begin) || begin - fromMs < beforeMs) return;
  const fresh = [...log.byTemplate.values()]
    .filter(({ firstMs, level }) => {
      if (firstMs === undefined || levels.indexOf(level) > 2) return false;
      return firstMs >= begin - beforeMs && firstMs <= begin;
    })
    .toSorted((a, b) => (b.firstMs ?? 0) - (a.firstMs ?? 0));
  for (const entry of fresh.slice(0, shownBefore))
    report.add({
      severity: 'low',
      rule: 'new-before-failures',
      message: `New ${span(begin - (entry.firstMs ?? begin))} before the first grave failure: ${text(entry)}`,
      ...placeOf(entry.first),
      evidence: entry.sample,
      fix: 'Look at whether this brought it about: a deployment, a setting, a job, a failover.',
    });
}

function addRestarts(log: LogStatistics, report: ReportBuilder): void {
  const entries = [...log.byTemplate.values()].filter((entry) => entry.isLifecycle);
  for (const entry of entries.toSorted((a, b) => b.count - a.count).slice(0, 5))
    report.add({
      severity: entry.count > 1 ? 'medium' : 'info',
      rule: entry.count > 1 ? 'restarts' : 'start-or-end',
      message: `${count(entry.count, 'time', 'times')}: ${text(entry)}${entry.firstMs === undefined ? '' : `, first at ${at(entry.firstMs)}`}.`,
      ...placeOf(entry.first),
      evidence: entry.sample,
    });
}

function addGaps(log: LogStatistics, report: ReportBuilder): void {
  const longest = log.gaps.toSorted((a, b) => b.toMs - b.fromMs - (a.toMs - a.fromMs));
  for (const gap of longest.slice(0, shownGaps))
    report.add({
      severity: levels.indexOf(gap.level) >= 3 ? 'medium' : 'low',
      rule: 'silent-gap',
      message: `Nothing was written for ${span(gap.toMs - gap.fromMs)}, from ${at(gap.fromMs)} to ${at(gap.toMs)}; pauses are usually under ${span(gap.usualMs)}.`,
      file: gap.file,
      ...(gap.line === undefined ? {} : { line: gap.line }),
      evidence: `before it: ${gap.before}`,
      fix: 'Look at whether the program stood still, was down, or its log was not written.',
    });
}

/** A message that came regularly and then no more, while the log went on. */
function addStops(log: LogStatistics, report: ReportBuilder): void {
  const { toMs } = log;
  if (toMs === undefined) return;
  const stopped = [...log.byTemplate.values()].flatMap((entry) => {
    const { firstMs, lastMs, count: amount, level } = entry;
    if (firstMs === undefined || lastMs === undefined || amount < 20) return [];
    if (levels.indexOf(level) > 1) return [];
    const everyMs = (lastMs - firstMs) / (amount - 1);
    const silentMs = toMs - lastMs;
    // A batch that is over is no heartbeat: it must have come through most of the time before.
    const isSteady = entry.series.size >= Math.min(10, (lastMs - firstMs) / log.pointMs / 2);
    return isSteady && silentMs > Math.max(60_000, everyMs * 20)
      ? [{ entry, everyMs, silentMs }]
      : [];
  });
  for (const { entry, everyMs, silentMs } of stopped
    .toSorted((a, b) => b.silentMs / b.everyMs - a.silentMs / a.everyMs)
    .slice(0, shownStops))
    report.add({
      severity: 'medium',
      rule: 'stopped',
      message: `Came ${count(entry.count, 'time')}, every ${span(everyMs)} on average, and not in the last ${span(silentMs)}: ${text(entry)}`,
      ...placeOf(entry.first),
      evidence: `last at ${at(entry.lastMs ?? 0)}: ${entry.sample}`,
      fix: 'Look at what was to write it: a job that hangs, a worker that is gone.',
    });
}

/** Failures that happen to the same requests. */
function addRelated(log: LogStatistics, report: ReportBuilder): void {
  const pairs = new Map<string, { a: number; b: number; ids: string[]; amount: number }>();
  for (const [id, templates] of log.ids) {
    const failing = templates.filter(
      (item) => levels.indexOf(log.byTemplate.get(item)?.level ?? 'info') >= 3,
    );
    for (const [index, a] of failing.entries())
      for (const b of failing.slice(index + 1)) {
        const pair = pairs.get(`${a} ${b}`) ?? { a, b, ids: [], amount: 0 };
        pair.amount += 1;
        if (pair.ids.length < 3) pair.ids.push(id);
        pairs.set(`${a} ${b}`, pair);
      }
  }
  for (const pair of [...pairs.values()].toSorted((x, y) => y.amount - x.amount).slice(0, 5)) {
    const [a, b] = [log.byTemplate.get(pair.a), log.byTemplate.get(pair.b)];
    if (a === undefined || b === undefined) continue;
    report.add({
      severity: 'low',
      rule: 'same-requests',
      message: `${count(pair.amount, 'id')} in both, in this order: ${text(a)} → ${text(b)}`,
      ...placeOf(a.first),
      evidence: pair.ids.join(', '),
      fix: 'Follow one of the ids through all logs; the first failure is nearer to the cause.',
    });
  }
}

/** A kind of message in its own words; a wildcard does not make a secret unknown. */
function text({ template, status }: TemplateStatistics): string {
  const words = withoutSecrets(template.words.join(' '));
  return (status === undefined ? words : words.replace(/<n>$/, String(status))).slice(0, 180);
}

function placeOf({ file, line }: Place): { file: string; line?: number } {
  return line === undefined ? { file } : { file, line };
}

export function at(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** `3 s`, `12 min`, `4.5 h`: as exact as somebody says it. */
export function span(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return ms < 172_800_000
    ? `${(ms / 3_600_000).toFixed(1)} h`
    : `${Math.round(ms / 86_400_000)} days`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}
