/** What the run tables need once a day, while a worker lives. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { idTimeMs, isId, toAppError } from '../base/base.ts';
import { backfillFingerprints } from './dead-letters.ts';
import { forgetDismissals } from './dead-letter-queries.ts';
import { ensurePartitions } from './partitions.ts';
import { existingRuns } from './retention-queries.ts';
import { pruneRuns, type PruneParts } from './retention.ts';
import { runFolder } from './run-folder.ts';

export interface UpkeepOptions extends PruneParts {
  /** The data folder of this machine. */
  readonly home: string;
  /** Runs older than so many days are forgotten; 0 keeps them for ever. */
  readonly keepDays: number;
}

export interface Upkeep {
  stop(): Promise<void>;
}

const dayMs = 86_400_000;
const mostBackfills = 20;
const mostFolders = 1_000;

/** Does it now and once a day from then on. */
export function startUpkeep(options: UpkeepOptions): Upkeep {
  const { clock, log } = options;
  const stopping = new AbortController();
  const loop = (async () => {
    while (!stopping.signal.aborted) {
      await keepRunTables(options).catch((error: unknown) => {
        log.warn({ error: toAppError(error) }, 'the run tables were not looked after');
      });
      await clock.sleep(dayMs, stopping.signal).catch(() => undefined);
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}

/** Makes the partitions of the months to come, completes fingerprints, and forgets what is too old. */
export async function keepRunTables(options: UpkeepOptions): Promise<void> {
  const { database, clock, log, home, keepDays } = options;
  await ensurePartitions(database, clock, log);
  for (let round = 0; round < mostBackfills; round += 1) {
    if ((await backfillFingerprints(database)) === 0) break;
  }
  if (keepDays > 0) {
    await pruneRuns(options, { olderThanMs: keepDays * dayMs, plan: false });
    await removeRunFolders(options, home);
  }
  await database.query(forgetDismissals());
}

/** Folders of this machine whose runs are gone from the database; those of the last day are let be. */
async function removeRunFolders({ database, clock, log }: PruneParts, home: string): Promise<void> {
  const names = await readdir(join(home, 'runs')).catch(() => []);
  const old = names
    .filter((name) => isId(name) && idTimeMs(name) < clock.nowMs() - dayMs)
    .toSorted()
    .slice(0, mostFolders);
  if (old.length === 0) return;
  const there = await database.query(existingRuns(old));
  const kept = new Set(there.map((row) => row.run_id));
  const gone = old.filter((name) => !kept.has(name));
  for (const name of gone) await rm(runFolder(home, name), { recursive: true, force: true });
  if (gone.length > 0) log.info({ folders: gone.length }, 'folders of forgotten runs were removed');
}
