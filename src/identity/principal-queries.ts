import { sql, type Sql } from '../database/database.ts';
import type { HeldRow } from './giving.ts';

export interface PrincipalRow {
  readonly user_id: string;
  readonly username: string;
  readonly kind: 'user' | 'agent';
  readonly status: 'active' | 'disabled';
  readonly display_name: string;
  readonly email: string | null;
  readonly roles: readonly { name: string; expiresAt: string | null }[];
  readonly permission_bitmask: bigint;
  readonly has_password: boolean;
  readonly must_change_password: boolean;
  readonly has_totp: boolean;
  readonly passkeys: number;
  readonly failed_attempts: number;
  readonly locked_until: Date | null;
  readonly created_at: Date;
  readonly last_login_at: Date | null;
}

export interface PrincipalFilter {
  readonly kind: 'user' | 'agent' | null;
  readonly status: 'active' | 'disabled' | null;
  readonly role: string | null;
  /** The last name of the page before. */
  readonly after: string | null;
}

export const selectPrincipals = (filter: PrincipalFilter, most: number): Sql<PrincipalRow> => sql`
  select d.* from principal_details d
  where d.username > coalesce(${filter.after}::text, '')
    and (${filter.kind}::text is null or d.kind = ${filter.kind}::text)
    and (${filter.status}::text is null or d.status = ${filter.status}::text)
    and (${filter.role}::text is null or exists (
      select from user_roles a join roles r using (role_id)
      where a.user_id = d.user_id and r.role_name = ${filter.role}::text
        and (a.expires_at is null or a.expires_at > now())))
  order by d.username limit ${most}`;

/** One of the two is given. */
export const selectPrincipal = (
  id: string | null,
  username: string | null,
): Sql<PrincipalRow> => sql`
  select * from principal_details where user_id = ${id}::uuid or username = ${username}::text`;

export interface FoundRow {
  readonly user_id: string;
  readonly username: string;
  readonly status: 'active' | 'disabled';
}

export const findUser = (id: string | null, username: string | null): Sql<FoundRow> => sql`
  select user_id, username, status from users
  where user_id = ${id}::uuid or username = ${username}::text`;

/** What the roles of a principal grant, even while he is disabled. */
export const selectHeld = (userId: string): Sql<HeldRow> => sql`
  select p.resource_type, p.resource_pattern, p.permission_value
  from user_roles a join role_permissions rp using (role_id) join permissions p using (permission_id)
  where a.user_id = ${userId}::uuid and (a.expires_at is null or a.expires_at > now())`;

/** Also the strongest level of those roles; guest without any. */
export const selectLevel = (userId: string): Sql<{ role_level: number }> => sql`
  select coalesce(min(r.role_level), 5)::integer as role_level
  from user_roles a join roles r using (role_id)
  where a.user_id = ${userId}::uuid and (a.expires_at is null or a.expires_at > now())`;

export const insertUser = (user: {
  readonly userId: string;
  readonly username: string;
  readonly kind: 'user' | 'agent';
  readonly passwordHash: string | null;
  readonly mustChangePassword: boolean;
  readonly displayName: string;
  readonly email: string | null;
}): Sql => sql`
  with created as (
    insert into users (user_id, username, kind, password_hash, password_changed_at, must_change_password)
    values (${user.userId}::uuid, ${user.username}, ${user.kind}, ${user.passwordHash}::text,
      case when ${user.passwordHash}::text is not null then now() end, ${user.mustChangePassword})
    returning user_id, password_hash
  ), remembered as (
    insert into password_history (user_id, password_hash)
    select user_id, password_hash from created where password_hash is not null
  )
  insert into user_profiles (user_id, display_name, email)
  select user_id, ${user.displayName}, ${user.email}::text from created`;

/** Undefined values stay as they are. */
export const updateProfile = (
  userId: string,
  change: { displayName: string | null; setsEmail: boolean; email: string | null },
): Sql => sql`
  insert into user_profiles as p (user_id, display_name, email)
  values (${userId}::uuid, coalesce(${change.displayName}::text, ''), ${change.email}::text)
  on conflict (user_id) do update set
    display_name = coalesce(${change.displayName}::text, p.display_name),
    email = case when ${change.setsEmail}::boolean then ${change.email}::text else p.email end,
    updated_at = now()`;

export const updateStatus = (userId: string, status: 'active' | 'disabled'): Sql => sql`
  update users set status = ${status}, updated_at = now()
  where user_id = ${userId}::uuid and status <> ${status}`;

export const deleteUser = (userId: string): Sql => sql`
  delete from users where user_id = ${userId}::uuid`;

/** Wrong tries of the name, whether or not it is locked. */
export const deleteAttempts = (username: string): Sql<{ was_locked: boolean }> => sql`
  delete from login_attempts where username = ${username}
  returning coalesce(locked_until > now(), false) as was_locked`;

/** Gives the role, or another end to who has it already. */
export const insertAssignment = (
  userId: string,
  roleId: string,
  expiresAt: Date | null,
  assignedBy: string | null,
): Sql => sql`
  insert into user_roles (user_id, role_id, expires_at, assigned_by)
  values (${userId}::uuid, ${roleId}::uuid, ${expiresAt}::timestamptz, ${assignedBy}::uuid)
  on conflict (user_id, role_id) do update set expires_at = excluded.expires_at,
    assigned_by = excluded.assigned_by, assigned_at = now()`;

export const deleteAssignment = (userId: string, roleId: string): Sql<{ user_id: string }> => sql`
  delete from user_roles where user_id = ${userId}::uuid and role_id = ${roleId}::uuid
  returning user_id`;

/** Principals for the names that have none, each with the role agent. */
export const insertAgents = (
  ids: readonly string[],
  names: readonly string[],
): Sql<{ user_id: string; username: string }> => sql`
  with created as (
    insert into users (user_id, username, kind)
    select n.id, n.name, 'agent' from unnest(${ids}::uuid[], ${names}::text[]) as n (id, name)
    on conflict (username) do nothing
    returning user_id, username
  ), profiles as (
    insert into user_profiles (user_id, display_name) select user_id, username from created
  ), assigned as (
    insert into user_roles (user_id, role_id)
    select c.user_id, r.role_id from created c cross join roles r where r.role_name = 'agent'
  )
  select user_id, username from created`;

/**
 * Whoever changes rights takes turns until the end of the transaction, so that two administrators can
 * not each count on the other one's staying.
 */
export const lockAdministration = (): Sql => sql`
  select pg_advisory_xact_lock(hashtextextended('centuria identity administration', 0))`;

/** Whether somebody who is active may change roles everywhere, and for good. */
export const selectAdministratorLeft = (): Sql<{ is_left: boolean }> => sql`
  select exists (
    select from user_grants g join permission_bits b on b.action = 'roles.write'
    where g.resource_pattern = '*' and g.expires_at is null
      and g.permission_value & ((1::bigint << b.bit) | b.implied_by) <> 0
  ) as is_left`;

export interface PasswordRow {
  readonly user_id: string;
  readonly username: string;
  readonly email: string | null;
  readonly display_name: string;
  readonly password_hash: string | null;
  readonly has_totp: boolean;
  /** The last five, the present one among them, newest first. */
  readonly previous: readonly string[];
}

export const selectPassword = (userId: string): Sql<PasswordRow> => sql`
  select u.user_id, u.username, p.email, coalesce(p.display_name, '') as display_name, u.password_hash,
    u.totp_secret is not null as has_totp,
    array(
      select h.password_hash from password_history h where h.user_id = u.user_id
      order by h.changed_at desc limit 5
    ) as previous
  from users u left join user_profiles p using (user_id) where u.user_id = ${userId}::uuid`;

/**
 * Replaces the password that was seen, remembers the new one, and forgets all but the last five. No
 * row when the password was changed meanwhile.
 */
export const updatePassword = (
  userId: string,
  seen: string | null,
  hash: string,
  mustChange: boolean,
): Sql<{ user_id: string }> => sql`
  with changed as (
    update users set password_hash = ${hash}, password_changed_at = now(),
      must_change_password = ${mustChange}, updated_at = now()
    where user_id = ${userId}::uuid and password_hash is not distinct from ${seen}::text
    returning user_id
  ), remembered as (
    insert into password_history (user_id, changed_at, password_hash)
    select user_id, clock_timestamp(), ${hash} from changed
  ), forgotten as (
    delete from password_history h using changed c
    where h.user_id = c.user_id and h.changed_at < (
      select min(kept.changed_at) from (
        select k.changed_at from password_history k
        where k.user_id = c.user_id order by k.changed_at desc limit 4
      ) kept
    )
  )
  select user_id from changed`;

/** Judges a password that a principal gives again, by the rules and with the memory of a login. */
export const judgeAgain = (
  username: string,
  computedHash: string,
  rules: { maxFailures: number; forgetAfterMs: number; firstLockMs: number; longestLockMs: number },
  origin: { address: string | null; userAgent: string; sessionId: string | null; what: string },
): Sql<{ outcome: 'ok' | 'wrong' | 'locked'; locked_for_ms: number | null }> => sql`
  with judged as materialized (
    select j.* from judge_login(
      ${username}, ${computedHash}, ${rules.maxFailures},
      ${rules.forgetAfterMs} * interval '1 millisecond', ${rules.firstLockMs} * interval '1 millisecond',
      ${rules.longestLockMs} * interval '1 millisecond') j
  ), told as (
    insert into security_events (
      event_type, severity, risk_score, user_id, username, session_id, ip_address, user_agent, details)
    select 'login_failure', 3, 50, u.user_id, ${username}, ${origin.sessionId}::text::uuid,
      ${origin.address}::text::inet, ${origin.userAgent},
      json_build_object('method', ${origin.what}::text, 'outcome', judged.outcome)
    from judged left join users u on u.username = ${username}
    where judged.outcome <> 'ok'
  ), locked as (
    insert into security_events (event_type, severity, risk_score, username, ip_address, user_agent, details)
    select 'account_locked', 3, 50, ${username}, ${origin.address}::text::inet, ${origin.userAgent},
      json_build_object('until', judged.locked)
    from judged where outcome = 'wrong' and judged.locked is not null
  )
  select outcome,
    case when judged.locked > clock_timestamp()
      then (extract(epoch from judged.locked - clock_timestamp()) * 1000)::double precision end as locked_for_ms
  from judged`;

/** Of whoever acts: the hours of the day (UTC) in which the last hundred logins were, 24 counts. */
export const selectHours = (userId: string): Sql<{ hours: readonly number[] }> => sql`
  select array(
    select count(l.hour)::integer
    from generate_series(0, 23) as hours (hour)
    left join (
      select extract(hour from s.created_at at time zone 'UTC') as hour from user_sessions s
      where s.user_id = ${userId}::uuid order by s.created_at desc limit 100
    ) l on l.hour = hours.hour
    group by hours.hour order by hours.hour
  ) as hours`;
