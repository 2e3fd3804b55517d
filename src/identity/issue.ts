/** Making tokens: access tokens as JWS, refresh tokens as secrets whose hash is stored. */
import { createHash, randomBytes } from 'node:crypto';
import { AppError, type Clock } from '../base/base.ts';
import type { Access } from './access.ts';
import { accessTokenType, writeClaims, type Actor } from './claims.ts';
import { signCompact } from './jws.ts';
import type { KeyRing } from './key-ring.ts';
import { allBits, intersection, maskValue } from './permissions.ts';
import { anywhere, scopeMask } from './scope.ts';

export interface IssueParts {
  readonly keyRing: Pick<KeyRing, 'signing'>;
  readonly clock: Clock;
  readonly issuer: string;
}

export interface TokenSpec {
  readonly access: Access;
  readonly sessionId: string;
  readonly lifetimeMs: number;
  /** The token ends no later, milliseconds since 1970. */
  readonly latestMs: number;
  readonly scope?: string | undefined;
  /** What the token may hold at most; all that the principal may do unless given. */
  readonly within?: { readonly lo: number; readonly hi: number };
  readonly audience?: string | undefined;
  readonly boundTo?: string | undefined;
  readonly act?: Actor | undefined;
  readonly clientId?: string | undefined;
}

/** An access token and how long it counts, whole seconds. */
export function issueAccessToken(
  { keyRing, clock, issuer }: IssueParts,
  spec: TokenSpec,
): { token: string; expiresInSeconds: number } {
  const { access, scope } = spec;
  const key = keyRing.signing();
  const now = Math.floor(clock.nowMs() / 1_000);
  const endMs = Math.min(clock.nowMs() + spec.lifetimeMs, spec.latestMs, key.untilMs);
  const exp = Math.floor(endMs / 1_000);
  if (exp <= now) {
    throw new AppError('unauthenticated', 'what the token would stand on is over', {
      remedy: 'Sign in again: centuria login.',
    });
  }
  const narrowed = intersection(anywhere(access), spec.within ?? allBits);
  const permissions =
    scope === undefined ? access.bitmask : intersection(narrowed, scopeMask(scope));
  const claims = writeClaims({
    iss: issuer,
    sub: access.userId,
    aud: spec.audience ?? issuer,
    exp,
    nbf: now,
    iat: now,
    jti: `${spec.sessionId}.${randomBytes(12).toString('base64url')}`,
    sid: spec.sessionId,
    role: access.roleLevel,
    permissions: maskValue(permissions),
    ...(scope === undefined ? {} : { scope }),
    ...(spec.boundTo === undefined ? {} : { cnf: { jkt: spec.boundTo } }),
    ...(spec.act === undefined ? {} : { act: spec.act }),
    ...(spec.clientId === undefined ? {} : { client_id: spec.clientId }),
  });
  const token = signCompact({ key, typ: accessTokenType, payload: claims });
  return { token, expiresInSeconds: exp - now };
}

/** A refresh token and the hash that is stored of it. 256 random bits need no slow hash. */
export function newRefreshToken(): { token: string; hash: Uint8Array } {
  const token = `cnr_${randomBytes(32).toString('base64url')}`;
  return { token, hash: secretHash(token) };
}

export function secretHash(secret: string): Uint8Array {
  return createHash('sha256').update(secret).digest();
}
