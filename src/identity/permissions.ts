/**
 * The registry of permission bits, version 3. A bit is never given another meaning: a new version
 * only adds. The table `permission_bits` holds the same rows for SQL; a test compares the two.
 */
import { AppError, suggest } from '../base/base.ts';

/** 64 bits as two halves: a `number` would lose bits, and `bigint` is too slow to ask with. */
export interface Mask {
  readonly lo: number;
  readonly hi: number;
}

/** Bits 0–5 are `permission_t` of the C face. */
export const wideBits = {
  read: 1,
  write: 2,
  execute: 4,
  admin: 8,
  monitor: 16,
  system: 32,
} as const;
const { read, write, execute, admin, monitor, system } = wideBits;

export const registryVersion = 3;

interface Row {
  readonly bit: number;
  /** Wide bits of which each grants this one as well. */
  readonly impliedBy: number;
  /** The version of the registry that brought it. */
  readonly since: number;
  readonly description: string;
}

const row = (bit: number, impliedBy: number, description: string, since = 1): Row => ({
  bit,
  impliedBy,
  since,
  description,
});

export const registry = {
  read: row(0, 0, 'Read whatever is not about people, keys or security'),
  write: row(1, 0, 'Change runs'),
  execute: row(2, 0, 'Run agents and workflows'),
  admin: row(3, 0, 'Everything about principals, roles, keys and deployments'),
  monitor: row(4, 0, 'Read metrics, security events and the state of the system'),
  system: row(5, 0, 'Change the system: definitions, checkpoints, signing keys'),
  'agents.read': row(6, read, 'See agents, their definitions and states'),
  'agents.write': row(7, admin | system, 'Change, enable and disable agents'),
  'agents.execute': row(8, execute, 'Invoke an agent'),
  'workflows.read': row(9, read, 'See workflows'),
  'workflows.write': row(10, admin | system, 'Change workflows'),
  'workflows.execute': row(11, execute, 'Start runs of a workflow'),
  'runs.read': row(12, read, 'See runs, by the name of their workflow'),
  'runs.write': row(13, write, 'Cancel and retry runs, by the name of their workflow'),
  'checkpoints.read': row(14, admin | monitor | system, 'See checkpoints'),
  'checkpoints.write': row(15, admin | system, 'Make checkpoints'),
  'checkpoints.execute': row(16, admin, 'Restore a checkpoint'),
  'ext.read': row(17, admin | monitor | system, 'See releases of extensions'),
  'ext.write': row(18, admin, 'Package, build and stage extensions'),
  'ext.execute': row(19, admin, 'Deploy extensions and roll them back'),
  'audit.read': row(20, admin | monitor, 'See security events and the audit log'),
  'users.read': row(21, admin, 'See principals, their roles, sessions and API keys'),
  'users.write': row(
    22,
    admin,
    'Change principals, end their sessions, make and revoke their API keys',
  ),
  'roles.read': row(23, admin, 'See roles and what they grant'),
  'roles.write': row(24, admin, 'Change roles, and who has them'),
  'keys.read': row(25, admin | monitor | system, 'See the state of the signing keys'),
  'keys.write': row(26, admin | system, 'Rotate the signing keys'),
  'status.read': row(27, read | monitor, 'See the state of the system'),
  'clients.read': row(28, admin, 'See OAuth clients'),
  'clients.write': row(29, admin, 'Register and delete OAuth clients'),
  'runs.approve': row(30, admin, 'Answer what a run asks a person, by the name of its workflow', 2),
  'runs.undo': row(
    31,
    admin | system,
    'Undo what a run has changed, by the name of its workflow',
    2,
  ),
  'schedules.read': row(32, read, 'See schedules', 2),
  'schedules.write': row(33, admin | system, 'Make, change and delete schedules', 2),
  'limits.read': row(34, read | monitor, 'See budgets and circuit breakers', 2),
  'limits.write': row(35, admin | system, 'Change budgets and reset circuit breakers', 2),
  'learning.read': row(
    36,
    read | monitor,
    'See what is known of how agents do, and ask which one should do a task',
    3,
  ),
  'learning.write': row(37, write, 'Report outcomes and rate what agents did', 3),
  'learning.execute': row(
    38,
    admin | system,
    'Change how agents are chosen, and fit the choice again',
    3,
  ),
} as const satisfies Record<string, Row>;

/** What can be asked of a resource: the name of one bit. */
export type Action = keyof typeof registry;
export const actions = Object.keys(registry) as readonly Action[];

/** `agent_role_t` of the C face, and the masks of the five system roles. */
export const systemRoles = {
  admin: { level: 1, mask: 63 },
  system: { level: 2, mask: read | write | execute | system },
  agent: { level: 3, mask: read | write | execute },
  monitor: { level: 4, mask: read | monitor },
  guest: { level: 5, mask: read },
} as const;

export const noBits: Mask = { lo: 0, hi: 0 };
export const allBits: Mask = { lo: -1, hi: -1 };

export function isAction(text: string): text is Action {
  return Object.hasOwn(registry, text);
}

/** The bit of an action as a mask. */
export function maskOf(action: Action): Mask {
  const { bit } = registry[action];
  return bit < 32 ? { lo: 1 << bit, hi: 0 } : { lo: 0, hi: 1 << (bit - 32) };
}

/** From a BIGINT of the database (signed) or a claim (unsigned). */
export function maskFrom(value: bigint): Mask {
  const bits = BigInt.asUintN(64, value);
  return { lo: Number(bits & 0xffff_ffffn) | 0, hi: Number(bits >> 32n) | 0 };
}

/** Unsigned, 0 to 2^64 − 1: what a claim holds as a decimal string. */
export function maskValue({ lo, hi }: Mask): bigint {
  return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
}

export function union(a: Mask, b: Mask): Mask {
  return { lo: a.lo | b.lo, hi: a.hi | b.hi };
}

export function intersection(a: Mask, b: Mask): Mask {
  return { lo: a.lo & b.lo, hi: a.hi & b.hi };
}

/** The mask with every bit that its wide bits imply. */
export function expandMask(mask: Mask): Mask {
  let expanded = mask;
  for (const action of actions) {
    if ((mask.lo & registry[action].impliedBy) !== 0) expanded = union(expanded, maskOf(action));
  }
  return expanded;
}

/** The actions that a mask holds, in the order of their bits; bits of a later version are left out. */
export function actionsIn(mask: Mask): Action[] {
  return actions.filter((action) => {
    const bit = maskOf(action);
    return (mask.lo & bit.lo) !== 0 || (mask.hi & bit.hi) !== 0;
  });
}

/** Names of actions as a mask, with what they imply. Throws `invalid_input` for a name that is none. */
export function maskOfActions(names: readonly string[]): Mask {
  return expandMask(names.map((name) => maskOf(actionNamed(name))).reduce(union, noBits));
}

/** Throws `invalid_input` with the nearest name. */
export function actionNamed(name: string): Action {
  if (isAction(name)) return name;
  const near = suggest(name, actions);
  throw new AppError('invalid_input', `there is no permission ${JSON.stringify(name)}`, {
    details: { permission: name },
    remedy: near === undefined ? 'centuria role permissions lists them.' : `Did you mean ${near}?`,
  });
}
