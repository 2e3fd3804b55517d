/** Principals and sessions in memory: loaded when they are first asked for, forgotten when they change. */
import type { Clock } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import type { Access, Grant } from './access.ts';
import { LoadingCache } from './loading-cache.ts';
import type { Cached, SharedCache } from './shared-cache.ts';
import { expandMask, maskFrom } from './permissions.ts';
import { selectAccess, selectRevokedTokens, type AccessRow, type ChangeKind } from './queries.ts';
import { selectLiveSession, selectNewestSessions } from './session-queries.ts';

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
const mostWarm = 1_000;

export interface Directory {
  readonly principals: LoadingCache<Access>;
  readonly sessions: LoadingCache<LiveSession>;
  isRevoked(jti: string): boolean;
  forget(kind: ChangeKind, subject: string): void;
  forgetAll(): void;
  /** Reads the newest sessions and their principals before they are asked for. */
  warm(): Promise<void>;
  /** Reads the tokens that were taken back one by one; nothing is honoured before. */
  loadRevoked(): Promise<void>;
  readonly revokedCount: number;
}

export function createDirectory(database: Database, clock: Clock, shared?: SharedCache): Directory {
  // Without Redis this process is all there is to ask.
  const through: SharedCache['through'] = shared?.through ?? ((_key, load) => load());

  const readPrincipal = async (userId: string): Promise<Access | undefined> => {
    const found = await through(`user_perms:${userId}`, async () => {
      const [row] = await database.query(selectAccess(userId));
      return row === undefined || row.status !== 'active' ? undefined : shareable(row);
    });
    return found === undefined ? undefined : accessFrom(found, clock);
  };
  const isOver = ({ validUntilMs }: Access) => validUntilMs <= clock.nowMs();
  const principals = new LoadingCache(mostPrincipals, readPrincipal, isOver);

  const sessions = new LoadingCache<LiveSession>(mostSessions, async (sessionId) => {
    const found = await through(`session:${sessionId}`, async () => {
      const [row] = await database.query(selectLiveSession(sessionId));
      if (row === undefined) return undefined;
      const { user_id: userId, login_method: method, left_ms: forMs } = row;
      return { value: { userId, method, endsAtMs: clock.nowMs() + forMs }, forMs };
    });
    return found === undefined ? undefined : { sessionId, ...found.value, isCurrent: true };
  });
  /** Never evicted: a revocation that was forgotten would be a token that lives again. */
  const revoked = new Map<string, number>();

  function forgetSession(sessionId: string): void {
    sessions.forget(sessionId);
    shared?.forget(`session:${sessionId}`);
  }

  /** Whether the principal counts is asked beside the session, so that its sessions need no forgetting. */
  function forgetPrincipal(userId: string): void {
    principals.forget(userId);
    shared?.forget(`user_perms:${userId}`);
  }

  return {
    principals,
    sessions,
    isRevoked: (jti) => revoked.has(jti),

    forget(kind, subject) {
      if (kind === 'session') forgetSession(subject);
      else if (kind === 'token') revoked.set(subject, clock.nowMs() + longestTokenMs);
      else if (kind === 'user') forgetPrincipal(subject);
      else if (kind === 'roles') {
        principals.forgetAll();
        shared?.forgetEvery('user_perms:');
      }
    },

    forgetAll() {
      principals.forgetAll();
      sessions.forgetAll();
    },

    async warm() {
      const rows = await database.query(selectNewestSessions(mostWarm));
      // One after the other: requests that come meanwhile go first.
      for (const { session_id: sessionId, user_id: userId } of rows) {
        await sessions.get(sessionId);
        await principals.get(userId);
      }
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

/** What is shared of a principal's rights: the row, without what JSON has no word for. */
type SharedAccess = Omit<AccessRow, 'permission_bitmask' | 'valid_for_ms'> & {
  readonly bitmask: string;
};

function shareable(row: AccessRow): Cached<SharedAccess> {
  const { permission_bitmask: bitmask, valid_for_ms: forMs, ...rest } = row;
  return { value: { ...rest, bitmask: bitmask.toString() }, forMs: forMs ?? Infinity };
}

function accessFrom({ value, forMs }: Cached<SharedAccess>, clock: Clock): Access {
  const bitmask = maskFrom(BigInt(value.bitmask));
  return {
    userId: value.user_id,
    username: value.username,
    kind: value.kind,
    roles: value.roles,
    roleLevel: value.role_level,
    mustChangePassword: value.must_change_password,
    everywhere: expandMask(bitmask),
    bitmask,
    grants: value.grants.map(({ type, pattern, bits }): Grant => ({
      resourceType: type,
      pattern,
      mask: maskFrom(BigInt(bits)),
    })),
    validUntilMs: clock.nowMs() + forMs,
    isCurrent: true,
  };
}
