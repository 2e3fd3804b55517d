import { sql, type Sql } from '../database/database.ts';
import type { LimitPolicy } from './limit-window.ts';

export interface LimitRow {
  readonly start_ms: bigint;
  readonly count: number;
  readonly previous: number;
  /** Null exactly when the take was allowed. */
  readonly blocked_until_ms: bigint | null;
  readonly now_ms: bigint;
}

/**
 * Takes from a bucket, as `takeFrom` does, in one statement: whoever conflicts waits for the row and
 * then decides on its latest version, so no two takes see the same count. An allowed take clears
 * `blocked_until` and a refused one sets it, at least to now, which blocks nothing but tells the two
 * apart in what comes back. The clock is read once the row is held. `nowMs` is for tests.
 */
export const takeLimit = (
  policy: LimitPolicy,
  id: string,
  cost: number,
  nowMs: number | null,
): Sql<LimitRow> =>
  sql<LimitRow>`
    insert into rate_limit_events as held
      (limit_type, identifier, window_start, request_count, previous_count)
    values (${policy.name}::text, ${id}::text,
      coalesce(to_timestamp(${nowMs}::bigint / 1000.0), date_trunc('milliseconds', clock_timestamp())),
      ${cost}::integer, 0)
    on conflict (limit_type, identifier) do update set
      (window_start, request_count, previous_count, blocked_until) = (
        select to_timestamp(rolled.start_ms / 1000.0),
          rolled.count + case when verdict = 'allowed' then excluded.request_count else 0 end,
          rolled.previous,
          case verdict
            when 'allowed' then null
            when 'blocked' then held.blocked_until
            else to_timestamp((now_ms + ${policy.blockMs}::bigint) / 1000.0)
          end
        from (
          select coalesce(${nowMs}::bigint, floor(extract(epoch from clock_timestamp()) * 1000)::bigint)
            as now_ms, ${policy.windowMs}::bigint as window_ms
        ) clock
        cross join lateral (
          select floor(extract(epoch from held.window_start) * 1000)::bigint as start_ms
        ) stored
        cross join lateral (
          select case
              when now_ms - stored.start_ms >= 2 * window_ms then now_ms
              when now_ms - stored.start_ms >= window_ms then stored.start_ms + window_ms
              else stored.start_ms
            end as start_ms,
            case when now_ms - stored.start_ms >= window_ms then 0 else held.request_count end as count,
            case
              when now_ms - stored.start_ms >= 2 * window_ms then 0
              when now_ms - stored.start_ms >= window_ms then held.request_count
              else held.previous_count
            end as previous
        ) rolled
        cross join lateral (
          select case
            when held.blocked_until > to_timestamp(now_ms / 1000.0) then 'blocked'
            when (rolled.previous * (window_ms - greatest(0, now_ms - rolled.start_ms)) + window_ms - 1)
              / window_ms + rolled.count + excluded.request_count <= ${policy.limit}::bigint then 'allowed'
            else 'refused'
          end as verdict
        ) decided
      )
    returning floor(extract(epoch from window_start) * 1000)::bigint as start_ms,
      request_count as count, previous_count as previous,
      floor(extract(epoch from blocked_until) * 1000)::bigint as blocked_until_ms,
      coalesce(${nowMs}::bigint, floor(extract(epoch from clock_timestamp()) * 1000)::bigint) as now_ms`;

export const clearLimit = (policyName: string, id: string): Sql =>
  sql`delete from rate_limit_events where limit_type = ${policyName} and identifier = ${id}`;

/**
 * Deletes up to `most` buckets of a policy that have been idle for over two windows and are not
 * blocked: they count for nothing any more. Those being taken from are left for the next time.
 */
export const deleteIdleLimitsOf = (
  policy: LimitPolicy,
  most: number,
): Sql<{ limit_type: string; identifier: string }> =>
  sql`
    delete from rate_limit_events e
    using (
      select limit_type, identifier from rate_limit_events
      where limit_type = ${policy.name}
        and window_start < clock_timestamp() - ${policy.windowMs}::bigint * interval '2 milliseconds'
        and (blocked_until is null or blocked_until < clock_timestamp())
      order by window_start
      limit ${most}::integer
      for update skip locked
    ) idle
    where e.limit_type = idle.limit_type and e.identifier = idle.identifier
    returning e.limit_type, e.identifier`;

/**
 * The same for buckets of whatever policy, also of such as are not known any more: no window is
 * longer than a day, so one that began over two days ago counts for nothing.
 */
export const deleteIdleLimits = (most: number): Sql<{ limit_type: string; identifier: string }> =>
  sql`
    delete from rate_limit_events e
    using (
      select limit_type, identifier from rate_limit_events
      where window_start < clock_timestamp() - interval '48 hours'
        and (blocked_until is null or blocked_until < clock_timestamp())
      order by window_start
      limit ${most}::integer
      for update skip locked
    ) idle
    where e.limit_type = idle.limit_type and e.identifier = idle.identifier
    returning e.limit_type, e.identifier`;
