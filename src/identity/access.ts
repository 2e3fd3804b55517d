/** The question that every door asks: may this caller do this, to that? */
import { AppError } from '../base/base.ts';
import type { Actor } from './claims.ts';
import type { LimitPolicy } from './limits.ts';
import { matchesPattern } from './patterns.ts';
import { maskOf, registry, type Action, type Mask } from './permissions.ts';

/** A permission that holds for some resources of one type only. */
export interface Grant {
  readonly resourceType: string;
  readonly pattern: string;
  readonly mask: Mask;
}

/** What a principal may do now. Loaded from the database, never changed; replaced when something changes. */
export interface Access {
  readonly userId: string;
  readonly username: string;
  readonly kind: 'user' | 'agent';
  readonly roles: readonly string[];
  /** `agent_role_t` of the strongest role; guest without any. */
  readonly roleLevel: number;
  /** Whoever signed in with it may do nothing before the password is another one. */
  readonly mustChangePassword: boolean;
  /** Granted on every resource, with what the wide bits imply. */
  readonly everywhere: Mask;
  /** The same without what is implied: what a token's `permissions` claim tells the C face. */
  readonly bitmask: Mask;
  readonly grants: readonly Grant[];
  /** The first expiry of a role; Infinity without one. */
  readonly validUntilMs: number;
  /** Turned off when a change has made it stale. */
  isCurrent: boolean;
}

/** A principal at a door: by which credential, and narrowed to what. */
export interface Caller {
  readonly access: Access;
  readonly kind: 'owner' | 'session' | 'token' | 'api_key';
  /** Names the credential in logs without giving it away. */
  readonly id: string;
  readonly sessionId: string | undefined;
  /** The scopes of the credential; all bits when it is not narrowed. */
  readonly within: Mask;
  /** Who acts for the principal, the last one outermost. */
  readonly actor: Actor | undefined;
  /** The resource that the token is for (RFC 8707), as a URL; undefined: all of this deployment. */
  readonly audience: string | undefined;
  /** The credential counts no longer from then on, milliseconds since 1970; Infinity without an end. */
  readonly untilMs: number;
  /** How often it may ask: its own bucket, never shared with another principal. */
  readonly limit: { readonly policy: LimitPolicy; readonly id: string } | undefined;
}

export interface Decision {
  readonly allowed: boolean;
  /** Why not, as half a sentence. */
  readonly reason: string;
}

const allowed: Decision = Object.freeze({ allowed: true, reason: '' });
const masks = Object.freeze(
  Object.fromEntries(Object.keys(registry).map((action) => [action, maskOf(action as Action)])),
) as Readonly<Record<Action, Mask>>;

/**
 * Whether the caller may do `action` on `resource`, a name within the action's type (`spelling` for
 * `agents.execute`). Without a resource the question is about every one of the type. Asks nothing but
 * memory: 10 ns when it is allowed everywhere.
 */
export function authorize(caller: Caller, action: Action, resource?: string): Decision {
  const { access, within } = caller;
  const bit = masks[action];
  if (!access.isCurrent) return denial('its rights have just changed');
  if (access.mustChangePassword && (caller.kind === 'session' || caller.kind === 'token')) {
    return denial('its password must be changed first');
  }
  if (access.validUntilMs !== Infinity && access.validUntilMs <= Date.now()) {
    return denial('a role has just expired');
  }
  if (((within.lo & bit.lo) | (within.hi & bit.hi)) === 0) {
    return denial('the credential is narrowed to other permissions');
  }
  const { everywhere } = access;
  if (((everywhere.lo & bit.lo) | (everywhere.hi & bit.hi)) !== 0) return allowed;
  return bySomeGrant(caller, bit, resource);
}

/** Whether there is any resource on which the caller may do it: for lists, whose items are asked for one by one. */
export function authorizeSome(caller: Caller, action: Action): Decision {
  const decision = authorize(caller, action);
  if (decision.allowed) return decision;
  const bit = masks[action];
  const { access, within } = caller;
  const isWithin = ((within.lo & bit.lo) | (within.hi & bit.hi)) !== 0;
  const some = access.isCurrent && isWithin && access.grants.some(({ mask }) => holds(mask, bit));
  return some ? allowed : decision;
}

/** The same as an exception: `denied` with the reason and the remedy. */
export function assertAllowed(caller: Caller, action: Action, resource?: string): void {
  const decision = authorize(caller, action, resource);
  if (!decision.allowed) throw deniedError(caller, action, resource, decision);
}

export function deniedError(
  { access }: Caller,
  action: Action,
  resource: string | undefined,
  { reason }: Decision,
): AppError {
  const on = resource === undefined ? '' : ` on ${JSON.stringify(resource)}`;
  return new AppError('denied', `${access.username} may not ${action}${on}: ${reason}`, {
    details: {
      principal: access.username,
      action,
      ...(resource === undefined ? {} : { resource }),
    },
    remedy: `Who may grant roles can allow it: centuria access who ${action} shows who has it already.`,
  });
}

function bySomeGrant(caller: Caller, bit: Mask, resource: string | undefined): Decision {
  const { grants } = caller.access;
  let isHeld = false;
  for (const { mask, pattern } of grants) {
    if (!holds(mask, bit)) continue;
    if (resource !== undefined && matchesPattern(pattern, resource)) return allowed;
    isHeld = true;
  }
  return isHeld ? onSomeOnly(grants, bit) : denial(lackOf(caller.access));
}

function onSomeOnly(grants: readonly Grant[], bit: Mask): Decision {
  const patterns = grants.filter(({ mask }) => holds(mask, bit)).map(({ pattern }) => pattern);
  return denial(`it is granted on ${patterns.join(', ')} only`);
}

function lackOf({ roles }: Access): string {
  return roles.length === 0 ? 'it has no role' : `no role of it (${roles.join(', ')}) grants it`;
}

function holds(mask: Mask, bit: Mask): boolean {
  return ((mask.lo & bit.lo) | (mask.hi & bit.hi)) !== 0;
}

function denial(reason: string): Decision {
  return { allowed: false, reason };
}
