/** Public keys as JSON (RFC 7517, RFC 8037): P-256 and Ed25519, nothing else. */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { AppError } from '../base/base.ts';

/** The members that make the key, and no other. */
export type PublicJwk =
  | { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string }
  | { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string };

export interface ImportedKey {
  readonly jwk: PublicJwk;
  readonly algorithm: 'ES256' | 'EdDSA';
  readonly key: KeyObject;
}

/** What a key may say about itself beside its coordinates; each is checked, none is needed. */
const remarks = new Set(['kid', 'alg', 'use', 'key_ops', 'ext']);

/**
 * Reads a public key strictly. Throws `invalid_input` for another kind of key, private or unknown
 * members, coordinates that are not 32 bytes in canonical base64url, a point that is not on the curve
 * or of small order, and a key that says that it is for something else than verifying.
 */
export function importPublicJwk(value: unknown): ImportedKey {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw refused('a key is a JSON object');
  }
  const given = value as Readonly<Record<string, unknown>>;
  const jwk = coordinatesOf(given);
  const algorithm = jwk.kty === 'EC' ? 'ES256' : 'EdDSA';
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(jwk, name) && !remarks.has(name)) {
      throw refused('the key has a member that a public key does not have');
    }
  }
  checkRemarks(given, algorithm);
  // Node does not look whether the bytes are a point before it verifies with them.
  if (jwk.kty === 'OKP') assertEdwardsPoint(jwk.x);
  try {
    return { jwk, algorithm, key: createPublicKey({ key: { ...jwk }, format: 'jwk' }) };
  } catch {
    throw refused('the coordinates are not a point of the curve');
  }
}

/** The members that make a public key that Node holds. */
export function publicJwkOf(key: KeyObject): PublicJwk {
  const { kty, crv, x, y } = key.export({ format: 'jwk' });
  if (kty === 'EC' && crv === 'P-256' && x !== undefined && y !== undefined) {
    return { kty, crv, x, y };
  }
  if (kty === 'OKP' && crv === 'Ed25519' && x !== undefined) return { kty, crv, x };
  throw new AppError('internal', 'a signing key is neither of P-256 nor of Ed25519');
}

/** A key as others find it in our key set. */
export function exportPublicJwk(jwk: PublicJwk, kid: string): PublicJwk & PublishedRemarks {
  return { ...jwk, kid, alg: jwk.kty === 'EC' ? 'ES256' : 'EdDSA', use: 'sig' };
}

interface PublishedRemarks {
  readonly kid: string;
  readonly alg: 'ES256' | 'EdDSA';
  readonly use: 'sig';
}

/** The SHA-256 thumbprint of a key, base64url (RFC 7638, RFC 8037 appendix A.3). */
export function thumbprint(jwk: PublicJwk): string {
  return membersHash({ ...jwk });
}

/** RFC 7638, section 3: the required members in the order of their names, without white space. */
export function membersHash(members: Readonly<Record<string, string>>): string {
  const ordered = Object.entries(members).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify(Object.fromEntries(ordered));
  return createHash('sha256').update(text).digest('base64url');
}

function coordinatesOf(given: Readonly<Record<string, unknown>>): PublicJwk {
  const { kty, crv } = given;
  if (kty === 'EC' && crv === 'P-256') {
    return { kty, crv, x: coordinate(given['x'], 'x'), y: coordinate(given['y'], 'y') };
  }
  if (kty === 'OKP' && crv === 'Ed25519') return { kty, crv, x: coordinate(given['x'], 'x') };
  throw refused('a key is EC with P-256 or OKP with Ed25519');
}

function coordinate(value: unknown, name: string): string {
  if (typeof value === 'string' && value.length === 43) {
    const bytes = Buffer.from(value, 'base64url');
    if (bytes.length === 32 && bytes.toString('base64url') === value) return value;
  }
  throw refused(`${name} must be 32 bytes in canonical base64url`);
}

function checkRemarks(given: Readonly<Record<string, unknown>>, algorithm: string): void {
  const { kid, alg, use, key_ops: operations, ext } = given;
  if (kid !== undefined && typeof kid !== 'string') throw refused('kid must be a text');
  if (alg !== undefined && alg !== algorithm) throw refused(`alg must be ${algorithm}`);
  if (use !== undefined && use !== 'sig') throw refused('use must be sig');
  if (ext !== undefined && typeof ext !== 'boolean') throw refused('ext must be true or false');
  if (operations === undefined) return;
  if (!Array.isArray(operations) || operations.length !== 1 || operations[0] !== 'verify') {
    throw refused('key_ops must be ["verify"]');
  }
}

const fieldPrime = 2n ** 255n - 19n;
/** d of Ed25519 (RFC 8032, section 5.1). */
const edwardsD = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;

/**
 * RFC 8032, 5.1.3, as far as a verifier needs it: y below the prime, and a square x² = (y² − 1) /
 * (dy² + 1). A point of small order would let one signature count for many messages: those are
 * y = 0, ±1 and the roots of dy⁴ + 2y² − 1, whose double has y = 0.
 */
function assertEdwardsPoint(x: string): void {
  const bytes = Buffer.from(Buffer.from(x, 'base64url').toReversed());
  const number = BigInt(`0x${bytes.toString('hex')}`);
  const y = number & (2n ** 255n - 1n);
  const squared = (y * y) % fieldPrime;
  const small =
    y <= 1n ||
    y === fieldPrime - 1n ||
    (edwardsD * squared * squared + 2n * squared - 1n) % fieldPrime === 0n;
  // Of a quotient and of the product of its parts both are squares or neither is.
  const product = (squared - 1n + fieldPrime) * (edwardsD * squared + 1n);
  if (y >= fieldPrime || small || !isSquare(product % fieldPrime)) {
    throw refused('the coordinates are not a point of the curve');
  }
}

/** Euler's criterion. */
function isSquare(value: bigint): boolean {
  let result = 1n;
  let base = value;
  for (let exponent = (fieldPrime - 1n) / 2n; exponent > 0n; exponent >>= 1n) {
    if ((exponent & 1n) === 1n) result = (result * base) % fieldPrime;
    base = (base * base) % fieldPrime;
  }
  return result === 1n;
}

function refused(message: string): AppError {
  return new AppError('invalid_input', message);
}
