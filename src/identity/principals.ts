/** People and agents: who there is, and what changes about them. */
import { AppError, newId } from '../base/base.ts';
import type { Queryable } from '../database/database.ts';
import type { Caller } from './access.ts';
import {
  asNameOrId,
  assertOutlives,
  assertOwnerAsks,
  assertRanksAbove,
  changeRights,
  eventColumns,
  findPrincipal,
  noPrincipal,
  orTaken,
  tellOf,
} from './administering.ts';
import type { NewPrincipal, PrincipalInfo, Principals } from './administration.ts';
import { checkText, futureTime, normaliseEmail, normaliseUsername } from './names.ts';
import { pageOf, pageSize, readCursor } from './pages.ts';
import type { Parts } from './parts.ts';
import { createPasswordChanges, type PasswordChangeOptions } from './password-changes.ts';
import {
  deleteAssignment,
  deleteAttempts,
  deleteUser,
  insertAgents,
  insertAssignment,
  insertUser,
  selectPrincipal,
  selectPrincipals,
  updateProfile,
  updateStatus,
  type PrincipalRow,
} from './principal-queries.ts';
import { insertSecurityEvents } from './queries.ts';
import { assertRanks } from './giving.ts';
import { assertCanGiveRole, roleNamed } from './roles.ts';
import { endSessionsOf } from './session-queries.ts';

const mostNameCharacters = 200;
const uniques = (username: string, email: string | null) => ({
  users_username_key: { field: 'username', value: username },
  users_username_check: { field: 'username', value: username },
  user_profiles_email_key: { field: 'email', value: email ?? '' },
  user_profiles_email_check: { field: 'email', value: email ?? '' },
});

export function createPrincipals(parts: Parts, options: PasswordChangeOptions = {}): Principals {
  const { database, applyChange, clock } = parts;
  const passwords = createPasswordChanges(parts, options);

  async function get(nameOrId: string, on: Queryable = database): Promise<PrincipalInfo> {
    const { id, username } = asNameOrId(nameOrId);
    const [row] = await on.query(selectPrincipal(id, username));
    if (row === undefined) throw noPrincipal(nameOrId);
    return infoFrom(row);
  }

  return {
    async list({ kind, status, role, limit, cursor }) {
      const size = pageSize(limit);
      const [after] = readCursor(cursor, [/^[a-z0-9._@+-]{1,63}$/]) ?? [];
      const filter = {
        kind: kind ?? null,
        status: status ?? null,
        role: role === undefined ? null : (await roleNamed(database, role)).role_name,
        after: after ?? null,
      };
      const rows = await database.query(selectPrincipals(filter, size + 1));
      return pageOf(rows, size, infoFrom, ({ username }) => [username]);
    },

    get: (nameOrId) => get(nameOrId),

    async create(principal, by) {
      const user = await newUser(principal);
      const info = await database.transaction(async (transaction) => {
        await orTaken(transaction.query(insertUser(user)), uniques(user.username, user.email));
        for (const name of new Set(principal.roles ?? [])) {
          const role = await roleNamed(transaction, name);
          await assertCanGiveRole(transaction, by, role);
          const giver = by.access.userId;
          await transaction.query(insertAssignment(user.userId, role.role_id, null, giver));
        }
        await tellOf(transaction, parts, by, {
          type: 'principal_changed',
          userId: user.userId,
          username: user.username,
          details: { change: 'created', kind: user.kind, roles: principal.roles ?? [] },
        });
        return get(user.userId, transaction);
      });
      applyChange('user', user.userId);
      return info;
    },

    async update(nameOrId, change, by) {
      const { userId, info } = await changed(nameOrId, change, by);
      applyChange('user', userId);
      return info;
    },

    async remove(nameOrId, by) {
      const { user_id: userId } = await changeRights(parts, async (transaction) => {
        const user = await findPrincipal(transaction, nameOrId);
        if (user.username === parts.ownerName) throw ownerStays(user.username);
        await assertRanksAbove(transaction, by, user);
        await transaction.query(deleteUser(user.user_id));
        await tellOf(transaction, parts, by, {
          type: 'principal_changed',
          severity: 2,
          userId: user.user_id,
          username: user.username,
          details: { change: 'removed' },
        });
        return user;
      });
      applyChange('user', userId);
    },

    async grantRole(nameOrId, roleName, expiresAt, by) {
      const end =
        expiresAt === undefined ? null : futureTime('expiresAt', expiresAt, clock.nowMs());
      const info = await changeRights(parts, async (transaction) => {
        const user = await findPrincipal(transaction, nameOrId);
        const role = await roleNamed(transaction, roleName);
        // An end to what had none takes away as well.
        assertOwnerAsks(parts, by, user.username);
        await assertCanGiveRole(transaction, by, role);
        await assertOutlives(transaction, parts, by, end);
        const giver = by.access.userId;
        await transaction.query(insertAssignment(user.user_id, role.role_id, end, giver));
        await tellOf(transaction, parts, by, {
          type: 'role_assigned',
          userId: user.user_id,
          username: user.username,
          details: { change: 'granted', role: role.role_name, expiresAt: end },
        });
        return get(user.user_id, transaction);
      });
      applyChange('user', info.id);
      return info;
    },

    async revokeRole(nameOrId, roleName, by) {
      const info = await changeRights(parts, async (transaction) => {
        const user = await findPrincipal(transaction, nameOrId);
        const role = await roleNamed(transaction, roleName);
        assertOwnerAsks(parts, by, user.username);
        assertRanks(
          { ...by.access, within: by.within },
          role.role_level,
          `an end to the role ${role.role_name}`,
        );
        const [revoked] = await transaction.query(deleteAssignment(user.user_id, role.role_id));
        if (revoked === undefined) {
          throw new AppError('not_found', `${user.username} has no role ${role.role_name}`, {
            details: { principal: user.username, role: role.role_name },
          });
        }
        await tellOf(transaction, parts, by, {
          type: 'role_assigned',
          userId: user.user_id,
          username: user.username,
          details: { change: 'revoked', role: role.role_name },
        });
        return get(user.user_id, transaction);
      });
      applyChange('user', info.id);
      return info;
    },

    setPassword: passwords.setPassword,
    changePassword: passwords.changePassword,

    async unlock(nameOrId, by) {
      await database.transaction(async (transaction) => {
        const user = await findPrincipal(transaction, nameOrId);
        const [forgotten] = await transaction.query(deleteAttempts(user.username));
        if (forgotten === undefined) return;
        await tellOf(transaction, parts, by, {
          type: 'principal_changed',
          userId: user.user_id,
          username: user.username,
          details: { change: 'unlocked', wasLocked: forgotten.was_locked },
        });
      });
    },

    ensureAgents: (names) => ensureAgents(parts, names),
  };

  async function newUser(principal: NewPrincipal) {
    const username = normaliseUsername(principal.username);
    const displayName = principal.displayName ?? principal.username;
    const email = principal.email === undefined ? null : normaliseEmail(principal.email);
    const names = [displayName, ...(email === null ? [] : [email])];
    const { password } = principal;
    return {
      userId: newId(),
      username,
      kind: principal.kind ?? ('user' as const),
      displayName: checkText('displayName', displayName, mostNameCharacters),
      email,
      passwordHash:
        password === undefined ? null : await passwords.hashFirst(password, username, names),
      mustChangePassword: password !== undefined && principal.mustChangePassword === true,
    };
  }

  async function changed(
    nameOrId: string,
    change: Parameters<Principals['update']>[1],
    by: Caller,
  ): Promise<{ userId: string; info: PrincipalInfo }> {
    const displayName =
      change.displayName === undefined
        ? null
        : checkText('displayName', change.displayName, mostNameCharacters);
    const email = typeof change.email === 'string' ? normaliseEmail(change.email) : null;
    const setsEmail = change.email !== undefined;
    return changeRightsIf(change.status === 'disabled', async (transaction) => {
      const user = await findPrincipal(transaction, nameOrId);
      const { user_id: userId, username } = user;
      if (change.status === 'disabled') {
        assertOwnerAsks(parts, by, username);
        await assertRanksAbove(transaction, by, user);
      }
      if (displayName !== null || setsEmail) {
        const profile = { displayName, setsEmail, email };
        await orTaken(transaction.query(updateProfile(userId, profile)), uniques(username, email));
      }
      if (change.status !== undefined && change.status !== user.status) {
        await transaction.query(updateStatus(userId, change.status));
        // A principal who is active again some day signs in again: what was open then may be lost.
        if (change.status === 'disabled') {
          await transaction.query(endSessionsOf(userId, 'the principal was disabled', null));
        }
      }
      await tellOf(transaction, parts, by, {
        type: 'principal_changed',
        severity: change.status === 'disabled' ? 2 : 1,
        userId,
        username,
        details: {
          change: 'updated',
          fields: Object.keys(change).filter((name) => Object(change)[name] !== undefined),
          ...(change.status === undefined ? {} : { status: change.status }),
        },
      });
      return { userId, info: await get(userId, transaction) };
    });
  }

  function changeRightsIf<T>(takes: boolean, work: (on: Queryable) => Promise<T>): Promise<T> {
    return takes ? changeRights(parts, work) : database.transaction(work);
  }
}

async function ensureAgents(parts: Parts, names: readonly string[]): Promise<void> {
  const usernames = new Set<string>();
  for (const name of names) {
    try {
      usernames.add(normaliseUsername(name));
    } catch (error) {
      // One name must not keep all other agents from having theirs.
      parts.log.warn({ agent: name, err: error }, 'an agent can have no principal of its own');
    }
  }
  if (usernames.size === 0) return;
  const ids = [...usernames].map(() => newId());
  const created = await parts.database.transaction(async (transaction) => {
    const rows = await transaction.query(insertAgents(ids, [...usernames]));
    const events = rows.map(({ user_id: userId, username }) => ({
      type: 'principal_changed' as const,
      userId,
      username,
      details: { change: 'created', kind: 'agent', roles: ['agent'], by: 'the registry of agents' },
    }));
    if (events.length > 0) await transaction.query(insertSecurityEvents(eventColumns(events)));
    return rows;
  });
  for (const { user_id: userId } of created) parts.applyChange('user', userId);
}

function ownerStays(username: string): AppError {
  return new AppError('conflict', `${username} stands for the owner of the data folder and stays`, {
    remedy: 'Disable it instead.',
  });
}

function infoFrom(row: PrincipalRow): PrincipalInfo {
  return {
    id: row.user_id,
    username: row.username,
    kind: row.kind,
    status: row.status,
    displayName: row.display_name,
    ...(row.email === null ? {} : { email: row.email }),
    roles: row.roles.map(({ name, expiresAt }) => ({
      name,
      ...(expiresAt === null ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
    })),
    permissions: BigInt.asUintN(64, row.permission_bitmask).toString(),
    hasPassword: row.has_password,
    mustChangePassword: row.must_change_password,
    hasTotp: row.has_totp,
    passkeys: row.passkeys,
    failedAttempts: row.failed_attempts,
    ...(row.locked_until === null ? {} : { lockedUntil: row.locked_until.toISOString() }),
    createdAt: row.created_at.toISOString(),
    ...(row.last_login_at === null ? {} : { lastLoginAt: row.last_login_at.toISOString() }),
  };
}
