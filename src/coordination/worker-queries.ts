import type { ErrorRecord } from '../base/base.ts';
import { json, sql, type Sql } from '../database/database.ts';
import { runsChannel } from './queries.ts';

/** Registers a worker or renews its lease, by the database's clock. */
export const renewLease = (worker: string, host: string, pid: number, leaseMs: number): Sql =>
  sql`insert into workers (worker_id, host, pid, lease_until)
    values (${worker}::uuid, ${host}, ${pid}::integer, now() + make_interval(secs => ${leaseMs}::float8 / 1000))
    on conflict (worker_id) do update set lease_until = excluded.lease_until`;

/** Ends the lease of every worker but this one: for a database that only one process can open. */
export const expireOtherWorkers = (worker: string): Sql =>
  sql`update workers set lease_until = '-infinity' where worker_id <> ${worker}::uuid`;

export const removeWorker = (worker: string): Sql =>
  sql`delete from workers w where w.worker_id = ${worker}::uuid
    and not exists (select 1 from runs r where r.owner = w.worker_id and r.finished_at is null)`;

/** Forgets workers that have been silent for a day and hold no open run. */
export const removeDeadWorkers = (): Sql =>
  sql`delete from workers w
    where w.lease_until < now() - interval '1 day'
      and not exists (select 1 from runs r where r.owner = w.worker_id and r.finished_at is null)`;

/** Gives back runs whose owner is no worker any more: its row was deleted by hand. */
export const releaseOwnerless = (): Sql<{ run_id: string }> =>
  sql`update runs r set owner = null, status = 'queued'
    where r.finished_at is null and r.owner is not null
      and not exists (select 1 from workers w where w.worker_id = r.owner)
    returning r.run_id`;

/** Ends leases that no worker could have: longer than a day ahead, which only a hand can have written. */
export const clampLeases = (): Sql<{ worker_id: string }> =>
  sql`update workers set lease_until = now() + interval '1 minute'
    where lease_until > now() + interval '1 day'
    returning worker_id`;

/** Open runs that the worker holds. */
export const openRunsOf = (worker: string): Sql<{ run_id: string; epoch: bigint }> =>
  sql`select run_id, epoch from runs where owner = ${worker}::uuid and finished_at is null`;

/** Lets go of runs that are still held under these epochs, so that any worker may take them at once. */
export const releaseRuns = (
  worker: string,
  runIds: readonly string[],
  epochs: readonly bigint[],
): Sql<{ run_id: string }> =>
  sql`with released as (
      update runs r set owner = null, status = 'queued'
      from unnest(${runIds}::uuid[], ${epochs}::bigint[]) as h (run_id, epoch)
      where r.run_id = h.run_id and r.epoch = h.epoch and r.owner = ${worker}::uuid
        and r.finished_at is null
      returning r.run_id
    )
    select run_id, pg_notify(${runsChannel}, '') from released`;

/** Ends a run whose events can not be read any more, without appending to them. */
export const failUnreadableRun = (
  worker: string,
  runId: string,
  epoch: bigint,
  error: ErrorRecord,
): Sql =>
  sql`update runs set status = 'failed', error = ${json(error)}::json, finished_at = now(),
      undo = case when undo = 'requested' then 'failed' else undo end
    where run_id = ${runId}::uuid and owner = ${worker}::uuid and epoch = ${epoch}::bigint`;
