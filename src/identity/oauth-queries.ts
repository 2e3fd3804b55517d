import { sql, type Sql } from '../database/database.ts';

export interface ClientRow {
  readonly client_id: string;
  readonly client_name: string;
  readonly redirect_uris: readonly string[];
  readonly created_at: Date;
}

export const selectClient = (clientId: string): Sql<ClientRow> => sql`
  select client_id, client_name, redirect_uris, created_at from oauth_clients
  where client_id = ${clientId}`;

export const selectClients = (after: string | null, most: number): Sql<ClientRow> => sql`
  select client_id, client_name, redirect_uris, created_at from oauth_clients
  where ${after}::text is null or client_id > ${after} order by client_id limit ${most}`;

export const countClients = (): Sql<{ total: number }> => sql`
  select count(*)::integer as total from oauth_clients`;

/** Nothing comes back when the id is taken. */
export const insertClient = (client: {
  readonly id: string;
  readonly name: string;
  readonly redirectUris: readonly string[];
  readonly createdBy: string;
}): Sql<ClientRow> => sql`
  insert into oauth_clients (client_id, client_name, redirect_uris, created_by)
  values (${client.id}, ${client.name}, ${client.redirectUris}::text[], ${client.createdBy}::uuid)
  on conflict (client_id) do nothing
  returning client_id, client_name, redirect_uris, created_at`;

/** Takes the client's codes with it; its sessions are ended by `endSessionsOfClient`. */
export const deleteClient = (clientId: string): Sql<{ client_name: string }> => sql`
  with devices as (
    delete from device_codes where client_id = ${clientId}
  ), codes as (
    delete from authorization_codes where client_id = ${clientId}
  )
  delete from oauth_clients where client_id = ${clientId} returning client_name`;

export const endSessionsOfClient = (clientId: string): Sql<{ session_id: string }> => sql`
  update user_sessions s set is_active = false, ended_at = now(), end_reason = 'its client was deleted'
  where s.is_active and s.session_id in (
    select t.session_id from refresh_tokens t where t.client_id = ${clientId})
  returning s.session_id`;

export interface NewDeviceCode {
  readonly hash: Uint8Array;
  readonly userCode: string;
  readonly clientId: string;
  readonly scope: string | null;
  readonly resource: string | null;
  readonly boundTo: string | null;
  readonly address: string | null;
  readonly userAgent: string;
  readonly lifetimeMs: number;
  readonly intervalSeconds: number;
}

/** Nothing comes back when the user code is in use. One that is over gives way. */
export const insertDeviceCode = (code: NewDeviceCode): Sql<{ user_code: string }> => sql`
  insert into device_codes as d (
    device_code_hash, user_code, client_id, scope, resource, bound_to, ip_address, user_agent,
    expires_at, interval_seconds)
  values (
    ${code.hash}, ${code.userCode}, ${code.clientId}, ${code.scope}, ${code.resource}, ${code.boundTo},
    ${code.address}::text::inet, ${code.userAgent},
    now() + ${code.lifetimeMs} * interval '1 millisecond', ${code.intervalSeconds})
  on conflict (user_code) do update set
    device_code_hash = excluded.device_code_hash, client_id = excluded.client_id, scope = excluded.scope,
    resource = excluded.resource, bound_to = excluded.bound_to, status = 'pending', claimed_by = null,
    user_id = null, ip_address = excluded.ip_address, user_agent = excluded.user_agent,
    created_at = now(), expires_at = excluded.expires_at, last_polled_at = null,
    interval_seconds = excluded.interval_seconds
  where d.expires_at < now()
  returning user_code`;

export interface DeviceRow {
  readonly user_code: string;
  readonly client_id: string;
  readonly client_name: string;
  readonly scope: string | null;
  readonly resource: string | null;
  readonly status: 'pending' | 'approved' | 'denied';
  readonly claimed_by: string | null;
  readonly ip_address: string | null;
  readonly user_agent: string;
  readonly created_at: Date;
  readonly expires_at: Date;
}

/** The code as this session claimed it. */
export const selectClaimedDevice = (userCode: string, sessionId: string): Sql<DeviceRow> => sql`
  select d.user_code, d.client_id, c.client_name, d.scope, d.resource, d.status, d.claimed_by,
    host(d.ip_address) as ip_address, d.user_agent, d.created_at, d.expires_at
  from device_codes d join oauth_clients c using (client_id)
  where d.user_code = ${userCode} and d.claimed_by = ${sessionId}::uuid and d.expires_at > now()`;

/** Claims the code for the first session that looks it up; afterwards `claimed_by` says whose it is. */
export const claimDevice = (
  userCode: string,
  sessionId: string,
): Sql<{ claimed_by: string | null }> => sql`
  update device_codes set claimed_by = coalesce(claimed_by, ${sessionId}::uuid)
  where user_code = ${userCode} and expires_at > now()
  returning claimed_by`;

/** Decides once, for the session that claimed the code. */
export const decideDevice = (
  userCode: string,
  decision: {
    readonly sessionId: string;
    readonly userId: string;
    readonly isApproved: boolean;
    readonly scope: string | null;
  },
): Sql<{ user_code: string }> => sql`
  update device_codes set status = case when ${decision.isApproved}::boolean then 'approved' else 'denied' end,
    user_id = ${decision.userId}::uuid, scope = ${decision.scope}
  where user_code = ${userCode} and claimed_by = ${decision.sessionId}::uuid and status = 'pending'
    and expires_at > now()
  returning user_code`;

export interface PolledRow {
  readonly outcome:
    | 'unknown'
    | 'mismatch'
    | 'expired'
    | 'denied'
    | 'slow_down'
    | 'pending'
    | 'approved';
  readonly user_id: string | null;
  /** The session that approved. */
  readonly claimed_by: string | null;
  readonly scope: string | null;
  readonly resource: string | null;
}

/**
 * One poll of a device code. An approved one is deleted as it is taken, so that it is exchanged once;
 * asking sooner than the interval makes the interval five seconds longer (RFC 8628, 3.5).
 */
export const pollDevice = (polled: {
  readonly hash: Uint8Array;
  readonly clientId: string;
  readonly boundTo: string | null;
}): Sql<PolledRow> => sql`
  with presented as materialized (
    select d.*, case
        when d.client_id <> ${polled.clientId} then 'mismatch'
        when d.bound_to is not null and d.bound_to is distinct from ${polled.boundTo}::text then 'mismatch'
        when d.expires_at <= now() then 'expired'
        when d.status <> 'pending' then d.status
        when d.last_polled_at > clock_timestamp() - d.interval_seconds * interval '1 second' then 'slow_down'
        else 'pending' end as outcome
    from device_codes d where d.device_code_hash = ${polled.hash}
    for update of d
  ), noted as (
    update device_codes d set last_polled_at = clock_timestamp(),
      interval_seconds = least(60, d.interval_seconds + case p.outcome when 'slow_down' then 5 else 0 end)
    from presented p
    where d.device_code_hash = p.device_code_hash and p.outcome in ('pending', 'slow_down')
  ), taken as (
    delete from device_codes d using presented p
    where d.device_code_hash = p.device_code_hash and p.outcome in ('approved', 'denied')
    returning d.device_code_hash
  )
  select case when p.outcome in ('approved', 'denied') and t.device_code_hash is null then 'unknown'
      else coalesce(p.outcome, 'unknown') end as outcome,
    p.user_id, p.claimed_by, p.scope, p.resource
  from (values (1)) as one (row)
  left join presented p on true
  left join taken t on true`;

export interface NewAuthorizationCode {
  readonly hash: Uint8Array;
  readonly clientId: string;
  readonly userId: string;
  readonly approvedBy: string;
  readonly redirectUri: string;
  readonly codeChallenge: string;
  readonly scope: string | null;
  readonly resource: string | null;
  readonly boundTo: string | null;
  readonly lifetimeMs: number;
}

export const insertAuthorizationCode = (code: NewAuthorizationCode): Sql => sql`
  insert into authorization_codes (
    code_hash, client_id, user_id, approved_by, redirect_uri, code_challenge, scope, resource, bound_to,
    expires_at)
  values (
    ${code.hash}, ${code.clientId}, ${code.userId}::uuid, ${code.approvedBy}::uuid, ${code.redirectUri},
    ${code.codeChallenge}, ${code.scope}, ${code.resource}, ${code.boundTo},
    now() + ${code.lifetimeMs} * interval '1 millisecond')`;

export interface TakenCodeRow {
  /** The session of an earlier use; null the first time. */
  readonly before: string | null;
  readonly client_id: string;
  readonly user_id: string;
  readonly approved_by: string | null;
  readonly redirect_uri: string;
  readonly code_challenge: string;
  readonly scope: string | null;
  readonly resource: string | null;
  readonly bound_to: string | null;
  readonly is_live: boolean;
}

/** Every use puts its own session in the row, so the first can see afterwards whether it stayed the only one. */
export const takeAuthorizationCode = (
  hash: Uint8Array,
  sessionId: string,
): Sql<TakenCodeRow> => sql`
  update authorization_codes c set session_id = ${sessionId}::uuid
  from (
    select code_hash, session_id as before from authorization_codes
    where code_hash = ${hash} for update
  ) p
  where c.code_hash = p.code_hash
  returning p.before, c.client_id, c.user_id, c.approved_by, c.redirect_uri, c.code_challenge, c.scope,
    c.resource, c.bound_to, c.expires_at > now() as is_live`;

/** A row comes back while nobody else has used the code. */
export const selectOnlyUse = (hash: Uint8Array, sessionId: string): Sql<{ only: boolean }> => sql`
  select true as only from authorization_codes
  where code_hash = ${hash} and session_id = ${sessionId}::uuid`;

/** Ends the session of a code that came twice, and tells of it. */
export const endReusedSession = (sessionId: string): Sql<{ session_id: string }> => sql`
  with ended as (
    update user_sessions set is_active = false, ended_at = now(),
      end_reason = 'authorization code used twice'
    where session_id = ${sessionId}::uuid and is_active
    returning session_id, user_id
  ), told as (
    insert into security_events (event_type, severity, risk_score, user_id, session_id, details)
    select 'suspicious_activity', 4, 90, user_id, session_id,
      json_build_object('reason', 'an authorization code was used twice; its session was ended')
    from ended
  )
  select session_id from ended`;
