/** What the learner reads of executions and adds to the sums: one function a statement. */
import { json, sql, type Sql } from '../../database/database.ts';
import type { OutcomeResult } from '../types.ts';
import type { DetectorState } from './detectors.ts';

/** One learner writes at a time; its lock ends with its transaction, however that ends. */
export const tryLock = (): Sql<{ taken: boolean }> =>
  sql`select pg_try_advisory_xact_lock(hashtextextended('centuria learner', 0)) as taken`;

export interface CursorRow {
  readonly tx: string;
  readonly attempt_id: string;
}

export const readCursor = (): Sql<CursorRow> =>
  sql`select read_tx::text as tx, read_attempt as attempt_id from learning_state`;

export const moveCursor = (tx: string, attemptId: string): Sql =>
  sql`update learning_state set read_tx = ${tx}::xid8, read_attempt = ${attemptId}::uuid, updated_at = now()`;

/** An execution as whoever follows them gets it. */
export interface ExecutionRow {
  readonly tx: string;
  readonly attempt_id: string;
  readonly run_id: string | null;
  readonly task: string | null;
  readonly workflow: string | null;
  readonly mode: string | null;
  readonly agent: string;
  readonly definition_hash: string | null;
  readonly task_type: string;
  /** Lower-case hex. */
  readonly task_hash: string;
  /** Null unless it was asked for. */
  readonly description: string | null;
  readonly complexity: number | null;
  readonly input_bytes: number | null;
  readonly context: Readonly<Record<string, string | number | boolean>> | null;
  readonly started_at_ms: number;
  readonly ended_at_ms: number;
  readonly result: OutcomeResult;
  readonly own_fault: boolean | null;
  readonly error_code: string | null;
  readonly ms: number;
  readonly tokens: number | null;
  readonly micro_usd: number | null;
  readonly partners: readonly string[] | null;
  /** Of a routed task: with which probability it was chosen, and among whom. */
  readonly propensity: number | null;
  readonly candidates: readonly string[] | null;
  readonly reported_by: string | null;
  /** Reports of the same principal on the same agent before this one, counted up to the limit. */
  readonly reports_before: number;
}

/**
 * Executions after a place in their order, as far as no transaction that could still write one before
 * them is open.
 */
export const executionsAfter = (
  tx: string,
  attemptId: string,
  limit: number,
  countReports: number,
  withTexts: boolean,
): Sql<ExecutionRow> =>
  sql`select e.tx::text as tx, e.attempt_id, e.run_id, e.task, e.workflow, e.mode, e.agent,
      e.definition_hash, e.task_type, encode(e.task_hash, 'hex') as task_hash,
      case when ${withTexts}::boolean then (
        select t.description from task_texts t where t.task_hash = e.task_hash
      ) end as description,
      e.complexity::float8 as complexity, e.input_bytes::float8 as input_bytes, e.context,
      (extract(epoch from e.started_at) * 1000)::float8 as started_at_ms,
      (extract(epoch from e.ended_at) * 1000)::float8 as ended_at_ms,
      e.result, e.own_fault, e.error_code,
      coalesce(e.wall_ms, extract(epoch from e.ended_at - e.started_at) * 1000)::float8 as ms,
      e.tokens::float8 as tokens, e.cost_micro_usd::float8 as micro_usd, e.partners,
      e.propensity, e.candidates, e.reported_by,
      case when e.reported_by is null then 0 else (
        select count(*)::int from (
          select from agent_task_executions o
          where o.reported_by = e.reported_by and o.agent = e.agent
            and (o.tx, o.attempt_id) < (e.tx, e.attempt_id)
          limit ${countReports}::integer
        ) before
      ) end as reports_before
    from agent_task_executions e
    where (e.tx, e.attempt_id) > (${tx}::xid8, ${attemptId}::uuid)
      and e.tx < pg_snapshot_xmin(pg_current_snapshot())
    order by e.tx, e.attempt_id limit ${limit}::integer`;

/** How many executions the learner has not read, counted up to a limit. */
export const countBehind = (limit: number): Sql<{ behind: number }> =>
  sql`select count(*)::int as behind from (
      select from agent_task_executions e, learning_state s
      where (e.tx, e.attempt_id) > (s.read_tx, s.read_attempt) limit ${limit}::integer
    ) unread`;

/** Sums to be added to what there is of a text and an agent. */
export interface EvidenceDelta {
  readonly task_hash: string;
  readonly agent: string;
  readonly tried: number;
  readonly succeeded: number;
  readonly log_ms: number;
  readonly log_ms_squares: number;
  readonly paid: number;
  readonly micro_usd: number;
  readonly last_at_ms: number;
}

export const addEvidence = (deltas: readonly EvidenceDelta[]): Sql =>
  sql`insert into task_evidence as e (task_hash, agent, tried, succeeded, log_ms, log_ms_squares, paid,
      micro_usd, last_at)
    select decode(d.task_hash, 'hex'), d.agent, d.tried, d.succeeded, d.log_ms, d.log_ms_squares, d.paid, d.micro_usd,
      to_timestamp(d.last_at_ms / 1000)
    from json_to_recordset(${json(deltas)}::json) as d (task_hash text, agent text, tried integer,
      succeeded integer, log_ms float8, log_ms_squares float8, paid integer, micro_usd float8,
      last_at_ms float8)
    on conflict (task_hash, agent) do update set
      tried = e.tried + excluded.tried, succeeded = e.succeeded + excluded.succeeded,
      log_ms = e.log_ms + excluded.log_ms, log_ms_squares = e.log_ms_squares + excluded.log_ms_squares,
      paid = e.paid + excluded.paid, micro_usd = e.micro_usd + excluded.micro_usd,
      last_at = greatest(e.last_at, excluded.last_at)`;

export interface DayKey {
  readonly agent: string;
  readonly task_type: string;
  /** `2026-03-01`. */
  readonly day: string;
}

export type Times = Readonly<Record<string, number>>;

export const dayTimes = (keys: readonly DayKey[]): Sql<DayKey & { times: Times }> =>
  sql`select d.agent, d.task_type, d.day::text as day, d.times
    from json_to_recordset(${json(keys)}::json) as k (agent text, task_type text, day date)
    join agent_task_days d using (agent, task_type, day)`;

/** Sums to be added to a day; `times` takes the place of what was there. */
export interface DayDelta extends DayKey {
  readonly succeeded: number;
  readonly failed: number;
  readonly faultless: number;
  readonly cancelled: number;
  readonly ms: number;
  readonly times: Times;
  readonly log_ms: number;
  readonly log_ms_squares: number;
  readonly paid: number;
  readonly micro_usd: number;
  readonly micro_usd_squares: number;
  readonly told_tokens: number;
  readonly tokens: number;
  readonly told_complexity: number;
  readonly complexity: number;
  readonly last_at_ms: number;
}

export const addDays = (deltas: readonly DayDelta[]): Sql =>
  sql`insert into agent_task_days as d (agent, task_type, day, succeeded, failed, faultless, cancelled,
      ms, times, log_ms, log_ms_squares, paid, micro_usd, micro_usd_squares, told_tokens, tokens,
      told_complexity, complexity, last_at)
    select agent, task_type, day, succeeded, failed, faultless, cancelled, ms, times, log_ms,
      log_ms_squares, paid, micro_usd, micro_usd_squares, told_tokens, tokens, told_complexity, complexity,
      to_timestamp(last_at_ms / 1000)
    from json_to_recordset(${json(deltas)}::json) as n (agent text, task_type text, day date,
      succeeded bigint, failed bigint, faultless bigint, cancelled bigint, ms float8, times json,
      log_ms float8, log_ms_squares float8, paid bigint, micro_usd float8, micro_usd_squares float8,
      told_tokens bigint, tokens float8, told_complexity bigint, complexity float8, last_at_ms float8)
    on conflict (agent, task_type, day) do update set
      succeeded = d.succeeded + excluded.succeeded, failed = d.failed + excluded.failed,
      faultless = d.faultless + excluded.faultless, cancelled = d.cancelled + excluded.cancelled,
      ms = d.ms + excluded.ms, times = excluded.times, log_ms = d.log_ms + excluded.log_ms,
      log_ms_squares = d.log_ms_squares + excluded.log_ms_squares, paid = d.paid + excluded.paid,
      micro_usd = d.micro_usd + excluded.micro_usd,
      micro_usd_squares = d.micro_usd_squares + excluded.micro_usd_squares,
      told_tokens = d.told_tokens + excluded.told_tokens, tokens = d.tokens + excluded.tokens,
      told_complexity = d.told_complexity + excluded.told_complexity,
      complexity = d.complexity + excluded.complexity, last_at = greatest(d.last_at, excluded.last_at)`;

export interface AgentStateRow {
  readonly agent: string;
  readonly tried: number;
  readonly succeeded: number;
  readonly detectors: DetectorState | null;
}

export const agentStates = (agents: readonly string[]): Sql<AgentStateRow> =>
  sql`select agent, tried::float8 as tried, succeeded::float8 as succeeded, detectors
    from agent_performance_metrics where agent = any(${agents}::text[])`;

/** Counts to be added, and the detectors as they are now. */
export interface AgentDelta {
  readonly agent: string;
  readonly executions: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly tried: number;
  readonly detectors: DetectorState;
  readonly last_at_ms: number;
}

export const addToAgents = (deltas: readonly AgentDelta[]): Sql =>
  sql`insert into agent_performance_metrics as m (agent, executions, succeeded, failed, cancelled, tried,
      detectors, last_at, stale_since)
    select agent, executions, succeeded, failed, cancelled, tried, detectors,
      to_timestamp(last_at_ms / 1000), now()
    from json_to_recordset(${json(deltas)}::json) as n (agent text, executions bigint, succeeded bigint,
      failed bigint, cancelled bigint, tried bigint, detectors json, last_at_ms float8)
    on conflict (agent) do update set
      executions = m.executions + excluded.executions, succeeded = m.succeeded + excluded.succeeded,
      failed = m.failed + excluded.failed, cancelled = m.cancelled + excluded.cancelled,
      tried = m.tried + excluded.tried, detectors = excluded.detectors,
      last_at = greatest(m.last_at, excluded.last_at), stale_since = coalesce(m.stale_since, now())`;

export interface TypeDelta {
  readonly task_type: string;
  readonly executions: number;
  readonly succeeded: number;
  readonly tried: number;
  readonly last_at_ms: number;
}

export const addToTypes = (deltas: readonly TypeDelta[]): Sql =>
  sql`insert into task_type_analysis as t (task_type, executions, succeeded, tried, agents, last_at,
      stale_since)
    select task_type, executions, succeeded, tried, 0, to_timestamp(last_at_ms / 1000), now()
    from json_to_recordset(${json(deltas)}::json) as n (task_type text, executions bigint,
      succeeded bigint, tried bigint, last_at_ms float8)
    on conflict (task_type) do update set
      executions = t.executions + excluded.executions, succeeded = t.succeeded + excluded.succeeded,
      tried = t.tried + excluded.tried, last_at = greatest(t.last_at, excluded.last_at),
      stale_since = coalesce(t.stale_since, now())`;
