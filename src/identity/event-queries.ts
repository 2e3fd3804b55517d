import { sql, type Sql } from '../database/database.ts';
import type { SecurityEventColumns } from './queries.ts';

/**
 * Events by ids of their own: one that is written again, as it has happened more often meanwhile,
 * takes the place of its former self.
 */
export const upsertSecurityEvents = (
  ids: readonly string[],
  columns: SecurityEventColumns,
): Sql => sql`
  insert into security_events as s (
    event_id, event_type, severity, risk_score, user_id, username, session_id, ip_address, user_agent,
    details)
  select e.id, e.event_type, e.severity, e.risk, e.user_id, e.username, e.session_id, e.address::inet,
    e.user_agent, e.details::json
  from unnest(
    ${ids}::uuid[], ${columns.types}::text[], ${columns.severities}::integer[],
    ${columns.risks}::integer[], ${columns.userIds}::uuid[], ${columns.usernames}::text[],
    ${columns.sessionIds}::uuid[], ${columns.addresses}::text[], ${columns.userAgents}::text[],
    ${columns.details}::text[]
  ) as e (id, event_type, severity, risk, user_id, username, session_id, address, user_agent, details)
  on conflict (event_id) do update set details = excluded.details`;

export interface EventRow {
  readonly event_id: string;
  readonly occurred_at: Date;
  /** The same to the microsecond, as the cursor of a page needs it. */
  readonly at_us: bigint;
  readonly event_type: string;
  readonly severity: number;
  readonly risk_score: number;
  readonly user_id: string | null;
  readonly username: string | null;
  readonly session_id: string | null;
  readonly ip_address: string | null;
  readonly user_agent: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface EventFilter {
  readonly type: string | null;
  /** Of somebody: by id, by a name as it was typed, or by the id of who has the name now. */
  readonly userId: string | null;
  readonly username: string | null;
  readonly minRisk: number;
  readonly since: Date | null;
  /** The last one of the page before. */
  readonly afterUs: bigint | null;
  readonly afterId: string | null;
}

/** Newest first. The name of who is meant is looked up where the event itself has none. */
export const selectEvents = (filter: EventFilter, most: number): Sql<EventRow> => sql`
  select e.event_id, e.occurred_at, (extract(epoch from e.occurred_at) * 1000000)::bigint as at_us,
    e.event_type, e.severity, e.risk_score, e.user_id, coalesce(e.username, u.username) as username,
    e.session_id, host(e.ip_address) as ip_address, e.user_agent, e.details
  from security_events e left join users u on u.user_id = e.user_id
  where (${filter.type}::text is null or e.event_type = ${filter.type}::text)
    and ((${filter.userId}::uuid is null and ${filter.username}::text is null)
      or e.user_id = ${filter.userId}::uuid or e.username = ${filter.username}::text)
    and e.risk_score >= ${filter.minRisk}
    and (${filter.since}::timestamptz is null or e.occurred_at >= ${filter.since}::timestamptz)
    and (${filter.afterUs}::bigint is null
      or (e.occurred_at, e.event_id) <
        (timestamptz 'epoch' + ${filter.afterUs}::bigint * interval '1 microsecond', ${filter.afterId}::uuid))
  order by e.occurred_at desc, e.event_id desc limit ${most}`;

export interface PerformanceRow {
  readonly metric: string;
  readonly avg: number | null;
  readonly p95: number | null;
  readonly sample_size: bigint;
  readonly unit: string;
}

export const selectPerformance = (): Sql<PerformanceRow> => sql`
  select metric, avg, p95, sample_size::bigint as sample_size, unit from auth_performance_metrics`;

export interface HealthRow {
  readonly component: string;
  readonly status: string;
  readonly value: number | null;
  readonly healthy_below: number;
  readonly warning_below: number;
  readonly unit: string;
}

export const selectHealth = (): Sql<HealthRow> => sql`
  select component, status, value, healthy_below, warning_below, unit from binary_integration_health`;
