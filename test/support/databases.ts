import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog, systemClock, type Log, type RetryPolicy } from '../../src/base/base.ts';
import { openDatabase, type Database } from '../../src/database/database.ts';
import { seedHome } from './embedded-template.ts';
import { emptyDatabase, postgresUnavailable } from './postgres.ts';

export const drivers = ['embedded', 'server'] as const;
export type Driver = (typeof drivers)[number];

/** Why tests on a driver can't run here, or undefined: `describe.skipIf(unavailable(driver))`. */
export function unavailable(driver: Driver): string | undefined {
  return driver === 'server' ? postgresUnavailable : undefined;
}

export const silentLog = createLog({ level: 'silent' });

/** More tries than a pool of a test has connections, with hardly a pause. */
export const eagerRetry: RetryPolicy = { attempts: 10, baseMs: 10, maxMs: 10 };

/** A log whose lines a test can read. */
export function recordedLog(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  return { log: createLog({ level: 'debug', destination }), lines };
}

/** What a database of a test is, and the way to open it (again). */
export interface TestDatabase {
  readonly home: string;
  /** Empty for the embedded one. */
  readonly url: string;
  open(options?: { poolSize?: number; log?: Log }): Promise<Database>;
  /** Deletes it; every Database opened on it must be closed. */
  drop(): Promise<void>;
}

/** An empty database of its own, nothing opened yet. */
export async function testDatabase(driver: Driver): Promise<TestDatabase> {
  const home = await mkdtemp(join(tmpdir(), 'centuria-database-'));
  const server = driver === 'server' ? await emptyDatabase() : undefined;
  const url = server?.url ?? '';
  if (url === '') seedHome(home, 'empty');
  return {
    home,
    url,
    open: ({ poolSize = 4, log = silentLog } = {}) =>
      openDatabase({ url, home, poolSize, log, clock: systemClock }),
    async drop() {
      await server?.drop();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** Resolves when `condition` holds; the test's own time limit ends a wait that is in vain. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await systemClock.sleep(10);
}
