/** Scopes and resources as clients ask for them, and what is left of them for whom. */
import type { Caller } from './access.ts';
import { oauthError } from './oauth-errors.ts';
import type { AskedScope } from './oauth-types.ts';
import {
  actionsIn,
  allBits,
  intersection,
  isAction,
  maskOfActions,
  registry,
  type Action,
  type Mask,
} from './permissions.ts';
import { anywhere, namesIn } from './scope.ts';

/** The actions of a scope; undefined when it names none. Throws `invalid_scope` for an unknown name. */
export function scopeNames(scope: string | undefined): Action[] | undefined {
  const names = namesIn(scope);
  if (names.length === 0) return undefined;
  return names.map((name) => {
    if (isAction(name)) return name;
    throw oauthError('invalid_scope', 'the scope names a permission that there is not');
  });
}

/** What the caller could pass on. */
export function heldBy({ access, within }: Pick<Caller, 'access' | 'within'>): Mask {
  return intersection(anywhere(access), within);
}

/** Each permission that is asked for, with whether it can be given. */
export function askedScopes(scope: string | undefined, held: Mask): AskedScope[] | undefined {
  return scopeNames(scope)?.map((name) => ({
    name,
    description: registry[name].description,
    granted: isHeld(name, held),
  }));
}

/**
 * Of a scope, what the caller has. Without a scope everything, named where the caller's own
 * credential is narrowed. Throws `invalid_scope` when nothing is left.
 */
export function narrowScope(
  scope: string | undefined,
  caller: Pick<Caller, 'access' | 'within'>,
): string | undefined {
  const held = heldBy(caller);
  const { lo, hi } = caller.within;
  const names = scopeNames(scope);
  if (names === undefined && lo === allBits.lo && hi === allBits.hi) return undefined;
  const left = (names ?? actionsIn(held)).filter((name) => isHeld(name, held));
  if (left.length > 0) return left.join(' ');
  throw oauthError(
    'invalid_scope',
    `${caller.access.username} has none of the permissions that are asked for`,
  );
}

function isHeld(name: Action, held: Mask): boolean {
  const { lo, hi } = intersection(maskOfActions([name]), held);
  return lo !== 0 || hi !== 0;
}

/**
 * A resource (RFC 8707) in the form in which tokens name it; undefined for all of this server.
 * Throws `invalid_target` for what is not a URL below `publicUrl`.
 */
export function resourceFrom(asked: string | undefined, publicUrl: string): string | undefined {
  if (asked === undefined) return undefined;
  const url = /^https?:\/\/[\x21-\x5b\x5d-\x7e]+$/.test(asked) && URL.parse(asked);
  const isPlain = url && url.username === '' && url.password === '';
  if (isPlain && url.search === '' && url.hash === '' && !/[?#]$/.test(asked)) {
    if (url.origin === new URL(publicUrl).origin) {
      return url.pathname === '/' ? undefined : publicUrl + url.pathname.replace(/\/+$/, '');
    }
  }
  throw oauthError('invalid_target', `the resource is no address below ${publicUrl}`);
}

/** What is asked for within what was granted. Throws `invalid_target` where it lies beside it. */
export function narrowResource(
  granted: string | undefined,
  asked: string | undefined,
): string | undefined {
  if (granted === undefined || asked === undefined) return asked ?? granted;
  if (asked === granted || asked.startsWith(`${granted}/`)) return asked;
  throw oauthError('invalid_target', `the grant is for ${granted} only`);
}
