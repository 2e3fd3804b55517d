/** Tokens about tokens: delegation, introspection, revocation, and the keys they are signed with. */
import { AppError, newId, toAppError } from '../base/base.ts';
import type { Caller } from './access.ts';
import { mostActors, type CallerDoor } from './callers.ts';
import type { Actor } from './claims.ts';
import type { Introspection, IssuedTokens, Tokens } from './doors.ts';
import { issueAccessToken, secretHash, type IssueParts } from './issue.ts';
import type { KeyRing } from './key-ring.ts';
import type { Parts } from './parts.ts';
import { actionsIn, intersection, maskValue } from './permissions.ts';
import { insertRevokedToken } from './queries.ts';
import { anywhere, checkScope } from './scope.ts';
import type { SharedCache } from './shared-cache.ts';
import { endSession, insertSession, selectRefreshToken } from './session-queries.ts';

export interface TokenParts extends Parts, IssueParts {
  readonly keyRing: KeyRing;
  readonly callers: CallerDoor;
  readonly shared: Pick<SharedCache, 'revoke'>;
}

/** An agent's tokens are short, since whoever runs it may be anybody by tomorrow. */
const longestDelegationMs = 10 * 60_000;

export function createTokens(parts: TokenParts): Tokens {
  const { database, clock, keyRing, callers } = parts;

  /** The session that a token without one of its own stands on: it ends with the key that it came from. */
  async function sessionFor(caller: Caller, lifetimeMs: number): Promise<string> {
    if (caller.sessionId !== undefined) return caller.sessionId;
    const sessionId = newId(clock);
    const [row] = await database.query(
      insertSession(
        caller.access.userId,
        {
          sessionId,
          lifetimeMs,
          address: null,
          userAgent: '',
          device: null,
          method: caller.id,
          data: {},
          refreshHash: null,
          refreshForMs: 0,
          clientId: 'delegation',
          scope: null,
          boundTo: null,
          resource: null,
        },
        { username: caller.access.username, risk: 0, factors: [], spentMs: 0 },
      ),
    );
    if (row === undefined) throw new AppError('unauthenticated', 'the principal is disabled');
    return sessionId;
  }

  async function issue(
    caller: Caller,
    spec: {
      readonly act: Actor | undefined;
      readonly scope: string | undefined;
      readonly audience: string | undefined;
      readonly boundTo: string | undefined;
      readonly lifetimeMs: number;
    },
  ): Promise<IssuedTokens> {
    const { access, within } = caller;
    const all = actionsIn(intersection(anywhere(access), within)).join(' ');
    const scope = checkScope(spec.scope ?? all, access, within);
    if (scope === undefined) {
      throw new AppError('denied', `${access.username} has no permission to pass on`);
    }
    const sessionId = await sessionFor(caller, spec.lifetimeMs);
    const { token, expiresInSeconds } = issueAccessToken(parts, {
      access,
      sessionId,
      lifetimeMs: spec.lifetimeMs,
      latestMs: caller.untilMs,
      scope,
      within,
      audience: spec.audience ?? caller.audience,
      boundTo: spec.boundTo,
      act: spec.act,
      clientId: spec.act?.sub ?? access.userId,
    });
    const tokenType = spec.boundTo === undefined ? 'Bearer' : 'DPoP';
    return { accessToken: token, tokenType, expiresInSeconds, scope, sessionId };
  }

  const delegate: Tokens['delegate'] = async (caller, request) => {
    if (depthOf(caller.actor) >= mostActors) {
      throw new AppError('denied', `a chain of ${mostActors} actors can not be made longer`, {
        details: { limit: mostActors },
        remedy: 'Let an agent nearer to the principal call this one.',
      });
    }
    const { actor, scope, audience, boundTo } = request;
    const act: Actor = {
      sub: actor.userId,
      ...(caller.actor === undefined ? {} : { act: caller.actor }),
    };
    const askedMs = (request.lifetimeSeconds ?? longestDelegationMs / 1_000) * 1_000;
    const lifetimeMs = Math.min(askedMs, longestDelegationMs);
    return issue(caller, { act, scope, audience, boundTo, lifetimeMs });
  };

  const introspect: Tokens['introspect'] = async (token) => {
    if (token.startsWith('cnr_')) return introspectRefresh(token);
    try {
      const { caller, claims } = await callers.inspect(token);
      return {
        active: true,
        sub: claims.sub,
        username: caller.access.username,
        ...(claims.client_id === undefined ? {} : { clientId: claims.client_id }),
        ...(claims.scope === undefined ? {} : { scope: claims.scope }),
        tokenType: claims.cnf === undefined ? 'Bearer' : 'DPoP',
        exp: claims.exp,
        iat: claims.iat,
        nbf: claims.nbf,
        iss: claims.iss,
        aud: claims.aud,
        jti: claims.jti,
        role: caller.access.roleLevel,
        permissions: maskValue(intersection(anywhere(caller.access), caller.within)).toString(),
        ...(claims.cnf === undefined ? {} : { cnf: claims.cnf }),
        ...(claims.act === undefined ? {} : { act: claims.act }),
      };
    } catch (error) {
      // What is wrong with a token is nobody's business (RFC 7662, 2.2); a database that is down is.
      if (toAppError(error).status === 401) return { active: false };
      throw error;
    }
  };

  async function introspectRefresh(token: string): Promise<Introspection> {
    const [row] = await database.query(selectRefreshToken(secretHash(token)));
    if (row === undefined || !row.is_live) return { active: false };
    return {
      active: true,
      sub: row.user_id,
      username: row.username,
      clientId: row.client_id,
      ...(row.scope === null ? {} : { scope: row.scope }),
      exp: Math.floor(row.expires_at.getTime() / 1_000),
      iat: Math.floor(row.issued_at.getTime() / 1_000),
      iss: parts.issuer,
    };
  }

  const revoke: Tokens['revoke'] = async (token) => {
    if (token.startsWith('cnr_')) {
      const [row] = await database.query(selectRefreshToken(secretHash(token)));
      if (row === undefined) return;
      await database.query(endSession(row.session_id, 'its refresh token was revoked'));
      parts.applyChange('session', row.session_id);
      return;
    }
    try {
      const { claims } = await callers.inspect(token);
      const forMs = claims.exp * 1_000 - clock.nowMs() + 60_000;
      await database.query(insertRevokedToken(claims.jti, forMs));
      parts.applyChange('token', claims.jti);
      parts.shared.revoke(claims.jti, forMs);
    } catch (error) {
      // A token that does not count already needs no revoking.
      if (toAppError(error).status !== 401) throw error;
    }
  };

  return {
    delegate,
    introspect,
    revoke,
    forAgent: (caller, request) =>
      issue(caller, {
        act: undefined,
        scope: request.scope,
        audience: request.audience,
        boundTo: request.boundTo,
        lifetimeMs: longestDelegationMs,
      }),
    issuer: parts.issuer,
    jwks: () => keyRing.jwks(),
    keys: () =>
      keyRing.list().map((key) => ({
        ...key,
        signsFrom: key.signsFrom.toISOString(),
        signsUntil: key.signsUntil.toISOString(),
        verifiesUntil: key.verifiesUntil.toISOString(),
      })),
    rotateKeys: (reason) => keyRing.rotate(reason),
  };
}

function depthOf(actor: Actor | undefined): number {
  return actor === undefined ? 0 : 1 + depthOf(actor.act);
}
