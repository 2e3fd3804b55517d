/** What a batch of executions adds to the sums. Pure. */
import { newDetectors, observe, type DetectorState } from './detectors.ts';
import type {
  AgentDelta,
  AgentStateRow,
  DayDelta,
  DayKey,
  EvidenceDelta,
  ExecutionRow,
  Times,
  TypeDelta,
} from './queries.ts';
import { bucketOf } from './times.ts';

/** Reports of one principal on one agent that count: further ones are kept, and move nothing. */
export const countedReports = 10;

/** How much an execution counts. */
export function weightOf(row: Pick<ExecutionRow, 'reports_before'>): number {
  return row.reports_before < countedReports ? 1 : 0;
}

/** What an execution says of its agent: nothing when it was cancelled, or failed by no fault of its own. */
export function saysOf(
  row: Pick<ExecutionRow, 'result' | 'own_fault'>,
): 'succeeded' | 'failed' | 'nothing' {
  if (row.result === 'succeeded') return 'succeeded';
  return row.result === 'failed' && row.own_fault !== false ? 'failed' : 'nothing';
}

export interface Deltas {
  readonly evidence: readonly EvidenceDelta[];
  readonly days: readonly DayDelta[];
  readonly agents: readonly AgentDelta[];
  readonly types: readonly TypeDelta[];
}

/** Fields that are summed up, so that they can be changed here. */
type Sums<Delta> = { -readonly [Field in keyof Delta]: Delta[Field] };

export function dayOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}

/** The days that executions fall on, each once. */
export function dayKeys(rows: readonly ExecutionRow[]): readonly DayKey[] {
  const keys = new Map<string, DayKey>();
  for (const row of rows) {
    const key = { agent: row.agent, task_type: row.task_type, day: dayOf(row.ended_at_ms) };
    keys.set(nameOf(key), key);
  }
  return [...keys.values()];
}

/** `before` and `times`: what is there already of these agents and days. */
export function fold(
  rows: readonly ExecutionRow[],
  before: readonly AgentStateRow[],
  times: readonly (DayKey & { readonly times: Times })[],
): Deltas {
  const evidence = new Map<string, Sums<EvidenceDelta>>();
  const days = new Map<string, Sums<DayDelta>>();
  const agents = new Map<string, Sums<AgentDelta>>();
  const types = new Map<string, Sums<TypeDelta>>();
  const detectors = new Map(before.map((row) => [row.agent, row.detectors]));
  const counts = new Map(times.map((row) => [nameOf(row), row.times]));
  for (const row of rows) {
    if (weightOf(row) === 0) continue;
    addEvidence(evidence, row);
    addDay(days, counts, row);
    addAgent(agents, detectors, row);
    addType(types, row);
  }
  return {
    evidence: [...evidence.values()],
    days: [...days.values()],
    agents: [...agents.values()],
    types: [...types.values()],
  };
}

function nameOf({ agent, task_type: type, day }: DayKey): string {
  return `${day}\0${agent}\0${type}`;
}

function at<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  const there = map.get(key);
  if (there !== undefined) return there;
  const made = make();
  map.set(key, made);
  return made;
}

function addEvidence(all: Map<string, Sums<EvidenceDelta>>, row: ExecutionRow): void {
  const says = saysOf(row);
  if (says === 'nothing') return;
  const sums = at(all, `${row.task_hash} ${row.agent}`, () => ({
    task_hash: row.task_hash,
    agent: row.agent,
    tried: 0,
    succeeded: 0,
    log_ms: 0,
    log_ms_squares: 0,
    paid: 0,
    micro_usd: 0,
    last_at_ms: row.ended_at_ms,
  }));
  sums.tried += 1;
  sums.last_at_ms = Math.max(sums.last_at_ms, row.ended_at_ms);
  if (row.micro_usd !== null) {
    sums.paid += 1;
    sums.micro_usd += row.micro_usd;
  }
  if (says === 'failed') return;
  const log = Math.log(Math.max(1, row.ms));
  sums.succeeded += 1;
  sums.log_ms += log;
  sums.log_ms_squares += log * log;
}

const emptyDay = {
  succeeded: 0,
  failed: 0,
  faultless: 0,
  cancelled: 0,
  ms: 0,
  log_ms: 0,
  log_ms_squares: 0,
  paid: 0,
  micro_usd: 0,
  micro_usd_squares: 0,
  told_tokens: 0,
  tokens: 0,
  told_complexity: 0,
  complexity: 0,
} as const;

function addDay(
  all: Map<string, Sums<DayDelta>>,
  counts: ReadonlyMap<string, Times>,
  row: ExecutionRow,
): void {
  const key = { agent: row.agent, task_type: row.task_type, day: dayOf(row.ended_at_ms) };
  const name = nameOf(key);
  const sums = at<Sums<DayDelta>>(all, name, () => ({
    ...key,
    ...emptyDay,
    times: { ...counts.get(name) },
    last_at_ms: row.ended_at_ms,
  }));
  sums.last_at_ms = Math.max(sums.last_at_ms, row.ended_at_ms);
  if (row.complexity !== null) {
    sums.told_complexity += 1;
    sums.complexity += row.complexity;
  }
  const says = saysOf(row);
  if (row.result === 'cancelled') sums.cancelled += 1;
  else if (says === 'nothing') sums.faultless += 1;
  if (says === 'nothing') return;
  sums[says] += 1;
  sums.ms += row.ms;
  const bucket = bucketOf(row.ms);
  sums.times = { ...sums.times, [bucket]: (sums.times[bucket] ?? 0) + 1 };
  if (says === 'succeeded') {
    const log = Math.log(Math.max(1, row.ms));
    sums.log_ms += log;
    sums.log_ms_squares += log * log;
  }
  if (row.micro_usd !== null) {
    sums.paid += 1;
    sums.micro_usd += row.micro_usd;
    sums.micro_usd_squares += row.micro_usd * row.micro_usd;
  }
  if (row.tokens !== null) {
    sums.told_tokens += 1;
    sums.tokens += row.tokens;
  }
}

function addAgent(
  all: Map<string, Sums<AgentDelta>>,
  detectors: ReadonlyMap<string, DetectorState | null>,
  row: ExecutionRow,
): void {
  const sums = at(all, row.agent, () => ({
    agent: row.agent,
    executions: 0,
    succeeded: 0,
    failed: 0,
    cancelled: 0,
    tried: 0,
    detectors: detectors.get(row.agent) ?? newDetectors(),
    last_at_ms: row.ended_at_ms,
  }));
  sums.executions += 1;
  sums[row.result] += 1;
  sums.last_at_ms = Math.max(sums.last_at_ms, row.ended_at_ms);
  const says = saysOf(row);
  if (says === 'nothing') return;
  sums.tried += 1;
  const succeeded = says === 'succeeded';
  sums.detectors = observe(sums.detectors, { atMs: row.ended_at_ms, succeeded, ms: row.ms });
}

function addType(all: Map<string, Sums<TypeDelta>>, row: ExecutionRow): void {
  const sums = at(all, row.task_type, () => ({
    task_type: row.task_type,
    executions: 0,
    succeeded: 0,
    tried: 0,
    last_at_ms: row.ended_at_ms,
  }));
  const says = saysOf(row);
  sums.executions += 1;
  sums.last_at_ms = Math.max(sums.last_at_ms, row.ended_at_ms);
  if (says === 'nothing') return;
  sums.tried += 1;
  if (says === 'succeeded') sums.succeeded += 1;
}
