/** What every change to people and rights has in common: who is meant, the lock, the event. */
import { AppError } from '../base/base.ts';
import type { Queryable } from '../database/database.ts';
import type { Access, Caller, Grant } from './access.ts';
import { assertCanGive, assertRanks, grantFrom, type Giver } from './giving.ts';
import { expandMask, maskFrom, noBits } from './permissions.ts';
import { foldName, isUuid } from './names.ts';
import type { Parts } from './parts.ts';
import {
  findUser,
  lockAdministration,
  selectAdministratorLeft,
  selectHeld,
  selectHours,
  selectLevel,
  type FoundRow,
} from './principal-queries.ts';
import { insertSecurityEvents, selectAccess, type SecurityEventColumns } from './queries.ts';
import { assessPrivilege } from './risk.ts';

export type EventType =
  | 'login_failure'
  | 'account_locked'
  | 'key_rotated'
  | 'token_issued'
  | 'permission_denied'
  | 'rate_limit_exceeded'
  | 'ddos_detected'
  | 'password_changed'
  | 'role_assigned'
  | 'suspicious_activity'
  | 'principal_changed'
  | 'role_changed'
  | 'credential_changed'
  | 'session_ended';

export interface NewEvent {
  readonly type: EventType;
  /** 1 (the default) to 5. */
  readonly severity?: number;
  /** 0 (the default) to 100. */
  readonly risk?: number;
  readonly userId?: string | undefined;
  readonly username?: string | undefined;
  readonly sessionId?: string | undefined;
  readonly address?: string | null;
  readonly userAgent?: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** The columns of `insertSecurityEvents`. */
export function eventColumns(events: readonly NewEvent[]): SecurityEventColumns {
  return {
    types: events.map(({ type }) => type),
    severities: events.map(({ severity }) => severity ?? 1),
    risks: events.map(({ risk }) => risk ?? 0),
    userIds: events.map(({ userId }) => userId ?? null),
    usernames: events.map(({ username }) => username?.slice(0, 63) ?? null),
    sessionIds: events.map(({ sessionId }) => sessionId ?? null),
    addresses: events.map(({ address }) => address ?? null),
    userAgents: events.map(({ userAgent }) => userAgent?.slice(0, 500) ?? null),
    details: events.map(({ details }) => JSON.stringify(details)),
  };
}

/** Who did it, for the details of an event; a credential by its id, never itself. */
export function doneBy({ access, kind, id }: Caller): Readonly<Record<string, unknown>> {
  return { by: access.username, byId: access.userId, with: kind, credential: id };
}

/**
 * Writes down in the same transaction what a caller changes, with the risk of using a privilege at an
 * hour that is not the caller's own.
 */
export async function tellOf(
  transaction: Queryable,
  parts: Parts,
  by: Caller,
  event: NewEvent,
): Promise<void> {
  const [row] = await transaction.query(selectHours(by.access.userId));
  const now = new Date(parts.clock.nowMs());
  const { score, factors } = assessPrivilege(by.access, now, row?.hours ?? []);
  const details = {
    ...event.details,
    ...doneBy(by),
    ...(factors.length === 0 ? {} : { factors }),
  };
  const risk = Math.max(event.risk ?? 0, score);
  await transaction.query(insertSecurityEvents(eventColumns([{ ...event, risk, details }])));
}

/** By name in any spelling, or by id. Throws `not_found`. */
export async function findPrincipal(database: Queryable, nameOrId: string): Promise<FoundRow> {
  const { id, username } = asNameOrId(nameOrId);
  const [found] = await database.query(findUser(id, username));
  if (found === undefined) throw noPrincipal(nameOrId);
  return found;
}

export function asNameOrId(nameOrId: string): { id: string | null; username: string | null } {
  const text = foldName(nameOrId);
  // A text with NUL is no name, and PostgreSQL takes none.
  if (text.includes('\0') || !text.isWellFormed()) return { id: null, username: null };
  return isUuid(text) ? { id: text, username: null } : { id: null, username: text };
}

export function noPrincipal(nameOrId: string): AppError {
  const shown = JSON.stringify(nameOrId.slice(0, 80));
  return new AppError('not_found', `there is no principal ${shown}`, {
    details: { principal: nameOrId.slice(0, 80) },
    remedy: 'centuria user list shows who there is.',
  });
}

/** Runs one change of rights while no other one runs; in the end somebody must be left who may change them. */
export async function changeRights<T>(
  { database }: Parts,
  change: (transaction: Queryable) => Promise<T>,
): Promise<T> {
  return database.transaction(async (transaction) => {
    await transaction.query(lockAdministration());
    const result = await change(transaction);
    const [row] = await transaction.query(selectAdministratorLeft());
    if (row?.is_left !== true) {
      throw new AppError('conflict', 'nobody would be left who may change roles', {
        remedy:
          'First give somebody else who is active the role admin, without an end, and try again.',
      });
    }
    return result;
  });
}

/** The caller as somebody who gives: with the rights of this moment, none when he is not active any more. */
export async function giverOf(database: Queryable, { access, within }: Caller): Promise<Giver> {
  const { userId, username } = access;
  const [row] = await database.query(selectAccess(userId));
  if (row?.status !== 'active') {
    return { username, within, roleLevel: 5, everywhere: noBits, grants: [] };
  }
  return {
    username,
    within,
    roleLevel: row.role_level,
    everywhere: expandMask(maskFrom(row.permission_bitmask)),
    grants: row.grants.map(({ type, pattern, bits }) => ({
      resourceType: type,
      pattern,
      mask: maskFrom(BigInt(bits)),
    })),
  };
}

/** What the roles of a principal grant, whether or not he is active now. */
export async function heldBy(database: Queryable, userId: string): Promise<readonly Grant[]> {
  return (await database.query(selectHeld(userId))).map(grantFrom);
}

/**
 * Throws `denied` unless the caller has, by this credential, all the rights that he would have with
 * this principal's credentials: whoever can set a password can use it. His own are no exception, or a
 * key narrowed to `users.write` would set the password that opens everything.
 */
export async function assertMayStandFor(
  database: Queryable,
  by: Caller,
  principal: Pick<Access, 'userId' | 'username'>,
): Promise<void> {
  const what = `itself the credentials of ${principal.username}`;
  const [row] = await database.query(selectLevel(principal.userId));
  const giver = await giverOf(database, by);
  assertRanks(giver, row?.role_level ?? 5, what);
  assertCanGive(giver, await heldBy(database, principal.userId), what);
}

/** Throws `denied` for a gift that would last longer than the giver's own rights. */
export async function assertOutlives(
  database: Queryable,
  { clock }: Pick<Parts, 'clock'>,
  { access }: Caller,
  end: Date | null,
): Promise<void> {
  const [row] = await database.query(selectAccess(access.userId));
  const leftMs = row?.valid_for_ms ?? null;
  if (leftMs === null) return;
  const ownEnd = new Date(clock.nowMs() + leftMs);
  if (end !== null && end <= ownEnd) return;
  throw new AppError(
    'denied',
    `${access.username} has its own rights until ${ownEnd.toISOString()} and gives none for longer`,
    { details: { principal: access.username }, remedy: 'Give the role an earlier end.' },
  );
}

/** Throws `denied` for a principal whose strongest role ranks above all of the caller's. */
export async function assertRanksAbove(
  database: Queryable,
  by: Caller,
  { user_id: userId, username }: FoundRow,
): Promise<void> {
  if (userId === by.access.userId) return;
  const [row] = await database.query(selectLevel(userId));
  const giver = { ...by.access, within: by.within };
  assertRanks(giver, row?.role_level ?? 5, `an end to ${username}`);
}

/**
 * Throws `denied` for what would make the principal of the data folder weaker, or let somebody else in
 * as it: its token is what is left when everything else went wrong.
 */
export function assertOwnerAsks(
  { ownerName }: Pick<Parts, 'ownerName'>,
  by: Caller,
  username: string,
): void {
  if (username !== ownerName || by.access.username === ownerName) return;
  throw new AppError('denied', `${username} stands for the owner of the data folder alone`, {
    details: { principal: by.access.username },
    remedy: 'Whoever has the data folder can do this with its token.',
  });
}

/**
 * Runs a statement whose values may be taken already: a unique constraint that refuses them is
 * `conflict`, a check `invalid_input`. `fields` names the field of each constraint.
 */
export async function orTaken<T>(
  work: Promise<T>,
  fields: Readonly<Record<string, { field: string; value: string }>>,
): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'database_failed') throw error;
    const { sqlstate, constraint } = error.details;
    const taken = typeof constraint === 'string' ? fields[constraint] : undefined;
    if (taken === undefined) throw error;
    const { field, value } = taken;
    if (sqlstate === '23505') {
      throw new AppError('conflict', `the ${field} ${JSON.stringify(value)} is taken`, {
        details: { field, value },
        remedy: 'Choose another one; capitals, width and accents’ forms make no difference.',
        cause: error,
      });
    }
    throw new AppError('invalid_input', `the ${field} ${JSON.stringify(value)} can not be kept`, {
      details: { field, value },
      remedy: 'Write it without unusual letters.',
      cause: error,
    });
  }
}
