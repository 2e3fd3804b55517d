/** Principals and sessions in memory: loaded when they are first asked for, forgotten when they change. */
import type { Clock } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import type { Access, Grant } from './access.ts';
import { LoadingCache } from './loading-cache.ts';
import { expandMask, maskFrom } from './permissions.ts';
import { selectAccess, selectRevokedTokens, type AccessRow, type ChangeKind } from './queries.ts';
import { selectLiveSession } from './session-queries.ts';

/** A session that counted when it was loaded. */
export interface LiveSession {
  readonly sessionId: string;
  readonly userId: string;
  readonly method: string;
  readonly endsAtMs: number;
  /** Turned off by whatever may have ended it; then it is looked up again. */
  isCurrent: boolean;
}

/** More than these are forgotten, the oldest first, and read again when they are asked for. */
const mostSessions = 50_000;
const mostPrincipals = 10_000;

export interface Directory {
  readonly principals: LoadingCache<Access>;
  readonly sessions: LoadingCache<LiveSession>;
  isRevoked(jti: string): boolean;
  forget(kind: ChangeKind, subject: string): void;
  forgetAll(): void;
  /** Reads the tokens that were taken back one by one; nothing is honoured before. */
  loadRevoked(): Promise<void>;
  readonly revokedCount: number;
}

export function createDirectory(database: Database, clock: Clock): Directory {
  const principals = new LoadingCache(mostPrincipals, async (userId) => {
    const [row] = await database.query(selectAccess(userId));
    return row === undefined || row.status !== 'active' ? undefined : accessFrom(row, clock);
  });
  const sessions = new LoadingCache<LiveSession>(mostSessions, async (sessionId) => {
    const [row] = await database.query(selectLiveSession(sessionId));
    if (row === undefined) return undefined;
    const { user_id: userId, login_method: method } = row;
    return { sessionId, userId, method, endsAtMs: clock.nowMs() + row.left_ms, isCurrent: true };
  });
  /** Never evicted: a revocation that was forgotten would be a token that lives again. */
  const revoked = new Map<string, number>();

  return {
    principals,
    sessions,
    isRevoked: (jti) => revoked.has(jti),

    forget(kind, subject) {
      if (kind === 'session') sessions.forget(subject);
      else if (kind === 'token') revoked.set(subject, clock.nowMs() + longestTokenMs);
      else if (kind === 'roles') principals.forgetAll();
      else if (kind === 'user') {
        principals.forget(subject);
        for (const session of sessions.values()) {
          if (session.userId === subject) sessions.forget(session.sessionId);
        }
        sessions.readAgain();
      }
    },

    forgetAll() {
      principals.forgetAll();
      sessions.forgetAll();
    },

    async loadRevoked() {
      const now = clock.nowMs();
      for (const [jti, untilMs] of revoked) if (untilMs <= now) revoked.delete(jti);
      for (const row of await database.query(selectRevokedTokens())) {
        revoked.set(row.jti, now + row.left_ms);
      }
    },

    get revokedCount() {
      return revoked.size;
    },
  };
}

/** No token lives longer, so a revocation may be forgotten then. */
export const longestTokenMs = 24 * 3_600_000;

function accessFrom(row: AccessRow, clock: Clock): Access {
  const bitmask = maskFrom(row.permission_bitmask);
  return {
    userId: row.user_id,
    username: row.username,
    kind: row.kind,
    roles: row.roles,
    roleLevel: row.role_level,
    everywhere: expandMask(bitmask),
    bitmask,
    grants: row.grants.map(({ type, pattern, bits }): Grant => ({
      resourceType: type,
      pattern,
      mask: maskFrom(BigInt(bits)),
    })),
    validUntilMs: row.valid_for_ms === null ? Infinity : clock.nowMs() + row.valid_for_ms,
    isCurrent: true,
  };
}
