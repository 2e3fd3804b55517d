/**
 * Durable steps a second and the cost of one step in a row, on both drivers, beside what the same
 * PostgreSQL does with `pgbench` in the same call. A step is a task whose result is in the log before
 * the next one starts; its agent is an empty function of this process, so that the log is what is
 * measured. Durability is on: `fsync` and `synchronous_commit` are the server's defaults.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createLog, systemClock } from '../../src/base/base.ts';
import { openCoordination, type CoordinationPart } from '../../src/coordination/coordination.ts';
import {
  cacheFolder,
  installPostgres,
  migrate,
  openDatabase,
  startPostgres,
  type Database,
} from '../../src/database/database.ts';
import { inProcessAgents } from '../../test/support/in-process-agents.ts';
import type { Measured, MeasureOptions } from './report.ts';

const log = createLog({ level: 'warn' });
const migrations = join(import.meta.dirname, '../../migrations');
const defaultRepeats = 5;
const stepsInRun = 10;
const inFlight = 64;
/** Enough for half a second and more at the speeds expected. */
const crowd = { server: 1_500, embedded: 300 } as const;
const warmUpRuns = 300;
const serialRuns = 50;
const pgbenchSeconds = 4;

interface Series {
  readonly stepsPerSecond: number[];
  readonly serialStepMs: number[];
  readonly pickupMs: number[];
}

export async function measure({ repeats, progress }: MeasureOptions): Promise<Measured[]> {
  const times = repeats ?? defaultRepeats;
  const embedded = await inFolder((home) => measureDriver({ home }, times, progress));
  const server = await inFolder((home) => measureServer(home, times, progress));
  return [...figures('embedded', embedded), ...serverFigures(server)];
}

function figures(driver: string, series: Series): Measured[] {
  return [
    { metric: `${driver}_durable_steps_per_s`, unit: '1/s', values: series.stepsPerSecond },
    { metric: `${driver}_serial_step_ms`, unit: 'ms', values: series.serialStepMs },
    { metric: `${driver}_pickup_ms`, unit: 'ms', values: series.pickupMs },
  ];
}

interface ServerSeries extends Series {
  readonly pgbenchCrowd: number[];
  readonly pgbenchAlone: number[];
}

function serverFigures(server: ServerSeries | string): Measured[] {
  const name = 'pgbench, one row a commit';
  if (typeof server === 'string') {
    const peer = { name, unavailable: server };
    return [{ metric: 'server_durable_steps_per_s', unit: '1/s', values: [], peer }];
  }
  const [busy, alone, pickup] = figures('server', server);
  if (busy === undefined || alone === undefined || pickup === undefined) return [];
  return [
    { ...busy, peer: { name: `${name}, ${inFlight} clients`, values: server.pgbenchCrowd } },
    {
      ...alone,
      peer: { name: `${name}, 1 client`, values: server.pgbenchAlone.map((tps) => 1_000 / tps) },
    },
    pickup,
  ];
}

async function measureServer(
  home: string,
  times: number,
  progress: MeasureOptions['progress'],
): Promise<ServerSeries | string> {
  let install;
  try {
    install = await installPostgres({ major: 17, cacheFolder: cacheFolder(process.env), log });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const settings = { max_connections: 100, shared_buffers: '256MB' };
  const server = await startPostgres(install, { folder: join(home, 'pg'), port: 0, settings, log });
  try {
    const pgbenchCrowd: number[] = [];
    const pgbenchAlone: number[] = [];
    const script = join(home, 'insert.sql');
    writeFileSync(script, 'insert into bench_rows (body) values (\'{"output":1}\');\n');
    const series = await measureDriver(
      { home, url: server.url },
      times,
      progress,
      async (database) => {
        await database.script(
          'create table if not exists bench_rows (id bigint generated always as identity primary key, body json)',
        );
        pgbenchCrowd.push(await pgbench(install.binFolder, server.url, script, inFlight));
        pgbenchAlone.push(await pgbench(install.binFolder, server.url, script, 1));
      },
    );
    return { ...series, pgbenchCrowd, pgbenchAlone };
  } finally {
    await server.stop();
  }
}

async function measureDriver(
  where: { home: string; url?: string },
  times: number,
  progress: MeasureOptions['progress'],
  afterEach?: (database: Database) => Promise<void>,
): Promise<Series> {
  const database = await openDatabase({
    url: where.url ?? '',
    home: where.home,
    poolSize: 10,
    log,
    clock: systemClock,
  });
  const series: Series = { stepsPerSecond: [], serialStepMs: [], pickupMs: [] };
  try {
    await migrate(database, { folder: migrations, log, clock: systemClock });
    const part = await openPart(database, where.home);
    progress(`${database.driver}: ${warmUpRuns} runs to warm up`);
    await crowded(part, warmUpRuns);
    for (let turn = 1; turn <= times; turn += 1) {
      progress(`${database.driver}: ${turn} of ${times}`);
      const runs = crowd[database.driver];
      series.stepsPerSecond.push((runs * stepsInRun * 1_000) / (await crowded(part, runs)));
      const { stepMs, pickupMs } = await serial(part);
      series.serialStepMs.push(stepMs);
      series.pickupMs.push(pickupMs);
      await afterEach?.(database);
    }
    await part.stop(1_000);
  } finally {
    await database.close();
  }
  return series;
}

async function openPart(database: Database, home: string): Promise<CoordinationPart> {
  const folder = join(home, 'workflows');
  mkdirSync(folder, { recursive: true });
  const tasks = Array.from({ length: stepsInRun }, (_, index) => `  t${index}: { agent: empty }\n`);
  writeFileSync(
    join(folder, 'steps.yaml'),
    `name: steps\nmode: sequential\ntasks:\n${tasks.join('')}`,
  );
  const part = await openCoordination({
    database,
    registry: inProcessAgents({ empty: () => 1 }),
    workflowFolders: [folder],
    home,
    cwd: home,
    clock: systemClock,
    log,
    leaseMs: 3_000,
    concurrency: 1_000,
  });
  await part.startWorker();
  return part;
}

/** Runs `total` runs, `inFlight` at a time; gives the milliseconds. */
async function crowded(part: CoordinationPart, total: number): Promise<number> {
  let next = 0;
  const beganMs = performance.now();
  const one = async (): Promise<void> => {
    while (next < total) {
      next += 1;
      const { id } = await part.runs.start({ workflow: 'steps', input: {} });
      await part.runs.wait(id);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, one));
  return performance.now() - beganMs;
}

/** One run after another: the median span between two steps, and from the start of a run to its first step. */
async function serial(part: CoordinationPart): Promise<{ stepMs: number; pickupMs: number }> {
  const steps: number[] = [];
  const pickups: number[] = [];
  for (let run = 0; run < serialRuns; run += 1) {
    const { id } = await part.runs.start({ workflow: 'steps', input: {} });
    await part.runs.wait(id);
    const events = await part.runs.events(id, 0, 1_000);
    const at = (index: number): number => Date.parse(events[index]?.at ?? '');
    const begun = events.findIndex(({ body }) => body.type === 'attempt.started');
    pickups.push(at(begun) - at(0));
    steps.push((at(events.length - 1) - at(begun)) / stepsInRun);
  }
  return { stepMs: middle(steps), pickupMs: middle(pickups) };
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Transactions a second. */
async function pgbench(
  binFolder: string,
  url: string,
  script: string,
  clients: number,
): Promise<number> {
  const { password, hostname, port, username, pathname } = new URL(url);
  const args = [
    '-n',
    '-M',
    'prepared',
    '-f',
    script,
    '-c',
    String(clients),
    '-j',
    '2',
    '-T',
    String(pgbenchSeconds),
  ];
  const child = spawn(join(binFolder, 'pgbench'), args, {
    env: {
      PATH: process.env['PATH'],
      PGPASSWORD: decodeURIComponent(password),
      PGHOST: hostname,
      PGPORT: port,
      PGUSER: username,
      PGDATABASE: pathname.slice(1),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [output, problem, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number]>,
  ]);
  const tps = /tps = ([\d.]+)/.exec(output)?.[1];
  if (code !== 0 || tps === undefined) throw new Error(`pgbench ended with ${code}: ${problem}`);
  return Number(tps);
}

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'centuria-bench-'));
  // As root the server runs as another user, who has to get through to its own folder.
  chmodSync(folder, 0o711);
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
