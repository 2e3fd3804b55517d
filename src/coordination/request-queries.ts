import { json, sql, type Sql } from '../database/database.ts';
import {
  runsChannel,
  signalsChannel,
  type SignalBody,
  type SignalKind,
  type SignalRow,
} from './queries.ts';
import type { RunStatus } from './types.ts';

export const signalsOfRuns = (runIds: readonly string[]): Sql<SignalRow> =>
  sql`select run_id, signal_id, kind, body from run_signals
    where run_id = any(${runIds}::uuid[]) order by run_id, signal_id`;

export const signalsOfWorker = (worker: string): Sql<SignalRow> =>
  sql`select s.run_id, s.signal_id, s.kind, s.body
    from run_signals s join runs r on r.run_id = s.run_id
    where r.owner = ${worker}::uuid order by s.run_id, s.signal_id`;

/**
 * Leaves a request for the owner of an open run, and wakes it when it is parked; no row when there is
 * no open run. The row is locked, so that a worker that parks it at the same time does so before or after.
 */
export const requestOfOpen = (
  runId: string,
  signalId: string,
  kind: SignalKind,
  body: SignalBody,
): Sql<{ told: string }> =>
  sql`with open_run as materialized (
      select run_id, owner from runs
      where run_id = ${runId}::uuid and finished_at is null for no key update
    ), woken as (
      update runs r set wake_at = null
      from open_run o where r.run_id = o.run_id and o.owner is null
    ), left_signal as (
      insert into run_signals (run_id, signal_id, kind, body)
      select run_id, ${signalId}::uuid, ${kind}, ${json(body)}::json from open_run
      returning run_id
    )
    select run_id::text as told, pg_notify(${signalsChannel}, run_id::text), pg_notify(${runsChannel}, '')
    from left_signal`;

/** Opens an ended run again, in one of the given states; no row when it is not in one. */
export const requestOfEnded = (
  runId: string,
  signalId: string,
  kind: SignalKind,
  body: SignalBody,
  statuses: readonly RunStatus[],
): Sql<{ told: string }> =>
  sql`with reopened as (
      update runs set status = 'queued', owner = null, wake_at = null, finished_at = null,
        error = case when ${kind} = 'undo' then error end,
        undo = case when ${kind} = 'undo' then 'requested' end
      where run_id = ${runId}::uuid and finished_at is not null
        and status = any(${statuses}::text[])
      returning run_id
    ), outdated as (
      delete from run_signals s using reopened where s.run_id = reopened.run_id
    ), left_signal as (
      insert into run_signals (run_id, signal_id, kind, body)
      select run_id, ${signalId}::uuid, ${kind}, ${json(body)}::json from reopened
      returning run_id
    )
    select run_id::text as told, pg_notify(${runsChannel}, '') from left_signal`;

/** Wakes parked runs that were asked something while they were being parked. */
export const wakeAsked = (): Sql<{ run_id: string }> =>
  sql`with woken as (
      update runs r set wake_at = null, status = 'queued'
      where r.owner is null and r.finished_at is null and r.wake_at is not null
        and r.run_id in (select run_id from run_signals)
      returning r.run_id
    )
    select run_id, pg_notify(${runsChannel}, '') from woken`;
