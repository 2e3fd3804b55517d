/** Who asks, from where, and about whom: what identity's routes read of a request. */
import type { FastifyRequest } from 'fastify';
import { AppError } from '../base/base.ts';
import {
  assertAllowed,
  authorize,
  foldName,
  maskValue,
  type Action,
  type Caller,
  type Identity,
  type Origin,
} from '../identity/identity.ts';

const everyBit = 2n ** 64n - 1n;

/** Whether the credential is narrowed to some of what its principal may do. */
export function isNarrowed({ within }: Caller): boolean {
  return maskValue(within) !== everyBit;
}

/**
 * For what makes, shows or takes away credentials of the caller himself: with a narrowed or delegated
 * one, or with an API key, somebody could make himself one that outlives it and may do more.
 */
export function assertInPerson(caller: Caller): void {
  const why =
    caller.kind === 'api_key'
      ? 'an API key'
      : caller.actor !== undefined
        ? 'a token that somebody else acts with'
        : isNarrowed(caller)
          ? 'a credential that is narrowed to some permissions'
          : undefined;
  if (why === undefined) return;
  throw new AppError('denied', `${why} can not change credentials`, {
    remedy: 'Sign in yourself: in a browser, or with centuria login.',
  });
}

/** Where a request comes from, for limits and events. */
export function originOf(request: Pick<FastifyRequest, 'ip' | 'headers'>): Origin {
  return { address: request.ip, userAgent: (request.headers['user-agent'] ?? '').slice(0, 512) };
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The principal that a URL names, as identity spells it. An id is no name here: patterns of rights are
 * about names, and `0*` must not be matched by the id of somebody else.
 */
export function nameOf(request: FastifyRequest): string {
  return spelled((request.params as { readonly name?: unknown }).name);
}

/** A role's name in the one spelling that rights are asked with. */
export function spelledRole(given: unknown): string {
  return foldName(String(given));
}

/** A name of a principal from a URL or body in the one spelling that rights are asked with. */
export function spelled(given: unknown): string {
  const name = foldName(String(given));
  if (!uuid.test(name)) return name;
  throw new AppError('not_found', `there is no principal named ${name}`, {
    remedy: 'Give the name: centuria user list shows it beside the id.',
  });
}

/** The resource of routes whose address ends in a name. */
export function namedInPath({ params }: FastifyRequest): string | undefined {
  return (params as { readonly name?: string }).name;
}

/** Who asks, on a route that is not open. */
export function callerOf(request: Pick<FastifyRequest, 'caller'>): Caller {
  if (request.caller !== undefined) return request.caller;
  throw new Error('the route is open and asks who is there');
}

/**
 * Who asks, with the rights that he has now: for what is asked after waiting. Anybody's role that changed
 * meanwhile has made the rights stale with which the request came in, and those allow nothing.
 */
export async function renew(
  request: { caller: Caller | undefined },
  { identity }: { readonly identity: Pick<Identity, 'callers'> },
): Promise<Caller> {
  request.caller = await identity.callers.renewed(callerOf(request));
  return request.caller;
}

/** For lists: whether this item is the caller's to see. */
export function mayRead(
  request: Pick<FastifyRequest, 'caller'>,
  action: Action,
  resource: string,
): boolean {
  return authorize(callerOf(request), action, resource).allowed;
}

/** For what is known only after the body or the row was read. Throws `denied`. */
export function assertMay(
  request: Pick<FastifyRequest, 'caller'>,
  action: Action,
  resource: string,
): void {
  assertAllowed(callerOf(request), action, resource);
}
