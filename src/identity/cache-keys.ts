import { Type, type StaticDecode, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { bucketId } from './limit-window.ts';

export type CacheKind =
  | 'session'
  | 'user_sessions'
  | 'blacklist'
  | 'token_valid'
  | 'user_perms'
  | 'role_perms';

/** Was there, and was not what `encode` writes. */
export const invalid = Symbol('invalid');

/** Names one cached value and knows how it is written and checked. */
export interface CacheKey<T> {
  readonly kind: CacheKind;
  /** As in Redis: `user_perms:{uid}`. */
  readonly text: string;
  /** Longest life, milliseconds; undefined: whoever sets it says when it ends. */
  readonly ttlMs: number | undefined;
  encode(value: T): string;
  /** Undefined for whatever is not exactly what `encode` writes for this key. */
  decode(text: string): T | undefined;
}

export interface ExpiringKey<T> extends CacheKey<T> {
  readonly ttlMs: undefined;
}

export interface FixedKey<T> extends CacheKey<T> {
  readonly ttlMs: number;
}

/** A 64-bit mask: a bigint here, a decimal string in JSON, where numbers end at 2^53. */
const mask = Type.Codec(Type.String({ pattern: '^(?:0|-?[1-9][0-9]{0,18})$' }))
  .Decode((text) => {
    const value = BigInt(text);
    if (BigInt.asIntN(64, value) !== value) throw new RangeError('more than 64 bits');
    return value;
  })
  .Encode(String);

const text = Type.String({ minLength: 1, maxLength: 128 });
const time = Type.Integer({ minimum: 0 });
const closed = { additionalProperties: false };

const sessionSchema = Type.Object(
  {
    sessionId: text,
    userId: text,
    tokenId: text,
    roles: Type.Array(text, { maxItems: 256 }),
    permissions: mask,
    expiresAtMs: time,
  },
  closed,
);
const validTokenSchema = Type.Object(
  { userId: text, sessionId: Type.Union([text, Type.Null()]), tokenId: text, expiresAtMs: time },
  closed,
);
const userPermissionsSchema = Type.Object(
  {
    permissions: mask,
    roles: Type.Array(text, { maxItems: 256 }),
    /** Masks that hold for some resources only. */
    grants: Type.Array(
      Type.Object({ resource: Type.String({ maxLength: 512 }), permissions: mask }, closed),
      { maxItems: 1_024 },
    ),
  },
  closed,
);
const rolePermissionsSchema = Type.Object({ permissions: mask }, closed);

export type CachedSession = StaticDecode<typeof sessionSchema>;
export type CachedToken = StaticDecode<typeof validTokenSchema>;
export type CachedUserPermissions = StaticDecode<typeof userPermissionsSchema>;
export type CachedRolePermissions = StaticDecode<typeof rolePermissionsSchema>;

/** Every key of the cache. Those without a life of their own end with what they stand for. */
export const cacheKeys = {
  session: (sessionId: string): ExpiringKey<CachedSession> =>
    keyOf('session', sessionId, undefined, sessionSchema),
  /** The ids of a user's sessions; ends with the last of them. */
  userSessions: (userId: string): ExpiringKey<string[]> =>
    keyOf('user_sessions', userId, undefined, Type.Array(text, { maxItems: 1_000 })),
  /** A revoked token, until it would have expired. Says yes or nothing, never no. */
  blacklist: (tokenId: string): ExpiringKey<true> =>
    keyOf('blacklist', tokenId, undefined, Type.Literal(true)),
  /** By the hash of a verified token. */
  tokenValid: (hash: string): FixedKey<CachedToken> =>
    keyOf('token_valid', hash, 300_000, validTokenSchema),
  userPermissions: (userId: string): FixedKey<CachedUserPermissions> =>
    keyOf('user_perms', userId, 900_000, userPermissionsSchema),
  rolePermissions: (roleName: string): FixedKey<CachedRolePermissions> =>
    keyOf('role_perms', roleName, 3_600_000, rolePermissionsSchema),
} as const;

/** Larger than any value of ours; more is not parsed at all. */
const mostCharacters = 256 * 1024;
/** Rises when a value changes its form, so that an older process's values count as missing. */
const format = 1;

function keyOf<Schema extends TSchema, Ttl extends number | undefined>(
  kind: CacheKind,
  id: string,
  ttlMs: Ttl,
  schema: Schema,
): CacheKey<StaticDecode<Schema>> & { readonly ttlMs: Ttl } {
  const name = `${kind}:${bucketId(id)}`;
  return {
    kind,
    text: name,
    ttlMs,
    // With its key beside it, a value that was copied to another key does not count there.
    encode: (value) => JSON.stringify([format, name, Value.Encode(schema, value)]),
    decode(written) {
      if (written.length > mostCharacters) return undefined;
      try {
        const content: unknown = JSON.parse(written);
        if (!Array.isArray(content) || content.length !== 3) return undefined;
        if (content[0] !== format || content[1] !== name) return undefined;
        // Checked before it is decoded: decoding would repair what it can.
        if (!Value.Check(schema, content[2])) return undefined;
        return Value.Decode(schema, content[2]);
      } catch {
        return undefined;
      }
    },
  };
}
