/**
 * Installs a real PostgreSQL with pgvector without root: Debian's packages, pinned by a lock of
 * their hashes, unpacked into a cache folder. An install is whole or absent: it is made in a folder
 * beside and renamed, and one process makes it while others wait.
 *
 * When the mirror has dropped a pinned version (Debian keeps only the newest of a release), the
 * current one is taken with a notice: apt still checks Debian's signature, so the pin adds
 * reproducibility, not the only trust. The same version with another hash is always refused.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, type Log } from '../base/base.ts';
import { withFileLock } from './file-lock.ts';
import lock17 from './postgres-17.lock.json' with { type: 'json' };
import { assertTools, installError, makeReadable, runTool } from './install-tools.ts';
import {
  readInstalls,
  recordName,
  serverVersion,
  toInstall,
  vectorControl,
  type InstallRecord,
  type PostgresInstall,
} from './postgres-cache.ts';
import {
  assertHash,
  PackageSource,
  suiteOfMajor,
  type PostgresLock,
  type PostgresPackage,
} from './postgres-packages.ts';
import { isUnpacked, unpack } from './postgres-unpack.ts';

export interface InstallProgress {
  readonly phase: 'wait' | 'index' | 'download' | 'unpack' | 'check';
  /** Bytes when downloading, packages when unpacking, else 0. */
  readonly done: number;
  /** 0 when it is not known. */
  readonly total: number;
}

export interface InstallOptions {
  readonly major: number;
  readonly cacheFolder: string;
  readonly log: Log;
  readonly onProgress?: (progress: InstallProgress) => void;
  readonly signal?: AbortSignal;
  /** Takes the newest packages of the release instead of the pinned or cached ones. */
  readonly update?: boolean;
  /** In the place of the lock that ships with Centuria. */
  readonly lock?: PostgresLock;
}

/** Unpacked size with room to spare, bytes: 17 takes 42 MB of packages and 104 MB of files. */
const neededBytes = 400 * 1024 * 1024;

/** A tool that was just killed may still have been writing. */
const removal = { recursive: true, force: true, maxRetries: 5, retryDelay: 100 } as const;

const locks: Readonly<Record<number, PostgresLock>> = { 17: lock17 };

/**
 * Installs PostgreSQL into the cache, or finds it there. Throws `postgres_install_failed` with
 * `details.reason`, or `cancelled`.
 */
export async function installPostgres(options: InstallOptions): Promise<PostgresInstall> {
  const { major, update = false } = options;
  const suite = suiteOfMajor[major];
  if (suite === undefined) {
    const majors = Object.keys(suiteOfMajor).join(', ');
    throw installError('unsupported', `no Debian release carries PostgreSQL ${major}`, {
      details: { major },
      remedy: `These can be installed: ${majors}.`,
    });
  }
  const folder = join(options.cacheFolder, 'postgres');
  const lock = options.lock ?? locks[major];
  const requested = createHash('sha256')
    .update(JSON.stringify(lock ?? null))
    .digest('hex');
  const cached = async (): Promise<PostgresInstall | undefined> =>
    (await readInstalls(folder)).find(
      (each) => each.record.major === major && each.record.requested === requested,
    )?.install;

  const before = await cached();
  if (before !== undefined && !update) return before;
  await assertTools();
  await prepareFolder(options.cacheFolder, folder);
  const locked = {
    signal: options.signal,
    onWait: () => options.onProgress?.({ phase: 'wait', done: 0, total: 0 }),
  };
  return await withFileLock(join(folder, `.lock-${major}`), locked, async () => {
    const meanwhile = await cached();
    if (meanwhile !== undefined && !update) return meanwhile;
    await removeLeftovers(folder, major);
    return await install({ ...options, folder, suite, requested, pins: lock?.packages ?? {} });
  });
}

/** What a lock would hold today: the newest packages of the release for each architecture. */
export async function resolveLock(
  major: number,
  architectures: readonly string[],
  scratchFolder: string,
): Promise<PostgresLock> {
  const packages: Record<string, PostgresPackage[]> = {};
  for (const architecture of architectures) {
    const folder = join(scratchFolder, architecture);
    await mkdir(folder);
    const suite = suiteOfMajor[major] ?? 'sid';
    const source = await PackageSource.open({ folder, suite, architecture });
    packages[architecture] = await resolveNewest(source, major);
  }
  return { format: 1, major, packages };
}

interface Work extends InstallOptions {
  readonly folder: string;
  readonly suite: string;
  readonly requested: string;
  readonly pins: PostgresLock['packages'];
}

async function install(work: Work): Promise<PostgresInstall> {
  const { major, signal, onProgress } = work;
  const temporary = join(work.folder, `.new-${major}-${randomBytes(6).toString('hex')}`);
  await makeReadable(temporary);
  try {
    onProgress?.({ phase: 'index', done: 0, total: 0 });
    const architecture = (await runTool('dpkg', ['--print-architecture'], { signal })).trim();
    const apt = join(temporary, 'apt');
    await makeReadable(apt);
    const source = await PackageSource.open({
      folder: apt,
      suite: work.suite,
      architecture,
      signal,
    });
    const packages = await choosePackages(source, work, work.pins[architecture]);
    onProgress?.({ phase: 'download', done: 0, total: 0 });
    const files = await source.download(packages, (done) =>
      onProgress?.({ phase: 'download', done, total: 0 }),
    );
    const root = join(temporary, 'root');
    const bin = await unpack({
      files,
      root,
      major,
      signal,
      onFile: (done) => onProgress?.({ phase: 'unpack', done, total: files.length }),
    });
    await rm(apt, { recursive: true });
    onProgress?.({ phase: 'check', done: 0, total: 0 });
    const record: InstallRecord = {
      format: 1,
      major,
      version: await serverVersion(bin, signal),
      hasVector: existsSync(vectorControl(root, major)),
      requested: work.requested,
      installedAt: new Date().toISOString(),
      packages,
    };
    return await finish(work, temporary, record);
  } catch (error) {
    await rm(temporary, removal);
    throw error instanceof AppError ? error : fileError(error, work.folder);
  }
}

/** Renames the whole install into its place, which is what makes it one. */
async function finish(
  work: Work,
  temporary: string,
  record: InstallRecord,
): Promise<PostgresInstall> {
  await writeFile(join(temporary, recordName), `${JSON.stringify(record, null, 2)}\n`);
  // A power cut after the rename must not leave empty files in a folder that counts as whole.
  await runTool('sync', ['-f', temporary], { signal: work.signal });
  const name = `${record.version}-${randomBytes(4).toString('hex')}`;
  const final = join(work.folder, name);
  await rename(temporary, final);
  work.log.info({ version: record.version, folder: final }, 'installed PostgreSQL');
  return toInstall(final, record);
}

/** The pinned packages where the mirror has them all with the pinned hashes, else the newest. */
async function choosePackages(
  source: PackageSource,
  work: Work,
  pins: readonly PostgresPackage[] | undefined,
): Promise<PostgresPackage[]> {
  if (pins === undefined || work.update === true) {
    return await resolveNewest(source, work.major);
  }
  const { found, vanished } = await source.lookUp(pins);
  assertPins(pins, found);
  if (vanished.length === 0) return found;
  work.log.warn(
    { packages: vanished.map(({ name, version }) => `${name} ${version}`) },
    'the mirror no longer has these pinned packages; taking the newest, which Debian signed',
  );
  const newest = await resolveNewest(source, work.major);
  assertPins(pins, newest);
  return newest;
}

function assertPins(pins: readonly PostgresPackage[], found: readonly PostgresPackage[]): void {
  for (const item of found) {
    const pin = pins.find(({ name, version }) => name === item.name && version === item.version);
    if (pin !== undefined) assertHash(pin, item.sha256);
  }
}

async function resolveNewest(source: PackageSource, major: number): Promise<PostgresPackage[]> {
  const server = `postgresql-${major}`;
  const vector = `${server}-pgvector`;
  const missing = await source.missing([server, vector]);
  if (missing.includes(server)) {
    throw installError('unsupported', `the mirror has no ${server}`, { details: { major } });
  }
  const closure = await source.resolve(missing.includes(vector) ? [server] : [server, vector]);
  return closure.filter(isUnpacked);
}

async function prepareFolder(cache: string, folder: string): Promise<void> {
  try {
    await mkdir(cache, { recursive: true });
    if (process.getuid?.() === 0) await makeReadable(cache);
    await makeReadable(folder);
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize < neededBytes) {
      throw installError('disk_full', `less than 400 MB are free in ${folder}`, {
        details: { folder, freeBytes: bavail * bsize, neededBytes },
        remedy: 'Free some space, or set CENTURIA_CACHE to a folder on another disk.',
      });
    }
  } catch (error) {
    throw error instanceof AppError ? error : fileError(error, folder);
  }
}

function fileError(cause: unknown, folder: string): AppError {
  const { code, message } = cause as { code?: string; message?: string };
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return installError(full ? 'disk_full' : 'broken', `${folder}: ${message ?? String(cause)}`, {
    details: { folder },
    remedy: 'Set CENTURIA_CACHE to a folder that can be written and has 400 MB free.',
    cause,
  });
}

/** What killed installs left behind; only the holder of the lock may look. */
async function removeLeftovers(folder: string, major: number): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`.new-${major}-`)) continue;
    await rm(join(folder, name), removal);
  }
}
