import { AppError } from '../base/base.ts';
import type { Access } from './access.ts';
import { allBits, intersection, maskOfActions, union, type Mask } from './permissions.ts';

/** Asked for by clients of OpenID's habits; refresh tokens come with the session here. */
const withoutMeaning = new Set(['offline_access']);

/** What a scope narrows a token to: names of actions with spaces between; all bits without one. */
export function scopeMask(scope: string | undefined): Mask {
  if (scope === undefined) return allBits;
  return maskOfActions(scope.split(' ').filter((name) => name !== '' && !withoutMeaning.has(name)));
}

/** Everything that a principal may do somewhere. */
export function anywhere(access: Access): Mask {
  return access.grants.map(({ mask }) => mask).reduce(union, access.everywhere);
}

/**
 * The scope in one spelling; undefined when none is asked for. Throws `invalid_input` for an unknown
 * name and for one that asks for nothing, `denied` for what the principal has nowhere.
 */
export function checkScope(
  scope: string | undefined,
  access: Access,
  within: Mask,
): string | undefined {
  if (scope === undefined) return undefined;
  const names = [...new Set(scope.split(' '))].filter(
    (name) => name !== '' && !withoutMeaning.has(name),
  );
  if (names.length === 0) return undefined;
  const has = intersection(anywhere(access), within);
  for (const name of names) {
    const asked = intersection(maskOfActions([name]), has);
    if (asked.lo === 0 && asked.hi === 0) {
      throw new AppError('denied', `${access.username} has no permission ${name} to pass on`, {
        details: { scope: name },
        remedy: 'Ask for a scope that the principal has itself.',
      });
    }
  }
  return names.toSorted().join(' ');
}
