import { AppError } from '../base/base.ts';
import type { Access } from './access.ts';
import { allBits, intersection, maskOfActions, union, type Mask } from './permissions.ts';

/** Asked for by clients of OpenID's habits; refresh tokens come with the session here. */
const withoutMeaning = new Set(['offline_access']);

/** The names in a scope, each once, in one order; none for a scope that asks for nothing. */
export function namesIn(scope: string | undefined): string[] {
  const names = new Set(scope?.split(' ') ?? []);
  return [...names].filter((name) => name !== '' && !withoutMeaning.has(name)).toSorted();
}

/** What a scope narrows a token to; all bits without one. Throws `invalid_input` for an unknown name. */
export function scopeMask(scope: string | undefined): Mask {
  return scope === undefined ? allBits : maskOfActions(namesIn(scope));
}

/** Everything that a principal may do somewhere. */
export function anywhere(access: Access): Mask {
  return access.grants.map(({ mask }) => mask).reduce(union, access.everywhere);
}

/**
 * The scope in one spelling; undefined when none is asked for. Throws `invalid_input` for an unknown
 * name, `denied` for what the principal has nowhere.
 */
export function checkScope(
  scope: string | undefined,
  access: Access,
  within: Mask,
): string | undefined {
  const names = namesIn(scope);
  const has = intersection(anywhere(access), within);
  const missing = names.find((name) => !isIn(name, has));
  if (missing === undefined) return names.length === 0 ? undefined : names.join(' ');
  throw new AppError('denied', `${access.username} has no permission ${missing} to pass on`, {
    details: { scope: missing },
    remedy: 'Ask for a scope that the principal has itself.',
  });
}

/** Of a scope that was granted once, what the principal still has. Throws `denied` when nothing is left. */
export function remainingScope(scope: string | undefined, access: Access): string | undefined {
  const names = namesIn(scope);
  if (names.length === 0) return undefined;
  const has = anywhere(access);
  const left = names.filter((name) => isIn(name, has));
  if (left.length > 0) return left.join(' ');
  throw new AppError('denied', `${access.username} has none of ${names.join(', ')} any more`);
}

function isIn(name: string, mask: Mask): boolean {
  const { lo, hi } = intersection(maskOfActions([name]), mask);
  return lo !== 0 || hi !== 0;
}
