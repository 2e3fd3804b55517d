/** Nobody gives what he has not: what a caller's own rights cover. */
import { AppError } from '../base/base.ts';
import type { Access, Caller, Grant } from './access.ts';
import { matchesPattern } from './patterns.ts';
import {
  actionsIn,
  expandMask,
  intersection,
  maskFrom,
  maskValue,
  noBits,
  union,
  type Mask,
} from './permissions.ts';

/** What makes every resource of a type: the pattern of a grant that holds everywhere. */
export const everyResource = '*';

/** A grant as the database has it. */
export interface HeldRow {
  readonly resource_type: string;
  readonly resource_pattern: string;
  readonly permission_value: bigint;
}

export function grantFrom(row: HeldRow): Grant {
  return {
    resourceType: row.resource_type,
    pattern: row.resource_pattern,
    mask: maskFrom(row.permission_value),
  };
}

/** A caller with the rights that he has now, by the database: what was in memory may be a moment old. */
export interface Giver extends Pick<Access, 'username' | 'roleLevel' | 'everywhere' | 'grants'> {
  readonly within: Caller['within'];
}

/**
 * Throws `denied` unless the caller himself may do, by this credential, all that the gifts allow.
 * `what` names what would be given.
 */
export function assertCanGive(by: Giver, gifts: readonly Grant[], what: string): void {
  for (const gift of gifts) {
    const missing = lacking(by, gift);
    if (maskValue(missing) === 0n) continue;
    const on = gift.pattern === everyResource ? '' : ` on ${gift.pattern}`;
    const names = actionsIn(missing);
    const lacks = names.length === 0 ? 'permissions of a later version' : names.join(', ');
    throw cannotGive(by, what, `its own rights lack ${lacks}${on}`);
  }
}

/** Throws `denied` for a role that ranks above all of the caller's (1 is the highest). */
export function assertRanks(by: Giver, level: number, what: string): void {
  if (level < by.roleLevel) {
    throw cannotGive(by, what, `its level ${level} ranks above the caller's ${by.roleLevel}`);
  }
}

function cannotGive({ username }: Giver, what: string, why: string): AppError {
  return new AppError('denied', `${username} may not give ${what}: ${why}`, {
    details: { principal: username },
    remedy: 'Ask somebody who has these rights himself.',
  });
}

/** The bits of a gift that the caller's rights do not cover. */
function lacking({ everywhere, grants, within }: Giver, gift: Grant): Mask {
  const isEverywhere = gift.pattern === everyResource;
  // A wide bit gives all that it implies, which a narrowed caller may lack.
  const asked = isEverywhere ? expandMask(gift.mask) : gift.mask;
  const own = isEverywhere
    ? everywhere
    : grants
        .filter(({ pattern }) => coversPattern(pattern, gift.pattern))
        .reduce((bits, { mask }) => union(bits, mask), everywhere);
  return without(asked, intersection(own, within));
}

function without(mask: Mask, taken: Mask): Mask {
  return maskValue(mask) === 0n ? noBits : { lo: mask.lo & ~taken.lo, hi: mask.hi & ~taken.hi };
}

/**
 * Whether every text that `inner` stands for is one that `outer` stands for as well. A character that
 * no pattern holds in place of each `*` of `inner` can only be met by a `*` of `outer`, and that one
 * would meet any other text as well.
 */
export function coversPattern(outer: string, inner: string): boolean {
  return matchesPattern(outer, inner.replaceAll('*', '\0'));
}
