import { sql, type Sql } from '../database/database.ts';

export interface FactorsRow {
  readonly user_id: string;
  readonly username: string;
  readonly display_name: string;
  readonly password_hash: string | null;
  readonly password_changed_at: Date | null;
  readonly totp_secret: Uint8Array | null;
  readonly totp_pending: Uint8Array | null;
  readonly totp_last_step: bigint | null;
  /** Until the end of a lock; null when the name is not locked. */
  readonly locked_for_ms: number | null;
}

export const selectFactors = (userId: string): Sql<FactorsRow> => sql`
  select u.user_id, u.username, coalesce(p.display_name, '') as display_name, u.password_hash,
    u.password_changed_at,
    u.totp_secret, u.totp_pending, u.totp_last_step,
    case when a.locked_until > clock_timestamp()
      then (extract(epoch from a.locked_until - clock_timestamp()) * 1000)::double precision end as locked_for_ms
  from users u left join user_profiles p using (user_id)
  left join login_attempts a on a.username = u.username
  where u.user_id = ${userId}::uuid`;

/** A secret that waits for its first code; none where an authenticator is in use already. */
export const setPendingTotp = (userId: string, sealed: Uint8Array): Sql<{ user_id: string }> => sql`
  update users set totp_pending = ${sealed}::bytea, updated_at = now()
  where user_id = ${userId}::uuid and totp_secret is null
  returning user_id`;

/** The pending secret that was seen takes effect, with the step of the code that proved it. */
export const confirmPendingTotp = (
  userId: string,
  seen: Uint8Array,
  step: number,
  recoveryHashes: readonly Uint8Array[],
): Sql<{ user_id: string }> => sql`
  with confirmed as (
    update users set totp_secret = totp_pending, totp_pending = null,
      totp_last_step = ${step}::bigint, updated_at = now()
    where user_id = ${userId}::uuid and totp_pending = ${seen}::bytea
    returning user_id
  ), codes as (
    insert into recovery_codes (user_id, code_hash)
    select user_id, h.hash from confirmed cross join unnest(${recoveryHashes}::bytea[]) as h (hash)
  )
  select user_id from confirmed`;

export const deleteRecoveryCodes = (userId: string): Sql => sql`
  delete from recovery_codes where user_id = ${userId}::uuid`;

/** The step of a code that was right counts as used; no row when it was used meanwhile. */
export const useTotpStep = (userId: string, step: number): Sql<{ user_id: string }> => sql`
  update users set totp_last_step = ${step}::bigint
  where user_id = ${userId}::uuid and coalesce(totp_last_step, -1) < ${step}::bigint
  returning user_id`;

export const useRecoveryCode = (userId: string, hash: Uint8Array): Sql<{ user_id: string }> => sql`
  delete from recovery_codes where user_id = ${userId}::uuid and code_hash = ${hash}::bytea
  returning user_id`;

/** With one factor less the password must be a longer one: the next login asks for it. */
export const clearTotp = (userId: string): Sql<{ was_on: boolean }> => sql`
  with former as (
    select user_id, totp_secret is not null as was_on from users
    where user_id = ${userId}::uuid and (totp_secret is not null or totp_pending is not null)
    for update
  ), cleared as (
    update users u set totp_secret = null, totp_pending = null, totp_last_step = null,
      must_change_password = u.must_change_password or (f.was_on and u.password_hash is not null),
      updated_at = now()
    from former f where u.user_id = f.user_id
  )
  select was_on from former`;

export interface PasskeyRow {
  readonly credential_id: string;
  readonly public_key: Uint8Array;
  readonly counter: bigint;
  readonly transports: readonly string[];
  readonly backed_up: boolean;
  readonly name: string;
  readonly created_at: Date;
  readonly last_used_at: Date | null;
}

export const selectPasskeys = (userId: string): Sql<PasskeyRow> => sql`
  select credential_id, public_key, counter, transports, backed_up, name, created_at, last_used_at
  from passkeys where user_id = ${userId}::uuid order by created_at, credential_id limit 100`;

/** No row when the credential is known already, whoever has it. */
export const insertPasskey = (
  userId: string,
  passkey: {
    readonly id: string;
    readonly publicKey: Uint8Array;
    readonly counter: number;
    readonly transports: readonly string[];
    readonly backedUp: boolean;
    readonly name: string;
  },
): Sql<{ created_at: Date }> => sql`
  insert into passkeys (credential_id, user_id, public_key, counter, transports, backed_up, name)
  values (${passkey.id}, ${userId}::uuid, ${passkey.publicKey}::bytea, ${passkey.counter}::bigint,
    ${passkey.transports}::text[], ${passkey.backedUp}, ${passkey.name})
  on conflict (credential_id) do nothing
  returning created_at`;

export const deletePasskey = (userId: string, credentialId: string): Sql<{ name: string }> => sql`
  delete from passkeys where user_id = ${userId}::uuid and credential_id = ${credentialId}
  returning name`;
