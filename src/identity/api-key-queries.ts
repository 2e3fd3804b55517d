import { sql, type Sql } from '../database/database.ts';

export interface ApiKeyRow {
  readonly key_id: string;
  readonly username: string;
  readonly name: string;
  readonly key_prefix: string;
  readonly scopes: readonly string[] | null;
  readonly networks: readonly string[] | null;
  readonly rate_limit_per_minute: number;
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly last_used_at: Date | null;
  readonly revoked_at: Date | null;
}

/** A key's row; none when the prefix is taken already. */
export const insertApiKey = (key: {
  readonly keyId: string;
  readonly userId: string;
  readonly name: string;
  readonly prefix: string;
  readonly hash: Uint8Array;
  readonly scopes: readonly string[] | null;
  readonly networks: readonly string[] | null;
  readonly rateLimitPerMinute: number;
  readonly expiresAt: Date | null;
}): Sql<{ created_at: Date; networks: readonly string[] | null }> => sql`
  insert into api_keys (
    key_id, user_id, name, key_prefix, key_hash, scopes, allowed_ips, rate_limit_per_minute, expires_at)
  values (
    ${key.keyId}::uuid, ${key.userId}::uuid, ${key.name}, ${key.prefix}, ${key.hash}::bytea,
    ${key.scopes}::text[], ${key.networks}::text[]::inet[], ${key.rateLimitPerMinute},
    ${key.expiresAt}::timestamptz)
  on conflict (key_prefix) do nothing
  returning created_at, allowed_ips::text[] as networks`;

/** Of one principal or of all, newest first; `after` is the last one of the page before. */
export const selectApiKeys = (
  userId: string | null,
  after: string | null,
  most: number,
): Sql<ApiKeyRow> => sql`
  select k.key_id, u.username, k.name, k.key_prefix, k.scopes, k.allowed_ips::text[] as networks,
    k.rate_limit_per_minute, k.created_at, k.expires_at, k.last_used_at, k.revoked_at
  from api_keys k join users u using (user_id)
  where (${userId}::uuid is null or k.user_id = ${userId}::uuid)
    and (${after}::uuid is null or k.key_id < ${after}::uuid)
  order by k.key_id desc limit ${most}`;

/** By one of the two. A key that is revoked already comes back as it is. */
export const revokeApiKey = (
  id: string | null,
  prefix: string | null,
): Sql<{
  key_id: string;
  user_id: string;
  name: string;
  key_prefix: string;
  is_new: boolean;
}> => sql`
  with found as (
    select key_id, user_id, name, key_prefix, revoked_at is null as is_new from api_keys
    where key_id = ${id}::uuid or key_prefix = ${prefix}::text
    for update
  ), revoked as (
    update api_keys k set revoked_at = now() from found f where k.key_id = f.key_id and f.is_new
  )
  select * from found`;

/** The sessions that tokens of the key stand on. */
export const endSessionsOfKey = (prefix: string): Sql<{ session_id: string }> => sql`
  update user_sessions set is_active = false, ended_at = now(), end_reason = 'its API key was revoked'
  where is_active and expires_at > now() and login_method = 'api_key:' || ${prefix}::text
    and user_id = (select user_id from api_keys where key_prefix = ${prefix})
  returning session_id`;

export const countApiKeys = (userId: string): Sql<{ total: number }> => sql`
  select count(*)::integer as total from api_keys
  where user_id = ${userId}::uuid and revoked_at is null and (expires_at is null or expires_at > now())`;
