import { json, sql, type Sql } from '../database/database.ts';

/** Channel on which processes that hold rights in memory are told what to forget: `kind:subject`. */
export const changesChannel = 'centuria_identity';

export const changeKinds = [
  'user',
  'roles',
  'session',
  'api_key',
  'token',
  'signing_keys',
] as const;
export type ChangeKind = (typeof changeKinds)[number];

export interface AccessRow {
  readonly user_id: string;
  readonly username: string;
  readonly kind: 'user' | 'agent';
  readonly status: 'active' | 'disabled';
  readonly roles: readonly string[];
  readonly role_level: number;
  readonly must_change_password: boolean;
  readonly permission_bitmask: bigint;
  readonly grants: readonly { type: string; pattern: string; bits: string }[];
  /** Until the first expiry of a role, by the database's clock. */
  readonly valid_for_ms: number | null;
}

/** What a principal may do now. */
export const selectAccess = (userId: string): Sql<AccessRow> => sql`
  select u.user_id, u.username, u.kind, u.status, u.must_change_password, m.roles, m.permission_bitmask,
    coalesce((
      select min(r.role_level)::integer from user_roles a join roles r using (role_id)
      where a.user_id = u.user_id and (a.expires_at is null or a.expires_at > now())
    ), 5) as role_level,
    (
      select coalesce(json_agg(json_build_object(
        'type', g.resource_type, 'pattern', g.resource_pattern, 'bits', g.permission_value::text)), '[]')
      from user_grants g where g.user_id = u.user_id and g.resource_pattern <> '*'
    ) as grants,
    (
      select (extract(epoch from min(a.expires_at) - now()) * 1000)::double precision
      from user_roles a where a.user_id = u.user_id and a.expires_at > now()
    ) as valid_for_ms
  from users u join user_permissions_mv m using (user_id)
  where u.user_id = ${userId}::uuid`;

/**
 * Changes committed by transactions that an earlier look may not have seen, and from which
 * transaction on the next look must ask. A row may come twice; forgetting twice does no harm.
 */
export const selectChanges = (
  horizon: string | null,
): Sql<{ horizon: string; changes: readonly (readonly [ChangeKind, string])[] }> => sql`
  select pg_snapshot_xmin(pg_current_snapshot())::text as horizon, coalesce((
    select json_agg(json_build_array(c.kind, c.subject) order by c.change_id)
    from identity_changes c where c.transaction_id >= ${horizon}::text::xid8
  ), '[]') as changes`;

export const deleteOldChanges = (): Sql => sql`
  delete from identity_changes where at < now() - interval '1 hour'`;

export const selectRevokedTokens = (): Sql<{ jti: string; left_ms: number }> => sql`
  select jti, (extract(epoch from until - now()) * 1000)::double precision as left_ms
  from revoked_tokens where until > now()`;

export const insertRevokedToken = (jti: string, forMs: number): Sql => sql`
  insert into revoked_tokens (jti, until) values (${jti}, now() + ${forMs} * interval '1 millisecond')
  on conflict (jti) do nothing`;

/** A row comes back for the first who claims it, and for nobody else until its time is over. */
export const claimNonce = (hash: Uint8Array, forMs: number): Sql<{ claimed: boolean }> => sql`
  insert into used_nonces as n (nonce_hash, until)
  values (${hash}, now() + ${forMs} * interval '1 millisecond')
  on conflict (nonce_hash) do update set until = excluded.until where n.until < now()
  returning true as claimed`;

export const selectSetting = <Value>(name: string): Sql<{ value: Value }> => sql`
  select value from identity_settings where name = ${name}`;

/** The value that stands afterwards: the first one that was written wins. */
export const insertSetting = <Value>(name: string, value: Value): Sql<{ value: Value }> => sql`
  with inserted as (
    insert into identity_settings (name, value) values (${name}, ${json(value)}::json)
    on conflict (name) do nothing returning value
  )
  select value from inserted
  union all
  select value from identity_settings where name = ${name}
  limit 1`;

export interface SecurityEventColumns {
  readonly types: readonly string[];
  readonly severities: readonly number[];
  readonly risks: readonly number[];
  readonly userIds: readonly (string | null)[];
  readonly usernames: readonly (string | null)[];
  readonly sessionIds: readonly (string | null)[];
  readonly addresses: readonly (string | null)[];
  readonly userAgents: readonly (string | null)[];
  readonly details: readonly string[];
}

/** Events of no transaction of their own, such as refusals: element i of each column is one event. */
export const insertSecurityEvents = (columns: SecurityEventColumns): Sql => sql`
  insert into security_events (
    event_type, severity, risk_score, user_id, username, session_id, ip_address, user_agent, details)
  select e.event_type, e.severity, e.risk, e.user_id, e.username, e.session_id, e.address::inet,
    e.user_agent, e.details::json
  from unnest(
    ${columns.types}::text[], ${columns.severities}::integer[], ${columns.risks}::integer[],
    ${columns.userIds}::uuid[], ${columns.usernames}::text[], ${columns.sessionIds}::uuid[],
    ${columns.addresses}::text[], ${columns.userAgents}::text[], ${columns.details}::text[]
  ) as e (event_type, severity, risk, user_id, username, session_id, address, user_agent, details)`;

/** What is over for good, a batch of each kind. Sessions stay thirty days for those who ask what happened. */
export const deleteExpired = (most: number): Sql<{ deleted: number }> => sql`
  with sessions as (
    delete from user_sessions where session_id in (
      select session_id from user_sessions where expires_at < now() - interval '30 days' limit ${most})
    returning 1
  ), refresh as (
    delete from refresh_tokens where token_hash in (
      select token_hash from refresh_tokens where expires_at < now() - interval '1 day' limit ${most})
    returning 1
  ), tokens as (
    delete from revoked_tokens where jti in (
      select jti from revoked_tokens where until < now() limit ${most})
    returning 1
  ), nonces as (
    delete from used_nonces where nonce_hash in (
      select nonce_hash from used_nonces where until < now() limit ${most})
    returning 1
  ), devices as (
    delete from device_codes where expires_at < now() - interval '1 hour' returning 1
  ), codes as (
    delete from authorization_codes where expires_at < now() - interval '1 day' returning 1
  ), attempts as (
    delete from login_attempts where username in (
      select username from login_attempts
      where last_failed_at < now() - interval '1 day' and coalesce(locked_until, '-infinity') < now()
      limit ${most})
    returning 1
  ), events as (
    delete from security_events where event_id in (
      select event_id from security_events
      where occurred_at < now() - case when severity <= 2 then interval '30 days' else interval '90 days' end
      order by occurred_at limit ${most})
    returning 1
  )
  select (select count(*) from sessions)::integer + (select count(*) from refresh)::integer
    + (select count(*) from tokens)::integer + (select count(*) from nonces)::integer + (select count(*) from devices)::integer
    + (select count(*) from codes)::integer + (select count(*) from attempts)::integer
    + (select count(*) from events)::integer as deleted`;
