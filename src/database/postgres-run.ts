/**
 * Starts and stops a PostgreSQL server of this machine in a folder of its own:
 *
 *     FOLDER/data        the data folder (initdb)
 *     FOLDER/password    the superuser's password, mode 0600
 *     FOLDER/server.log  what the server says
 *
 * It listens on 127.0.0.1 and on a unix socket, and never runs as root.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { open, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { AppError, systemClock, type Clock, type Log } from '../base/base.ts';
import { withFileLock } from './file-lock.ts';
import {
  isPortFree,
  openFolder,
  prepareFolder,
  removeSocketFolder,
  takeFreePort,
  type ServerFolder,
} from './postgres-folder.ts';
import type { PostgresInstall } from './postgres-cache.ts';
import { findRunning, type RunningPostgres } from './postgres-process.ts';
import { stopProcess, type StopMode } from './postgres-stop.ts';

export interface StartOptions {
  readonly folder: string;
  /** 0 takes a free one. Without it: the port of last time where it is free, else a free one. */
  readonly port?: number;
  /** The superuser's name, used when the data folder is made. Default `postgres`. */
  readonly user?: string;
  /** Server settings for this start, as `-c name=value`. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /**
   * `child`: ends with this process, even when it is killed. `detached`: goes on without it.
   * Default `child`.
   */
  readonly lifetime?: 'child' | 'detached';
  /** For a start under way: the server is stopped again when it aborts. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  readonly log: Log;
}

export interface LocalPostgres {
  /** With the superuser's password. */
  readonly url: string;
  readonly pid: number;
  readonly port: number;
  readonly socketFolder: string;
  readonly folder: string;
  readonly dataFolder: string;
  readonly major: number;
  /** False when the server ran already. */
  readonly started: boolean;
  stop(mode?: StopMode): Promise<void>;
}

/** A cold start recovers from the write-ahead log first, which can take long; silence can not. */
const startTimeoutMs = 60_000;
const pollMs = 25;
const logLimitBytes = 16 * 1024 * 1024;

/**
 * Starts the server of a folder, making the folder first where it is empty; a server that runs
 * there already is returned as it is. Throws `port_in_use`, `conflict` when the running server
 * has another port than the wanted one, and `postgres_start_failed` with the server's last words.
 */
export async function startPostgres(
  install: PostgresInstall,
  options: StartOptions,
): Promise<LocalPostgres> {
  const path = await openFolder(options.folder);
  return await withFileLock(
    join(path, 'lock'),
    { signal: options.signal },
    async () => await startLocked(install, path, options),
  );
}

async function startLocked(
  install: PostgresInstall,
  path: string,
  options: StartOptions,
): Promise<LocalPostgres> {
  const clock = options.clock ?? systemClock;
  const folder = await prepareFolder(install, path, options);
  const running = await findRunning(folder.dataFolder);
  if (running !== undefined) return await adopt(folder, running, options, clock);

  const chosen = options.port ?? 0;
  if (chosen !== 0 && !(await isPortFree(chosen))) throw portInUse(chosen);
  const deadline = clock.monotonicMs() + startTimeoutMs;
  for (;;) {
    const remembered = options.port === undefined ? folder.lastPort : undefined;
    const port =
      chosen !== 0
        ? chosen
        : remembered !== undefined && (await isPortFree(remembered))
          ? remembered
          : await takeFreePort();
    try {
      return await launch(install, folder, port, options, clock);
    } catch (error) {
      if (!(error instanceof AppError) || clock.monotonicMs() > deadline) throw error;
      // Somebody took the free port between our look and the server's, so another one is taken.
      const raced = error.code === 'port_in_use' && chosen === 0;
      // Sessions of a killed server still end: PostgreSQL refuses the folder until they have.
      const lingering = /shared memory block .* is still in use/.test(error.message);
      if (!raced && !lingering) throw error;
      await clock.sleep(200, options.signal);
    }
  }
}

async function adopt(
  folder: ServerFolder,
  running: RunningPostgres,
  options: StartOptions,
  clock: Clock,
): Promise<LocalPostgres> {
  if (options.port !== undefined && options.port !== 0 && options.port !== running.port) {
    throw new AppError(
      'conflict',
      `the server of ${folder.path} already runs, on port ${running.port}`,
      {
        details: { folder: folder.path, port: running.port, pid: running.pid },
        remedy: `Stop it first to move it to port ${options.port}.`,
      },
    );
  }
  return toServer(folder, running, false, options, clock);
}

async function launch(
  install: PostgresInstall,
  folder: ServerFolder,
  port: number,
  options: StartOptions,
  clock: Clock,
): Promise<LocalPostgres> {
  const logPath = join(folder.path, 'server.log');
  const logStart = await rotateLog(logPath);
  const child = await spawnServer(install, folder, port, options, logPath);
  let exit: string | undefined;
  child.once('exit', (code, signal) => (exit = signal ?? `exit status ${code}`));
  try {
    const deadline = clock.monotonicMs() + startTimeoutMs;
    for (;;) {
      if (exit !== undefined) throw await startFailure(folder, port, exit, logPath, logStart);
      const running = await findRunning(folder.dataFolder);
      if (running?.ready === true && running.pid === child.pid) {
        const server = toServer(folder, running, true, options, clock);
        await assertAnswers(server);
        await folder.rememberPort(port);
        return server;
      }
      if (clock.monotonicMs() > deadline) {
        throw await startFailure(folder, port, 'no answer in time', logPath, logStart);
      }
      await clock.sleep(pollMs, options.signal);
    }
  } catch (error) {
    if (exit === undefined && child.pid !== undefined) {
      await stopProcess(child.pid, 'immediate', { clock, log: options.log });
    }
    throw error;
  }
}

async function spawnServer(
  install: PostgresInstall,
  folder: ServerFolder,
  port: number,
  options: StartOptions,
  logPath: string,
): Promise<ChildProcess> {
  const settings = {
    ...options.settings,
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: folder.socketFolder,
    unix_socket_permissions: '0700',
  };
  const args = ['-D', folder.dataFolder];
  for (const [name, value] of Object.entries(settings)) args.push('-c', `${name}=${value}`);
  const program = join(install.binFolder, 'postgres');
  const log = await open(logPath, 'a', 0o600);
  try {
    const detached = options.lifetime === 'detached';
    // The kernel ends a child's server when we are gone, however we went.
    const [command, words] = detached
      ? [program, args]
      : ['setpriv', ['--pdeathsig', 'INT', program, ...args]];
    const child = spawn(command, words, {
      cwd: folder.dataFolder,
      // A session of its own: Ctrl-C on the terminal is for us, and we stop the server in order.
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8', TZ: process.env['TZ'] },
      ...folder.owner,
    });
    child.unref();
    await new Promise<void>((spawned, failed) => {
      child.once('spawn', () => spawned());
      child.once('error', failed);
    });
    return child;
  } catch (cause) {
    throw new AppError('postgres_start_failed', `${program} can not be run: ${String(cause)}`, {
      details: { folder: folder.path },
      cause,
    });
  } finally {
    await log.close();
  }
}

/** The superuser's password must open the server: a folder whose password was changed must say so. */
async function assertAnswers(server: LocalPostgres): Promise<void> {
  const client = new Client({ connectionString: server.url, connectionTimeoutMillis: 10_000 });
  try {
    await client.connect();
    await client.query('select 1');
  } catch (cause) {
    throw new AppError(
      'postgres_start_failed',
      `the server of ${server.folder} runs but does not let us in: ${(cause as Error).message}`,
      {
        details: { folder: server.folder },
        remedy: `Write the superuser's password into ${join(server.folder, 'password')}.`,
        cause,
      },
    );
  } finally {
    await client.end();
  }
}

async function startFailure(
  folder: ServerFolder,
  port: number,
  exit: string,
  logPath: string,
  logStart: number,
): Promise<AppError> {
  const text = await readFrom(logPath, logStart);
  if (/could not bind .*: Address already in use/.test(text)) return portInUse(port);
  const lines = text.trim().split('\n').slice(-8);
  const words = lines.map((line) => line.replace(/^.*?((?:FATAL|HINT|DETAIL|PANIC):)/, '$1'));
  return new AppError(
    'postgres_start_failed',
    `PostgreSQL in ${folder.path} did not start (${exit}): ${words.join(' ').slice(-1_000)}`,
    { details: { folder: folder.path, exit, lines }, remedy: `Its log is ${logPath}.` },
  );
}

function portInUse(port: number): AppError {
  return new AppError('port_in_use', `port ${port} of 127.0.0.1 is taken`, {
    details: { port },
    remedy: 'Choose another port, or 0 for a free one.',
  });
}

function toServer(
  folder: ServerFolder,
  running: RunningPostgres,
  started: boolean,
  options: StartOptions,
  clock: Clock,
): LocalPostgres {
  const { pid, port, socketFolder, major } = running;
  const login = `${encodeURIComponent(folder.user)}:${encodeURIComponent(folder.password)}`;
  return {
    url: `postgresql://${login}@127.0.0.1:${port}/postgres`,
    pid,
    port,
    socketFolder,
    major,
    started,
    folder: folder.path,
    dataFolder: folder.dataFolder,
    async stop(mode = 'fast') {
      // Asked again by the folder: the id may be another's by now.
      if ((await findRunning(folder.dataFolder))?.pid !== pid) return;
      await stopProcess(pid, mode, { clock, log: options.log });
      await removeSocketFolder(socketFolder);
    },
  };
}

/** Keeps one older log beside; returns where the new lines begin, bytes. */
async function rotateLog(path: string): Promise<number> {
  const sizeBytes = (await stat(path).catch(() => undefined))?.size ?? 0;
  if (sizeBytes < logLimitBytes) return sizeBytes;
  await rename(path, `${path}.1`);
  return 0;
}

async function readFrom(path: string, startBytes: number): Promise<string> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const start = Math.max(startBytes, size - 64 * 1024);
    const { buffer } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    return buffer.toString('utf8');
  } finally {
    await file.close();
  }
}
