import { sql, type Sql } from '../database/database.ts';

export interface ApiKeyRow {
  readonly key_prefix: string;
  readonly key_hash: Uint8Array;
  readonly user_id: string;
  readonly scopes: readonly string[] | null;
  /** As CIDR. */
  readonly allowed_ips: readonly string[] | null;
  readonly rate_limit_per_minute: number;
  readonly left_ms: number | null;
}

/** A key that counts now. */
export const selectApiKeyByPrefix = (prefix: string): Sql<ApiKeyRow> => sql`
  select key_prefix, key_hash, user_id, scopes, allowed_ips, rate_limit_per_minute,
    (extract(epoch from expires_at - now()) * 1000)::double precision as left_ms
  from api_keys
  where key_prefix = ${prefix} and revoked_at is null and (expires_at is null or expires_at > now())`;

export const touchApiKeys = (prefixes: readonly string[]): Sql => sql`
  update api_keys set last_used_at = now()
  where key_prefix = any(${prefixes}::text[]) and coalesce(last_used_at, '-infinity') < now() - interval '30 seconds'`;

/** Makes the principal of the data folder with the role admin; one that exists is left as it is. */
export const insertOwner = (username: string): Sql<{ user_id: string }> => sql`
  with made as (
    insert into users (username) values (${username}) on conflict (username) do nothing returning user_id
  ), granted as (
    insert into user_roles (user_id, role_id)
    select made.user_id, r.role_id from made, roles r where r.role_name = 'admin'
  )
  select user_id from made union all select user_id from users where username = ${username} limit 1`;

/**
 * Counts a try before it is judged, so that parallel guesses can't outrun the lock; `forgetTries`
 * takes it back when it was right.
 */
export const countTry = (
  username: string,
  rules: { maxFailures: number; forgetAfterMs: number; firstLockMs: number; longestLockMs: number },
): Sql<{ outcome: string; locked_for_ms: number | null }> => sql`
  select outcome,
    case when locked > clock_timestamp()
      then (extract(epoch from locked - clock_timestamp()) * 1000)::double precision end as locked_for_ms
  from judge_login(${username}, '', ${rules.maxFailures}, ${rules.forgetAfterMs} * interval '1 millisecond',
    ${rules.firstLockMs} * interval '1 millisecond', ${rules.longestLockMs} * interval '1 millisecond')`;

export const forgetTries = (username: string): Sql => sql`
  delete from login_attempts where username = ${username}`;

export const updatePasswordHash = (userId: string, before: string, after: string): Sql => sql`
  update users set password_hash = ${after} where user_id = ${userId}::uuid and password_hash = ${before}`;

export interface PasskeyRow {
  readonly credential_id: string;
  readonly user_id: string;
  readonly username: string;
  readonly public_key: Uint8Array;
  readonly counter: bigint;
  readonly transports: readonly string[];
  readonly backed_up: boolean;
  readonly name: string;
}

export const selectPasskey = (credentialId: string): Sql<PasskeyRow> => sql`
  select p.credential_id, p.user_id, u.username, p.public_key, p.counter, p.transports, p.backed_up, p.name
  from passkeys p join users u using (user_id)
  where p.credential_id = ${credentialId} and u.status = 'active'`;

export const usePasskey = (credentialId: string, counter: number): Sql => sql`
  update passkeys set counter = ${counter}, last_used_at = now() where credential_id = ${credentialId}`;
