/** What somebody can do, and who can do something: asked of the database, meant as `authorize` means it. */
import { AppError } from '../base/base.ts';
import { checkPermission, selectAble, selectGrants, selectRolesOf } from './access-queries.ts';
import { findPrincipal } from './administering.ts';
import type { AccessQuestions } from './administration.ts';
import { everyResource, grantFrom } from './giving.ts';
import { pageSize } from './pages.ts';
import type { Parts } from './parts.ts';
import {
  actionNamed,
  actionsIn,
  expandMask,
  intersection,
  maskOf,
  maskValue,
  noBits,
  union,
  type Action,
} from './permissions.ts';

const mostResourceCharacters = 500;

export function createAccessQuestions({ database }: Parts): AccessQuestions {
  async function held(userId: string) {
    const rows = await database.query(selectGrants(userId));
    return rows.map((row) => ({ role: row.role_name, ...grantFrom(row) }));
  }

  return {
    async can(nameOrId) {
      const { user_id: userId, username, status } = await findPrincipal(database, nameOrId);
      const grants = await held(userId);
      const [named] = await database.query(selectRolesOf(userId));
      const mask = grants
        .filter(({ pattern }) => pattern === everyResource)
        .reduce((bits, grant) => union(bits, grant.mask), noBits);
      return {
        username,
        status,
        roles: named?.roles ?? [],
        everywhere: actionsIn(expandMask(mask)),
        some: grants
          .filter(({ pattern }) => pattern !== everyResource)
          .flatMap(({ pattern, role, mask: bits }) =>
            actionsIn(bits).map((action) => ({ action, pattern, role })),
          ),
        mask: maskValue(mask).toString(),
      };
    },

    async check(nameOrId, actionName, resource) {
      const action = actionNamed(actionName);
      const { user_id: userId, status } = await findPrincipal(database, nameOrId);
      const path = pathOf(action, resource);
      const bit = BigInt.asIntN(64, maskValue(maskOf(action)));
      const [answer] = await database.query(checkPermission(userId, path, bit));
      const allowed = answer?.allowed === true;
      const giving = (await held(userId)).filter(({ pattern, mask }) => {
        const bits = pattern === everyResource ? expandMask(mask) : mask;
        return maskValue(intersection(bits, maskOf(action))) !== 0n;
      });
      if (status !== 'active') return { allowed, reason: `it is ${status}` };
      if (giving.length === 0) return { allowed, reason: 'no role of it grants it' };
      const where = giving.map(({ role, pattern }) => `${role} grants it on ${pattern}`);
      const only = allowed ? '' : ' only';
      return { allowed, reason: `${[...new Set(where)].join(', ')}${only}` };
    },

    async who(actionName, resource, limit) {
      const action = actionNamed(actionName);
      pathOf(action, resource);
      const type = typeOf(action);
      return database.query(selectAble(action, type, resource ?? null, pageSize(limit)));
    },
  };
}

function typeOf(action: Action): string {
  return action.split('.')[0] ?? action;
}

/** Throws `invalid_input` for what can be the name of no resource. */
function pathOf(action: Action, resource: string | undefined): string {
  if (resource === undefined) return typeOf(action);
  const isName = resource.isWellFormed() && !resource.includes('\0') && resource !== '';
  if (isName && resource.length <= mostResourceCharacters) return `${typeOf(action)}/${resource}`;
  throw new AppError('invalid_input', 'the resource can be no name', {
    details: { field: 'resource' },
    remedy: `Use 1 to ${mostResourceCharacters} characters, such as the name of an agent.`,
  });
}
