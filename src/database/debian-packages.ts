/** Debian packages of any release and architecture, unpacked into a folder and never run. */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AppError } from '../base/base.ts';
import { withFileLock } from './file-lock.ts';
import { assertTools, installError, runTool } from './install-tools.ts';
import { hasSecurity, PackageSource, type PostgresPackage } from './postgres-packages.ts';
import { isUnpacked } from './postgres-unpack.ts';

/** In Debian's own words. */
export type DebianArchitecture = 'amd64' | 'arm64';

export interface DebianRequest {
  /** A Debian release: `trixie`. */
  readonly suite: string;
  readonly architecture: DebianArchitecture;
  /** Packages to unpack, alone. */
  readonly names: readonly string[];
  /** Packages to unpack with the libraries that they load. */
  readonly withLibraries?: readonly string[];
  /** The folder to make. One that is there already, whole, is taken as it is. */
  readonly into: string;
  readonly signal?: AbortSignal | undefined;
}

export interface DebianPackages {
  /** Below it `usr`, `lib` and the others. */
  readonly root: string;
  readonly packages: readonly PostgresPackage[];
}

const recordName = 'packages.json';

/**
 * Fetches the newest packages of a release that the mirror of apt's own setup still has, checked by
 * Debian's signature, and unpacks them; whole or not at all, and by one process at a time. Throws
 * `postgres_install_failed` with `details.reason`, or `cancelled`.
 */
export async function fetchDebianPackages(request: DebianRequest): Promise<DebianPackages> {
  const { into, signal } = request;
  const before = await readFetched(into);
  if (before !== undefined) return before;
  await assertTools();
  try {
    await mkdir(dirname(into), { recursive: true });
    const lock = join(dirname(into), `.lock-${basename(into)}`);
    return await withFileLock(lock, { signal }, async () => {
      const meanwhile = await readFetched(into);
      if (meanwhile !== undefined) return meanwhile;
      await removeLeftovers(into);
      return await fetchInto(request);
    });
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw installError('broken', `${into}: ${(cause as Error).message}`, {
      details: { folder: into },
      cause,
    });
  }
}

/** What killed calls left behind; only the holder of the lock may look. */
async function removeLeftovers(into: string): Promise<void> {
  for (const name of await readdir(dirname(into))) {
    if (!name.startsWith(`${basename(into)}.new-`)) continue;
    await rm(join(dirname(into), name), { recursive: true, force: true });
  }
}

/** Mirrors drop the security archive of a release whose support has ended before its index. */
async function fetchInto(request: DebianRequest): Promise<DebianPackages> {
  try {
    return await fetchFrom(request, true);
  } catch (error) {
    const gone = error instanceof AppError && error.message.includes('404');
    if (!gone || !hasSecurity(request.suite)) throw error;
    return await fetchFrom(request, false);
  }
}

async function fetchFrom(request: DebianRequest, withSecurity: boolean): Promise<DebianPackages> {
  const { suite, architecture, names, withLibraries = [], into, signal } = request;
  const temporary = `${into}.new-${randomBytes(6).toString('hex')}`;
  try {
    const apt = join(temporary, 'apt');
    const root = join(temporary, 'root');
    await mkdir(apt, { recursive: true });
    await mkdir(root);
    const from = { folder: apt, suite, architecture, withSecurity, signal };
    const source = await PackageSource.open(from);
    const [missing] = await source.missing([...names, ...withLibraries]);
    if (missing !== undefined) {
      throw installError('unsupported', `Debian's ${suite} has no ${missing} for ${architecture}`, {
        details: { suite, architecture, package: missing },
      });
    }
    const packages = await choose(source, names, withLibraries);
    for (const file of await source.download(packages, () => undefined)) {
      await runTool('dpkg-deb', ['-x', file, root], { signal });
    }
    await rm(apt, { recursive: true });
    await writeFile(join(temporary, recordName), `${JSON.stringify(packages, null, 2)}\n`);
    await rm(into, { recursive: true, force: true });
    await rename(temporary, into);
    return { root: join(into, 'root'), packages };
  } catch (error) {
    // A tool that was just killed may still have been writing.
    await rm(temporary, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    throw error;
  }
}

/** Of the closure of packages only the libraries are unpacked: the rest is Perl, and what sets a system up. */
async function choose(
  source: PackageSource,
  names: readonly string[],
  withLibraries: readonly string[],
): Promise<PostgresPackage[]> {
  const closure = await source.resolve([...names, ...withLibraries]);
  const own = closure.filter(({ name }) => names.includes(name));
  if (withLibraries.length === 0) return own;
  const libraries = (await source.resolve(withLibraries)).filter(isUnpacked);
  return [...own, ...libraries.filter(({ name }) => !names.includes(name))];
}

async function readFetched(into: string): Promise<DebianPackages | undefined> {
  const text = await readFile(join(into, recordName), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  return { root: join(into, 'root'), packages: JSON.parse(text) as PostgresPackage[] };
}
