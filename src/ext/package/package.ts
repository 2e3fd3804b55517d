/**
 * Packages: what has to be known of a server to build for it elsewhere, and to say offline whether a
 * build fits: its facts, its headers and makefiles, and a pg_config for them. Signed, and the same
 * bytes for the same server.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { existsSync } from 'node:fs';
import { AppError } from '../../base/base.ts';
import { fetchDebianPackages, suiteOfMajor } from '../../database/database.ts';
import type { Host } from '../host/host.ts';
import { openLocalHost } from '../host/local.ts';
import type { Architecture } from '../types.ts';
import { assemble, type Package } from './content.ts';
import { readDebianFacts, relocated } from './debian.ts';
import { readServerFacts } from './facts.ts';
import type { Signer } from './signing.ts';
import { readTrees } from './trees.ts';

export interface PackageOptions {
  readonly signer?: Signer | undefined;
  /** On this machine: what was read of a binary by its hash, and what was fetched from Debian. */
  readonly cacheFolder?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Packages the server that a target's `pg_config` belongs to. Throws `not_found` when the server or its
 * headers are not there, `denied`, `invalid_input` when they are of different versions.
 */
export async function packageServer(
  host: Host,
  where: { readonly pgConfig?: string | undefined },
  options: PackageOptions = {},
): Promise<Package> {
  const { pgConfig = 'pg_config' } = where;
  const { signal, cacheFolder } = options;
  const facts = await readServerFacts(
    host,
    { pgConfig },
    {
      ...(signal === undefined ? {} : { signal }),
      ...(cacheFolder === undefined ? {} : { cacheFolder: join(cacheFolder, 'binaries') }),
    },
  );
  const trees = await readTrees(host, facts.config, facts.major, signal);
  return await assemble({ facts, ...trees, signer: options.signer });
}

const debianArchitectures = { x86_64: 'amd64', aarch64: 'arm64' } as const;

/**
 * Packages the server of the Debian release that carries the major version, with the newest fixes; with
 * a cache, those that were fetched first. Throws `unavailable` for another version, and
 * `postgres_install_failed` with `details.reason`.
 */
export async function packageDebian(
  server: { readonly major: number; readonly architecture: Architecture },
  options: PackageOptions = {},
): Promise<Package> {
  const { major, architecture } = server;
  const suite = suiteOfMajor[major];
  if (suite === undefined) {
    const majors = Object.keys(suiteOfMajor).join(', ');
    throw new AppError(
      'unavailable',
      `no Debian release carries the headers of PostgreSQL ${major}`,
      {
        details: { major },
        remedy: `Package a server that has them. Debian carries ${majors}.`,
        retryable: false,
      },
    );
  }
  const headers = `postgresql-server-dev-${major}`;
  return await inFolder(options.cacheFolder, async (folder) => {
    const { root, packages } = await fetchDebianPackages({
      suite,
      architecture: debianArchitectures[architecture],
      names: [headers, 'libpq-dev'],
      withLibraries: [`postgresql-${major}`],
      into: join(folder, `${suite}-${debianArchitectures[architecture]}-postgresql-${major}`),
      signal: options.signal,
    });
    const version = packages.find(({ name }) => name === headers)?.version ?? '';
    return await packageRoot({ root, major, origin: `debian:${headers}=${version}` }, options);
  });
}

/**
 * Packages what lies in a folder of this machine: an installation (`bin/pg_config` is run), or Debian's
 * packages of a server and its headers, unpacked, for any architecture. Throws as `packageServer`.
 */
export async function packageFolder(path: string, options: PackageOptions = {}): Promise<Package> {
  const own = join(path, 'bin/pg_config');
  if (existsSync(own)) return await packageServer(openLocalHost(), { pgConfig: own }, options);
  const folder = join(path, 'usr/include/postgresql');
  const names = await readdir(folder).catch(() => []);
  const majors = names.filter((name) => existsSync(join(folder, name, 'server/postgres.h')));
  const [major] = majors;
  if (major === undefined || majors.length > 1) {
    throw new AppError(
      'not_found',
      major === undefined
        ? `${path} holds neither bin/pg_config nor usr/include/postgresql/*/server/postgres.h`
        : `${path} holds the headers of several versions: ${majors.join(', ')}`,
      {
        details: { path },
        remedy:
          'Give the folder of an installation, or one where postgresql-17, libpq-dev and ' +
          'postgresql-server-dev-17 (or another version) are unpacked with dpkg-deb -x.',
      },
    );
  }
  return await packageRoot({ root: path, major: Number(major), origin: `folder:${path}` }, options);
}

async function packageRoot(
  where: { readonly root: string; readonly major: number; readonly origin: string },
  { signer, cacheFolder, signal }: PackageOptions,
): Promise<Package> {
  const binaries = cacheFolder === undefined ? undefined : join(cacheFolder, 'binaries');
  const facts = await readDebianFacts({ ...where, cacheFolder: binaries });
  const config = relocated(facts.config, where.root);
  const trees = await readTrees(openLocalHost(), config, facts.major, signal);
  return await assemble({ facts, ...trees, signer });
}

/** In the cache, or in a folder that is gone afterwards. */
async function inFolder<T>(
  cacheFolder: string | undefined,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  if (cacheFolder !== undefined) return await work(join(cacheFolder, 'debian'));
  const folder = await mkdtemp(join(tmpdir(), 'centuria-debian-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}
