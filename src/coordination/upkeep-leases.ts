/** What was edited by hand or half done, mended and said. */
import type { Log } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import { wakeAsked } from './request-queries.ts';
import { clampLeases, releaseOwnerless, removeDeadWorkers } from './worker-queries.ts';

/** Forgets workers long dead, and gives back runs that nobody could ever take over. */
export async function tidyLeases(database: Database, log: Log): Promise<void> {
  await database.query(removeDeadWorkers());
  await database.query(wakeAsked());
  const clamped = await database.query(clampLeases());
  if (clamped.length > 0) {
    const workers = clamped.map((row) => row.worker_id);
    log.warn({ workers }, 'leases that no worker could have were ended');
  }
  const ownerless = await database.query(releaseOwnerless());
  if (ownerless.length > 0) {
    log.warn({ runs: ownerless.length }, 'runs whose owner is no worker any more are given back');
  }
}
