import { lowestIdAt, toAppError, type Clock, type Log } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import { listPartitions } from './queries.ts';

const tables = ['runs', 'run_events', 'run_signals'];
/** Partitions exist this far ahead; a month without a start falls into the default partition, which is merely less tidy. */
const monthsAhead = 2;

/**
 * Makes the monthly partitions of the run tables for this month and the next ones. Bounds are the
 * smallest UUIDv7 of each month's first moment (UTC). Returns the names that were made.
 */
export async function ensurePartitions(
  database: Database,
  clock: Clock,
  log: Log,
): Promise<string[]> {
  const existing = new Set((await database.query(listPartitions())).map((row) => row.name));
  const now = new Date(clock.nowMs());
  const made: string[] = [];
  for (let ahead = 0; ahead <= monthsAhead; ahead += 1) {
    const from = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead, 1);
    const to = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead + 1, 1);
    for (const table of tables) {
      const name = `${table}_${new Date(from).toISOString().slice(0, 7).replace('-', '_')}`;
      if (existing.has(name)) continue;
      try {
        // DDL takes no parameters; every part of this text is made above from a constant or a date.
        await database.script(
          `create table if not exists ${name} partition of ${table} for values from ('${lowestIdAt(from)}') to ('${lowestIdAt(to)}')`,
        );
        made.push(name);
      } catch (error) {
        // Rows of that month lie in the default partition already, or another worker was first.
        log.warn(
          { error: toAppError(error), partition: name },
          'a partition was not made; the default one serves',
        );
      }
    }
  }
  return made;
}
