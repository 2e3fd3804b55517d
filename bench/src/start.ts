/**
 * How long `centuria up` takes until its bridge says that it is ready, with an empty data folder and
 * with one that is there, and how much memory it holds then. Beside it, in the same call, the same of
 * the embedded database alone, and of Node doing nothing.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Measured, MeasureOptions } from './report.ts';

const root = join(import.meta.dirname, '../..');
const defaultRepeats = 5;
const startLimitMs = 120_000;
const stopLimitMs = 20_000;
/** What is between two looks is the error of a measured time. */
const lookAgainMs = 5;

interface Start {
  readonly readyMs: number;
  readonly residentMb: number;
}

export async function measure({ repeats, progress }: MeasureOptions): Promise<Measured[]> {
  const times = repeats ?? defaultRepeats;
  const cold: Start[] = [];
  const warm: Start[] = [];
  const bareCold: Start[] = [];
  const bareWarm: Start[] = [];
  const nothing: number[] = [];
  for (let turn = 1; turn <= times; turn += 1) {
    progress(`start ${turn} of ${times}`);
    // In turns, so that a neighbour's load falls on all of them alike.
    await inFreshFolder(async (folder) => {
      cold.push(await startCenturia(folder));
      warm.push(await startCenturia(folder));
    });
    await inFreshFolder(async (folder) => {
      bareCold.push(await startBareDatabase(folder));
      bareWarm.push(await startBareDatabase(folder));
    });
    nothing.push(await runNothing());
  }
  const peer = (starts: readonly Start[], what: keyof Start) => ({
    name: 'PGlite with pgvector alone',
    values: starts.map((one) => one[what]),
  });
  const values = (starts: readonly Start[], what: keyof Start) => starts.map((one) => one[what]);
  return [
    {
      metric: 'cold_ready_ms',
      unit: 'ms',
      values: values(cold, 'readyMs'),
      peer: peer(bareCold, 'readyMs'),
    },
    {
      metric: 'warm_ready_ms',
      unit: 'ms',
      values: values(warm, 'readyMs'),
      peer: peer(bareWarm, 'readyMs'),
    },
    {
      metric: 'cold_resident_mb',
      unit: 'MB',
      values: values(cold, 'residentMb'),
      peer: peer(bareCold, 'residentMb'),
    },
    {
      metric: 'warm_resident_mb',
      unit: 'MB',
      values: values(warm, 'residentMb'),
      peer: peer(bareWarm, 'residentMb'),
    },
    { metric: 'node_nothing_ms', unit: 'ms', values: nothing },
  ];
}

/** From the start of the process until `/health` answers 200. */
async function startCenturia(home: string): Promise<Start> {
  const begun = performance.now();
  const child = start([
    join(root, 'bin/centuria.mjs'),
    '--home',
    home,
    'up',
    '--bridge-port',
    '0',
    '--learning-port',
    '0',
  ]);
  try {
    const until = begun + startLimitMs;
    const url = await child.until(() => bridgeUrl(home), until);
    await child.until(() => answers(`${url}/health`), until);
    const readyMs = performance.now() - begun;
    return { readyMs, residentMb: residentMb(child.pid) };
  } finally {
    await child.stop();
  }
}

/** The same database with the same extension, opened and asked one thing by nothing but its library. */
async function startBareDatabase(folder: string): Promise<Start> {
  const program = `
    import { PGlite } from '@electric-sql/pglite';
    import { vector } from '@electric-sql/pglite-pgvector';
    const database = await PGlite.create(process.argv[1], { extensions: { vector } });
    await database.query('select 1');
    process.stdout.write('ready');
    process.on('SIGTERM', () => void database.close().then(() => process.exit(0)));
    setInterval(() => {}, 60_000);`;
  const begun = performance.now();
  const child = start(['--input-type=module', '-e', program, join(folder, 'database')]);
  try {
    await child.until(
      () => (child.output().includes('ready') ? true : undefined),
      begun + startLimitMs,
    );
    const readyMs = performance.now() - begun;
    return { readyMs, residentMb: residentMb(child.pid) };
  } finally {
    await child.stop();
  }
}

async function runNothing(): Promise<number> {
  const begun = performance.now();
  await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit');
  return performance.now() - begun;
}

interface Started {
  readonly pid: number;
  output(): string;
  /** Looks again and again; throws when the process ends first or takes too long. */
  until<T>(look: () => T | undefined | Promise<T | undefined>, limit: number): Promise<T>;
  stop(): Promise<void>;
}

function start(args: readonly string[]): Started {
  // Settings of the caller's shell would be measured too.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('CENTURIA_')),
  );
  const child: ChildProcess = spawn(process.execPath, args, {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const { pid } = child;
  if (pid === undefined) throw new Error(`${process.execPath} did not start`);
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    pid,
    output: () => output,
    async until(look, limit) {
      for (;;) {
        const found = await look();
        if (found !== undefined) return found;
        if (hasEnded()) throw new Error(`it ended with ${child.exitCode}: ${errors.slice(-2_000)}`);
        if (performance.now() > limit)
          throw new Error(`not ready in time: ${errors.slice(-2_000)}`);
        await sleep(lookAgainMs);
      }
    },
    async stop() {
      if (hasEnded()) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), stopLimitMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Where the server listens, once it has written that into its data folder. */
function bridgeUrl(home: string): string | undefined {
  const path = join(home, 'server.json');
  if (!existsSync(path)) return undefined;
  return (JSON.parse(readFileSync(path, 'utf8')) as { bridgeUrl: string }).bridgeUrl;
}

async function answers(url: string): Promise<true | undefined> {
  try {
    return (await fetch(url)).ok ? true : undefined;
  } catch {
    return undefined;
  }
}

function residentMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1_024;
}

async function inFreshFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'centuria-bench-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
