import type { FastifyRequest } from 'fastify';
import { assertAllowed, authorize, type Action, type Caller } from '../identity/identity.ts';

/** The resource of routes whose address ends in a name. */
export function namedInPath({ params }: FastifyRequest): string | undefined {
  return (params as { readonly name?: string }).name;
}

/** Who asks, on a route that is not open. */
export function callerOf(request: Pick<FastifyRequest, 'caller'>): Caller {
  if (request.caller !== undefined) return request.caller;
  throw new Error('the route is open and asks who is there');
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
