/** Passwords of principals: set by who may, changed by their own. */
import { AppError } from '../base/base.ts';
import type { Caller } from './access.ts';
import {
  assertMayStandFor,
  assertOwnerAsks,
  findPrincipal,
  noPrincipal,
  tellOf,
} from './administering.ts';
import type { Principals } from './administration.ts';
import type { Origin } from './doors.ts';
import type { Parts } from './parts.ts';
import { checkNewPassword, leastCharacters } from './password-policy.ts';
import {
  judgeAgain,
  selectPassword,
  updatePassword,
  type PasswordRow,
} from './principal-queries.ts';
import { endSessionsOf, type LockRules } from './session-queries.ts';

export interface PasswordChangeOptions {
  /** When a name is locked; as `authenticate_user` has them unless given. */
  readonly lockRules?: LockRules;
}

/** Ten wrong tries within fifteen minutes lock for a minute, then twice as long each time, an hour at most. */
export const usualLockRules: LockRules = {
  maxFailures: 10,
  forgetAfterMs: 15 * 60_000,
  firstLockMs: 60_000,
  longestLockMs: 3_600_000,
};

export interface PasswordChanges extends Pick<Principals, 'setPassword' | 'changePassword'> {
  /** The hash of a first password, when it is one that may be used. */
  hashFirst(password: string, username: string, names: readonly string[]): Promise<string>;
}

export function createPasswordChanges(
  parts: Parts,
  { lockRules = usualLockRules }: PasswordChangeOptions,
): PasswordChanges {
  const { database, hasher, breached } = parts;

  async function known(userId: string): Promise<PasswordRow> {
    const [row] = await database.query(selectPassword(userId));
    if (row === undefined) throw noPrincipal(userId);
    return row;
  }

  /** The hash of a next password. Hashing comes before any transaction, since it takes its time. */
  async function hashNext(password: string, row: PasswordRow): Promise<string> {
    await checkNewPassword(password, {
      username: row.username,
      names: [row.display_name, ...(row.email === null ? [] : [row.email])],
      minimum: row.has_totp ? leastCharacters.withSecondFactor : leastCharacters.alone,
      async previous(typed) {
        for (const phc of new Set([row.password_hash, ...row.previous])) {
          if (phc !== null && (await hasher.recompute(typed, phc)) === phc) return true;
        }
        return false;
      },
      breached,
    });
    return hasher.hash(password);
  }

  async function store(
    row: PasswordRow,
    change: { hash: string; mustChange: boolean; keep: string | undefined; how: string },
    by: Caller,
    origin?: Origin,
  ): Promise<void> {
    const { user_id: userId, username } = row;
    const ended = await database.transaction(async (transaction) => {
      assertOwnerAsks(parts, by, username);
      await assertMayStandFor(transaction, by, { userId, username });
      const replace = updatePassword(userId, row.password_hash, change.hash, change.mustChange);
      const [replaced] = await transaction.query(replace);
      if (replaced === undefined) {
        throw new AppError('conflict', `the password of ${username} was changed meanwhile`, {
          remedy: 'Sign in with the new one, or set it again.',
        });
      }
      const why = 'the password was changed';
      const sessions = await transaction.query(endSessionsOf(userId, why, change.keep ?? null));
      await tellOf(transaction, parts, by, {
        type: 'password_changed',
        severity: 2,
        userId,
        username,
        ...origin,
        sessionId: by.sessionId,
        details: { how: change.how, sessionsEnded: sessions.length, mustChange: change.mustChange },
      });
      return sessions;
    });
    for (const { session_id: sessionId } of ended) parts.applyChange('session', sessionId);
    parts.applyChange('user', userId);
  }

  return {
    async hashFirst(password, username, names) {
      await checkNewPassword(password, {
        username,
        names,
        previous: async () => false,
        breached,
      });
      return hasher.hash(password);
    },

    async setPassword(nameOrId, password, options, by) {
      const { user_id: userId, username } = await findPrincipal(database, nameOrId);
      // Asked before the work of hashing, and again where it counts.
      assertOwnerAsks(parts, by, username);
      await assertMayStandFor(database, by, { userId, username });
      const row = await known(userId);
      const hash = await hashNext(password, row);
      const mustChange = options.mustChange === true;
      await store(row, { hash, mustChange, keep: options.keep, how: 'set' }, by);
    },

    async changePassword(caller, present, next, origin) {
      const row = await known(caller.access.userId);
      await provePassword(parts, { row, password: present, caller, lockRules }, origin);
      const hash = await hashNext(next, row);
      const change = { hash, mustChange: false, keep: caller.sessionId, how: 'changed' };
      await store(row, change, caller, origin);
    },
  };
}

/**
 * That the caller knows his present password. Wrong ones are counted with those of logins, so a stolen
 * session does not help to guess it. Throws `unauthenticated`, and `limit_exceeded` while locked.
 */
export async function provePassword(
  { database, hasher }: Parts,
  proof: {
    row: Pick<PasswordRow, 'username' | 'password_hash'>;
    password: string;
    caller: Caller;
    lockRules: LockRules;
  },
  origin: Origin,
): Promise<void> {
  const { row, password, caller, lockRules } = proof;
  if (row.password_hash === null) {
    throw new AppError('conflict', `${row.username} has no password`, {
      remedy: 'Somebody who may change principals can set one.',
    });
  }
  const computed = await hasher.recompute(password, row.password_hash);
  const by = { ...origin, sessionId: caller.sessionId ?? null, what: 'present password' };
  const [judged] = await database.query(judgeAgain(row.username, computed, lockRules, by));
  assertProved(judged, 'the present password is wrong');
}

export function assertProved(
  judged: { outcome: string; locked_for_ms: number | null } | undefined,
  wrong: string,
): void {
  if (judged?.outcome === 'ok') return;
  if (judged?.outcome === 'locked') {
    const retryAfterSeconds = Math.max(1, Math.ceil((judged.locked_for_ms ?? 0) / 1_000));
    throw new AppError('limit_exceeded', 'too many wrong tries', {
      details: { retryAfterSeconds },
      remedy: `Try again in ${retryAfterSeconds} s.`,
    });
  }
  throw new AppError('unauthenticated', wrong, { remedy: 'Try again.' });
}
