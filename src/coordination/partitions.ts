import { AppError, lowestIdAt, toAppError, type Clock, type Log } from '../base/base.ts';
import type { Database, Session } from '../database/database.ts';
import { listPartitions } from './queries.ts';
import { strayRows } from './retention-queries.ts';

/** A month of runs lies in one partition of each. */
export const runTables = ['runs', 'run_events', 'run_signals'] as const;
/** Partitions exist this far ahead; a month without a start falls into the default partition, which is merely less tidy. */
const monthsAhead = 2;
/** Rows that are moved out of the default partition at once: more would hold writers up for longer. */
const mostMoved = 50_000;
/**
 * Changing partitions locks their parent, and whoever comes after waits behind the one who waits for
 * that. So the wait is short, well under the second after which PostgreSQL looks for deadlocks: then
 * it is us who give up, never a writer.
 */
const lockTimeoutMs = 500;
const triesForLock = 5;
const pauseMs = 2_000;

export interface Month {
  /** `2027_03`. */
  readonly name: string;
  /** Ids of its runs: from the first, before the second. */
  readonly fromId: string;
  readonly toId: string;
  readonly toMs: number;
}

/** A calendar month, UTC, so many after that of the moment. */
export function monthAt(timeMs: number, after = 0): Month {
  const date = new Date(timeMs);
  const fromMs = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + after, 1);
  const toMs = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + after + 1, 1);
  const name = new Date(fromMs).toISOString().slice(0, 7).replace('-', '_');
  return { name, fromId: lowestIdAt(fromMs), toId: lowestIdAt(toMs), toMs };
}

/** The month of a partition's name. */
export function monthNamed(name: string): Month {
  return monthAt(Date.parse(`${name.replace('_', '-')}-01T00:00:00Z`));
}

/**
 * Makes the monthly partitions of the run tables for this month and the next ones. Bounds are the
 * smallest UUIDv7 of each month's first moment (UTC). Rows of a month that lie in the default
 * partition already are moved; too many are left there, and that is said. Returns the names that were
 * made. Called at the start and every day: a process may live for longer than it has made months.
 */
export async function ensurePartitions(
  database: Database,
  clock: Clock,
  log: Log,
): Promise<string[]> {
  const made: string[] = [];
  for (let ahead = 0; ahead <= monthsAhead; ahead += 1) {
    const month = monthAt(clock.nowMs(), ahead);
    const existing = new Set((await database.query(listPartitions())).map((row) => row.name));
    const missing = runTables.map((table) => `${table}_${month.name}`);
    if (missing.every((name) => existing.has(name))) continue;
    try {
      made.push(...(await withLock(database, clock, (session) => makeMonth(session, month, log))));
    } catch (error) {
      log.warn(
        { error: toAppError(error), month: month.name },
        'partitions were not made; the default ones serve',
      );
    }
  }
  return made;
}

/**
 * Runs `work` in a transaction that gives up when a lock is not to be had, a few times. One process at
 * a time changes partitions, so that two never make the same one.
 */
export async function withLock<T>(
  database: Database,
  clock: Clock,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await database.session(async (session) => {
        try {
          await session.script(
            `begin; set local lock_timeout = ${lockTimeoutMs}; select pg_advisory_xact_lock(hashtext('centuria partitions'))`,
          );
          const result = await work(session);
          await session.script('commit');
          return result;
        } catch (error) {
          await session.script('rollback').catch(() => undefined);
          throw error;
        }
      });
    } catch (error) {
      if (!isLockTimeout(error) || attempt === triesForLock) throw error;
      await clock.sleep(pauseMs);
    }
  }
}

function isLockTimeout(error: unknown): boolean {
  return error instanceof AppError && error.details['sqlstate'] === '55P03';
}

async function makeMonth(session: Session, month: Month, log: Log): Promise<string[]> {
  const { name, fromId, toId } = month;
  const existing = new Set((await session.query(listPartitions())).map((row) => row.name));
  const [stray] = await session.query(strayRows(fromId, toId));
  const strays = (stray?.runs ?? 0) + (stray?.events ?? 0) + (stray?.signals ?? 0);
  if (strays > mostMoved) {
    log.warn(
      { month: name, rows: strays, most: mostMoved },
      'rows of this month lie in the default partitions and stay there: they are too many to be moved',
    );
    return [];
  }
  const made: string[] = [];
  for (const table of runTables) {
    const partition = `${table}_${name}`;
    if (existing.has(partition)) continue;
    // DDL takes no parameters; every part of this text is a constant or made of a date.
    await session.script(`
      create table ${partition} (like ${table} including defaults including constraints);
      with moved as (
        delete from ${table}_default where run_id >= '${fromId}' and run_id < '${toId}' returning *
      ) insert into ${partition} select * from moved;
      alter table ${table} attach partition ${partition} for values from ('${fromId}') to ('${toId}')`);
    made.push(partition);
  }
  if (strays > 0) {
    log.info({ month: name, rows: strays }, 'rows were moved out of the default partitions');
  }
  return made;
}
