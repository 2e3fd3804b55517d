import { json, sql, type Sql } from '../database/database.ts';

export interface SessionRow {
  readonly session_id: string;
  readonly user_id: string;
  readonly username: string;
  readonly created_at: Date;
  readonly expires_at: Date;
  readonly last_activity: Date;
  readonly ip_address: string | null;
  readonly user_agent: string;
  readonly login_method: string;
  readonly is_active: boolean;
  readonly end_reason: string | null;
}

/** A session that counts now: not ended, not over, of an active user. */
export const selectLiveSession = (
  sessionId: string,
): Sql<{ user_id: string; left_ms: number; login_method: string }> => sql`
  select s.user_id, s.login_method,
    (extract(epoch from s.expires_at - now()) * 1000)::double precision as left_ms
  from user_sessions s join users u using (user_id)
  where s.session_id = ${sessionId}::uuid and s.is_active and s.expires_at > now()
    and u.status = 'active'`;

export interface LoginFacts {
  readonly user_id: string | null;
  readonly status: string | null;
  readonly password_hash: string | null;
  readonly password_changed_at: Date | null;
  readonly has_totp: boolean;
  readonly must_change_password: boolean;
  /** Until the end of a lock; null when the name is not locked. */
  readonly locked_for_ms: number | null;
  readonly successes: number;
  readonly successes_from_here: number;
  /** Networks (/24, /48) that signed in within the last hour, without this one. */
  readonly other_networks: number;
  readonly failures_since_success: number;
  /** Successes by hour of the day in UTC, 24 counts. */
  readonly hours: readonly number[];
}

/**
 * What is to be known before a password is judged, by the name that was typed: the same work for a
 * name that nobody has. Of the past, the last forty logins count: a hundred cost twice as much.
 */
export const selectLoginFacts = (username: string, address: string | null): Sql<LoginFacts> => sql`
  select u.user_id, u.status, u.password_hash, u.password_changed_at, u.totp_secret is not null as has_totp,
    coalesce(u.must_change_password, false) as must_change_password,
    case when a.locked_until > clock_timestamp()
      then (extract(epoch from a.locked_until - clock_timestamp()) * 1000)::double precision end as locked_for_ms,
    past.*
  from (select ${username}::text as username, ${address}::text::inet as address) typed
  left join users u on u.username = typed.username
  left join login_attempts a on a.username = typed.username
  cross join lateral (
    select count(*) filter (where succeeded)::integer as successes,
      count(*) filter (where succeeded and ip_address = typed.address)::integer as successes_from_here,
      count(distinct network(set_masklen(ip_address, case family(ip_address) when 4 then 24 else 48 end)))
        filter (where succeeded and occurred_at > now() - interval '1 hour'
          and not ip_address <<= network(set_masklen(typed.address, case family(typed.address) when 4 then 24 else 48 end))
        )::integer as other_networks,
      count(*) filter (where not succeeded
        and occurred_at > coalesce(last_success, '-infinity'))::integer as failures_since_success,
      array(
        select count(h.hour)::integer
        from generate_series(0, 23) as hours (hour)
        left join unnest(array_agg(extract(hour from occurred_at at time zone 'UTC')) filter (where succeeded))
          as h (hour) on h.hour = hours.hour
        group by hours.hour order by hours.hour
      ) as hours
    from (
      select event_type = 'login_success' as succeeded, ip_address, occurred_at,
        max(occurred_at) filter (where event_type = 'login_success') over () as last_success
      from (
        select event_type, ip_address, occurred_at from security_events e
        where e.username = typed.username and e.event_type in ('login_success', 'login_failure')
        order by occurred_at desc limit 40
      ) newest
    ) looked
  ) past`;

/** A session to be opened, and the first refresh token of its family where one is wanted. */
export interface NewSession {
  readonly sessionId: string;
  readonly lifetimeMs: number;
  readonly address: string | null;
  readonly userAgent: string;
  readonly device: string | null;
  readonly method: string;
  readonly data: unknown;
  readonly refreshHash: Uint8Array | null;
  readonly refreshForMs: number;
  readonly clientId: string;
  readonly scope: string | null;
  readonly boundTo: string | null;
  /** The only resource that its tokens are for (RFC 8707). */
  readonly resource: string | null;
}

export interface LockRules {
  readonly maxFailures: number;
  readonly forgetAfterMs: number;
  readonly firstLockMs: number;
  readonly longestLockMs: number;
}

export interface JudgedRow {
  readonly outcome: 'ok' | 'wrong' | 'locked';
  readonly judged_user: string | null;
  readonly locked_for_ms: number | null;
  readonly session_id: string | null;
}

/** What is written about a login beside its outcome. */
export interface LoginRecord {
  readonly username: string;
  readonly risk: number;
  readonly factors: unknown;
  /** Spent before this statement. */
  readonly spentMs: number;
}

/**
 * Judges a password by its computed hash and, when it is right and `opens` says that nothing else is
 * asked for, opens the session: one transaction with the events that tell of it.
 */
export const judgePassword = (
  computedHash: string,
  rules: LockRules,
  opens: boolean,
  session: NewSession,
  login: LoginRecord,
): Sql<JudgedRow> => sql`
  with judged as materialized (
    select j.*, clock_timestamp() as done from judge_login(
      ${login.username}, ${computedHash}, ${rules.maxFailures},
      ${rules.forgetAfterMs} * interval '1 millisecond', ${rules.firstLockMs} * interval '1 millisecond',
      ${rules.longestLockMs} * interval '1 millisecond') j
  ), opened as (
    insert into user_sessions (
      session_id, user_id, jwt_token_id, expires_at, ip_address, user_agent, device_fingerprint,
      login_method, session_data)
    select ${session.sessionId}::uuid, judged_user, ${session.sessionId}::text,
      now() + ${session.lifetimeMs} * interval '1 millisecond', ${session.address}::text::inet,
      ${session.userAgent}, ${session.device}, ${session.method}, ${json(session.data)}::json
    from judged where outcome = 'ok' and ${opens}::boolean
    returning session_id
  ), refresh as (
    insert into refresh_tokens (token_hash, session_id, client_id, scope, bound_to, expires_at)
    select ${session.refreshHash}::bytea, session_id, ${session.clientId}, ${session.scope},
      ${session.boundTo}, now() + ${session.refreshForMs} * interval '1 millisecond'
    from opened where ${session.refreshHash}::bytea is not null
  ), told as (
    insert into security_events (
      event_type, severity, risk_score, user_id, username, session_id, ip_address, user_agent, details,
      authentication_ms, database_ms)
    select case when outcome = 'ok' then 'login_success' else 'login_failure' end,
      case when outcome = 'ok' then 1 else 3 end, ${login.risk}, judged_user, ${login.username},
      (select session_id from opened), ${session.address}::text::inet, ${session.userAgent},
      json_build_object('method', ${session.method}::text, 'outcome', outcome, 'factors', ${json(login.factors)}::json),
      ${login.spentMs} + 1000 * extract(epoch from done - statement_timestamp()),
      1000 * extract(epoch from done - statement_timestamp())
    from judged where outcome <> 'ok' or ${opens}::boolean
  ), locked as (
    insert into security_events (event_type, severity, risk_score, username, ip_address, user_agent, details)
    select 'account_locked', 3, greatest(50, ${login.risk}), ${login.username}, ${session.address}::text::inet,
      ${session.userAgent}, json_build_object('until', judged.locked)
    from judged where outcome = 'wrong' and judged.locked is not null
  )
  select outcome, judged_user,
    case when judged.locked > clock_timestamp()
      then (extract(epoch from judged.locked - clock_timestamp()) * 1000)::double precision end as locked_for_ms,
    (select session_id from opened) as session_id
  from judged`;

/** Opens a session for a principal who has proved who he is in another way, with its event. */
export const insertSession = (
  userId: string,
  session: NewSession,
  login: LoginRecord,
): Sql<{ session_id: string }> => sql`
  with opened as (
    insert into user_sessions (
      session_id, user_id, jwt_token_id, expires_at, ip_address, user_agent, device_fingerprint,
      login_method, session_data)
    select ${session.sessionId}::uuid, u.user_id, ${session.sessionId}::text,
      now() + ${session.lifetimeMs} * interval '1 millisecond', ${session.address}::text::inet,
      ${session.userAgent}, ${session.device}, ${session.method}, ${json(session.data)}::json
    from users u where u.user_id = ${userId}::uuid and u.status = 'active'
    returning session_id, user_id
  ), refresh as (
    insert into refresh_tokens (token_hash, session_id, client_id, scope, bound_to, resource, expires_at)
    select ${session.refreshHash}::bytea, session_id, ${session.clientId}, ${session.scope},
      ${session.boundTo}, ${session.resource}, now() + ${session.refreshForMs} * interval '1 millisecond'
    from opened where ${session.refreshHash}::bytea is not null
  ), told as (
    insert into security_events (
      event_type, severity, risk_score, user_id, username, session_id, ip_address, user_agent, details,
      authentication_ms)
    select 'login_success', 1, ${login.risk}, user_id, ${login.username}, session_id,
      ${session.address}::text::inet, ${session.userAgent},
      json_build_object('method', ${session.method}::text, 'outcome', 'ok', 'factors', ${json(login.factors)}::json),
      ${login.spentMs}
    from opened
  )
  select session_id from opened`;

export interface RefreshedRow {
  readonly outcome: 'refreshed' | 'reused' | 'unknown' | 'over' | 'mismatch';
  readonly session_id: string | null;
  readonly user_id: string | null;
  readonly scope: string | null;
  readonly resource: string | null;
}

/**
 * Uses a refresh token and puts the next one in its place. A token that was used before ends its
 * session, since either the thief or the owner holds the other copy; the same when it comes from
 * another client or key.
 */
export const useRefreshToken = (
  used: { hash: Uint8Array; clientId: string; boundTo: string | null },
  next: { hash: Uint8Array; forMs: number },
): Sql<RefreshedRow> => sql`
  with presented as materialized (
    select t.*, s.user_id, s.is_active and s.expires_at > now() and u.status = 'active' as session_lives,
      t.client_id = ${used.clientId} and t.bound_to is not distinct from ${used.boundTo}::text as fits
    from refresh_tokens t join user_sessions s using (session_id) join users u using (user_id)
    where t.token_hash = ${used.hash}
    for update of t
  ), replaced as (
    update refresh_tokens t set used_at = now() from presented p
    where t.token_hash = p.token_hash and t.used_at is null and p.fits and p.session_lives
      and t.expires_at > now()
    returning t.session_id, t.scope, t.client_id, t.bound_to, t.resource
  ), issued as (
    insert into refresh_tokens (token_hash, session_id, client_id, scope, bound_to, resource, expires_at)
    select ${next.hash}, session_id, client_id, scope, bound_to, resource, now() + ${next.forMs} * interval '1 millisecond'
    from replaced
  ), ended as (
    update user_sessions s set is_active = false, ended_at = now(), end_reason = 'refresh token used twice'
    from presented p where s.session_id = p.session_id and s.is_active
      and (p.used_at is not null or not p.fits)
    returning s.session_id, s.user_id
  ), told as (
    insert into security_events (event_type, severity, risk_score, user_id, session_id, details)
    select 'suspicious_activity', 4, 90, user_id, session_id,
      json_build_object('reason', 'a refresh token was used twice or by another client; the session was ended')
    from ended
  ), noted as (
    insert into security_events (event_type, severity, user_id, session_id, details)
    select 'token_issued', 1, p.user_id, p.session_id, json_build_object('grant', 'refresh_token')
    from presented p join replaced using (session_id)
  )
  select coalesce(
      (select case when r.session_id is not null then 'refreshed' when p.used_at is not null then 'reused'
        when not p.fits then 'mismatch' else 'over' end
        from presented p left join replaced r using (session_id)), 'unknown') as outcome,
    (select session_id from presented) as session_id, (select user_id from presented) as user_id,
    (select scope from presented) as scope, (select resource from presented) as resource`;

export const endSession = (
  sessionId: string,
  reason: string,
): Sql<{ session_id: string; user_id: string }> => sql`
  update user_sessions set is_active = false, ended_at = now(), end_reason = ${reason}
  where session_id = ${sessionId}::uuid and is_active
  returning session_id, user_id`;

/** Ends every session of a principal, also those that this process never saw, and all tokens of them. */
export const endSessionsOf = (
  userId: string,
  reason: string,
  except: string | null,
): Sql<{ session_id: string }> => sql`
  update user_sessions set is_active = false, ended_at = now(), end_reason = ${reason}
  where user_id = ${userId}::uuid and is_active and session_id is distinct from ${except}::uuid
  returning session_id`;

/** Sessions of one principal or of all, newest first; `after` is the last one of the page before. */
export const selectSessions = (
  userId: string | null,
  onlyLive: boolean,
  after: string | null,
  most: number,
): Sql<SessionRow> => sql`
  select s.session_id, s.user_id, u.username, s.created_at, s.expires_at, s.last_activity,
    host(s.ip_address) as ip_address, s.user_agent, s.login_method,
    s.is_active and s.expires_at > now() and u.status = 'active' as is_active,
    s.end_reason
  from user_sessions s join users u using (user_id)
  where (${userId}::uuid is null or s.user_id = ${userId}::uuid)
    and (${after}::uuid is null or s.session_id < ${after}::uuid)
    and (not ${onlyLive}::boolean or (s.is_active and s.expires_at > now()))
  order by s.session_id desc limit ${most}`;

export const touchSessions = (sessionIds: readonly string[]): Sql => sql`
  update user_sessions set last_activity = now()
  where session_id = any(${sessionIds}::uuid[]) and last_activity < now() - interval '30 seconds'`;

export interface RefreshTokenRow {
  readonly session_id: string;
  readonly user_id: string;
  readonly username: string;
  readonly client_id: string;
  readonly scope: string | null;
  readonly bound_to: string | null;
  readonly resource: string | null;
  readonly issued_at: Date;
  readonly expires_at: Date;
  readonly is_live: boolean;
}

export const selectRefreshToken = (hash: Uint8Array): Sql<RefreshTokenRow> => sql`
  select t.session_id, s.user_id, u.username, t.client_id, t.scope, t.bound_to, t.resource,
    t.issued_at, t.expires_at,
    t.used_at is null and t.expires_at > now() and s.is_active and s.expires_at > now()
      and u.status = 'active' as is_live
  from refresh_tokens t join user_sessions s using (session_id) join users u using (user_id)
  where t.token_hash = ${hash}`;

/** The newest sessions, with their principals: whoever signed in lately is likely to come next. */
export const selectNewestSessions = (
  most: number,
): Sql<{ session_id: string; user_id: string }> => sql`
  select session_id, user_id from user_sessions
  where is_active and expires_at > now() order by created_at desc limit ${most}`;

/** Ends what tokens that came of a credential stand on: their sessions are opened with its name as method. */
export const endSessionsBy = (
  userId: string,
  method: string,
  reason: string,
): Sql<{ session_id: string }> => sql`
  update user_sessions set is_active = false, ended_at = now(), end_reason = ${reason}
  where user_id = ${userId}::uuid and is_active and login_method = ${method}
  returning session_id`;
