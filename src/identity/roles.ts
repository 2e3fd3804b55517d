/** Roles: named sets of permissions, on every resource or on those that a pattern stands for. */
import { AppError, suggest } from '../base/base.ts';
import type { Queryable } from '../database/database.ts';
import type { Caller, Grant } from './access.ts';
import { changeRights, giverOf, orTaken, tellOf } from './administering.ts';
import type { RoleInfo, Roles } from './administration.ts';
import { assertCanGive, assertRanks, everyResource, grantFrom } from './giving.ts';
import { checkText, foldName, normaliseRoleName } from './names.ts';
import type { Parts } from './parts.ts';
import { actionNamed, isAction, maskOf, systemRoles, type Action } from './permissions.ts';
import {
  countPermissions,
  countRoles,
  deleteRole,
  deleteRolePermission,
  findRole,
  insertRole,
  insertRolePermission,
  selectGranted,
  selectRoleNames,
  selectRoles,
  type FoundRoleRow,
  type PermissionKey,
  type RoleRow,
} from './role-queries.ts';

/** What the C face has room for. */
const mostRoles = 256;
const mostPermissions = 1_024;
const mostDescriptionCharacters = 500;
const mostPatternCharacters = 200;

/** By name in any spelling. Throws `not_found` with the nearest name. */
export async function roleNamed(database: Queryable, name: string): Promise<FoundRoleRow> {
  const folded = foldName(name);
  const isSearchable = folded.isWellFormed() && !folded.includes('\0');
  const [found] = isSearchable ? await database.query(findRole(folded)) : [];
  if (found !== undefined) return found;
  const names = (await database.query(selectRoleNames())).map((row) => row.role_name);
  const near = suggest(folded, names);
  throw new AppError('not_found', `there is no role ${JSON.stringify(name.slice(0, 80))}`, {
    details: { role: name.slice(0, 80) },
    remedy: near === undefined ? 'centuria role list shows them.' : `Did you mean ${near}?`,
  });
}

/** Throws `denied` when the caller's own rights do not cover the role. */
export async function assertCanGiveRole(
  database: Queryable,
  by: Caller,
  role: FoundRoleRow,
): Promise<void> {
  const what = `the role ${role.role_name}`;
  const giver = await giverOf(database, by);
  assertRanks(giver, role.role_level, what);
  assertCanGive(giver, (await database.query(selectGranted(role.role_id))).map(grantFrom), what);
}

export function createRoles(parts: Parts): Roles {
  const { database } = parts;

  async function get(name: string, on: Queryable = database): Promise<RoleInfo> {
    const { role_name: roleName } = await roleNamed(on, name);
    const [row] = await on.query(selectRoles(roleName));
    if (row === undefined) throw new AppError('not_found', `the role ${roleName} was just removed`);
    return infoFrom(row);
  }

  /** One change of a role that is not of the system, with its event. */
  async function changeRole<T>(
    name: string,
    details: Record<string, unknown>,
    by: Caller,
    change: (transaction: Queryable, role: FoundRoleRow) => Promise<T>,
  ): Promise<T> {
    const result = await changeRights(parts, async (transaction) => {
      const role = await roleNamed(transaction, name);
      if (role.is_system_role) throw systemStays(role.role_name);
      const done = await change(transaction, role);
      await tellOf(transaction, parts, by, {
        type: 'role_changed',
        severity: 2,
        details: { role: role.role_name, ...details },
      });
      return done;
    });
    parts.applyChange('roles', '');
    return result;
  }

  return {
    async list() {
      return (await database.query(selectRoles(null))).map(infoFrom);
    },

    get: (name) => get(name),

    async create(role, by) {
      const name = normaliseRoleName(role.name);
      const description = checkText(
        'description',
        role.description ?? '',
        mostDescriptionCharacters,
      );
      const level = checkLevel(role.level ?? systemRoles.guest.level);
      const permissions = (role.permissions ?? []).map(({ action, pattern }) =>
        permissionOf(action, pattern ?? everyResource),
      );
      const info = await changeRights(parts, async (transaction) => {
        assertRanks(await giverOf(transaction, by), level, `the role ${name}`);
        const created = await orTaken(transaction.query(insertRole(name, level, description)), {
          roles_role_name_key: { field: 'name', value: name },
        });
        const [count] = await transaction.query(countRoles());
        if ((count?.total ?? 0) > mostRoles) throw tooMany('roles', mostRoles);
        for (const row of created) {
          for (const permission of permissions) await allow(transaction, row, permission, by);
        }
        await tellOf(transaction, parts, by, {
          type: 'role_changed',
          severity: 2,
          details: {
            role: name,
            change: 'created',
            level,
            permissions: permissions.map(({ key }) => key.name),
          },
        });
        return get(name, transaction);
      });
      parts.applyChange('roles', '');
      return info;
    },

    async allow(name, action, pattern, by) {
      const permission = permissionOf(action, pattern);
      const details = { change: 'allowed', permission: permission.key.name };
      return changeRole(name, details, by, async (transaction, role) => {
        await allow(transaction, role, permission, by);
        return get(role.role_name, transaction);
      });
    },

    async disallow(name, action, pattern, by) {
      const { key } = permissionOf(action, pattern);
      const details = { change: 'disallowed', permission: key.name };
      return changeRole(name, details, by, async (transaction, role) => {
        const [taken] = await transaction.query(deleteRolePermission(role.role_id, key));
        if (taken === undefined) {
          throw new AppError('not_found', `the role ${role.role_name} does not grant ${key.name}`, {
            details: { role: role.role_name, permission: key.name },
            remedy: `centuria role show ${role.role_name} lists what it grants.`,
          });
        }
        return get(role.role_name, transaction);
      });
    },

    async remove(name, by) {
      await changeRole(name, { change: 'removed' }, by, async (transaction, role) => {
        await transaction.query(deleteRole(role.role_id));
      });
    },
  };
}

async function allow(
  transaction: Queryable,
  role: FoundRoleRow,
  permission: Permission,
  by: Caller,
): Promise<void> {
  const giver = await giverOf(transaction, by);
  assertCanGive(giver, [permission.grant], permission.key.name);
  const { action, key } = permission;
  await transaction.query(insertRolePermission(role.role_id, key, action));
  const [count] = await transaction.query(countPermissions());
  if ((count?.total ?? 0) > mostPermissions) throw tooMany('permissions', mostPermissions);
}

interface Permission {
  readonly action: Action;
  readonly key: PermissionKey;
  readonly grant: Grant;
}

/** Throws `invalid_input` for an action that there is not, and a pattern that could hold nothing. */
function permissionOf(actionName: string, pattern: string): Permission {
  const action = actionNamed(actionName);
  const [resourceType = '', verb] = action.split('.');
  const isWide = verb === undefined;
  // `a**b` is `a*b`: one spelling, so that `**` is not taken for something less than everything.
  const one = pattern.replaceAll(/\*+/g, everyResource);
  const isPlain = one.isWellFormed() && one !== '' && one.length <= mostPatternCharacters;
  if (!isPlain || /[\p{C}\s]/u.test(one)) {
    throw new AppError('invalid_input', `${JSON.stringify(pattern.slice(0, 80))} is no pattern`, {
      details: { field: 'pattern' },
      remedy: `Use 1 to ${mostPatternCharacters} characters without spaces; * stands for any run of them.`,
    });
  }
  if (isWide && one !== everyResource) {
    throw new AppError('invalid_input', `${action} spans every kind of resource`, {
      details: { field: 'pattern', permission: action },
      remedy: 'Use the pattern *, or a permission of one kind such as agents.execute.',
    });
  }
  return {
    action,
    key: {
      name: one === everyResource ? action : `${action}:${one}`,
      resourceType: isWide ? '*' : resourceType,
      pattern: one,
      action: verb ?? action,
    },
    grant: { resourceType: isWide ? '*' : resourceType, pattern: one, mask: maskOf(action) },
  };
}

function checkLevel(level: number): number {
  if (Number.isInteger(level) && level >= 1 && level <= 5) return level;
  throw new AppError('invalid_input', `level is ${level}`, {
    details: { field: 'level' },
    remedy: 'Use 1 (admin), 2 (system), 3 (agent), 4 (monitor) or 5 (guest).',
  });
}

function systemStays(role: string): AppError {
  return new AppError('conflict', `${role} is a role of the system and stays as it is`, {
    details: { role },
    remedy: 'Make a role of your own with what is needed.',
  });
}

function tooMany(what: string, most: number): AppError {
  return new AppError('limit_exceeded', `there would be more than ${most} ${what}`, {
    details: { most },
    retryable: false,
    remedy: 'Remove some that are not used.',
  });
}

function infoFrom(row: RoleRow): RoleInfo {
  return {
    name: row.role_name,
    level: row.role_level,
    isSystem: row.is_system_role,
    description: row.description,
    mask: BigInt.asUintN(64, row.mask).toString(),
    permissions: row.permissions.flatMap(({ action, pattern }) =>
      isAction(action) ? [{ action, pattern }] : [],
    ),
    members: row.members,
  };
}
