import { createHash } from 'node:crypto';
import { canonicalJson } from '../../base/base.ts';
import type { McpPlace, McpServer } from './mcp-server.ts';
import {
  openSession,
  type McpSession,
  type SessionCall,
  type SessionTools,
} from './mcp-session.ts';

/**
 * Sessions that are kept open for a while after a call, for the next one. Starting
 * @modelcontextprotocol/server-everything took 300 ms and server-filesystem 280 ms, a call of a tool of
 * one that runs 0.9 ms, and listing its tools 2.7 ms (p50 of 20, two cores). Nothing is shared at one
 * time: a session serves one call, so that what it writes, reports and breaks is that call's.
 */
export interface McpSessions {
  /** Gives a session, kept or new. Every one must be given back. Throws as `openSession` does. */
  borrow(server: McpServer, place: McpPlace, call: SessionCall): Promise<Borrowed>;
  close(): Promise<void>;
}

export interface Borrowed {
  readonly session: McpSession;
  /** Back for another call; one that can't be used any more is ended. */
  giveBack(): void;
  /** Ends it: what it does may not outlive its call. */
  discard(): Promise<void>;
}

const keptMs = 60_000;
const mostKept = 16;
const mostKnown = 1_000;

interface Kept {
  readonly place: string;
  readonly session: McpSession;
  readonly timer: NodeJS.Timeout;
}

export function openSessions(tools: SessionTools): McpSessions {
  /** The oldest first. */
  const kept = new Set<Kept>();
  const open = new Set<McpSession>();
  /** Servers that speak a revision before 2026-07-28: asking again takes a message, and with some a start. */
  const old = new Set<string>();
  let isClosed = false;

  async function end(session: McpSession): Promise<void> {
    await session.close();
    open.delete(session);
  }

  function keep(place: string, session: McpSession): void {
    if (isClosed || !session.isOpen()) return void end(session);
    session.rest();
    const timer = setTimeout(() => drop(entry), keptMs);
    // A session that waits is no reason to go on living.
    timer.unref();
    const entry: Kept = { place, session, timer };
    kept.add(entry);
    const [oldest] = kept;
    if (kept.size > mostKept && oldest !== undefined) drop(oldest);
  }

  function drop(entry: Kept): void {
    if (take(entry)) void end(entry.session);
  }

  function take(entry: Kept): boolean {
    clearTimeout(entry.timer);
    return kept.delete(entry);
  }

  /** The one used last: the others grow old. */
  function takeFor(place: string): McpSession | undefined {
    for (const entry of [...kept].toReversed()) {
      if (entry.place !== place || !take(entry)) continue;
      if (entry.session.isOpen()) return entry.session;
      void end(entry.session);
    }
    return undefined;
  }

  return {
    async borrow(server, place, call) {
      const where = placeKey(server, place, call);
      const session =
        takeFor(where) ?? (await openSession(server, place, call, tools, old.has(where)));
      open.add(session);
      session.begin(call);
      if (session.client.getProtocolEra() !== 'modern' && old.size < mostKnown) old.add(where);
      return {
        session,
        // Where the system does not end programs with us, none is kept: nobody would find it after a crash.
        giveBack: () =>
          place.kind === 'http' || tools.children.endWithUs
            ? keep(where, session)
            : void end(session),
        discard: () => end(session),
      };
    },
    async close() {
      isClosed = true;
      for (const entry of kept) take(entry);
      await Promise.all([...open].map(end));
    },
  };
}

/** Two agents never share one: its errors, its environment and its limits are those of one definition. */
function placeKey({ key, memoryMb }: McpServer, place: McpPlace, { agent }: SessionCall): string {
  const text = canonicalJson({ agent: agent.hash, key, memoryMb, place });
  return createHash('sha256').update(text).digest('hex');
}
