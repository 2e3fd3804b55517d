/** The database's own part: judging a login and looking a user up, by pgbench; and how many clients it holds. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Measured } from './report.ts';
import { users } from './identity-data.ts';
import { percentile } from './identity-load.ts';

const clients = 16;
const forAWhile = ['-T', '4'];
/** By number and not by time, which could be over before the last one is connected. */
const eachTwenty = ['-t', '20'];
/** What the deployments that we replace promised. */
const manyClients = 800;
export const mostConnections = 1_000;

export interface PgbenchPlace {
  readonly binFolder: string;
  readonly url: string;
  /** For scripts and logs. */
  readonly folder: string;
  /** The postmaster. */
  readonly pid: number;
}

export async function sqlFigures(place: PgbenchPlace, phc: string): Promise<Measured[]> {
  const user = `\\set number random(1, ${users})\n`;
  const login = await pgbench(place, 'login', clients, forAWhile, [
    user,
    `select * from authenticate_user('bench-' || :number, '${phc}');\n`,
  ]);
  const lookUp = [
    user,
    `select * from user_permissions_mv where username = 'bench-' || :number;\n`,
  ];
  const looked = await pgbench(place, 'look-up', clients, forAWhile, lookUp);
  const crowd = await pgbench(place, 'crowd', manyClients, eachTwenty, lookUp);
  return [
    {
      metric: 'authenticate_user_per_s',
      unit: '1/s',
      values: [login.perSecond],
      target: { atLeast: 2_000 },
    },
    {
      metric: 'authenticate_user_p95_ms',
      unit: 'ms',
      values: [login.p95Ms],
      target: { atMost: 25 },
    },
    { metric: 'user_look_up_per_s', unit: '1/s', values: [looked.perSecond] },
    { metric: 'user_look_up_p95_ms', unit: 'ms', values: [looked.p95Ms], target: { atMost: 10 } },
    {
      metric: 'database_clients_held',
      unit: '',
      values: [crowd.connections],
      target: { atLeast: 750 },
    },
    { metric: `look_ups_per_s_of_${manyClients}_clients`, unit: '1/s', values: [crowd.perSecond] },
    { metric: `server_memory_of_${manyClients}_clients_mb`, unit: 'MB', values: crowd.memoryMb },
  ];
}

interface Pgbenched {
  readonly perSecond: number;
  /** Of each transaction by itself, from pgbench's log. */
  readonly p95Ms: number;
  /** Client backends that were there at once. */
  readonly connections: number;
  /** Of all of the server's processes, shared pages counted once; empty where it can't be read. */
  readonly memoryMb: number[];
}

async function pgbench(
  { binFolder, url, folder, pid }: PgbenchPlace,
  name: string,
  count: number,
  length: readonly string[],
  script: readonly string[],
): Promise<Pgbenched> {
  const logs = join(folder, name);
  mkdirSync(logs, { recursive: true });
  writeFileSync(join(logs, 'script.sql'), script.join(''));
  const { password, hostname, port, username, pathname } = new URL(url);
  const options = ['-n', '-M', 'prepared', '-f', 'script.sql', '-c', String(count), '-j', '2'];
  const child = spawn(
    join(binFolder, 'pgbench'),
    [...options, ...length, '-l', '--log-prefix', 'times'],
    {
      cwd: logs,
      env: {
        PATH: process.env['PATH'],
        PGPASSWORD: decodeURIComponent(password),
        PGHOST: hostname,
        PGPORT: port,
        PGUSER: username,
        PGDATABASE: pathname.slice(1),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const ended = Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number]>,
  ]);
  const { connections, memoryMb } = await watch(pid, () => child.exitCode !== null);
  const [output, problem, [code]] = await ended;
  const perSecond = Number(/tps = ([\d.]+)/.exec(output)?.[1]);
  const failed = Number(/number of failed transactions: (\d+)/.exec(output)?.[1] ?? 0);
  if (code !== 0 || failed > 0 || !(perSecond > 0)) {
    throw new Error(`pgbench ${name} ended with ${code}, ${failed} failed: ${problem}${output}`);
  }
  const p95Ms = percentile(loggedMs(logs), 0.95);
  rmSync(logs, { recursive: true, force: true });
  return { perSecond, p95Ms, connections, memoryMb };
}

/** Each line of pgbench's log: client, transaction, microseconds, … */
function loggedMs(folder: string): Float64Array {
  const lines = readdirSync(folder)
    .filter((name) => name.startsWith('times'))
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').trim().split('\n'));
  return Float64Array.from(lines, (line) => Number(line.split(' ')[2]) / 1_000).toSorted();
}

/** Looks at the server's processes while a crowd is there, from outside: a query would be one client more. */
async function watch(
  pid: number,
  isOver: () => boolean,
): Promise<{ connections: number; memoryMb: number[] }> {
  let connections = 0;
  let memoryMb: number[] = [];
  while (!isOver()) {
    await sleep(500);
    const backends = childrenOf(pid).filter((child) => / \S+\(\d+\) /.test(commandOf(child)));
    if (backends.length > connections) {
      connections = backends.length;
      memoryMb = memoryOf([pid, ...childrenOf(pid)]);
    }
  }
  return { connections, memoryMb };
}

function childrenOf(pid: number): number[] {
  const pids = readIfThere(`/proc/${pid}/task/${pid}/children`);
  return pids.split(' ').filter(Boolean).map(Number);
}

function commandOf(pid: number): string {
  return readIfThere(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
}

function memoryOf(pids: readonly number[]): number[] {
  const kb = pids.map((pid) =>
    Number(/^Pss:\s+(\d+) kB$/m.exec(readIfThere(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0),
  );
  const total = kb.reduce((sum, one) => sum + one, 0);
  return total === 0 ? [] : [total / 1_024];
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The process has ended since, or is not ours to look at.
    return '';
  }
}
