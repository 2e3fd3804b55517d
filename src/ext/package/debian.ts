/** Packages from Debian's own, for any architecture: nothing of them is run. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../base/base.ts';
import type { Architecture, ServerFacts, ServerPaths } from '../types.ts';
import { BinaryReader, type Binary } from './binaries.ts';
import { isLibrary, sortedSet } from './facts.ts';
import type { PgConfig } from './pg-config.ts';

const triplets: Readonly<Record<Architecture, string>> = {
  x86_64: 'x86_64-linux-gnu',
  aarch64: 'aarch64-linux-gnu',
};

export interface DebianRoot {
  /** Where packages are unpacked: `usr` is below it. */
  readonly root: string;
  readonly major: number;
  readonly origin: string;
  readonly cacheFolder?: string | undefined;
}

/** Facts of a server that lies unpacked in a folder, as if it were installed in `/`. */
export async function readDebianFacts(where: DebianRoot): Promise<ServerFacts> {
  const { root, major, origin, cacheFolder } = where;
  const paths = debianPaths(major);
  const reader = new BinaryReader((path) => readFile(path), cacheFolder);
  const server = await binaryAt(join(root, paths.binFolder, 'postgres'));
  const program = await reader.program(server);
  const magic = await reader.magic(await binaryAt(join(root, paths.libraryFolder, 'plpgsql.so')));
  const triplet = triplets[program.architecture];
  // Up to 12 the C library's package says /lib, where /usr/lib is the same folder.
  const folders = ['usr/lib', 'lib'].map((folder) => join(root, folder, triplet));
  const names = (await Promise.all(folders.map(listOrNone))).flat();
  const libc = folders.map((folder) => join(folder, 'libc.so.6')).find((path) => existsSync(path));
  const glibc = libc === undefined ? undefined : await reader.glibc(await binaryAt(libc));
  const config = await readDebianConfig(root, major, triplet);
  const version = /^PostgreSQL (\S+)/.exec(config['VERSION'] ?? '')?.[1] ?? '';
  return {
    format: 1,
    versionNumber: major * 10_000 + Number(/^\d+\.(\d+)/.exec(version)?.[1] ?? 0),
    version,
    major,
    architecture: program.architecture,
    ...(glibc === undefined ? {} : { glibc }),
    magic,
    paths,
    serverSha256: server.sha256,
    exportedSymbols: program.exportedSymbols,
    libraries: sortedSet([...names.filter(isLibrary), ...program.needed]),
    libraryFiles: (await listOrNone(join(root, paths.libraryFolder))).toSorted(),
    extensionFiles: (await listOrNone(join(root, paths.extensionFolder))).toSorted(),
    config,
    origin,
  };
}

/** `pg_config` of an unpacked server with each path as it is in the folder, for what reads files there. */
export function relocated(config: PgConfig, root: string): PgConfig {
  return Object.fromEntries(
    Object.entries(config).map(([name, value]) => [
      name,
      value.startsWith('/') ? join(root, value) : value,
    ]),
  );
}

function debianPaths(major: number): ServerPaths {
  const shareFolder = `/usr/share/postgresql/${major}`;
  return {
    binFolder: `/usr/lib/postgresql/${major}/bin`,
    libraryFolder: `/usr/lib/postgresql/${major}/lib`,
    extensionFolder: `${shareFolder}/extension`,
    shareFolder,
  };
}

/** What its `pg_config` would say; the makefiles of the headers have the same values from `configure`. */
async function readDebianConfig(root: string, major: number, triplet: string): Promise<PgConfig> {
  const { binFolder, libraryFolder, shareFolder } = debianPaths(major);
  const headers = `/usr/include/postgresql/${major}/server`;
  const makefile = join(libraryFolder, 'pgxs/src/Makefile.global');
  const makefileText = await readNeeded(join(root, makefile), major);
  const header = await readNeeded(join(root, headers, 'pg_config.h'), major);
  const version = /^#define PG_VERSION_STR "(.*?) on /m.exec(header)?.[1];
  if (version === undefined) {
    throw new AppError(
      'invalid_input',
      `${join(root, headers)}/pg_config.h does not say its version`,
    );
  }
  return {
    BINDIR: binFolder,
    DOCDIR: `/usr/share/doc/postgresql-doc-${major}`,
    HTMLDIR: `/usr/share/doc/postgresql-doc-${major}`,
    INCLUDEDIR: '/usr/include/postgresql',
    PKGINCLUDEDIR: '/usr/include/postgresql',
    'INCLUDEDIR-SERVER': headers,
    LIBDIR: `/usr/lib/${triplet}`,
    PKGLIBDIR: libraryFolder,
    LOCALEDIR: '/usr/share/locale',
    MANDIR: `${shareFolder}/man`,
    SHAREDIR: shareFolder,
    SYSCONFDIR: '/etc/postgresql-common',
    PGXS: join(libraryFolder, 'pgxs/src/makefiles/pgxs.mk'),
    CONFIGURE: await readConfigure(join(root, binFolder, 'pg_config')),
    ...makeValues(makefileText),
    VERSION: version,
  };
}

/** No makefile has these, but the program carries them among its texts. */
async function readConfigure(program: string): Promise<string> {
  const bytes = await readFile(program).catch(() => Buffer.alloc(0));
  return /\0\s*('--[^\0]*)\0/.exec(bytes.toString('latin1'))?.[1]?.trim() ?? '';
}

/** The first assignment of each, without what make itself puts before or after. */
export function makeValues(makefile: string): PgConfig {
  const value = (name: string): string => {
    const line = new RegExp(`^${name} *[:+]?=[ \\t]*(.*)$`, 'm').exec(makefile)?.[1] ?? '';
    return line.replaceAll(/\$\([^)]*\)/g, '').trim();
  };
  const flags = (name: string): string => value(name).replaceAll(/\s+/g, ' ');
  return {
    CC: value('CC'),
    CPPFLAGS: flags('CPPFLAGS'),
    CFLAGS: flags('CFLAGS'),
    CFLAGS_SL: flags('CFLAGS_SL'),
    LDFLAGS: flags('LDFLAGS'),
    LDFLAGS_EX: flags('LDFLAGS_EX'),
    LDFLAGS_SL: flags('LDFLAGS_SL'),
    LIBS: `-lpgcommon -lpgport ${flags('LIBS')}`,
  };
}

async function binaryAt(path: string): Promise<Binary> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new AppError('not_found', `there is no ${path}`, {
      details: { path },
      remedy: 'Unpack the package of the server beside that of its headers.',
      cause,
    });
  });
  return { path, sha256: createHash('sha256').update(bytes).digest('hex') };
}

async function readNeeded(path: string, major: number): Promise<string> {
  return await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new AppError('not_found', `there is no ${path}`, {
      details: { path },
      remedy: `Unpack postgresql-server-dev-${major} there too.`,
      cause,
    });
  });
}

async function listOrNone(folder: string): Promise<string[]> {
  return await readdir(folder).catch(() => []);
}
