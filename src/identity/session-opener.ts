/** Opening sessions for those who have proved who they are, and keeping them open with refresh tokens. */
import { AppError, newId, type Clock } from '../base/base.ts';
import type { IssuedTokens, SignIn, SignInRequest } from './doors.ts';
import { issueAccessToken, newRefreshToken, secretHash, type IssueParts } from './issue.ts';
import type { Parts } from './parts.ts';
import { allBits } from './permissions.ts';
import { assessLogin } from './risk.ts';
import { checkScope, remainingScope } from './scope.ts';
import {
  insertSession,
  selectLoginFacts,
  useRefreshToken,
  type LoginFacts,
  type NewSession,
} from './session-queries.ts';

export interface OpenerParts extends Parts, IssueParts {
  readonly accessTokenMs: number;
  readonly browserSessionMs: number;
  readonly clientSessionMs: number;
}

/** What a session is opened for, beside whom. */
export type How = Omit<SignInRequest, 'username' | 'password'>;

/** A session that is about to be written, and the refresh token that goes with it. */
export interface PreparedSession {
  readonly row: NewSession;
  readonly endsAtMs: number;
  readonly refreshToken: string | undefined;
}

/** The client of sessions that no OAuth client asked for. */
const ownClient = 'centuria-cli';

export interface SessionOpener {
  prepare(request: How, method: string): PreparedSession;
  /** The tokens of a session that was written. */
  tokensOf(userId: string, session: PreparedSession, request: How): Promise<IssuedTokens>;
  open(
    userId: string,
    method: string,
    request: How,
    known?: { readonly username: string; readonly startedMs: number },
  ): Promise<IssuedTokens>;
  readonly refresh: SignIn['refresh'];
}

export function createSessionOpener(parts: OpenerParts): SessionOpener {
  const { database, clock, directory } = parts;

  async function open(
    userId: string,
    method: string,
    request: How,
    known?: { username: string; startedMs: number },
  ): Promise<IssuedTokens> {
    const startedMs = known?.startedMs ?? clock.monotonicMs();
    const username = known?.username ?? (await directory.principals.get(userId))?.username ?? '';
    const [facts] = await database.query(selectLoginFacts(username, request.address));
    if (facts === undefined) throw new AppError('internal', 'a login has no facts');
    const session = prepare(request, method);
    const [row] = await database.query(
      insertSession(userId, session.row, {
        username,
        ...riskOf(facts, clock),
        spentMs: clock.monotonicMs() - startedMs,
      }),
    );
    if (row === undefined) throw new AppError('unauthenticated', 'the principal is disabled');
    return tokensOf(userId, session, request);
  }

  function prepare(request: How, method: string): PreparedSession {
    const refresh = request.as === 'client' ? newRefreshToken() : undefined;
    const lifetimeMs = refresh === undefined ? parts.browserSessionMs : parts.clientSessionMs;
    const row: NewSession = {
      sessionId: request.sessionId ?? newId(clock),
      lifetimeMs,
      address: request.address,
      userAgent: request.userAgent.slice(0, 300),
      device: request.device?.slice(0, 200) ?? null,
      method,
      data: {},
      refreshHash: refresh?.hash ?? null,
      refreshForMs: lifetimeMs,
      clientId: request.clientId ?? ownClient,
      scope: request.scope ?? null,
      boundTo: request.boundTo ?? null,
      resource: request.audience ?? null,
    };
    return { row, endsAtMs: clock.nowMs() + lifetimeMs, refreshToken: refresh?.token };
  }

  async function tokensOf(
    userId: string,
    session: PreparedSession,
    request: How,
  ): Promise<IssuedTokens> {
    const access = await directory.principals.get(userId);
    if (access === undefined) throw new AppError('unauthenticated', 'the principal is disabled');
    const scope = checkScope(request.scope, access, allBits);
    const { token, expiresInSeconds } = issueAccessToken(parts, {
      access,
      sessionId: session.row.sessionId,
      lifetimeMs: request.as === 'browser' ? parts.browserSessionMs : parts.accessTokenMs,
      latestMs: session.endsAtMs,
      scope,
      audience: request.audience,
      boundTo: request.boundTo,
      clientId: request.as === 'browser' ? undefined : (request.clientId ?? ownClient),
    });
    return {
      accessToken: token,
      tokenType: request.boundTo === undefined ? 'Bearer' : 'DPoP',
      expiresInSeconds,
      ...(session.refreshToken === undefined ? {} : { refreshToken: session.refreshToken }),
      ...(scope === undefined ? {} : { scope }),
      sessionId: session.row.sessionId,
    };
  }

  const refresh: SignIn['refresh'] = async (request) => {
    const next = newRefreshToken();
    const [row] = await database.query(
      useRefreshToken(
        {
          hash: secretHash(request.refreshToken),
          clientId: request.clientId,
          boundTo: request.boundTo ?? null,
        },
        { hash: next.hash, forMs: parts.clientSessionMs },
      ),
    );
    if (row?.outcome === 'reused' || row?.outcome === 'mismatch') {
      if (row.session_id !== null) parts.applyChange('session', row.session_id);
    }
    const isGood = row?.outcome === 'refreshed' && row.session_id !== null && row.user_id !== null;
    const session = isGood ? await directory.sessions.get(row.session_id ?? '') : undefined;
    const access = isGood ? await directory.principals.get(row.user_id ?? '') : undefined;
    if (row === undefined || session === undefined || access === undefined) {
      throw new AppError('token_invalid', 'the refresh token is unknown, used or over', {
        remedy: 'Sign in again: centuria login.',
      });
    }
    const stored = row.scope ?? undefined;
    const scope = remainingScope(narrower(request.scope, stored), access);
    const { token, expiresInSeconds } = issueAccessToken(parts, {
      access,
      sessionId: session.sessionId,
      lifetimeMs: parts.accessTokenMs,
      latestMs: session.endsAtMs,
      scope,
      audience: request.audience ?? row.resource ?? undefined,
      boundTo: request.boundTo,
      clientId: request.clientId,
    });
    return {
      accessToken: token,
      tokenType: request.boundTo === undefined ? 'Bearer' : 'DPoP',
      expiresInSeconds,
      refreshToken: next.token,
      ...(scope === undefined ? {} : { scope }),
      sessionId: session.sessionId,
    };
  };

  return { prepare, tokensOf, open, refresh };
}

/** A refresh may ask for less than was granted, never for more (RFC 6749, 6). */
function narrower(asked: string | undefined, granted: string | undefined): string | undefined {
  if (asked === undefined || granted === undefined) return asked ?? granted;
  const has = new Set(granted.split(' '));
  const more = asked.split(' ').find((name) => name !== '' && !has.has(name));
  if (more === undefined) return asked;
  throw new AppError('denied', `the session was not given the scope ${more}`, {
    details: { scope: more },
  });
}

/** How unusual the login is, as it is written with it. */
export function riskOf(facts: LoginFacts, clock: Clock): { risk: number; factors: unknown } {
  const { score, factors } = assessLogin(facts, new Date(clock.nowMs()));
  return { risk: score, factors };
}
