/** From what a request shows to who asks. Memory answers most requests; the database the first of each credential. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { AppError, toAppError, type Clock } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import { authorize, type Access, type Caller } from './access.ts';
import { apiKeyMark, createApiKeyDoor } from './api-key-door.ts';
import { accessTokenType, readClaims, type AccessClaims } from './claims.ts';
import type { Directory, LiveSession } from './directory.ts';
import type { Callers, Credential, Origin } from './doors.ts';
import { verifyProof, type ReplayStore } from './dpop.ts';
import { isUnknownKey, verifyCompact, type Verified } from './jws.ts';
import type { KeyRing } from './key-ring.ts';
import type { LimitPolicy } from './limits.ts';
import { allBits, maskFrom, type Action } from './permissions.ts';
import { scopeMask } from './scope.ts';
import type { SharedCache } from './shared-cache.ts';

export interface CallerParts {
  readonly database: Database;
  readonly directory: Directory;
  readonly shared: Pick<SharedCache, 'isRevoked'>;
  /** Whether what is in memory may be trusted now. */
  readonly isFresh: () => boolean;
  readonly keyRing: Pick<KeyRing, 'find' | 'findFresh'>;
  readonly replay: ReplayStore;
  readonly clock: Clock;
  readonly issuer: string;
  readonly publicUrl: () => string;
  readonly ownerToken: string | undefined;
  readonly ownerId: string;
  /** A session or key was used; written down from time to time. */
  readonly onUse: (kind: 'session' | 'api_key', id: string) => void;
}

/** A token that was verified, and what must still hold for it to count. */
interface KnownToken {
  readonly caller: Caller;
  readonly kid: string;
  readonly session: LiveSession;
  readonly claims: AccessClaims;
  readonly actor: Access | undefined;
}

/** Verified tokens kept at once; more give way, the oldest first, and are verified again. */
const mostTokens = 50_000;
const leewaySeconds = 5;
export const mostActors = 4;

/** An agent's own bucket. */
const agentPolicy: LimitPolicy = {
  name: 'agent',
  limit: 10_000,
  windowMs: 60_000,
  blockMs: 60_000,
  onStoreDown: 'fallback',
};

export interface CallerDoor extends Callers {
  /** Forgets keys and tells those who watch that something changed. */
  forgetKey(prefix: string): void;
  /** Each is verified again when it comes next. */
  forgetTokens(): void;
  forgetAll(): void;
  /** Something changed: whoever watches is asked again. */
  recheck(): void;
  /** An access token with what it says, whether or not it is bound to a key. Throws as `whoIs` does. */
  inspect(token: string): Promise<{ caller: Caller; claims: AccessClaims }>;
  readonly tokenCount: number;
  close(): void;
}

interface Watcher {
  readonly caller: Caller;
  readonly action: Action;
  readonly resource: string | undefined;
  readonly onEnded: (why: string) => void;
  /** Ends the wait for what comes with time alone. */
  cancel: () => void;
}
/** A timer of Node's holds no more. */
const longestTimerMs = 2 ** 31 - 1;

export function createCallers(parts: CallerParts): CallerDoor {
  const { directory, isFresh, keyRing, clock } = parts;
  const tokens = new Map<string, KnownToken>();
  const watchers = new Set<Watcher>();
  /** What else a caller by token stands on, for whoever watches it. */
  const tokenOf = new WeakMap<Caller, KnownToken>();
  const ownerHash = parts.ownerToken === undefined ? undefined : sha256(parts.ownerToken);
  let isRecheckPlanned = false;

  const apiKeys = createApiKeyDoor(parts);

  function whoIs(credential: Credential, origin: Origin): Caller | Promise<Caller> {
    const { token } = credential;
    if (credential.kind === 'dpop') return byProof(credential, origin);
    if (credential.kind === 'bearer') {
      if (token.startsWith(apiKeyMark)) return apiKeys.whoIs(token, origin);
      if (!token.includes('.')) return byOwnerToken(token);
    }
    const known = knownToken(token);
    if (known === undefined) return byNewToken(token).then(unbound);
    return unbound(known);
  }

  /** From memory, when everything that it stands on still holds. */
  function knownToken(token: string): KnownToken | undefined {
    const known = tokens.get(token);
    if (known === undefined) return undefined;
    const { caller, session, claims, actor } = known;
    const now = clock.nowMs();
    const holds =
      caller.access.isCurrent &&
      caller.access.validUntilMs > now &&
      session.isCurrent &&
      caller.untilMs > now &&
      actor?.isCurrent !== false &&
      !directory.isRevoked(claims.jti) &&
      isFresh();
    if (holds) {
      parts.onUse('session', session.sessionId);
      return known;
    }
    tokens.delete(token);
    return undefined;
  }

  function unbound({ caller, claims }: KnownToken): Caller {
    if (claims.cnf === undefined) return caller;
    throw new AppError('unauthenticated', 'the token is bound to a key', {
      remedy: 'Send it as Authorization: DPoP with a proof in the DPoP header (RFC 9449).',
    });
  }

  async function byProof(
    { token, proof, method, url }: Extract<Credential, { kind: 'dpop' }>,
    _origin: Origin,
  ): Promise<Caller> {
    const { caller, claims } = knownToken(token) ?? (await byNewToken(token));
    if (claims.cnf === undefined) {
      throw new AppError('unauthenticated', 'the token is not bound to a key', {
        remedy: 'Send it as Authorization: Bearer.',
      });
    }
    await verifyProof(proof, {
      method,
      url,
      nowMs: clock.nowMs(),
      accessToken: token,
      expectedJkt: claims.cnf.jkt,
      replay: parts.replay,
    });
    return caller;
  }

  async function byNewToken(token: string): Promise<KnownToken> {
    const { payload, key } = await verified(token);
    const now = clock.nowMs();
    const audience = audienceOf(payload['aud'], parts);
    const claims = readClaims(payload, {
      issuer: parts.issuer,
      audience: audience ?? parts.issuer,
      nowMs: now,
      leewaySeconds,
      maxDepth: mostActors,
    });
    if (!isFresh()) directory.forgetAll();
    const session = await directory.sessions.get(claims.sid);
    const access = session === undefined ? undefined : await directory.principals.get(claims.sub);
    if (session === undefined || access === undefined || session.userId !== access.userId) {
      throw new AppError('unauthenticated', 'the session of the token has ended', {
        remedy: 'Sign in again: centuria login.',
      });
    }
    if (directory.isRevoked(claims.jti) || (await parts.shared.isRevoked(claims.jti))) {
      throw new AppError('unauthenticated', 'the token was revoked');
    }
    const actor = await actorOf(claims, directory);
    const caller = callerOf(
      claims,
      access,
      session,
      audience,
      Math.min(key.untilMs, claims.exp * 1_000),
    );
    const known = { caller, kid: key.kid, session, claims, actor };
    tokenOf.set(caller, known);
    if (isFresh()) keep(token, known);
    parts.onUse('session', session.sessionId);
    return known;
  }

  async function verified(token: string): Promise<Pick<Verified, 'payload' | 'key'>> {
    const verify = () =>
      verifyCompact(token, { typ: accessTokenType, find: keyRing.find, nowMs: clock.nowMs() });
    try {
      return verify();
    } catch (error) {
      // Another process may have made the key a moment ago.
      if (!isUnknownKey(error) || (await keyRing.findFresh(kidOf(token))) === undefined)
        throw error;
      return verify();
    }
  }

  function keep(token: string, known: KnownToken): void {
    tokens.set(token, known);
    const oldest = tokens.keys().next();
    if (tokens.size > mostTokens && oldest.value !== undefined) tokens.delete(oldest.value);
  }

  function byOwnerToken(token: string): Caller | Promise<Caller> {
    if (ownerHash === undefined || !timingSafeEqual(sha256(token), ownerHash)) {
      throw new AppError('unauthenticated', 'the token is not known', {
        remedy:
          'Programs send an access token, an API key, or the token of the data folder; people sign in.',
      });
    }
    const known = isFresh() ? directory.principals.peek(parts.ownerId) : undefined;
    return known === undefined ? owner() : ownerCaller(known, ownerHash);
  }

  async function owner(): Promise<Caller> {
    const access = await directory.principals.get(parts.ownerId);
    if (access === undefined) {
      throw new AppError('unauthenticated', 'the principal of the data folder is disabled');
    }
    return ownerCaller(access, ownerHash ?? sha256(''));
  }

  /** Changes come in crowds; whoever watches is asked once for all of them. */
  function recheck(): void {
    if (isRecheckPlanned || watchers.size === 0) return;
    isRecheckPlanned = true;
    setImmediate(() => {
      isRecheckPlanned = false;
      for (const watcher of watchers) void recheckOne(watcher);
    });
  }

  async function recheckOne(watcher: Watcher): Promise<void> {
    const why = await whyEnded(watcher).catch((error: unknown) => toAppError(error).message);
    if (why === undefined || !watchers.delete(watcher)) return;
    watcher.cancel();
    watcher.onEnded(why);
  }

  /** The end of the credential and of a role come with time and are told by nobody. */
  function wakeInTime(watcher: Watcher): void {
    const { untilMs, access } = watcher.caller;
    const now = clock.nowMs();
    const rights = directory.principals.peek(access.userId) ?? access;
    const until = rights.validUntilMs > now ? Math.min(untilMs, rights.validUntilMs) : untilMs;
    const leftMs = Math.min(Math.max(0, until - now), longestTimerMs);
    watcher.cancel = clock.after(leftMs, () => {
      void recheckOne(watcher).finally(() => {
        if (watchers.has(watcher)) wakeInTime(watcher);
      });
    });
  }

  async function whyEnded({ caller, action, resource }: Watcher): Promise<string | undefined> {
    const access = await rightsNow(caller);
    if (typeof access === 'string') return access;
    const decision = authorize({ ...caller, access }, action, resource);
    return decision.allowed ? undefined : decision.reason;
  }

  /** What the caller may do now, or why his credential counts no longer. */
  async function rightsNow(caller: Caller): Promise<Access | string> {
    const { userId } = caller.access;
    if (caller.untilMs <= clock.nowMs()) return 'the credential is over';
    if ((await directory.principals.get(userId)) === undefined) return 'the principal is disabled';
    const token = tokenOf.get(caller);
    if (token !== undefined) {
      if (directory.isRevoked(token.claims.jti)) return 'the token was revoked';
      const key = keyRing.find(token.kid);
      if (key === undefined || key.untilMs <= clock.nowMs()) return 'its key counts no longer';
      await actorOf(token.claims, directory);
    }
    if (caller.sessionId !== undefined) {
      const session = await directory.sessions.get(caller.sessionId);
      if (session === undefined) return 'the session has ended';
    }
    if (caller.limit?.policy.name === 'api_key') {
      if (!(await apiKeys.counts(caller.limit.id))) return 'the API key was revoked';
    }
    // At last, and from memory: they may have changed again while the rest was looked up.
    return (await directory.principals.get(userId)) ?? 'the principal is disabled';
  }

  async function renewed(caller: Caller): Promise<Caller> {
    if (caller.access.isCurrent) return caller;
    const access = await rightsNow(caller);
    if (typeof access === 'string') throw new AppError('unauthenticated', access);
    const now = { ...caller, access };
    const token = tokenOf.get(caller);
    if (token !== undefined) tokenOf.set(now, token);
    return now;
  }

  return {
    whoIs,
    renewed,
    owner,
    watch(caller, { action, resource }, onEnded) {
      const watcher = { caller, action, resource, onEnded, cancel: () => undefined };
      watchers.add(watcher);
      wakeInTime(watcher);
      // What changed between the answer to the request and now was told to nobody.
      void recheckOne(watcher);
      return () => {
        watchers.delete(watcher);
        watcher.cancel();
      };
    },
    forgetKey: apiKeys.forget,
    forgetTokens: () => tokens.clear(),
    forgetAll() {
      tokens.clear();
      apiKeys.forgetAll();
    },
    recheck,
    inspect: async (token) => knownToken(token) ?? (await byNewToken(token)),
    get tokenCount() {
      return tokens.size;
    },
    close() {
      for (const { cancel } of watchers) cancel();
      watchers.clear();
    },
  };
}

function callerOf(
  claims: AccessClaims,
  access: Access,
  session: LiveSession,
  audience: string | undefined,
  tokenUntilMs: number,
): Caller {
  return {
    access,
    kind: session.method === 'login_link' || claims.client_id === undefined ? 'session' : 'token',
    id: `session:${claims.sid}`,
    sessionId: claims.sid,
    within: claims.scope === undefined ? allBits : narrowed(claims),
    actor: claims.act,
    audience,
    untilMs: Math.min(tokenUntilMs, session.endsAtMs),
    limit: access.kind === 'agent' ? { policy: agentPolicy, id: access.userId } : undefined,
  };
}

/** What the scope names, and of that only what the token was given when it was issued. */
function narrowed(claims: AccessClaims): Caller['within'] {
  const asked = scopeMask(claims.scope);
  const given = maskFrom(claims.permissions);
  return { lo: asked.lo & given.lo, hi: asked.hi & given.hi };
}

/** The one who acts must count as well; whoever delegated to him is judged by the token's principal. */
async function actorOf(claims: AccessClaims, directory: Directory): Promise<Access | undefined> {
  if (claims.act === undefined) return undefined;
  const actor = await directory.principals.get(claims.act.sub);
  if (actor !== undefined) return actor;
  throw new AppError('unauthenticated', 'the principal that acts is disabled');
}

/** A token for one resource of this server names it by its URL; undefined: it is for the deployment. */
function audienceOf(aud: unknown, { issuer, publicUrl }: CallerParts): string | undefined {
  if (typeof aud !== 'string' || aud === issuer) return undefined;
  const base = publicUrl();
  return aud === base || aud.startsWith(`${base}/`) ? aud : undefined;
}

function ownerCaller(access: Access, tokenHash: Buffer): Caller {
  return {
    access,
    kind: 'owner',
    id: `token:${tokenHash.toString('hex', 0, 4)}`,
    sessionId: undefined,
    within: allBits,
    actor: undefined,
    audience: undefined,
    untilMs: Infinity,
    limit: undefined,
  };
}

/** Of a token whose header has been read already. */
function kidOf(token: string): string {
  const header = Buffer.from(token.split('.', 1)[0] ?? '', 'base64url').toString();
  return (JSON.parse(header) as { kid: string }).kid;
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
