/** How long runs stand still when their worker is killed while another one is alive. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql, type Database } from '../../src/database/database.ts';
import { startEngine } from './coordination-process.ts';
import type { Beside, Results } from './coordination-results.ts';
import { engines } from './coordination-results.ts';
import type { Place } from './coordination-server.ts';
import type { Measured } from './report.ts';

const runs = 50;
const limitMs = 60_000;
/** What lies between two looks is the error of a measured time. */
const lookAgainMs = 5;

export async function measureTakeover(place: Place, results: Results): Promise<void> {
  let all: number | undefined;
  await results.measure('server', 'takeover_ms', async () => {
    const times = await takeOver(place);
    all = times.allMs;
    return times.firstMs;
  });
  await results.measure('server', 'takeover_of_all_50_runs_ms', async () => all);
}

async function takeOver(place: Place): Promise<{ firstMs: number; allMs: number }> {
  const own = await place.fresh('takeover');
  const database = await own.open();
  const start = (folder: string) =>
    startEngine({ name: 'server', url: own.url, home: join(own.home, folder) });
  const victim = await start('victim');
  try {
    await victim.call('hold', { count: runs });
    await victim.heldMs();
    await until(async () => (await victim.call('held', {})) === runs);
    const heir = await start('heir');
    try {
      // A lease and a poll are met at any of their phases.
      await sleep(Math.random() * 2_000);
      const killedMs = performance.now();
      await victim.kill();
      await until(async () => (await takenOver(database)) > 0);
      const firstMs = performance.now() - killedMs;
      await until(async () => (await takenOver(database)) === runs);
      return { firstMs, allMs: performance.now() - killedMs };
    } finally {
      await heir.kill();
    }
  } finally {
    await victim.kill();
    await database.close();
    await own.drop();
  }
}

/** Runs that have an event of a second lease. */
async function takenOver(database: Database): Promise<number> {
  const [row] = await database.query(
    sql<{ total: number }>`select count(distinct run_id)::integer as total
      from run_events where epoch > 1`,
  );
  return row?.total ?? 0;
}

async function until(look: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await look())) {
    if (performance.now() > endMs) throw new Error(`not within ${limitMs / 1_000} s`);
    await sleep(lookAgainMs);
  }
}

/** Read in the peers' sources: none of them has a figure in seconds to compare with. */
const cannot: readonly Beside[] = [
  {
    name: engines.dbos,
    unavailable:
      'a process recovers only its own executor ID when it starts; for another one somebody has to ask, or its Conductor service',
  },
  {
    name: engines['graphile-worker'],
    unavailable: 'a job of a dead worker stays locked for four hours',
  },
  {
    name: engines['pg-boss'],
    unavailable: 'a job of a dead worker expires, after 15 minutes unless set otherwise',
  },
];

export function takeoverFigures(results: Results): Measured[] {
  return [
    ...results.figures('server', 'takeover_ms', {
      unit: 'ms',
      target: { atMost: 5_000 },
      peers: cannot,
    }),
    ...results.figures('server', 'takeover_of_all_50_runs_ms', { unit: 'ms' }),
  ];
}
