/**
 * Compact JWS (RFC 7515) over `node:crypto`, for tokens of ours: synchronous, and strict where others are
 * lenient, so that what has two spellings elsewhere has one here (decision 15).
 */
import { createHmac, sign, timingSafeEqual, verify, type KeyObject } from 'node:crypto';
import { AppError } from '../base/base.ts';
import { importPublicJwk, type PublicJwk } from './jwk.ts';
import { parseStrictJson } from './strict-json.ts';

export type Algorithm = 'ES256' | 'EdDSA' | 'HS256';

export interface VerifyingKey {
  readonly kid: string;
  readonly algorithm: Algorithm;
  /** Public, or the secret for HS256. */
  readonly key: KeyObject;
  /** Nothing signed with it counts from then on, milliseconds since 1970. */
  readonly untilMs: number;
}

export interface SigningKey extends VerifyingKey {
  /** The secret for HS256. */
  readonly privateKey: KeyObject;
}

export interface SignOptions {
  readonly key: SigningKey;
  /** What kind of token it is, as in `at+jwt`. */
  readonly typ: string;
  readonly payload: object;
}

export interface VerifyOptions {
  /** Compared without case, and with or without `application/` (RFC 7515, 4.1.9). */
  readonly typ: string;
  readonly find: (kid: string) => VerifyingKey | undefined;
  readonly nowMs: number;
}

export interface Verified {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Record<string, unknown>;
  readonly key: VerifyingKey;
}

/** Above every token of ours with the deepest delegation, below what a header line may be. */
const mostBytes = 8_192;
/** RFC 7518, 3.2: no shorter than the hash. */
const leastSecretBytes = 32;
const kidForm = /^[A-Za-z0-9._:@-]{1,128}$/;
const compactForm = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;
const algorithms: readonly string[] = ['ES256', 'EdDSA', 'HS256'] satisfies Algorithm[];
/** The order of P-256 (SP 800-186, 3.2.1.3), big-endian. */
const p256Order = Buffer.from(
  'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551',
  'hex',
);

/** Signs a payload. Throws `too_large` where the token would be one that is refused for its size. */
export function signCompact({ key, typ, payload }: SignOptions): string {
  const header = { alg: key.algorithm, typ, kid: key.kid };
  const input = `${encode(header)}.${encode(payload)}`;
  const token = `${input}.${signature(key, Buffer.from(input)).toString('base64url')}`;
  if (token.length > mostBytes) {
    throw new AppError('too_large', `the token would have ${token.length} bytes`, {
      details: { limit: mostBytes },
      remedy: 'Delegate over fewer steps, or grant fewer scopes.',
    });
  }
  return token;
}

/**
 * The header and payload of a token whose signature is right. Throws `token_invalid` for its form,
 * `signature_invalid` for its signature. No message holds anything of the token; where the key is
 * the reason `details.reason` is `key_unknown` or `key_ended`.
 */
export function verifyCompact(token: string, options: VerifyOptions): Verified {
  const { header, payload, key } = verifyBytes(token, options);
  return { header, key, payload: objectOf(payload, 'the payload') };
}

/** As `verifyCompact`, for a payload of any bytes; a `typ` of undefined is not looked at. */
export function verifyBytes(
  token: string,
  options: Omit<VerifyOptions, 'typ'> & { readonly typ: string | undefined },
): { header: Readonly<Record<string, unknown>>; payload: Buffer; key: VerifyingKey } {
  const parts = split(token);
  const header = readHeader(parts.header, 'kid', options.typ);
  const { kid } = header;
  if (typeof kid !== 'string' || !kidForm.test(kid)) {
    throw new AppError('token_invalid', 'kid must be 1 to 128 letters, digits and . _ : @ -');
  }
  const key = options.find(kid);
  if (key === undefined) throw keyRefused('the key that the token names is not known', 'unknown');
  if (header['alg'] !== key.algorithm) {
    throw new AppError('token_invalid', 'alg is not the algorithm of the key');
  }
  if (!isSignature(key.algorithm, key.key, parts.input, parts.signature)) throw wrongSignature();
  if (options.nowMs >= key.untilMs) {
    throw keyRefused('the key that signed the token counts no longer', 'ended');
  }
  return { header, payload: parts.payload, key };
}

/** Whether looking for the key again may help: another process may have made it just now. */
export function isUnknownKey(error: unknown): boolean {
  return error instanceof AppError && error.details['reason'] === 'key_unknown';
}

/**
 * A token that brings its own public key in `jwk`: it proves possession of that key and nothing
 * else. Never HS256. Throws as `verifyCompact` does.
 */
export function verifySelfSigned(
  token: string,
  typ: string,
): { payload: Record<string, unknown>; jwk: PublicJwk } {
  const parts = split(token);
  const header = readHeader(parts.header, 'jwk', typ);
  const { jwk, algorithm, key } = importGiven(header['jwk']);
  if (header['alg'] !== algorithm) {
    throw new AppError('token_invalid', 'alg is not the algorithm of the key');
  }
  if (!isSignature(algorithm, key, parts.input, parts.signature)) throw wrongSignature();
  return { payload: objectOf(parts.payload, 'the payload'), jwk };
}

/** Whether a signature in the form of JWS (RFC 7518, 3.2 and 3.4; RFC 8037, 3.1) is the key's. Never throws. */
export function isSignature(
  algorithm: Algorithm,
  key: KeyObject,
  input: Uint8Array,
  given: Uint8Array,
): boolean {
  if (algorithm === 'HS256') {
    if (key.type !== 'secret' || (key.symmetricKeySize ?? 0) < leastSecretBytes) return false;
    const right = createHmac('sha256', key).update(input).digest();
    return given.length === right.length && timingSafeEqual(given, right);
  }
  // DER and cut signatures. The engine refuses them too; this does not hang on its doing so.
  if (key.type !== 'public' || given.length !== 64) return false;
  if (algorithm === 'EdDSA') {
    return key.asymmetricKeyType === 'ed25519' && verify(null, input, key, given);
  }
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return false;
  if (!isScalar(given.subarray(0, 32)) || !isScalar(given.subarray(32))) return false;
  return verify('sha256', input, { key, dsaEncoding: 'ieee-p1363' }, given);
}

function signature(key: SigningKey, input: Buffer): Buffer {
  const { algorithm, privateKey } = key;
  if (algorithm === 'EdDSA') return sign(null, input, privateKey);
  if (algorithm === 'ES256') {
    return sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  }
  if ((privateKey.symmetricKeySize ?? 0) < leastSecretBytes) {
    throw new AppError('internal', `an HS256 key has fewer than ${leastSecretBytes} bytes`);
  }
  return createHmac('sha256', privateKey).update(input).digest();
}

/** In [1, n − 1]. */
function isScalar(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, p256Order) < 0 && bytes.some((byte) => byte !== 0);
}

function split(token: string): Record<'header' | 'payload' | 'signature' | 'input', Buffer> {
  // Characters bound the bytes from below, so that nothing large is looked at.
  if (token.length > mostBytes) {
    throw new AppError('token_invalid', `the token is longer than ${mostBytes} bytes`);
  }
  const [, header, payload, mac] = compactForm.exec(token) ?? [];
  if (header === undefined || payload === undefined || mac === undefined) {
    throw new AppError('token_invalid', 'a token is three parts of base64url with dots between');
  }
  return {
    header: decode(header),
    payload: decode(payload),
    signature: decode(mac),
    input: Buffer.from(token.slice(0, header.length + 1 + payload.length), 'latin1'),
  };
}

/** One spelling for one sequence of bytes: the bits that the last character leaves unused are zero. */
function decode(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url');
  if (bytes.toString('base64url') === part) return bytes;
  throw new AppError('token_invalid', 'a part of the token is not in canonical base64url');
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** The header, which has `alg`, `typ` and the member that names the key, and no other. */
function readHeader(
  bytes: Buffer,
  keyMember: 'kid' | 'jwk',
  typ: string | undefined,
): Record<string, unknown> {
  const header = objectOf(bytes, 'the header');
  for (const name of Object.keys(header)) {
    // What is not understood could change what the rest means (`crit`, `b64`) or bring a key (`x5u`).
    if (name !== 'alg' && name !== 'typ' && name !== keyMember) {
      throw new AppError('token_invalid', 'the header has a member that is not taken');
    }
  }
  if (typeof header['alg'] !== 'string' || !algorithms.includes(header['alg'])) {
    throw new AppError('token_invalid', `alg must be one of ${algorithms.join(', ')}`);
  }
  if (typ !== undefined && mediaType(header['typ']) !== mediaType(typ)) {
    throw new AppError('token_invalid', `typ must be ${typ}`);
  }
  return header;
}

function mediaType(typ: unknown): string | undefined {
  // Only ASCII letters have two cases here: the Kelvin sign is not a k.
  if (typeof typ !== 'string' || !/^[\x21-\x7e]+$/.test(typ)) return undefined;
  const lower = typ.toLowerCase();
  return lower.includes('/') ? lower : `application/${lower}`;
}

function objectOf(bytes: Buffer, what: string): Record<string, unknown> {
  const value = parseStrictJson(bytes, what);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new AppError('token_invalid', `${what} is not a JSON object`);
}

function importGiven(jwk: unknown): ReturnType<typeof importPublicJwk> {
  try {
    return importPublicJwk(jwk);
  } catch (cause) {
    const why = cause instanceof AppError ? cause.message : 'it can not be read';
    throw new AppError('token_invalid', `the key in the header is refused: ${why}`, { cause });
  }
}

function wrongSignature(): AppError {
  return new AppError('signature_invalid', 'the signature is not that of the key');
}

function keyRefused(message: string, reason: 'unknown' | 'ended'): AppError {
  return new AppError('token_invalid', message, { details: { reason: `key_${reason}` } });
}
