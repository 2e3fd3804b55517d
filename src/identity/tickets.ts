/**
 * Sealed tickets: what a client hands back to us minutes later, in whatever process. Each counts once.
 */
import { createHash, randomBytes } from 'node:crypto';
import { AppError } from '../base/base.ts';
import type { Queryable } from '../database/database.ts';
import { claimNonce } from './queries.ts';
import type { Sealer } from './seal.ts';

export interface Ticket {
  /** 32 random bytes in base64url: names the ticket, and serves as challenge. */
  readonly id: string;
  /** Whom it is for; empty where nobody is known yet. */
  readonly userId: string;
  /** Milliseconds since 1970. */
  readonly expiresAtMs: number;
}

const ticketLifetimeMs = 5 * 60_000;

/** A ticket for one purpose, good for five minutes, and its sealed form. */
export function issueTicket(
  sealer: Sealer,
  purpose: string,
  userId: string,
  nowMs: number,
): { ticket: Ticket; sealed: string } {
  const id = randomBytes(32).toString('base64url');
  const ticket: Ticket = { id, userId, expiresAtMs: nowMs + ticketLifetimeMs };
  const plain = Buffer.from(JSON.stringify(ticket));
  const sealed = Buffer.from(sealer.seal(plain, contextOf(purpose))).toString('base64url');
  return { ticket, sealed };
}

/** Reads a sealed ticket. Throws `token_invalid` for any that was not issued for this, `token_expired`. */
export function readTicket(sealer: Sealer, purpose: string, sealed: string, nowMs: number): Ticket {
  const ticket = opened(sealer, purpose, sealed);
  if (ticket === undefined) {
    throw new AppError('token_invalid', 'this was not given out here, or for something else', {
      remedy: 'Begin again.',
    });
  }
  if (nowMs >= ticket.expiresAtMs) {
    throw new AppError('token_expired', 'this took longer than five minutes', {
      remedy: 'Begin again.',
    });
  }
  return ticket;
}

/** Uses a ticket up, in the transaction of what it is for. Throws `token_invalid` the second time. */
export async function spend(database: Queryable, ticket: Ticket, nowMs: number): Promise<void> {
  // A little longer than it counts, since clocks differ.
  const forMs = Math.max(0, ticket.expiresAtMs - nowMs) + 60_000;
  const hash = createHash('sha256').update(ticket.id).digest();
  const [spent] = await database.query(claimNonce(hash, forMs));
  if (spent !== undefined) return;
  throw new AppError('token_invalid', 'this was used before', { remedy: 'Begin again.' });
}

function opened(sealer: Sealer, purpose: string, sealed: string): Ticket | undefined {
  if (sealed.length > 1_000) return undefined;
  try {
    const plain = sealer.open(Buffer.from(sealed, 'base64url'), contextOf(purpose));
    // Whatever opens was sealed here.
    return JSON.parse(Buffer.from(plain).toString()) as Ticket;
  } catch {
    return undefined;
  }
}

function contextOf(purpose: string): string {
  return `ticket for ${purpose}`;
}
