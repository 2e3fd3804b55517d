import { sql, type Sql } from '../../database/database.ts';

export const selectVersion = (extension: string): Sql<{ version: string }> => sql`
  select extversion as version from pg_extension where extname = ${extension}`;

/** What an extension needs first, as the control files on the server say. */
export const selectRequired = (
  extension: string,
  version: string,
): Sql<{ required: readonly string[] | null }> => sql`
  select requires::text[] as required from pg_available_extension_versions
  where name = ${extension} and version = ${version}`;

export interface BlockerRow {
  readonly pid: number;
  readonly user: string | null;
  readonly application: string | null;
  readonly state: string | null;
  readonly since: string | null;
}

/** Whom a backend waits for at this moment; a prepared transaction has no process, and its pid is 0. */
export const selectBlockers = (pid: number): Sql<BlockerRow> => sql`
  select pid, usename::text as user, application_name as application, state,
    to_char(coalesce(xact_start, backend_start) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since
  from pg_stat_activity where pid = any(pg_blocking_pids(${pid}::int))
  union all
  select distinct 0, x.owner::text, x.gid, 'prepared',
    to_char(x.prepared at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
  from pg_locks waiting
  join pg_locks held on held.granted and held.pid is null and held.locktype = waiting.locktype
    and held.database is not distinct from waiting.database
    and held.relation is not distinct from waiting.relation
    and held.transactionid is not distinct from waiting.transactionid
    and held.objid is not distinct from waiting.objid
  join pg_locks own on own.locktype = 'transactionid' and own.pid is null
    and own.virtualtransaction = held.virtualtransaction
  join pg_prepared_xacts x on x.transaction = own.transactionid
  where waiting.pid = ${pid}::int and not waiting.granted
  order by pid limit 10`;

/** Functions in C of the extensions, and all others of the database that use the same libraries. */
export const selectLibraryFunctions = (
  extensions: readonly string[],
): Sql<{ library: string; symbol: string }> => sql`
  with native as (
    select p.oid, p.probin, p.prosrc from pg_proc p join pg_language l on l.oid = p.prolang
    where l.lanname = 'c'
  ), libraries as (
    select distinct n.probin from native n
    join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = n.oid and d.deptype = 'e'
      and d.refclassid = 'pg_extension'::regclass
    join pg_extension e on e.oid = d.refobjid
    where e.extname = any(${extensions}::text[])
  )
  select distinct n.probin as library, n.prosrc as symbol
  from native n join libraries using (probin) order by 1, 2`;
