/** The checks of `centuria doctor` that need nothing but this machine. */
import { execFile } from 'node:child_process';
import { constants, readFileSync } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Config } from '../base/base.ts';
import { findServer, isAlive } from './connection.ts';
import { formatBytes } from './output.ts';

export interface CheckResult {
  readonly check: string;
  /** `unavailable`: it can not work here, and nothing is broken by that. */
  readonly state: 'ok' | 'warn' | 'fail' | 'unavailable';
  readonly message: string;
  readonly remedy?: string;
}

type State = CheckResult['state'];

export function result(check: string, state: State, message: string, remedy?: string): CheckResult {
  return { check, state, message, ...(remedy === undefined ? {} : { remedy }) };
}

const probeTimeoutMs = 5_000;

export function checkNode(): CheckResult {
  return result('node', 'ok', `${process.version} at ${process.execPath}`);
}

/** The data folder: there, ours, closed to others, writable. */
export async function checkHome(home: string): Promise<CheckResult[]> {
  const found = await stat(home).catch(() => undefined);
  if (found === undefined) {
    return [result('data folder', 'warn', `${home} does not exist yet`, 'centuria up makes it.')];
  }
  if (!found.isDirectory()) {
    return [result('data folder', 'fail', `${home} is no folder`, 'Name another one with --home.')];
  }
  const mode = found.mode & 0o777;
  const closed = (mode & 0o077) === 0;
  const isOwn = process.getuid === undefined || found.uid === process.getuid();
  const isWritable = await access(home, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  const rows: CheckResult[] = [];
  if (!isWritable) {
    rows.push(result('data folder', 'fail', `${home} can not be written`, `chmod u+rwx ${home}`));
  } else if (!isOwn) {
    rows.push(
      result('data folder', 'fail', `${home} belongs to user ${found.uid}`, 'Work as that user.'),
    );
  } else if (closed) {
    rows.push(result('data folder', 'ok', home));
  } else {
    const shown = mode.toString(8).padStart(4, '0');
    rows.push(
      result('data folder', 'warn', `${home} is open to others (${shown})`, `chmod 700 ${home}`),
    );
  }
  const token = await stat(join(home, 'token')).catch(() => undefined);
  if (token !== undefined && (token.mode & 0o077) !== 0) {
    const path = join(home, 'token');
    rows.push(result('token', 'fail', `${path} can be read by others`, `chmod 600 ${path}`));
  }
  return rows;
}

/** Below the first figure nothing works; below the second it soon will not. */
const scarceBytes = { fail: 100e6, warn: 1e9 };

export async function checkDisk(home: string): Promise<CheckResult> {
  const folder = await nearestFolder(home);
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const state = free < scarceBytes.fail ? 'fail' : free < scarceBytes.warn ? 'warn' : 'ok';
  const remedy = state === 'ok' ? undefined : 'Make room, or move the data folder with --home.';
  return result('disk', state, `${formatBytes(free)} free at ${folder}`, remedy);
}

async function nearestFolder(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) {
    if ((await stat(folder).catch(() => undefined))?.isDirectory() === true) return folder;
  }
}

/** Who has the data folder: the server that says so, another process, or nobody. */
export function checkLock(home: string): CheckResult {
  const server = findServer(home);
  if (server !== undefined) {
    return result('lock', 'ok', `the server holds it: process ${server.pid}, ${server.bridgeUrl}`);
  }
  let holder: unknown;
  try {
    holder = JSON.parse(readFileSync(join(home, 'lock'), 'utf8'));
  } catch {
    return result('lock', 'ok', 'nobody holds the data folder');
  }
  const pid = (holder as { pid?: unknown } | null)?.pid;
  if (typeof pid === 'number' && isAlive(pid)) {
    return result('lock', 'warn', `process ${pid} holds it`, 'If it hangs, stop it.');
  }
  return result('lock', 'ok', 'left by a process that ended; the next start takes it over');
}

/** Whether the bridge's port can be taken, or is ours already. */
export async function checkPort(config: Config): Promise<CheckResult> {
  const { bridgeHost: host, bridgePort: port } = config.values;
  const server = findServer(config.home);
  if (server !== undefined)
    return result('port', 'ok', `the bridge listens on ${server.bridgeUrl}`);
  if (port === 0) return result('port', 'ok', 'a free one is taken at the start');
  const problem = await bindProblem(host, port);
  if (problem === undefined) return result('port', 'ok', `${host}:${port} is free`);
  if (problem === 'EADDRINUSE') {
    return result(
      'port',
      'fail',
      `${host}:${port} is taken by another program`,
      'Stop it, or name another port: --bridge-port 0 takes a free one.',
    );
  }
  return result('port', 'fail', `${host}:${port}: ${problem}`, 'Change bridgeHost or bridgePort.');
}

function bindProblem(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(undefined)));
  });
}

const run = promisify(execFile);

/** git does the agents' work on repositories; setpriv ends their processes when we die. */
export async function checkPrograms(): Promise<CheckResult[]> {
  const programs = [
    ['git', 'fail', 'Install git: the shipped agents work on git repositories.'],
    ['setpriv', 'warn', 'Install util-linux: without it, processes of agents may outlive a crash.'],
  ] as const;
  return Promise.all(
    programs.map(async ([name, stateWithout, remedy]) => {
      try {
        const { stdout } = await run(name, ['--version'], { timeout: probeTimeoutMs });
        return result(name, 'ok', stdout.trim().split('\n')[0] ?? '');
      } catch (error) {
        const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
        const why = missing ? 'is not installed' : `does not start: ${(error as Error).message}`;
        return result(name, stateWithout, `${name} ${why}`, remedy);
      }
    }),
  );
}
