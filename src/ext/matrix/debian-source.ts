/** Sources of extensions that nobody here wrote, from Debian's source packages, without Debian's changes. */
import { chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, type Log } from '../../base/base.ts';
import { fetchDebianSource, withFileLock } from '../../database/database.ts';
import { runProgram } from '../host/local.ts';

export interface DebianSourceOptions {
  /** Of the source package: `pgvector`. */
  readonly name: string;
  /** Debian releases; the first that can be had is taken, what is in the cache before all. Newest first unless given. */
  readonly suites?: readonly string[];
  readonly cacheFolder: string;
  readonly log: Log;
  readonly signal?: AbortSignal;
}

export interface DebianSource {
  /** A folder with the sources as their authors published them; times of files are the authors' too. */
  readonly folder: string;
  /** Of the Debian package: `0.8.0-1`. */
  readonly version: string;
  readonly suite: string;
}

const newestFirst = ['sid', 'trixie', 'bookworm'];

/**
 * Finds a source in the cache or fetches it. A mirror's index may name a version whose files it has not
 * yet or no longer; then the next release is asked, and the log says so. Throws `unavailable` with what
 * each of them said.
 */
export async function debianSource(options: DebianSourceOptions): Promise<DebianSource> {
  const { name, cacheFolder, log, signal } = options;
  if (!/^[a-z0-9][a-z0-9+.-]+$/.test(name)) {
    throw new AppError('invalid_input', `no name of a Debian source package: ${name}`);
  }
  const folder = join(cacheFolder, 'sources');
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o755);
  const refusals: string[] = [];
  return await withFileLock(join(folder, `.lock-${name}`), { signal }, async () => {
    await removeLeftovers(folder, name);
    const suites = options.suites ?? newestFirst;
    // What is there is taken before anything is asked: a matrix runs again without a network.
    for (const look of [(suite: string) => findCached(folder, name, suite), tryFetch]) {
      for (const suite of suites) {
        const found = await look(suite);
        if (found !== undefined) return found;
      }
    }
    throw new AppError('unavailable', `no source of ${name}: ${refusals.join('; ')}`, {
      details: { name, refusals },
      remedy: "Check that Debian's mirror can be reached, or give a folder with the source.",
    });
  });

  async function tryFetch(suite: string): Promise<DebianSource | undefined> {
    try {
      return await fetchInto(folder, suite, options);
    } catch (cause) {
      if (!(cause instanceof AppError) || cause.code !== 'postgres_install_failed') throw cause;
      refusals.push(`${suite}: ${String(cause.details['reason'])}`);
      log.warn({ name, suite, reason: cause.message }, 'a Debian release gives no source');
      return undefined;
    }
  }
}

/** What killed calls left behind; only the holder of the lock may look. */
async function removeLeftovers(folder: string, name: string): Promise<void> {
  for (const each of await readdir(folder)) {
    if (each.startsWith(`.new-${name}-`)) await rm(join(folder, each), { recursive: true });
  }
}

async function findCached(
  folder: string,
  name: string,
  suite: string,
): Promise<DebianSource | undefined> {
  const prefix = `${name}_${suite}_`;
  // One at most: what is there is not fetched again.
  const found = (await readdir(folder)).find((each) => each.startsWith(prefix));
  if (found === undefined) return undefined;
  return { folder: join(folder, found), version: found.slice(prefix.length), suite };
}

async function fetchInto(
  folder: string,
  suite: string,
  { name, log, signal }: DebianSourceOptions,
): Promise<DebianSource> {
  const temporary = await mkdtemp(join(folder, `.new-${name}-`));
  try {
    const fetched = await fetchDebianSource({ name, suite, folder: temporary, signal });
    const sources = join(temporary, 'sources');
    await mkdir(sources);
    await chmod(sources, 0o755);
    const words = ['-xf', fetched.archive, '-C', sources, '--strip-components=1'];
    const run = signal === undefined ? {} : { signal };
    const { exit, stderr } = await runProgram('tar', [...words, '--no-same-owner'], run);
    if (exit !== 0) {
      throw new AppError('unavailable', `tar can not unpack the source of ${name}: ${stderr}`);
    }
    const final = join(folder, `${name}_${suite}_${fetched.version}`);
    await rename(sources, final);
    log.info({ name, suite, version: fetched.version }, 'fetched a source from Debian');
    return { folder: final, version: fetched.version, suite };
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}
