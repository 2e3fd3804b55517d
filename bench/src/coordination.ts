/**
 * The durable log of runs beside DBOS, graphile-worker and pg-boss: on one PostgreSQL 17 with its
 * defaults of durability, the same number of connections for each, in the same call, taking turns. A
 * step is one whose result is durable before the next one begins; its function does nothing, so that
 * the log is what is measured. Jobs of the two queues have no steps: there, a step is a job.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  burdenFigures,
  measureOpenRuns,
  measureParkedRuns,
  startIdle,
} from './coordination-burden.ts';
import { measureParallel, parallelFigures } from './coordination-parallel.ts';
import { engines, Results, type EngineName } from './coordination-results.ts';
import { withServer, type Place } from './coordination-server.ts';
import { measureSpeed, speedFigures } from './coordination-speed.ts';
import { measureTakeover, takeoverFigures } from './coordination-takeover.ts';
import { missingPeer } from './peers.ts';
import type { Measured, MeasureOptions } from './report.ts';

const defaultRepeats = 5;
/** Long to make and little spread: more of them would tell nothing. */
const mostOpenRuns = 2;
const mostIdle = 2;

const packages: readonly (readonly [EngineName, string])[] = [
  ['dbos', '@dbos-inc/dbos-sdk'],
  ['dbos-50ms', '@dbos-inc/dbos-sdk'],
  ['graphile-worker', 'graphile-worker'],
  ['pg-boss', 'pg-boss'],
];

export async function measure(options: MeasureOptions): Promise<Measured[]> {
  const { progress } = options;
  const times = options.repeats ?? defaultRepeats;
  const results = new Results();
  for (const [engine, name] of packages) {
    const missing = missingPeer(name);
    if (missing !== undefined) results.fail(engine, missing);
  }
  const home = mkdtempSync(join(tmpdir(), 'centuria-bench-'));
  // As root the server runs as another user, who has to get through to its own folder.
  chmodSync(home, 0o711);
  try {
    const profile = options.profile ? profilePath() : undefined;
    await withServer(home, {}, (place) =>
      measureSpeed(place, results, times, {
        progress,
        ...(profile === undefined ? {} : { profile }),
      }),
    );
    if (profile !== undefined) progress(`profile of 64 chains in flight: ${profile}`);
    // Counting statements costs each of them something, so it is on only where they are counted.
    const counting = { shared_preload_libraries: 'pg_stat_statements' };
    await withServer(home, counting, (place) => measureRest(place, results, times, progress));
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
  for (const engine of Object.keys(engines) as EngineName[]) {
    const reason = results.reason(engine);
    if (reason !== undefined) progress(`${engines[engine]}: ${reason}`);
  }
  return [
    ...speedFigures(results),
    ...takeoverFigures(results),
    ...parallelFigures(results),
    ...burdenFigures(results),
  ];
}

async function measureRest(
  place: Place,
  results: Results,
  times: number,
  progress: MeasureOptions['progress'],
): Promise<void> {
  progress('idle workers');
  const idle = await startIdle(place, results);
  try {
    for (let turn = 1; turn <= times; turn += 1) {
      progress(`takeover and eighty processes, ${turn} of ${times}`);
      await measureTakeover(place, results);
      await measureParallel(place, results);
    }
    progress('statements of idle workers');
    await idle.measure(Math.min(times, mostIdle));
  } finally {
    await idle.stop();
  }
  for (let turn = 1; turn <= Math.min(times, mostOpenRuns); turn += 1) {
    progress(`10,000 open runs, ${turn} of ${Math.min(times, mostOpenRuns)}`);
    await measureOpenRuns(place, results);
    // Without figures the table says that nothing was measured, and this why.
    await measureParkedRuns(place, results).catch((error: unknown) =>
      progress(`10,000 waiting runs: ${error instanceof Error ? error.message : String(error)}`),
    );
  }
}

/** It outlives the call, for whoever reads it. */
function profilePath(): string {
  return join(mkdtempSync(join(tmpdir(), 'centuria-profile-')), 'coordination.cpuprofile');
}
