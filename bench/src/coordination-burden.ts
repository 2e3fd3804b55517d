/**
 * What a worker weighs and asks: its memory and its start with 10,000 open runs in the database, and
 * the statements a second that it sends while there is nothing to do.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql, type Database, type Sql } from '../../src/database/database.ts';
import { startEngine, type EngineProcess } from './coordination-process.ts';
import type { Beside, EngineName, Results } from './coordination-results.ts';
import type { OwnDatabase, Place } from './coordination-server.ts';
import type { Measured } from './report.ts';

const openRuns = 10_000;
/** Until what was allocated in between has been collected. */
const settleMs = 5_000;
const holdLimitMs = 120_000;
const idleMs = 20_000;
/** DBOS looks for schedules every second in its first minute, and every thirty after that. */
const settledMs = 65_000;
const measured: readonly EngineName[] = ['server', 'dbos', 'graphile-worker', 'pg-boss'];
const peers: readonly EngineName[] = ['dbos', 'graphile-worker', 'pg-boss'];

/** One process at a time, so that none is counted with another's load. */
export async function measureOpenRuns(place: Place, results: Results): Promise<void> {
  for (const name of measured) {
    if (results.hasFailed(name)) continue;
    const own = await place.fresh(name);
    try {
      await openRunsOf(own, name, results);
    } catch (error) {
      results.fail(name, error);
    } finally {
      await own.drop();
    }
  }
}

async function openRunsOf(own: OwnDatabase, name: EngineName, results: Results): Promise<void> {
  const { url } = own;
  const starter = await startEngine({
    name,
    role: 'starter',
    url,
    home: join(own.home, 'starter'),
  });
  await starter.call('hold', { count: openRuns });
  await starter.stop();
  const worker = await startEngine({ name, url, home: join(own.home, 'worker') });
  try {
    const heldMs = await worker.heldMs();
    await results.measure(name, 'first_of_10000_open_runs_ms', async () => heldMs);
    if (name === 'server') {
      const begunMs = performance.now();
      await untilAllAre(
        own,
        sql`
        select count(*)::integer as total from runs where owner is not null`,
      );
      const allMs = heldMs + performance.now() - begunMs;
      await results.measure(name, 'all_of_10000_open_runs_held_ms', async () => allMs);
    }
    await sleep(settleMs);
    await results.measure(name, 'resident_with_10000_open_runs_mb', async () =>
      worker.residentMb(),
    );
  } finally {
    await worker.kill();
  }
}

/** Runs that wait for a signal are nobody's: a worker that starts has nothing to do with them. */
export async function measureParkedRuns(place: Place, results: Results): Promise<void> {
  const own = await place.fresh('parked');
  try {
    const starter = await startEngine({
      name: 'server',
      url: own.url,
      home: join(own.home, 'starter'),
    });
    try {
      await starter.call('park', { count: openRuns });
      await untilAllAre(
        own,
        sql`
        select count(*)::integer as total from runs where owner is null and wake_at is not null`,
      );
    } finally {
      await starter.stop();
    }
    const worker = await startEngine({
      name: 'server',
      url: own.url,
      home: join(own.home, 'worker'),
    });
    try {
      await results.measure(
        'server',
        'ready_with_10000_waiting_runs_ms',
        async () => worker.readyMs,
      );
      await sleep(settleMs);
      await results.measure('server', 'resident_with_10000_waiting_runs_mb', async () =>
        worker.residentMb(),
      );
    } finally {
      await worker.kill();
    }
  } finally {
    await own.drop();
  }
}

async function untilAllAre(own: OwnDatabase, count: Sql<{ total: number }>): Promise<void> {
  const database = await own.open();
  try {
    const endMs = performance.now() + holdLimitMs;
    while ((await database.query(count))[0]?.total !== openRuns) {
      if (performance.now() > endMs) throw new Error(`not all are so in ${holdLimitMs / 1_000} s`);
      await sleep(50);
    }
  } finally {
    await database.close();
  }
}

export interface Idle {
  /** Counts statements over the next seconds, once for each time. */
  measure(times: number): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a worker of each engine that gets nothing to do. */
export async function startIdle(place: Place, results: Results): Promise<Idle> {
  const running: { name: EngineName; process: EngineProcess; own: OwnDatabase }[] = [];
  for (const name of measured) {
    if (results.hasFailed(name)) continue;
    const own = await place.fresh(`idle_${name}`);
    try {
      const process = await startEngine({ name, url: own.url, home: own.home });
      running.push({ name, process, own });
    } catch (error) {
      results.fail(name, error);
    }
  }
  const begunMs = performance.now();
  const onlooker = await (await place.fresh('onlooker')).open();
  await onlooker.script('create extension pg_stat_statements');
  return {
    async measure(times) {
      await sleep(Math.max(0, begunMs + settledMs - performance.now()));
      for (const { name, process } of running) {
        await results.measure(name, 'idle_resident_mb', async () => process.residentMb());
      }
      for (let turn = 0; turn < times; turn += 1) {
        const before = await statements(onlooker);
        await sleep(idleMs);
        const after = await statements(onlooker);
        for (const { name, own } of running) {
          const sent = (after.get(own.name) ?? 0) - (before.get(own.name) ?? 0);
          const perSecond = (sent * 1_000) / idleMs;
          await results.measure(name, 'idle_worker_statements_per_s', async () => perSecond);
        }
      }
    },
    async stop() {
      await onlooker.close();
      for (const { process } of running) await process.kill();
    },
  };
}

/** Statements that were sent to each database so far. */
async function statements(database: Database): Promise<Map<string, number>> {
  const rows = await database.query(
    sql<{ name: string; total: number }>`
      select d.datname::text as name, sum(s.calls)::float8 as total
      from pg_stat_statements s join pg_database d on d.oid = s.dbid
      where s.toplevel group by 1`,
  );
  return new Map(rows.map(({ name, total }) => [name, total]));
}

/** Each of its 64 places asks by itself, every two seconds. */
const polling: Beside = {
  engine: 'graphile-worker',
  its: 'idle_worker_statements_per_s',
  what: 'with 64 places that each ask every 2 s',
};

export function burdenFigures(results: Results): Measured[] {
  const beside = peers.map((engine) => ({
    engine,
    its: 'resident_with_10000_open_runs_mb',
    what: 'which holds 64 of them in memory',
  }));
  return [
    ...results.figures('server', 'resident_with_10000_open_runs_mb', { unit: 'MB', peers: beside }),
    ...results.figures('server', 'first_of_10000_open_runs_ms', { unit: 'ms', peers }),
    ...results.figures('server', 'all_of_10000_open_runs_held_ms', { unit: 'ms' }),
    ...results.figures('server', 'ready_with_10000_waiting_runs_ms', { unit: 'ms' }),
    ...results.figures('server', 'resident_with_10000_waiting_runs_mb', { unit: 'MB' }),
    ...results.figures('server', 'idle_resident_mb', { unit: 'MB', peers }),
    ...results.figures('server', 'idle_worker_statements_per_s', {
      unit: '1/s',
      peers: ['dbos', polling, 'pg-boss'],
    }),
  ];
}
