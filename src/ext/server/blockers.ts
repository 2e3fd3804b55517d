import { selectBlockers, type BlockerRow } from './catalogue-queries.ts';
import type { TargetServer } from './server.ts';

export interface BlockerWatch {
  /** From now on looks whom this backend waits for. */
  look(pid: number): void;
  /** Whom it was seen to wait for last. */
  seen(pid: number): readonly BlockerRow[];
  stop(): Promise<void>;
}

/** A question takes the lock manager's latches for a moment: not more often than this. */
const leastEveryMs = 20;
const mostEveryMs = 250;

/**
 * A second connection that looks while another one waits: once a lock timeout has fired, the server
 * no longer knows who it was that held the lock.
 */
export async function watchBlockers(
  server: TargetServer,
  lockTimeoutMs: number,
): Promise<BlockerWatch> {
  const client = await server.connect(server.recordDatabase);
  const stop = new AbortController();
  const everyMs = Math.min(mostEveryMs, Math.max(leastEveryMs, lockTimeoutMs / 5));
  const last = new Map<number, readonly BlockerRow[]>();
  let watched: number | undefined;
  const watching = (async () => {
    while (!stop.signal.aborted) {
      await server.clock.sleep(everyMs, stop.signal);
      if (watched === undefined) continue;
      const pid = watched;
      const rows = await client.query(selectBlockers(pid));
      if (rows.length > 0) last.set(pid, rows);
    }
  })();
  // It ends by being stopped, or with its connection: then nobody is named, and that is all.
  const ended = watching.catch(() => undefined);
  return {
    look(pid) {
      watched = pid;
      last.delete(pid);
    },
    seen: (pid) => last.get(pid) ?? [],
    async stop() {
      stop.abort();
      await ended;
      await client.close();
    },
  };
}
