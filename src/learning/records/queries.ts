/** Statements over what came of attempts, and what was said of it. */
import { sql, type Sql } from '../../database/database.ts';

/** Up to where somebody has read. */
export interface ReadPosition {
  /** A transaction's number, as text: it has 64 bits. */
  readonly tx: string;
  readonly attemptId: string;
}

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
