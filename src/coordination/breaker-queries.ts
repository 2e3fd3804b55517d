import { json, sql, type Sql } from '../database/database.ts';

/** Channel on which a breaker that opened, closed or was reset is announced; the payload is empty. */
export const breakersChannel = 'centuria_breakers';

export interface BreakerRow {
  readonly key: string;
  readonly state: 'closed' | 'open' | 'half_open';
  readonly calls: readonly string[];
  readonly calls_at: readonly Date[];
  readonly open_until: Date | null;
  readonly successes: number;
  readonly openings: bigint;
  readonly last_failure_at: Date | null;
  readonly last_failure_code: string | null;
  readonly changed_at: Date;
  readonly reset_at: Date | null;
  readonly reset_by: string | null;
}

/** A breaker as it is written back. */
export interface BreakerChange {
  readonly key: string;
  readonly state: BreakerRow['state'];
  readonly calls: readonly string[];
  readonly calls_at: readonly string[];
  readonly open_until: string | null;
  readonly successes: number;
  readonly opened: boolean;
  readonly failed_at: string | null;
  readonly failure_code: string | null;
}

/** Rows for what has failed for the first time; in the order of locks, so that two of these never wait for each other. */
export const addBreakers = (keys: readonly string[]): Sql =>
  sql`insert into breakers (key)
    select key from unnest(${keys}::text[]) as k (key) order by key
    on conflict (key) do nothing`;

/** Every breaker is changed by its state read under this lock, in one order for all. */
export const lockBreakers = (keys: readonly string[]): Sql<BreakerRow> =>
  sql`select * from breakers where key = any(${keys}::text[]) order by key for no key update`;

/** After the locks, so that the time of a later change is never the earlier one. */
export const databaseTime = (): Sql<{ now: Date }> => sql`select clock_timestamp() as now`;

/** Writes breakers back, and announces them when their state is another one. */
export const writeBreakers = (changes: readonly BreakerChange[], announce: boolean): Sql =>
  sql`
    with change as (
      select * from json_to_recordset(${json(changes)}::json) as c (
        key text, state text, calls text[], calls_at timestamptz[], open_until timestamptz,
        successes smallint, opened boolean, failed_at timestamptz, failure_code text
      )
    ), written as (
      update breakers b set
        state = c.state, calls = c.calls, calls_at = c.calls_at, open_until = c.open_until,
        successes = c.successes, openings = b.openings + case when c.opened then 1 else 0 end,
        last_failure_at = coalesce(c.failed_at, b.last_failure_at),
        last_failure_code = case when c.failed_at is null then b.last_failure_code else c.failure_code end,
        changed_at = case when b.state = c.state then b.changed_at else clock_timestamp() end
      from change c where b.key = c.key
    )
    select pg_notify(${breakersChannel}, '') from (select where ${announce}::boolean) announced`;

/** Breakers that may refuse calls: few, whatever has ever failed. */
export const breakersNotClosed = (): Sql<{
  readonly key: string;
  readonly state: 'open' | 'half_open';
  readonly open_until: Date | null;
  readonly now: Date;
}> =>
  sql`select key, state, open_until, clock_timestamp() as now from breakers
    where state <> 'closed' order by key`;

export const listBreakers = (
  after: string | null,
  state: BreakerRow['state'] | null,
  limit: number,
): Sql<BreakerRow & { readonly now: Date }> =>
  sql`select *, clock_timestamp() as now from breakers
    where (${after}::text is null or key > ${after}::text)
      and (${state}::text is null or ${state}::text =
        case when state = 'open' and open_until <= clock_timestamp() then 'half_open' else state end)
    order by key limit ${limit}::integer`;

export const resetBreaker = (key: string, by: string): Sql<BreakerRow & { readonly now: Date }> =>
  sql`with closed as (
      update breakers set state = 'closed', calls = '{}', calls_at = '{}', open_until = null,
        successes = 0, changed_at = clock_timestamp(), reset_at = clock_timestamp(), reset_by = ${by}
      where key = ${key} returning *
    )
    select closed.*, clock_timestamp() as now, pg_notify(${breakersChannel}, '') from closed`;

/** For the nearest name to one that there is not. */
export const breakerKeys = (): Sql<{ key: string }> =>
  sql`select key from breakers order by key limit 10000`;
