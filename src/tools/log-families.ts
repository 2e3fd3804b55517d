/** Templates that tell of one failure, together. */
import type { Severity } from '../base/base.ts';
import { levels, type Level } from './log-formats.ts';
import type { LogStatistics, TemplateStatistics } from './log-statistics.ts';

export interface Family {
  readonly rule: string;
  readonly severity: Severity;
  readonly look: string | undefined;
  readonly count: number;
  /** The one that came first stands for all. */
  readonly first: TemplateStatistics;
  readonly members: readonly TemplateStatistics[];
  readonly firstMs: number | undefined;
  readonly lastMs: number | undefined;
  readonly series: ReadonlyMap<number, number>;
}

/** From a share of all requests on, failures of a web server are not those of single clients. */
const manyRequests = 0.01;

/** Every failure that the log tells of, the worst and then the most frequent first. */
export function familiesOf(log: LogStatistics): Family[] {
  const groups = new Map<string, TemplateStatistics[]>();
  for (const entry of log.byTemplate.values()) {
    if (entry.kind === undefined && levels.indexOf(entry.level) < 2) continue;
    const name = nameOf(entry);
    groups.set(name, [...(groups.get(name) ?? []), entry]);
  }
  return [...groups.values()]
    .map((members) => toFamily(members, log))
    .toSorted((a, b) => rank(a.severity) - rank(b.severity) || b.count - a.count);
}

function nameOf(entry: TemplateStatistics): string {
  if (entry.kind !== undefined) return entry.kind.name;
  if (entry.status !== undefined) return `http-${entry.status}`;
  if (entry.exception !== undefined) return `${entry.exception} ${entry.level}`;
  return `${entry.template.id}`;
}

function toFamily(members: readonly TemplateStatistics[], log: LogStatistics): Family {
  const ordered = members.toSorted((a, b) => (a.firstMs ?? 0) - (b.firstMs ?? 0));
  const first = ordered[0];
  if (first === undefined) throw new Error('a family without members');
  const count = members.reduce((sum, entry) => sum + entry.count, 0);
  const times = members.flatMap(({ firstMs, lastMs }) => [firstMs ?? [], lastMs ?? []].flat());
  return {
    rule:
      first.kind?.name ??
      (first.status !== undefined ? `http-${first.status}` : (first.exception ?? first.level)),
    severity: severityOf(members, first, count, log),
    look: first.kind?.look,
    count,
    first,
    members,
    firstMs: times.length === 0 ? undefined : Math.min(...times),
    lastMs: times.length === 0 ? undefined : Math.max(...times),
    series: sumSeries(members),
  };
}

function severityOf(
  members: readonly TemplateStatistics[],
  first: TemplateStatistics,
  count: number,
  log: LogStatistics,
): Severity {
  if (first.status !== undefined) {
    if (first.status < 500) return 'low';
    return count >= 10 && count / Math.max(1, log.requests) >= manyRequests ? 'high' : 'medium';
  }
  const worst = members.reduce<Level>(
    (level, entry) => (levels.indexOf(entry.level) > levels.indexOf(level) ? entry.level : level),
    'debug',
  );
  const own = first.kind?.severity;
  // What is only warned of is one step less grave, unless the kind itself says how grave it is.
  if (own === 'critical') return own;
  if (worst === 'fatal') return 'high';
  if (worst === 'error') return own ?? 'medium';
  return own === 'high' ? 'medium' : 'low';
}

export function sumSeries(entries: Iterable<{ series: ReadonlyMap<number, number> }>) {
  const sum = new Map<number, number>();
  for (const { series } of entries)
    for (const [point, amount] of series) sum.set(point, (sum.get(point) ?? 0) + amount);
  return sum;
}

function rank(severity: Severity): number {
  return ['critical', 'high', 'medium', 'low', 'info'].indexOf(severity);
}

/** The fullest point, where it stands out: at least ten messages, five times what a point has on average. */
export function burstOf(
  series: ReadonlyMap<number, number>,
  points: number,
): { point: number; amount: number; times: number } | undefined {
  let best: { point: number; amount: number } | undefined;
  let total = 0;
  for (const [point, amount] of series) {
    total += amount;
    if (best === undefined || amount > best.amount) best = { point, amount };
  }
  if (best === undefined || best.amount < 10 || points < 8) return undefined;
  const times = best.amount / (total / points);
  return times >= 5 ? { ...best, times: Math.round(times) } : undefined;
}
