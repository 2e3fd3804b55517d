/** Statements for the target's server, PostgreSQL 12 to 18: only what all of these have. */
import { sql, type Sql } from '../../database/database.ts';

/**
 * Nothing but our own limits may end a session that waits for its turn. Not every version has every
 * one of these settings, and SET of one that is missing would be an error.
 */
export const settleSession = (): Sql<{ pid: number }> => sql`
  select pg_backend_pid() as pid, (
    select count(set_config(name, '0', false)) from pg_settings
    where name in ('idle_session_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
  ) as settled`;

export interface ServerRow {
  readonly version_number: number;
  readonly started_at: string;
  readonly is_standby: boolean;
  readonly preload: string;
}

export const selectServer = (): Sql<ServerRow> => sql`
  select current_setting('server_version_num')::int as version_number,
    to_char(pg_postmaster_start_time() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as started_at,
    pg_is_in_recovery() as is_standby,
    current_setting('shared_preload_libraries') as preload`;

/** Subscribers of logical replication show up there as well, and take no files of ours. */
export const selectStandbys = (): Sql<{
  name: string;
  address: string | null;
  state: string;
}> => sql`
  select r.application_name as name, host(r.client_addr) as address, coalesce(r.state, 'unknown') as state
  from pg_stat_replication r
  where r.state is distinct from 'backup' and not exists (
    select from pg_replication_slots s where s.active_pid = r.pid and s.slot_type = 'logical')
  order by 1, 2`;

/** A limit of -2 marks what a DROP DATABASE that was cut off has left: nothing connects to it. */
export const selectDatabases = (): Sql<{ name: string }> => sql`
  select datname::text as name from pg_database
  where datallowconn and not datistemplate and datconnlimit <> -2 order by 1`;

export const selectExtensions = (): Sql<{ name: string; version: string }> => sql`
  select extname::text as name, extversion as version from pg_extension order by 1`;

export const selectFolders = (): Sql<{ name: string; setting: string }> => sql`
  select name, setting from pg_config where name in ('BINDIR', 'PKGLIBDIR', 'SHAREDIR')`;

export const tryLock = (name: string): Sql<{ taken: boolean }> => sql`
  select pg_try_advisory_lock(hashtextextended('centuria ext ' || ${name}::text, 0)) as taken`;

export interface HolderRow {
  readonly pid: number;
  readonly user: string | null;
  readonly application: string | null;
  readonly address: string | null;
  readonly since: string | null;
}

/** Who holds the lock of the name: pg_locks has its 64 bits as two halves. */
export const selectHolder = (name: string): Sql<HolderRow> => sql`
  with key as (select hashtextextended('centuria ext ' || ${name}::text, 0) as value)
  select l.pid, a.usename::text as user, a.application_name as application,
    host(a.client_addr) as address,
    to_char(a.backend_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as since
  from key join pg_locks l on l.locktype = 'advisory' and l.objsubid = 1 and l.granted
    and l.classid::bigint = ((value >> 32) & 4294967295) and l.objid::bigint = (value & 4294967295)
    and l.database = (select oid from pg_database where datname = current_database())
  left join pg_stat_activity a using (pid)`;

export interface BackendRow {
  readonly pid: number;
  readonly user: string | null;
  readonly database: string | null;
  readonly kind: string | null;
  readonly since: string | null;
}

export const selectBackends = (): Sql<BackendRow> => sql`
  select pid, usename::text as user, datname::text as database, backend_type as kind,
    to_char(backend_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as since
  from pg_stat_activity`;
