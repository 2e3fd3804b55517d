/** The headers and makefiles of a target, brought here. */
import { posix } from 'node:path';
import { AppError } from '../../base/base.ts';
import type { Host } from '../host/host.ts';
import { readArchive, type ArchiveFile } from './archive.ts';
import type { PackageLayout, PgConfig } from './pg-config.ts';

export interface Trees {
  readonly layout: PackageLayout;
  /** By paths below `include/`. */
  readonly headers: ReadonlyMap<string, ArchiveFile>;
  /** By paths below `pgxs/`. */
  readonly makefiles: ReadonlyMap<string, ArchiveFile>;
}

/** A tree of 20 MB over a slow line. */
const timeoutMs = 600_000;
const absent = 64;
const unreadable = 65;

/** Where PGXS is: all of it is below one folder, and its parts look for each other from there. */
const pgxsPath = '/src/makefiles/pgxs.mk';

/** Throws `not_found` when headers or makefiles are not there, and `denied`, both with a remedy. */
export async function readTrees(
  host: Host,
  config: PgConfig,
  major: number,
  signal?: AbortSignal,
): Promise<Trees> {
  const server = config['INCLUDEDIR-SERVER'] ?? '';
  const pgxs = config['PGXS'] ?? '';
  const layout = { serverHeaders: posix.join('include', relativeHeaders(config)) };
  const own = posix.relative('include', layout.serverHeaders);
  const [serverFiles, makefiles, client, internal] = [
    await readTree(host, { folder: server, mark: 'postgres.h', major, signal }),
    await readTree(host, {
      folder: pgxs.endsWith(pgxsPath) ? pgxs.slice(0, -pgxsPath.length) : posix.dirname(pgxs),
      mark: pgxsPath.slice(1),
      major,
      signal,
    }),
    await readNamed(host, config['INCLUDEDIR'] ?? '', clientNames, signal),
    await readNamed(host, config['PKGINCLUDEDIR'] ?? '', ['internal'], signal),
  ];
  const headers = new Map<string, ArchiveFile>([...client, ...internal]);
  for (const [path, file] of serverFiles) headers.set(posix.join(own, path), file);
  return { layout, headers, makefiles };
}

/**
 * The makefiles of Debian look for the headers in `17/server` of the package's include folder, those of
 * others in `server`, so they stay where they were in relation to it.
 */
function relativeHeaders(config: PgConfig): string {
  const path = posix.relative(config['PKGINCLUDEDIR'] ?? '/', config['INCLUDEDIR-SERVER'] ?? '/');
  return path === '' || path.startsWith('..') ? 'server' : path;
}

/** Of libpq, for extensions that speak to other servers. The folder may be /usr/include, with much else. */
const clientNames = ['libpq-fe.h', 'libpq-events.h', 'libpq', 'postgres_ext.h', 'pg_config*.h'];

const packTree = `
cd -- "$1" 2>/dev/null || { [ -e "$1" ] && exit ${unreadable}; exit ${absent}; }
[ -r . ] || exit ${unreadable}
[ -e "$2" ] || exit ${absent}
hard=
if tar --hard-dereference --version >/dev/null 2>&1; then hard=--hard-dereference; fi
exec tar $hard -chf - .
`;

async function readTree(
  host: Host,
  tree: { folder: string; mark: string; major: number; signal: AbortSignal | undefined },
): Promise<Map<string, ArchiveFile>> {
  const { folder, mark, major, signal } = tree;
  const { exit, stdout, stderr } = await host.run(packTree, {
    args: [folder, mark],
    timeoutMs,
    ...(signal === undefined ? {} : { signal }),
  });
  if (exit === 0) return await readArchive(stdout, `${host.name}:${folder}`);
  const path = posix.join(folder, mark);
  if (exit === absent) {
    throw new AppError('not_found', `${host.name}: there is no ${path}`, {
      details: { host: host.name, path },
      remedy:
        `The headers of PostgreSQL ${major} are not installed there. Install them ` +
        `(Debian: postgresql-server-dev-${major}; Fedora: postgresql${major}-devel), ` +
        "or package Debian's own with --debian, or that of another machine.",
    });
  }
  throw unreadableTree(host, folder, exit, stderr);
}

const packNamed = `
cd -- "$1" 2>/dev/null || exit 0
shift
patterns="$*"
set --
for name in $patterns; do
  [ ! -e "$name" ] || set -- "$@" "$name"
done
[ $# -gt 0 ] || exit 0
hard=
if tar --hard-dereference --version >/dev/null 2>&1; then hard=--hard-dereference; fi
exec tar $hard -chf - "$@"
`;

/** Those of the names that are there; patterns are the shell's. */
async function readNamed(
  host: Host,
  folder: string,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Map<string, ArchiveFile>> {
  const { exit, stdout, stderr } = await host.run(packNamed, {
    args: [folder, ...names],
    timeoutMs,
    ...(signal === undefined ? {} : { signal }),
  });
  if (exit !== 0) throw unreadableTree(host, folder, exit, stderr);
  return stdout.length === 0 ? new Map() : await readArchive(stdout, `${host.name}:${folder}`);
}

function unreadableTree(host: Host, folder: string, exit: number, stderr: string): AppError {
  const denied = exit === unreadable || /permission denied/i.test(stderr);
  const words = stderr.trim().split('\n').at(0) ?? '';
  return new AppError(
    denied ? 'denied' : 'ext_failed',
    `${host.name}: ${folder} can not be read: ${words === '' ? `exit status ${exit}` : words}`,
    {
      details: { host: host.name, folder },
      ...(denied ? { remedy: `Run as a user who may read ${folder}.` } : {}),
    },
  );
}
