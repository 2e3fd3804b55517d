/** `pg_config`: what it says on a server, and one that says it of an unpacked package. */
import { posix } from 'node:path';
import { AppError } from '../../base/base.ts';
import type { Host } from '../host/host.ts';
import type { ServerPaths } from '../types.ts';

/** By its own names: `BINDIR`, `INCLUDEDIR-SERVER`, `CFLAGS`. */
export type PgConfig = Readonly<Record<string, string>>;

/** Its options, in the order in which it lists them; `--bindir` asks for `BINDIR`. */
const pgConfigNames =
  'BINDIR DOCDIR HTMLDIR INCLUDEDIR PKGINCLUDEDIR INCLUDEDIR-SERVER LIBDIR PKGLIBDIR LOCALEDIR ' +
  'MANDIR SHAREDIR SYSCONFDIR PGXS CONFIGURE CC CPPFLAGS CFLAGS ' +
  'CFLAGS_SL LDFLAGS LDFLAGS_EX LDFLAGS_SL LIBS VERSION';

/** Runs the target's `pg_config`. Throws `not_found`, `denied`, or `invalid_input` for another program. */
export async function readPgConfig(
  host: Host,
  program: string,
  signal?: AbortSignal,
): Promise<PgConfig> {
  const { exit, stdout, stderr } = await host.run('exec "$1"', {
    args: [program],
    ...(signal === undefined ? {} : { signal }),
  });
  if (exit === 127 || exit === 126) {
    throw new AppError(exit === 127 ? 'not_found' : 'denied', `${host.name}: ${stderr.trim()}`, {
      details: { host: host.name, program },
      remedy:
        exit === 127
          ? 'Give the path of pg_config on that machine with --pg-config; Debian has it in ' +
            '/usr/lib/postgresql/17/bin, with the package postgresql-client-17 or libpq-dev.'
          : `Run as a user who may run ${program}.`,
    });
  }
  const config = parsePgConfig(stdout.toString());
  if (exit !== 0 || config['PKGLIBDIR'] === undefined || config['VERSION'] === undefined) {
    const words = stderr.trim().split('\n').slice(-2).join(' ');
    throw new AppError('invalid_input', `${host.name}: ${program} is no pg_config: ${words}`, {
      details: { host: host.name, program, exit },
      remedy: 'Give the path of pg_config with --pg-config.',
    });
  }
  return config;
}

/** Lines of `NAME = value`. */
export function parsePgConfig(text: string): PgConfig {
  const pairs = text.split('\n').flatMap((line) => {
    const match = /^([A-Z_-]+) = ?(.*)$/.exec(line);
    return match === null ? [] : [[match[1] as string, (match[2] as string).trim()]];
  });
  return Object.fromEntries(pairs) as PgConfig;
}

/** The folders of the server that a `pg_config` belongs to. */
export function pathsOf(config: PgConfig): ServerPaths {
  const shareFolder = config['SHAREDIR'] ?? '';
  return {
    binFolder: config['BINDIR'] ?? '',
    libraryFolder: config['PKGLIBDIR'] ?? '',
    extensionFolder: posix.join(shareFolder, 'extension'),
    shareFolder,
  };
}

/** `17` of `PostgreSQL 17.6 (Debian 17.6-1)`. */
export function majorOf(version: string): number | undefined {
  const major = /(?:^|\s)(\d+)(?:\.|devel|beta|rc|\s|$)/.exec(version)?.[1];
  return major === undefined ? undefined : Number(major);
}

/** Where a package has its headers, relative to its folder. */
export interface PackageLayout {
  /** `include/server`, or `include/17/server` as Debian's makefiles want it. */
  readonly serverHeaders: string;
}

/**
 * A program for `make PG_CONFIG=…`, in POSIX sh: headers and makefiles are those beside it, wherever
 * that is, while whatever is installed goes where the server that it stands for looks for it.
 */
export function pgConfigShim(config: PgConfig, layout: PackageLayout): string {
  const inside: Readonly<Record<string, string>> = {
    INCLUDEDIR: 'include',
    PKGINCLUDEDIR: 'include',
    'INCLUDEDIR-SERVER': layout.serverHeaders,
    PGXS: 'pgxs/src/makefiles/pgxs.mk',
  };
  const cases = pgConfigNames.split(' ').map((name) => {
    const path = inside[name];
    const value = path === undefined ? quoted(config[name] ?? '') : `"$here"/${path}`;
    return `  ${name}) value=${value} ;;`;
  });
  return `#!/bin/sh
# Stands for the pg_config of ${(config['VERSION'] ?? 'a server').replaceAll(/[^\x20-\x7e]/g, '?')}.
here=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd -P) || exit 1
names='${pgConfigNames}'

lookup() {
  case $1 in
${cases.join('\n')}
  esac
}

if [ $# -eq 0 ]; then
  for name in $names; do
    lookup "$name"
    printf '%s = %s\\n' "$name" "$value"
  done
  exit 0
fi

for option in "$@"; do
  case $option in
  --help | '-?')
    echo 'pg_config provides information about the installed version of PostgreSQL.'
    for name in $names; do
      printf '  --%s\\n' "$(printf %s "$name" | tr 'A-Z' 'a-z')"
    done
    exit 0
    ;;
  esac
done

for option in "$@"; do
  found=
  for name in $names; do
    [ "$option" = "--$(printf %s "$name" | tr 'A-Z' 'a-z')" ] || continue
    lookup "$name"
    printf '%s\\n' "$value"
    found=yes
  done
  if [ -z "$found" ]; then
    echo "pg_config: invalid argument: $option" >&2
    exit 1
  fi
done
`;
}

/** One word of sh, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
