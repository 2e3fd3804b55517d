import { sql, type Sql } from '../database/database.ts';

/** A month of runs: three tables that are made and dropped together. */
export interface PartitionRow {
  /** `2027_03`. */
  readonly month: string;
  /** The tables there are of it. */
  readonly tables: readonly string[];
  readonly bytes: bigint;
}

/** Monthly partitions of the run tables, oldest first. */
export const runPartitions = (): Sql<PartitionRow> =>
  sql`select right(c.relname::text, 7) as month, array_agg(c.relname::text order by c.relname) as tables,
      sum(pg_total_relation_size(c.oid))::bigint as bytes
    from pg_inherits i
    join pg_class p on p.oid = i.inhparent
    join pg_class c on c.oid = i.inhrelid
    join pg_namespace n on n.oid = p.relnamespace
    where n.nspname = current_schema() and p.relname in ('runs', 'run_events', 'run_signals')
      and c.relname ~ ('^' || p.relname || '_\\d{4}_\\d{2}$')
    group by 1 order by 1`;

/** How many runs there are between two ids, and how many of them are open; some of the open ones. */
export const runsBetween = (
  from: string,
  to: string,
): Sql<{ runs: number; open: number; examples: readonly string[] | null }> =>
  sql`select count(*)::integer as runs, count(*) filter (where finished_at is null)::integer as open,
      (array_agg(run_id::text order by run_id) filter (where finished_at is null))[1:5] as examples
    from runs where run_id >= ${from}::uuid and run_id < ${to}::uuid`;

export const anyOpenBetween = (from: string, to: string): Sql<{ run_id: string }> =>
  sql`select run_id from runs
    where run_id >= ${from}::uuid and run_id < ${to}::uuid and finished_at is null limit 1`;

/** How many runs and events of a span lie in the default partitions. */
export const strayRows = (
  from: string,
  to: string,
): Sql<{ runs: number; events: number; signals: number }> =>
  sql`select
      (select count(*)::integer from runs_default
        where run_id >= ${from}::uuid and run_id < ${to}::uuid) as runs,
      (select count(*)::integer from run_events_default
        where run_id >= ${from}::uuid and run_id < ${to}::uuid) as events,
      (select count(*)::integer from run_signals_default
        where run_id >= ${from}::uuid and run_id < ${to}::uuid) as signals`;

/** How many ended runs from before lie in the default partition, and how many open ones. */
export const defaultRunsBefore = (before: string): Sql<{ ended: number; open: number }> =>
  sql`select count(*) filter (where finished_at is not null)::integer as ended,
      count(*) filter (where finished_at is null)::integer as open
    from runs_default where run_id < ${before}::uuid`;

/** Deletes ended runs of the default partition with all that is theirs, oldest first. */
export const deleteDefaultRuns = (before: string, limit: number): Sql<{ run_id: string }> =>
  sql`with old as materialized (
      select run_id from runs_default
      where run_id < ${before}::uuid and finished_at is not null
      order by run_id limit ${limit}::integer
      for update skip locked
    ), events as (
      delete from run_events e using old where e.run_id = old.run_id
    ), signals as (
      delete from run_signals s using old where s.run_id = old.run_id
    ), keys as (
      delete from run_keys k using old where k.run_id = old.run_id
    )
    delete from runs r using old where r.run_id = old.run_id
    returning r.run_id`;

/** Looks at keys of runs after one id and before another, and deletes those whose run is gone. */
export const deleteOrphanKeys = (
  after: string,
  before: string,
  limit: number,
): Sql<{ last: string | null; seen: number; deleted: number }> =>
  sql`with looked_at as materialized (
      select idempotency_key, run_id from run_keys
      where run_id > ${after}::uuid and run_id < ${before}::uuid
      order by run_id limit ${limit}::integer
    ), deleted as (
      delete from run_keys k using looked_at l
      where k.idempotency_key = l.idempotency_key
        and not exists (select 1 from runs r where r.run_id = l.run_id)
      returning k.run_id
    )
    select (select run_id::text from looked_at order by run_id desc limit 1) as last,
      (select count(*)::integer from looked_at) as seen,
      (select count(*)::integer from deleted) as deleted`;

/** The oldest run that is left. */
export const oldestRun = (): Sql<{ run_id: string }> =>
  sql`select run_id from runs order by run_id limit 1`;

/**
 * Deletes definitions that were last used a day before the oldest run that is left began, so that none
 * uses them. One whose last use is not known stays.
 */
export const deleteUnusedDefinitions = (oldest: Date, limit: number): Sql<{ hash: string }> =>
  sql`delete from workflow_definitions where hash in (
      select hash from workflow_definitions
      where used_at < ${oldest}::timestamptz - interval '1 day'
      order by used_at limit ${limit}::integer
    ) returning hash`;

export const existingRuns = (runIds: readonly string[]): Sql<{ run_id: string }> =>
  sql`select run_id::text from runs where run_id = any(${runIds}::uuid[])`;
