import { json, sql, type Sql } from '../database/database.ts';
import type { PublicJwk } from './jwk.ts';
import type { Algorithm } from './jws.ts';

export interface SigningKeyRow {
  readonly kid: string;
  readonly algorithm: Algorithm;
  readonly public_jwk: PublicJwk | null;
  readonly sealed_private: Uint8Array;
  readonly signs_from: Date;
  readonly signs_until: Date;
  readonly verifies_until: Date;
  /** The database's clock when it read the row. */
  readonly now: Date;
}

export interface NewSigningKey {
  readonly kid: string;
  readonly algorithm: Algorithm;
  readonly publicJwk: PublicJwk | undefined;
  readonly sealedPrivate: Uint8Array;
}

/** How long a key signs, and for how long after that it verifies, milliseconds. */
export interface KeyLife {
  readonly rotateEveryMs: number;
  readonly overlapMs: number;
}

/** Held to the end of the transaction, so that of many rotations at once one happens. */
export const lockSigningKeys = (): Sql =>
  sql`select pg_advisory_xact_lock(hashtext('centuria.signing_keys'))::text`;

/**
 * Keys that verify, and the clock. The transaction may have waited for the lock since `now()`, so
 * these statements take the time at which they themselves began.
 */
export const selectSigningKeys = (): Sql<SigningKeyRow> => sql<SigningKeyRow>`
  select kid, algorithm, public_jwk, sealed_private, signs_from, signs_until, verifies_until,
    statement_timestamp() as now
  from signing_keys
  where verifies_until > statement_timestamp()
  order by signs_from`;

/** Adds a key that signs from when the last one ends, or from now on where that is over. */
export const insertSigningKey = (key: NewSigningKey, life: KeyLife): Sql => sql`
  insert into signing_keys
    (kid, algorithm, public_jwk, sealed_private, signs_from, signs_until, verifies_until)
  select ${key.kid}, ${key.algorithm},
    ${key.publicJwk === undefined ? null : json(key.publicJwk)}::json, ${key.sealedPrivate}::bytea,
    start.at, start.at + life.signs, start.at + life.signs + life.verifies
  from (
    select greatest(statement_timestamp(), (select max(signs_until) from signing_keys)) as at
  ) start, (
    select ${life.rotateEveryMs}::float8 * interval '1 millisecond' as signs,
      ${life.overlapMs}::float8 * interval '1 millisecond' as verifies
  ) life`;

/** The key that signs stops, and the one that would follow it begins, at one moment. */
export const advanceSigningKeys = (life: KeyLife): Sql => sql`
  update signing_keys k set
    signs_from = least(k.signs_from, statement_timestamp()),
    signs_until = ends.at,
    verifies_until = ends.at + ${life.overlapMs}::float8 * interval '1 millisecond'
  from (
    select s.kid, case when s.signs_from <= statement_timestamp() then statement_timestamp()
      else statement_timestamp() + ${life.rotateEveryMs}::float8 * interval '1 millisecond' end as at
    from signing_keys s where s.signs_until > statement_timestamp()
  ) ends
  where k.kid = ends.kid`;

/** Deleted keys count no longer, whatever their times said. */
export const deleteAllSigningKeys = (): Sql => sql`delete from signing_keys`;

export const deleteEndedSigningKeys = (): Sql =>
  sql`delete from signing_keys where verifies_until <= statement_timestamp()`;
