/**
 * Running PostgreSQL servers as the kernel and their own `postmaster.pid` show them. A process id
 * alone is never believed: ids are reused, so a process must also run on the data folder it is
 * looked up for, and be no younger than the server claims to be.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../base/base.ts';

/** The lines of `postmaster.pid` (PostgreSQL's source, src/include/utils/pidfile.h). */
export interface PostmasterFile {
  readonly pid: number;
  readonly dataFolder: string;
  /** Unix seconds at which the server started, by its own clock. */
  readonly startedAtSeconds: number;
  readonly port: number;
  /** Empty when the server has no unix socket. */
  readonly socketFolder: string;
  readonly ready: boolean;
}

/** A server that runs now. */
export interface RunningPostgres extends PostmasterFile {
  /** The major version of the data folder. */
  readonly major: number;
}

/** The content of a data folder's `postmaster.pid`, or undefined. Throws `denied` when it may not be read. */
async function readPostmasterFile(dataFolder: string): Promise<PostmasterFile | undefined> {
  const path = join(dataFolder, 'postmaster.pid');
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR') return undefined;
    throw new AppError('denied', `${path} can not be read: ${cause.message}`, {
      details: { path },
      remedy: 'Use the user that the server belongs to.',
      cause,
    });
  });
  if (text === undefined) return undefined;
  const [pid, folder = '', started, port, socketFolder = '', , , status = ''] = text.split('\n');
  if (!/^\d+$/.test(pid ?? '')) return undefined;
  return {
    pid: Number(pid),
    dataFolder: folder,
    startedAtSeconds: Number(started),
    port: Number(port ?? 0),
    socketFolder,
    ready: status.trim() === 'ready',
  };
}

/** The server that runs on a data folder, or undefined: also when its file is a leftover of a crash. */
export async function findRunning(dataFolder: string): Promise<RunningPostgres | undefined> {
  const file = await readPostmasterFile(dataFolder);
  if (file === undefined || !(await isPostmaster(file, dataFolder))) return undefined;
  const major = Number((await readFile(join(dataFolder, 'PG_VERSION'), 'utf8')).trim());
  return { ...file, major };
}

/**
 * Every server of this machine whose data folder this user may read. Found by command lines, so
 * those that others started are listed too.
 */
export async function listRunning(): Promise<RunningPostgres[]> {
  const found = new Map<number, RunningPostgres>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const folder = dataFolderOf(await commandLine(Number(name)));
    if (folder === undefined) continue;
    const running = await findRunning(folder).catch(() => undefined);
    if (running !== undefined) found.set(running.pid, running);
  }
  return [...found.values()];
}

/** Ticks since boot at which a process started: with its id, its identity. Undefined when it is gone. */
export async function startTicks(pid: number): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  // The name in parentheses may hold anything, so fields are counted from its end: state is third.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // A zombie has ended; only its parent has not asked yet.
  return fields[0] === 'Z' ? undefined : Number(fields[19]);
}

async function isPostmaster(file: PostmasterFile, dataFolder: string): Promise<boolean> {
  const ticks = await startTicks(file.pid);
  const folder = dataFolderOf(await commandLine(file.pid));
  if (ticks === undefined || folder === undefined) return false;
  const [here, there] = await Promise.all(
    [dataFolder, folder].map((path) => realpath(path).catch(() => path)),
  );
  if (here !== there) return false;
  return (await startedAtSeconds(ticks)) <= file.startedAtSeconds + clockSlackSeconds;
}

/**
 * The kernel counts from boot and the server from its wall clock: a correction of the clock moves
 * them apart. An hour still tells a server from another that took its id on the same folder later.
 */
const clockSlackSeconds = 3_600;

/** Linux reports times of processes in hundredths of a second on every architecture (proc(5)). */
const ticksPerSecond = 100;

async function startedAtSeconds(ticks: number): Promise<number> {
  const boot = /^btime (\d+)$/m.exec(await readFile('/proc/stat', 'utf8'))?.[1];
  return Number(boot) + ticks / ticksPerSecond;
}

async function commandLine(pid: number): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return text.split('\0');
}

/** The folder after `-D` where the command line is that of a postmaster. */
function dataFolderOf(words: readonly string[]): string | undefined {
  if (!words.some((word) => /(?:^|\/)postgres(?:\.real)?$/.test(word))) return undefined;
  const folder = words[words.indexOf('-D') + 1];
  return words.includes('-D') && folder !== undefined && existsSync(folder) ? folder : undefined;
}
