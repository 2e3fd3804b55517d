/** Statements over what came of attempts, and what was said of it. */
import { sql, type Sql } from '../../database/database.ts';
import type { OutcomeResult } from '../types.ts';

/** Up to where somebody has read. */
export interface ReadPosition {
  /** A transaction's number, as text: it has 64 bits. */
  readonly tx: string;
  readonly attemptId: string;
}

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
  readonly task_hash: string;
  /** Null when the text is gone. */
  readonly description: string | null;
  readonly complexity: number | null;
  readonly input_bytes: bigint | null;
  readonly context: Readonly<Record<string, string | number | boolean>> | null;
  readonly started_at: Date;
  readonly ended_at: Date;
  readonly result: OutcomeResult;
  readonly own_fault: boolean | null;
  readonly error_code: string | null;
  readonly wall_ms: number | null;
  readonly tokens: bigint | null;
  readonly cost_micro_usd: bigint | null;
  readonly partners: readonly string[] | null;
  readonly policy: string | null;
  readonly propensity: number | null;
  readonly predicted_success: number | null;
  readonly predicted_ms: number | null;
  readonly reported_by: string | null;
  /** Reports of the same principal on the same agent before this one, as far as they count. */
  readonly reported_before: number;
}

/** Beyond so many, a further report weighs less than a millionth. */
const countedReports = 200;

/**
 * Executions after a position in the order in which they became visible. What a transaction that is
 * still open has written comes later, so nobody who goes on from the last row misses one.
 */
export const executionsAfter = (after: ReadPosition, limit: number): Sql<ExecutionRow> =>
  sql`select e.tx::text as tx, e.attempt_id::text as attempt_id, e.run_id::text as run_id, e.task,
      e.workflow, e.mode, e.agent, e.definition_hash, e.task_type,
      encode(e.task_hash, 'hex') as task_hash, t.description, e.complexity, e.input_bytes, e.context,
      e.started_at, e.ended_at, e.result, e.own_fault, e.error_code, e.wall_ms, e.tokens,
      e.cost_micro_usd, e.partners, e.policy, e.propensity, e.predicted_success, e.predicted_ms,
      e.reported_by,
      case when e.reported_by is null then 0 else (
        select count(*)::integer from (
          select from agent_task_executions b
          where b.reported_by = e.reported_by and b.agent = e.agent
            and (b.tx, b.attempt_id) < (e.tx, e.attempt_id)
          limit ${countedReports}::integer
        ) before
      ) end as reported_before
    from agent_task_executions e
    left join task_texts t using (task_hash)
    where (e.tx, e.attempt_id) > (${after.tx}::xid8, ${after.attemptId}::uuid)
      and e.tx < pg_snapshot_xmin(pg_current_snapshot())
    order by e.tx, e.attempt_id
    limit ${limit}::integer`;

/** Outcomes that no run had. */
export const recordReported = (rows: string): Sql<{ missing: readonly string[] | null }> =>
  sql`select record_outcomes(${rows}::json, null) as missing`;

export const executionOfAttempt = (attemptId: string): Sql<{ attempt_id: string; agent: string }> =>
  sql`select attempt_id::text as attempt_id, agent from agent_task_executions
    where attempt_id = ${attemptId}::uuid`;

/** The last one of a run, or of one of its tasks. */
export const lastExecutionOfRun = (
  runId: string,
  task: string | null,
): Sql<{ attempt_id: string; agent: string }> =>
  sql`select attempt_id::text as attempt_id, agent from agent_task_executions
    where run_id = ${runId}::uuid and (${task}::text is null or task = ${task}::text)
    order by ended_at desc, attempt_id desc limit 1`;

export interface FeedbackToKeep {
  readonly attemptId: string;
  readonly principalId: string;
  readonly principal: string;
  readonly score: number;
  readonly comment: string | null;
}

/** Takes the place of what the same principal said before. No row when the attempt is gone. */
export const keepFeedback = (given: FeedbackToKeep): Sql<{ agent: string }> =>
  sql`insert into agent_feedback (attempt_id, principal_id, principal, agent, score, comment)
    select e.attempt_id, ${given.principalId}, ${given.principal}, e.agent,
      ${given.score}::smallint, ${given.comment}::text
    from agent_task_executions e where e.attempt_id = ${given.attemptId}::uuid
    on conflict (attempt_id, principal_id) do update
      set principal = excluded.principal, score = excluded.score, comment = excluded.comment,
        given_at = now()
    returning agent`;

export const countRaters = (agent: string): Sql<{ principals: number }> =>
  sql`select count(distinct principal_id)::integer as principals from agent_feedback
    where agent = ${agent}`;

/** What each principal thinks of an agent on average: those with the most ratings first. */
export const principalMeans = (
  agent: string,
  limit: number,
): Sql<{ principal_id: string; score: number }> =>
  sql`select principal_id, avg(score)::float8 as score from agent_feedback
    where agent = ${agent} group by principal_id order by count(*) desc, principal_id
    limit ${limit}::integer`;

/**
 * Looks at executions after a position in the order in which they were written, and deletes those
 * that ended before a time.
 */
export const deleteExecutions = (
  after: ReadPosition,
  before: Date,
  limit: number,
): Sql<{ last_tx: string | null; last_attempt: string | null; deleted: number }> =>
  sql`with looked_at as materialized (
      select tx, attempt_id, ended_at from agent_task_executions
      where (tx, attempt_id) > (${after.tx}::xid8, ${after.attemptId}::uuid)
      order by tx, attempt_id limit ${limit}::integer
    ), deleted as (
      delete from agent_task_executions e using looked_at l
      where e.attempt_id = l.attempt_id and l.ended_at < ${before}::timestamptz
      returning e.attempt_id
    ), last as (
      select tx, attempt_id from looked_at order by tx desc, attempt_id desc limit 1
    )
    select (select tx::text from last) as last_tx, (select attempt_id::text from last) as last_attempt,
      (select count(*)::integer from deleted) as deleted`;

/** Looks at texts after a hash (hex), and deletes those that nobody refers to and that are older than a day. */
export const deleteUnusedTexts = (
  after: string,
  limit: number,
): Sql<{ last: string | null; deleted: number }> =>
  sql`with looked_at as materialized (
      select task_hash from task_texts where task_hash > decode(${after}, 'hex')
      order by task_hash limit ${limit}::integer
    ), deleted as (
      delete from task_texts t using looked_at l
      where t.task_hash = l.task_hash and t.first_seen_at < now() - interval '1 day'
        and not exists (select from agent_task_executions e where e.task_hash = l.task_hash)
      returning t.task_hash
    )
    select (select encode(task_hash, 'hex') from looked_at order by task_hash desc limit 1) as last,
      (select count(*)::integer from deleted) as deleted`;
