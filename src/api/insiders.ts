import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Caller } from '../identity/identity.ts';

/** The header that carries a ticket. From outside it means nothing, since nobody can guess one. */
export const ticketHeader = 'x-centuria-inside';

/**
 * Lets a route of this process call another one for a caller whom the guard has let in already. The
 * credential itself could not be shown twice: a DPoP proof counts once, and a token for one resource
 * (RFC 8707) opens nothing beside it.
 */
export interface Insiders {
  /** A ticket that counts once, for this caller. */
  admit(caller: Caller): string;
  /** Gives a ticket back that was never shown. */
  forget(ticket: string): void;
  /** Who calls, where the headers hold a ticket; it counts no longer. */
  take(headers: IncomingHttpHeaders): Caller | undefined;
}

export function createInsiders(): Insiders {
  const waiting = new Map<string, Caller>();
  return {
    admit(caller) {
      const ticket = randomBytes(32).toString('base64url');
      waiting.set(ticket, caller);
      return ticket;
    },
    forget: (ticket) => void waiting.delete(ticket),
    take(headers) {
      const ticket = headers[ticketHeader];
      if (typeof ticket !== 'string') return undefined;
      const caller = waiting.get(ticket);
      waiting.delete(ticket);
      return caller;
    },
  };
}
