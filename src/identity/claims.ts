/** What an access token of ours says (RFC 9068, RFC 8693, RFC 9449), and nothing else. */
import { AppError } from '../base/base.ts';

/** `typ` of an access token (RFC 9068, section 2.1). */
export const accessTokenType = 'at+jwt';

/** Times are whole seconds since 1970. */
export interface AccessClaims {
  readonly iss: string;
  /** The principal. */
  readonly sub: string;
  readonly aud: string;
  readonly exp: number;
  readonly nbf: number;
  readonly iat: number;
  /** 1 to 63 characters: the C face holds it in 64 bytes. */
  readonly jti: string;
  readonly sid: string;
  /** 1 admin, 2 system, 3 agent, 4 monitor, 5 guest. */
  readonly role: number;
  /** 64 bits; a decimal text in JSON, since a JSON number loses what is above 2⁵³. */
  readonly permissions: bigint;
  readonly scope?: string;
  /** The thumbprint of the key that the token is bound to (RFC 9449, 6.1). */
  readonly cnf?: { readonly jkt: string };
  /** Who acts for the principal (RFC 8693, 4.1); the last actor stands outermost. */
  readonly act?: Actor;
  readonly client_id?: string;
}

export interface Actor {
  readonly sub: string;
  readonly act?: Actor;
}

export interface ReadOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly nowMs: number;
  /** How far the clocks of issuer and reader may be apart. */
  readonly leewaySeconds: number;
  /** How many actors may stand inside each other. */
  readonly maxDepth: number;
}

const longestLifeSeconds = 24 * 3_600;
/** The end of the year 9999: later times have no timestamp in RFC 3339. */
const lastSecond = 253_402_300_799;
const mostBits = 2n ** 64n - 1n;
/** No token of 8,192 bytes holds more; a limit so that reading ends. */
const mostActors = 100;

const required = 'iss sub aud exp nbf iat jti sid role permissions'.split(' ');
const known: ReadonlySet<string> = new Set([...required, 'scope', 'cnf', 'act', 'client_id']);

type Payload = Readonly<Record<string, unknown>>;

/**
 * The claims of a verified payload. Throws `token_expired` when its time is over, and `token_invalid`
 * naming the claim where one lacks, is not known, has another type or range, or is for another issuer
 * or audience, too early, or delegated over too many actors.
 */
export function readClaims(payload: Payload, options: ReadOptions): AccessClaims {
  const claims = shapeOf(payload, options.maxDepth);
  if (claims.iss !== options.issuer) throw wrong('iss', 'is another issuer');
  if (claims.aud !== options.audience) throw wrong('aud', 'is another audience');
  const nowSeconds = options.nowMs / 1_000;
  if (claims.iat > nowSeconds + options.leewaySeconds) throw wrong('iat', 'lies in the future');
  if (claims.nbf > nowSeconds + options.leewaySeconds) throw wrong('nbf', 'lies in the future');
  if (nowSeconds >= claims.exp + options.leewaySeconds) {
    throw new AppError('token_expired', 'the token is over', { details: { claim: 'exp' } });
  }
  return claims;
}

/** The payload of claims. Throws `internal` for claims that `readClaims` would refuse whenever it reads them. */
export function writeClaims(claims: AccessClaims): Record<string, unknown> {
  const payload = { ...claims, permissions: claims.permissions.toString() };
  try {
    shapeOf(payload, mostActors);
  } catch (cause) {
    const why = cause instanceof AppError ? cause.message : 'unreadable';
    throw new AppError('internal', `a token would be issued that is refused: ${why}`, { cause });
  }
  return payload;
}

function shapeOf(payload: Payload, maxDepth: number): AccessClaims {
  for (const name of Object.keys(payload)) {
    if (!known.has(name)) {
      throw new AppError('token_invalid', 'the token has a claim that is not known');
    }
  }
  for (const name of required) if (!Object.hasOwn(payload, name)) throw wrong(name, 'is missing');
  const claims: AccessClaims = {
    iss: text(payload, 'iss', 512),
    sub: text(payload, 'sub', 256),
    aud: text(payload, 'aud', 512),
    exp: seconds(payload, 'exp'),
    nbf: seconds(payload, 'nbf'),
    iat: seconds(payload, 'iat'),
    jti: matching(payload, 'jti', /^[\x21-\x7e]{1,63}$/, '1 to 63 visible ASCII characters'),
    sid: matching(payload, 'sid', /^[\x21-\x7e]{1,128}$/, '1 to 128 visible ASCII characters'),
    role: roleOf(payload['role']),
    permissions: bitsOf(payload['permissions']),
    ...optional(payload, 'scope', () => text(payload, 'scope', 2_048)),
    ...optional(payload, 'cnf', () => confirmationOf(payload['cnf'])),
    ...optional(payload, 'act', () => actorOf(payload['act'], maxDepth)),
    ...optional(payload, 'client_id', () => text(payload, 'client_id', 256)),
  };
  if (claims.exp <= claims.iat) throw wrong('exp', 'must be later than iat');
  if (claims.exp <= claims.nbf) throw wrong('exp', 'must be later than nbf');
  if (claims.exp - claims.iat > longestLifeSeconds) {
    throw wrong('exp', `must be at most ${longestLifeSeconds} seconds after iat`);
  }
  return claims;
}

function optional<Name extends string, Value>(
  payload: Payload,
  name: Name,
  read: () => Value,
): { [name in Name]?: Value } {
  return (Object.hasOwn(payload, name) ? { [name]: read() } : {}) as { [name in Name]?: Value };
}

/** Half a surrogate pair and NUL are characters that PostgreSQL can not hold. */
function text(payload: Payload, name: string, most: number): string {
  const value = payload[name];
  if (
    typeof value !== 'string' ||
    value.length < 1 ||
    value.length > most ||
    value.includes('\0') ||
    !value.isWellFormed()
  ) {
    throw wrong(name, `must be a text of 1 to ${most} characters`);
  }
  return value;
}

function matching(payload: Payload, name: string, form: RegExp, right: string): string {
  const value = payload[name];
  if (typeof value === 'string' && form.test(value)) return value;
  throw wrong(name, `must be ${right}`);
}

function seconds(payload: Payload, name: string): number {
  const value = payload[name];
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= lastSecond) {
    // JSON has a negative zero, which is no other time than zero.
    return value + 0;
  }
  throw wrong(name, 'must be whole seconds since 1970, as a number');
}

function roleOf(value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 5) {
    return value;
  }
  throw wrong('role', 'must be a number from 1 to 5');
}

function bitsOf(value: unknown): bigint {
  if (typeof value === 'string' && /^(0|[1-9]\d{0,19})$/.test(value)) {
    const bits = BigInt(value);
    if (bits <= mostBits) return bits;
  }
  throw wrong('permissions', 'must be a decimal text from 0 to 2^64 - 1');
}

function confirmationOf(value: unknown): { jkt: string } {
  const members = membersOf(value, 'cnf', ['jkt']);
  return { jkt: matching(members, 'jkt', /^[A-Za-z0-9_-]{43}$/, 'a SHA-256 in base64url') };
}

function actorOf(value: unknown, depth: number): Actor {
  if (depth < 1) throw wrong('act', 'is delegated over more actors than are allowed');
  const members = membersOf(value, 'act', ['sub', 'act']);
  const sub = text(members, 'sub', 256);
  return { sub, ...optional(members, 'act', () => actorOf(members['act'], depth - 1)) };
}

function membersOf(value: unknown, claim: string, names: readonly string[]): Payload {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrong(claim, 'must be an object');
  }
  if (Object.keys(value).every((name) => names.includes(name))) return value as Payload;
  throw wrong(claim, `must have no members but ${names.join(' and ')}`);
}

function wrong(claim: string, what: string): AppError {
  return new AppError('token_invalid', `${claim} ${what}`, { details: { claim } });
}
