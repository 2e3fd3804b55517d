/**
 * Steps a second at 64 in flight, a step in a row, and the way from an acknowledged start to the
 * agent. Each engine has a process and a database of its own, new for each repeat; for each kind of
 * chain they take turns, so that the machine's drift falls on all alike.
 */
import { join } from 'node:path';
import type { Chain } from './coordination-parts.ts';
import { startEngine, type EngineProcess } from './coordination-process.ts';
import type { Beside, EngineName, Results } from './coordination-results.ts';
import type { OwnDatabase, Place } from './coordination-server.ts';
import { median, type Measured, type MeasureOptions } from './report.ts';

const inFlight = 64;
const warmUpRuns = 300;
const forMs = 1_500;
const batchedJobs = 20_000;
const serialChain: Chain = { steps: 100, bytes: 1 };
const pickups = { usual: { runs: 40, withinMs: 20 }, polled: { runs: 10, withinMs: 1_000 } };

const sizes = [
  { bytes: 1, called: '1b' },
  { bytes: 1_024, called: '1kb' },
  { bytes: 32_768, called: '32kb' },
];
/** A workflow of ours has at least one task, and a job queue has nothing less than a job. */
const kinds: readonly {
  readonly chain: Chain;
  readonly metric: string;
  readonly of?: EngineName[];
}[] = [
  { chain: { steps: 0, bytes: 1 }, metric: 'chain_0_runs_per_s', of: ['dbos'] },
  ...[1, 10, 100].flatMap((steps) =>
    sizes.map(({ bytes, called }) => ({
      chain: { steps, bytes },
      metric: `chain_${steps}_out_${called}_steps_per_s`,
    })),
  ),
];
const main = 'chain_10_out_1b_steps_per_s';

const measured: readonly EngineName[] = [
  'server',
  'embedded',
  'dbos',
  'graphile-worker',
  'pg-boss',
];
const others: readonly EngineName[] = ['dbos', 'graphile-worker', 'pg-boss'];

interface Running {
  readonly process: EngineProcess;
  readonly database: OwnDatabase;
}

export async function measureSpeed(
  place: Place,
  results: Results,
  times: number,
  options: Pick<MeasureOptions, 'progress'> & { readonly profile?: string },
): Promise<void> {
  for (let turn = 1; turn <= times; turn += 1) {
    options.progress(`speed, ${turn} of ${times}: starting and warming up`);
    const running = new Map<EngineName, Running>();
    try {
      for (const name of measured) await start(place, results, running, name);
      for (const { chain, metric, of = measured } of kinds) {
        options.progress(`speed, ${turn} of ${times}: ${metric}`);
        const profile = turn === 1 && metric === main ? options.profile : undefined;
        for (const name of of) {
          const { process } = running.get(name) ?? {};
          if (process === undefined) continue;
          await results.measure(name, metric, () =>
            process.call('crowd', {
              chain,
              inFlight,
              forMs,
              ...(name === 'server' && profile !== undefined ? { profile } : {}),
            }),
          );
        }
      }
      options.progress(`speed, ${turn} of ${times}: one at a time`);
      for (const [name, { process }] of running) await alone(results, name, process);
    } finally {
      for (const { process, database } of running.values()) {
        await process.stop();
        await database.drop();
      }
    }
    await pickupsOfQuickPolls(place, results);
  }
}

async function start(
  place: Place,
  results: Results,
  running: Map<EngineName, Running>,
  name: EngineName,
): Promise<void> {
  if (results.hasFailed(name)) return;
  const database = await place.fresh(name);
  try {
    const url = name === 'embedded' ? '' : database.url;
    const process = await startEngine({ name, url, home: join(database.home, 'worker') });
    running.set(name, { process, database });
    await process.call('warmUp', { chain: { steps: 10, bytes: 1 }, inFlight, runs: warmUpRuns });
  } catch (error) {
    results.fail(name, error);
  }
}

async function alone(results: Results, name: EngineName, process: EngineProcess): Promise<void> {
  const runs = name === 'server' || name === 'dbos' ? 5 : 2;
  await results.measure(name, 'serial_step_ms', async () =>
    middle(await process.call('serial', { chain: serialChain, runs })),
  );
  await results.measure(name, 'pickup_ms', async () =>
    middle(await process.call('pickup', name === 'dbos' ? pickups.polled : pickups.usual)),
  );
  if (name !== 'graphile-worker' && name !== 'pg-boss') return;
  await results.measure(name, 'batched_jobs_per_s', () =>
    process.call('batched', { jobs: batchedJobs }),
  );
}

/** Apart from the others: an engine that polls so often would be in their way. */
async function pickupsOfQuickPolls(place: Place, results: Results): Promise<void> {
  const running = new Map<EngineName, Running>();
  await start(place, results, running, 'dbos-50ms');
  for (const { process, database } of running.values()) {
    await results.measure('dbos-50ms', 'pickup_ms', async () =>
      middle(await process.call('pickup', { runs: 20, withinMs: 50 })),
    );
    await process.stop();
    await database.drop();
  }
}

function middle(values: readonly number[]): number | undefined {
  return median(values) ?? undefined;
}

function batched(engine: EngineName): Beside {
  const what = 'its batched best case, jobs that are all there beforehand';
  return { engine, its: 'batched_jobs_per_s', what };
}

export function speedFigures(results: Results): Measured[] {
  return [
    ...results.figures('server', main, {
      as: 'durable_steps_per_s',
      unit: '1/s',
      target: { atLeast: 10_000 },
      peers: [...others, batched('graphile-worker'), batched('pg-boss')],
    }),
    ...results.figures('embedded', main, { as: 'embedded_durable_steps_per_s', unit: '1/s' }),
    ...results.figures('server', 'serial_step_ms', {
      unit: 'ms',
      target: { atMost: 0.7 },
      peers: others,
    }),
    ...results.figures('embedded', 'serial_step_ms', { as: 'embedded_serial_step_ms', unit: 'ms' }),
    ...results.figures('server', 'pickup_ms', {
      unit: 'ms',
      target: { atMost: 3 },
      peers: ['dbos', 'dbos-50ms', 'graphile-worker', 'pg-boss'],
    }),
    ...results.figures('embedded', 'pickup_ms', { as: 'embedded_pickup_ms', unit: 'ms' }),
    ...kinds.flatMap(({ metric, of = others }) =>
      metric === main ? [] : results.figures('server', metric, { unit: '1/s', peers: of }),
    ),
    ...kinds.flatMap(({ metric, of }) =>
      metric === main || of !== undefined
        ? []
        : results.figures('embedded', metric, { as: `embedded_${metric}`, unit: '1/s' }),
    ),
  ];
}
