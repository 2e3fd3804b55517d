/** The folder of a local server: its owner, its password, its data, its socket, its port. */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '../base/base.ts';
import type { PostgresInstall } from './postgres-cache.ts';

const run = promisify(execFile);

/** A user that the server runs as, where that is not the user of this process. */
interface Owner {
  readonly uid?: number;
  readonly gid?: number;
}

export interface ServerFolder {
  readonly path: string;
  readonly dataFolder: string;
  readonly socketFolder: string;
  readonly owner: Owner;
  readonly user: string;
  readonly password: string;
  /** The port of the last start. */
  readonly lastPort: number | undefined;
  rememberPort(port: number): Promise<void>;
}

/** Unix sockets have paths of at most 107 bytes, and PostgreSQL adds `/.s.PGSQL.NNNNN.lock`. */
const longestSocketFolder = 85;
const socketPrefix = 'centuria-pg-';

/** Makes the folder or takes it over, unless something else is in it. Returns its absolute path. */
export async function openFolder(folder: string): Promise<string> {
  const path = resolve(folder);
  return await asStartError(path, async () => {
    await assertOurs(path);
    const isRoot = process.getuid?.() === 0;
    // Parents that are made get the mode too, and the server's user must pass through root's.
    await mkdir(path, { recursive: true, mode: isRoot ? 0o755 : 0o700 });
    // Stays root's where we are root: whoever breaks into the server must not be able to lead
    // root's next write elsewhere by a link.
    await chmod(path, isRoot ? 0o711 : 0o700);
    return path;
  });
}

/** Finds or makes what a server needs in its folder; runs initdb where there is no data yet. */
export async function prepareFolder(
  install: PostgresInstall,
  path: string,
  options: { user?: string; settings?: Readonly<Record<string, unknown>> },
): Promise<ServerFolder> {
  const dataFolder = join(path, 'data');
  return await asStartError(path, async () => {
    const owner = await serverOwner();
    await assertReachable([path, install.binFolder], owner);
    const major = await readText(join(dataFolder, 'PG_VERSION'));
    if (major !== undefined && Number(major) !== install.major) {
      throw startError(`${path} holds data of PostgreSQL ${major}, not ${install.major}`, {
        details: { folder: path, major: Number(major) },
        remedy: `Start it with PostgreSQL ${major}, or use another folder.`,
      });
    }
    const user = (await readText(join(path, 'user'))) ?? options.user ?? 'postgres';
    const password = await ownPassword(path, owner);
    if (major === undefined) await initialise(install, { path, dataFolder, user, owner, options });
    const portText = await readText(join(path, 'port'));
    return {
      path,
      dataFolder,
      socketFolder: await makeSocketFolder(path, owner),
      owner,
      user,
      password,
      lastPort: portText === undefined ? undefined : Number(portText),
      async rememberPort(port) {
        await writeFile(join(path, 'port'), `${port}\n`);
      },
    };
  });
}

async function asStartError<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw startError(`${path}: ${(cause as Error).message}`, { details: { folder: path }, cause });
  }
}

/** Whether a server could listen on the port of 127.0.0.1 now. */
export async function isPortFree(port: number): Promise<boolean> {
  return (await listenOnce(port)) !== undefined;
}

/** A port that is free now; somebody else may take it before it is used. */
export async function takeFreePort(): Promise<number> {
  const port = await listenOnce(0);
  if (port === undefined) throw startError('no port of 127.0.0.1 is free');
  return port;
}

async function listenOnce(port: number): Promise<number | undefined> {
  const server = createServer();
  return await new Promise((found, failed) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') found(undefined);
      else failed(error);
    });
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address();
      server.close(() => found(typeof address === 'object' ? address?.port : undefined));
    });
  });
}

function startError(
  message: string,
  options: { details?: Record<string, unknown>; remedy?: string; cause?: unknown } = {},
): AppError {
  return new AppError('postgres_start_failed', message, { ...options, retryable: false });
}

/** PostgreSQL refuses to run as root: `postgres` where that user exists, else `nobody`. */
async function serverOwner(): Promise<Owner> {
  if (process.getuid?.() !== 0) return {};
  const rows = (await readFile('/etc/passwd', 'utf8')).split('\n').map((row) => row.split(':'));
  const row =
    rows.find(([name]) => name === 'postgres') ?? rows.find(([name]) => name === 'nobody');
  if (row === undefined) {
    throw startError('PostgreSQL can not run as root, and there is no user postgres or nobody', {
      remedy: 'Run this as an ordinary user.',
    });
  }
  return { uid: Number(row[2]), gid: Number(row[3]) };
}

/** A folder with something else in it is not ours to open to another user or to fill. */
async function assertOurs(path: string): Promise<void> {
  const names = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const ours = /^(?:data|data\.new-.*|lock|password|user|port|server\.log(?:\.1)?|socket)$/;
  const strange = names.find((name) => !ours.test(name));
  if (strange === undefined) return;
  throw startError(`${path} is not empty and no server's folder: it holds ${strange}`, {
    details: { folder: path, found: strange },
    remedy: 'Use an empty folder, or the one of a server that Centuria made.',
  });
}

async function give(path: string, owner: Owner, mode: number): Promise<void> {
  if (owner.uid !== undefined && owner.gid !== undefined) await chown(path, owner.uid, owner.gid);
  await chmod(path, mode);
}

/** Root can see folders that the server's user can not, for example those in its home. */
async function assertReachable(paths: readonly string[], owner: Owner): Promise<void> {
  if (owner.uid === undefined) return;
  for (const path of paths) {
    try {
      await run('test', ['-x', path], { ...owner, cwd: '/' });
    } catch (cause) {
      throw startError(`the user that the server runs as (${owner.uid}) can not reach ${path}`, {
        details: { path, uid: owner.uid },
        remedy: 'Use a folder whose parents all may enter, for example under /var/lib.',
        cause,
      });
    }
  }
}

async function ownPassword(path: string, owner: Owner): Promise<string> {
  const file = join(path, 'password');
  const known = await readText(file);
  if (known !== undefined && known !== '') return known;
  const password = randomBytes(24).toString('base64url');
  await writeFile(file, `${password}\n`, { mode: 0o600 });
  await give(file, owner, 0o600);
  return password;
}

/** initdb beside and then a rename: a data folder is whole or absent. */
async function initialise(
  install: PostgresInstall,
  server: {
    path: string;
    dataFolder: string;
    user: string;
    owner: Owner;
    options: { settings?: Readonly<Record<string, unknown>> };
  },
): Promise<void> {
  const { path, dataFolder, user, owner } = server;
  for (const name of await readdir(path)) {
    if (name.startsWith('data.new-')) await rm(join(path, name), { recursive: true });
  }
  await writeFile(join(path, 'user'), `${user}\n`);
  const temporary = join(path, `data.new-${randomBytes(6).toString('hex')}`);
  await mkdir(temporary, { mode: 0o700 });
  await give(temporary, owner, 0o700);
  const args = ['-D', temporary, '-U', user, '--pwfile', join(path, 'password')];
  args.push('--auth', 'scram-sha-256', '--encoding', 'UTF8', '--data-checksums');
  // Sorting by code point with the server's own tables: the same on every host and glibc.
  args.push('--locale', 'C');
  if (install.major >= 17) args.push('--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8');
  // A server that may lose its data on a power cut gains nothing from a slow beginning.
  if (isOff(server.options.settings?.['fsync'])) args.push('--no-sync');
  try {
    await run(join(install.binFolder, 'initdb'), args, {
      cwd: temporary,
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
      ...owner,
    });
    await rename(temporary, dataFolder);
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true });
    const words = ((cause as { stderr?: string }).stderr ?? String(cause)).trim();
    throw startError(`initdb failed in ${path}: ${words.split('\n').slice(-3).join(' ')}`, {
      details: { folder: path },
      cause,
    });
  }
}

function isOff(value: unknown): boolean {
  return value === false || value === 'off' || value === 0;
}

/** In the server's folder where the path is short enough, else in the system's temporary folder. */
async function makeSocketFolder(path: string, owner: Owner): Promise<string> {
  const inside = join(path, 'socket');
  const digest = createHash('sha256').update(path).digest('hex').slice(0, 16);
  const short = Buffer.byteLength(inside) <= longestSocketFolder;
  const folder = short ? inside : join(tmpdir(), `${socketPrefix}${digest}`);
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const found = await lstat(folder);
  const expected = [owner.uid ?? process.getuid?.(), process.getuid?.()];
  // Everybody may write in the temporary folder: what is there must be a folder, and ours.
  if (!found.isDirectory() || !expected.includes(found.uid)) {
    throw startError(`${folder} is there and belongs to somebody else`, { details: { folder } });
  }
  await give(folder, owner, 0o700);
  return folder;
}

/** Takes away what was made outside of the server's folder; a killed server's socket stays in it. */
export async function removeSocketFolder(folder: string): Promise<void> {
  if (!basename(folder).startsWith(socketPrefix)) return;
  await rm(folder, { recursive: true, force: true });
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
