/** What identity does by itself while it runs. */
import type { Clock, Log } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import { touchApiKeys } from './credential-queries.ts';
import type { Directory } from './directory.ts';
import type { KeyRing } from './key-ring.ts';
import { deleteIdleLimits } from './limit-queries.ts';
import { deleteExpired, deleteOldChanges } from './queries.ts';
import { touchSessions } from './session-queries.ts';

const tickMs = 1_000;
const noteUseEveryMs = 30_000;
const cleanEveryMs = 10 * 60_000;
/** Rows of each kind at a time, so that cleaning never holds a table. */
const cleanBatch = 1_000;
/** Uses that wait to be written; what is above is written the next time it is used. */
const mostUses = 20_000;

export interface Upkeep {
  noteUse(kind: 'session' | 'api_key', id: string): void;
  close(): Promise<void>;
}

export interface UpkeepParts {
  readonly database: Database;
  readonly keyRing: Pick<KeyRing, 'tick'>;
  readonly directory: Pick<Directory, 'loadRevoked'>;
  readonly clock: Clock;
  readonly log: Log;
}

export function keepHouse({ database, keyRing, directory, clock, log }: UpkeepParts): Upkeep {
  const used = { session: new Set<string>(), api_key: new Set<string>() };
  let notedAtMs = clock.monotonicMs();
  let cleanedAtMs = clock.monotonicMs();
  let cancel: (() => void) | undefined;
  let isClosed = false;
  let working: Promise<void> = Promise.resolve();

  async function noteUses(): Promise<void> {
    const [sessions, keys] = [[...used.session], [...used.api_key]];
    used.session.clear();
    used.api_key.clear();
    if (sessions.length > 0) await database.query(touchSessions(sessions));
    if (keys.length > 0) await database.query(touchApiKeys(keys));
  }

  async function clean(): Promise<void> {
    await database.query(deleteOldChanges());
    await database.query(deleteIdleLimits(cleanBatch));
    await directory.loadRevoked();
    for (;;) {
      const [row] = await database.query(deleteExpired(cleanBatch));
      if (isClosed || row === undefined || row.deleted < cleanBatch) return;
    }
  }

  async function tick(): Promise<void> {
    await keyRing.tick();
    const now = clock.monotonicMs();
    if (now - notedAtMs >= noteUseEveryMs) {
      notedAtMs = now;
      await noteUses();
    }
    if (now - cleanedAtMs >= cleanEveryMs) {
      cleanedAtMs = now;
      await clean();
    }
  }

  function schedule(): void {
    if (isClosed) return;
    cancel = clock.after(tickMs, () => {
      working = tick()
        .catch((error: unknown) => {
          if (!isClosed)
            log.warn({ err: error }, 'the upkeep of identity failed; it is tried again');
        })
        .finally(schedule);
    });
  }

  schedule();
  return {
    noteUse(kind, id) {
      if (used[kind].size < mostUses) used[kind].add(id);
    },
    async close() {
      isClosed = true;
      cancel?.();
      await working;
      await noteUses().catch((error: unknown) => log.debug({ err: error }, 'uses were not noted'));
    },
  };
}
