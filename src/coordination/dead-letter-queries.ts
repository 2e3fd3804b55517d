import type { ErrorRecord } from '../base/base.ts';
import { sql, type Sql } from '../database/database.ts';
import type { RunRow } from './queries.ts';

/** A failure's place in a list: newest first. */
export interface FailurePlace {
  /** When it failed, microseconds since 1970: many fail in one statement, and a Date holds milliseconds. */
  readonly at_us: bigint;
  readonly run_id: string;
}

/** The latest failure of its kind. */
export interface HeadRow extends FailurePlace {
  readonly finished_at: Date;
  readonly fingerprint: string;
  readonly workflow: string;
  readonly error: ErrorRecord | null;
}

export interface GroupRow {
  readonly fingerprint: string;
  readonly count: number;
  readonly first_at: Date;
  readonly workflows: readonly string[];
  readonly dismissed_at: Date | null;
  readonly dismissed_by: string | null;
}

/**
 * The kinds of failures by their latest one, newest first. Only so many failures from the cursor on
 * are looked at: one kind that failed a million times must not make the next one slow to find.
 */
export const failureHeads = (
  before: FailurePlace | null,
  withDismissed: boolean,
  scanned: number,
  limit: number,
): Sql<HeadRow> =>
  sql`with looked_at as materialized (
      select run_id, fingerprint, finished_at, workflow, error from runs
      where status = 'failed' and fingerprint is not null
        and (${before?.run_id ?? null}::uuid is null or (finished_at, run_id)
          < (timestamptz 'epoch' + ${before?.at_us ?? null}::bigint * interval '1 microsecond', ${before?.run_id ?? null}::uuid))
      order by finished_at desc, run_id desc limit ${scanned}::integer
    ), newest as (
      select distinct on (fingerprint) * from looked_at
      order by fingerprint, finished_at desc, run_id desc
    )
    select n.*, (extract(epoch from n.finished_at) * 1000000)::bigint as at_us from newest n
    where not exists (
        select 1 from runs r where r.status = 'failed' and r.fingerprint = n.fingerprint
          and (r.finished_at, r.run_id) > (n.finished_at, n.run_id)
      ) and (${withDismissed}::boolean or not exists (
        select 1 from dismissed_failures d
        where d.fingerprint = n.fingerprint and d.dismissed_at >= n.finished_at
      ))
    order by n.finished_at desc, n.run_id desc limit ${limit}::integer`;

/** The last failure that the query above looks at, when there may be others after it. */
export const lastScanned = (before: FailurePlace | null, scanned: number): Sql<FailurePlace> =>
  sql`select run_id, (extract(epoch from finished_at) * 1000000)::bigint as at_us from runs
    where status = 'failed' and fingerprint is not null
      and (${before?.run_id ?? null}::uuid is null or (finished_at, run_id)
        < (timestamptz 'epoch' + ${before?.at_us ?? null}::bigint * interval '1 microsecond', ${before?.run_id ?? null}::uuid))
    order by finished_at desc, run_id desc offset ${scanned}::integer - 1 limit 1`;

export const headOf = (fingerprint: string): Sql<HeadRow> =>
  sql`select run_id, fingerprint, finished_at, workflow, error, (extract(epoch from finished_at) * 1000000)::bigint as at_us from runs
    where status = 'failed' and fingerprint = ${fingerprint}
    order by finished_at desc, run_id desc limit 1`;

/** How many there are, up to a bound, since when, and in which workflows the newest thousand were. */
export const failureGroups = (
  fingerprints: readonly string[],
  mostCounted: number,
): Sql<GroupRow> =>
  sql`select f.fingerprint, counted.count, oldest.finished_at as first_at,
      coalesce(named.workflows, '{}') as workflows, d.dismissed_at, d.dismissed_by
    from unnest(${fingerprints}::text[]) as f (fingerprint)
    cross join lateral (
      select count(*)::integer as count from (
        select 1 from runs r where r.status = 'failed' and r.fingerprint = f.fingerprint
        limit ${mostCounted}::integer + 1
      ) bounded
    ) counted
    cross join lateral (
      select r.finished_at from runs r where r.status = 'failed' and r.fingerprint = f.fingerprint
      order by r.finished_at, r.run_id limit 1
    ) oldest
    cross join lateral (
      select array_agg(distinct workflow order by workflow) as workflows from (
        select r.workflow from runs r where r.status = 'failed' and r.fingerprint = f.fingerprint
        order by r.finished_at desc, r.run_id desc limit 1000
      ) newest
    ) named
    left join dismissed_failures d on d.fingerprint = f.fingerprint`;

export const failuresOf = (
  fingerprint: string,
  workflow: string | null,
  before: FailurePlace | null,
  limit: number,
): Sql<RunRow & FailurePlace> =>
  sql`select *, (extract(epoch from finished_at) * 1000000)::bigint as at_us from runs
    where status = 'failed' and fingerprint = ${fingerprint}
      and (${workflow}::text is null or workflow = ${workflow}::text)
      and (${before?.run_id ?? null}::uuid is null or (finished_at, run_id)
        < (timestamptz 'epoch' + ${before?.at_us ?? null}::bigint * interval '1 microsecond', ${before?.run_id ?? null}::uuid))
    order by finished_at desc, run_id desc limit ${limit}::integer`;

/** No row when there is no such failure. */
export const dismissFailure = (fingerprint: string, by: string): Sql<{ dismissed_at: Date }> =>
  sql`insert into dismissed_failures (fingerprint, dismissed_by)
    select ${fingerprint}, ${by} where exists (
      select 1 from runs where status = 'failed' and fingerprint = ${fingerprint}
    )
    on conflict (fingerprint)
      do update set dismissed_at = now(), dismissed_by = excluded.dismissed_by
    returning dismissed_at`;

/** Dismissals of kinds that no run is left of. */
export const forgetDismissals = (): Sql =>
  sql`delete from dismissed_failures d where not exists (
      select 1 from runs r where r.status = 'failed' and r.fingerprint = d.fingerprint
    )`;

export const withoutFingerprint = (
  limit: number,
): Sql<{ run_id: string; error: ErrorRecord | null }> =>
  sql`select run_id, error from runs where status = 'failed' and fingerprint is null
    order by run_id limit ${limit}::integer`;

export const setFingerprints = (
  runIds: readonly string[],
  fingerprints: readonly string[],
): Sql<{ run_id: string }> =>
  sql`update runs r set fingerprint = f.fingerprint
    from unnest(${runIds}::uuid[], ${fingerprints}::text[]) as f (run_id, fingerprint)
    where r.run_id = f.run_id and r.status = 'failed' and r.fingerprint is null
    returning r.run_id`;
