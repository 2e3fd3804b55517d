/** Reads from a target all that is to be known of its server, with sh and coreutils alone. */
import { AppError } from '../../base/base.ts';
import type { Host } from '../host/host.ts';
import type { Architecture, ServerFacts, ServerPaths } from '../types.ts';
import { BinaryReader, type Binary } from './binaries.ts';
import { majorOf, pathsOf, readPgConfig, type PgConfig } from './pg-config.ts';

export interface ServerLocation {
  /** On the target; `pg_config` of its PATH where neither this nor `paths` is given. */
  readonly pgConfig?: string;
  /** As a running server says them; without `pgConfig` then, `config` is empty. */
  readonly paths?: ServerPaths;
}

export interface FactsOptions {
  /** On this machine: what is known of a binary by its hash is not fetched again. */
  readonly cacheFolder?: string;
  /** The name of the host by default. */
  readonly origin?: string;
  readonly signal?: AbortSignal;
}

/**
 * The facts of the server that lies there, running or not. Throws `not_found` and `denied` with what to
 * do, `invalid_input` for what is no server or for parts of different versions, and what `host` throws.
 */
export async function readServerFacts(
  host: Host,
  where: ServerLocation,
  options: FactsOptions = {},
): Promise<ServerFacts> {
  const { signal, cacheFolder, origin = host.name } = options;
  const program = where.pgConfig ?? (where.paths === undefined ? 'pg_config' : undefined);
  const config = program === undefined ? {} : await readPgConfig(host, program, signal);
  const paths = where.paths ?? pathsOf(config);
  const probe = await probeServer(host, paths, signal);
  const numbers = parseVersion(probe.version, paths);
  assertOneMajor(numbers.major, config, program);
  const reader = new BinaryReader((path) => host.readFile(path), cacheFolder);
  const binary = await reader.program(probe.program);
  const magic = await reader.magic(probe.library);
  if (magic.major !== numbers.major) {
    throw mixed(`${probe.library.path} is of PostgreSQL ${magic.major}`, numbers.major);
  }
  const own = probe.loaderFolders.length === 0 ? undefined : await readLoader(host, probe, signal);
  const glibc = own?.libc === undefined ? probe.glibc : await reader.glibc(own.libc);
  const libraries = libraryNames(probe.libraryLines, binary.architecture);
  return {
    format: 1,
    ...numbers,
    architecture: binary.architecture,
    ...(glibc === undefined ? {} : { glibc }),
    magic,
    paths,
    serverSha256: probe.program.sha256,
    exportedSymbols: binary.exportedSymbols,
    libraries: sortedSet([...libraries, ...binary.needed, ...(own?.names ?? [])]),
    libraryFiles: probe.libraryFiles,
    extensionFiles: probe.extensionFiles,
    config,
    origin,
  };
}

interface Probe {
  /** As `postgres --version` prints it. */
  readonly version: string;
  readonly program: Binary;
  /** A module that was built with the server. */
  readonly library: Binary;
  /** Where a wrapped server's own loader looks; empty where the system's is used. */
  readonly loaderFolders: readonly string[];
  readonly glibc: string | undefined;
  readonly libraryLines: readonly string[];
  readonly libraryFiles: readonly string[];
  readonly extensionFiles: readonly string[];
}

/** Exit statuses of the script below. */
const absent = 64;
const unreadable = 65;
const broken = 66;

/**
 * Prints its findings with a NUL after each. A `postgres` that is a script beside `postgres.real` is a
 * server that runs through a loader of its own; traced, the shell itself says with which folders.
 */
const probeScript = `
bin=$1 lib=$2 ext=$3
PATH=$PATH:/usr/sbin:/sbin
for need in "$bin/postgres" "$lib" "$ext"; do
  [ -e "$need" ] || { echo "$need" >&2; exit ${absent}; }
  [ -r "$need" ] || { echo "$need" >&2; exit ${unreadable}; }
done
[ -x "$bin/postgres" ] || { echo "$bin/postgres" >&2; exit ${unreadable}; }
for module in plpgsql dict_snowball libpqwalreceiver none; do
  [ ! -e "$lib/$module.so" ] || break
done
[ "$module" != none ] || { echo "$lib/plpgsql.so" >&2; exit ${absent}; }
"$bin/postgres" --version || exit ${broken}
printf '\\0'
program=$(readlink -f "$bin/postgres")
trace=
if [ "$(head -c 2 "$program")" = '#!' ] && [ -e "$(dirname "$program")/postgres.real" ]; then
  trace=$(sh -x "$program" --version 2>&1 >/dev/null)
  program=$(dirname "$program")/postgres.real
fi
for file in "$program" "$lib/$module.so"; do
  [ -r "$file" ] || { echo "$file" >&2; exit ${unreadable}; }
  printf '%s\\0' "$file"
  sha256sum <"$file" || exit ${broken}
  printf '\\0'
done
printf '%s\\0' "$trace"
getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>/dev/null
printf '\\0'
known=$(ldconfig -p 2>/dev/null)
if [ -n "$known" ]; then
  printf '%s\\n' "$known"
else
  for folder in /lib /usr/lib /lib64 /usr/lib64 /usr/local/lib /lib/*-linux-* /usr/lib/*-linux-*; do
    ls -1 "$folder" 2>/dev/null
  done
fi
printf '\\0'
ls -1A "$lib" || exit ${unreadable}
printf '\\0'
ls -1A "$ext" || exit ${unreadable}
`;

async function probeServer(
  host: Host,
  paths: ServerPaths,
  signal: AbortSignal | undefined,
): Promise<Probe> {
  const { exit, stdout, stderr } = await host.run(probeScript, {
    args: [paths.binFolder, paths.libraryFolder, paths.extensionFolder],
    ...(signal === undefined ? {} : { signal }),
  });
  if (exit !== 0) throw probeFailure(host.name, exit, stderr);
  const parts = stdout.toString().split('\0');
  const [version = '', program = '', programSum = '', library = '', librarySum = ''] = parts;
  const [trace = '', glibc = '', libraries = '', libraryFiles = '', extensionFiles = ''] =
    parts.slice(5);
  return {
    version: version.trim(),
    program: { path: program, sha256: sumOf(programSum) },
    library: { path: library, sha256: sumOf(librarySum) },
    loaderFolders: loaderFolders(trace, program),
    glibc: glibcOf(glibc),
    libraryLines: linesOf(libraries),
    libraryFiles: linesOf(libraryFiles).toSorted(),
    extensionFiles: linesOf(extensionFiles).toSorted(),
  };
}

function probeFailure(host: string, exit: number, stderr: string): AppError {
  const path = stderr.trim().split('\n').at(-1) ?? '';
  const details = { host, path };
  if (exit === absent) {
    return new AppError('not_found', `${host}: there is no ${path}`, {
      details,
      remedy:
        'There is no server in the folders that pg_config names. Where several versions are ' +
        'installed, give the pg_config of the right one with --pg-config.',
    });
  }
  if (exit === unreadable) {
    return new AppError('denied', `${host}: ${path} can not be read`, {
      details,
      remedy: 'Run as a user who may read the files of the server, such as postgres or root.',
    });
  }
  return new AppError('invalid_input', `${host}: postgres does not run there: ${path}`, {
    details,
  });
}

/** The folders of a wrapped server's loader, and its own C library. */
async function readLoader(
  host: Host,
  probe: Probe,
  signal: AbortSignal | undefined,
): Promise<{ names: string[]; libc: Binary | undefined }> {
  const script = `
for folder; do
  ls -1 "$folder"
done
printf '\\0'
for folder; do
  [ -e "$folder/libc.so.6" ] || continue
  printf '%s\\0' "$folder/libc.so.6"
  sha256sum <"$folder/libc.so.6"
  break
done
`;
  const stdout = await host.check(script, {
    args: probe.loaderFolders,
    ...(signal === undefined ? {} : { signal }),
  });
  const [names = '', path, sum = ''] = stdout.toString().split('\0');
  const libc = path?.startsWith('/') === true ? { path, sha256: sumOf(sum) } : undefined;
  return { names: linesOf(names).filter(isLibrary), libc };
}

/** What stands between `--library-path` and the program in the traced call of the loader. */
function loaderFolders(trace: string, program: string): string[] {
  const after = trace.split('--library-path ').at(1);
  if (after === undefined) return [];
  const end = after.indexOf(program);
  if (end === -1) return [];
  const words = after.slice(0, end).replaceAll(/["']/g, '').trim();
  return words.split(':').filter((folder) => folder.startsWith('/'));
}

/** `postgres (PostgreSQL) 17.12 (Debian 17.12-1)`; `18beta1` counts as 18.0. */
export function parseVersion(
  text: string,
  { binFolder }: Pick<ServerPaths, 'binFolder'>,
): Pick<ServerFacts, 'versionNumber' | 'version' | 'major'> {
  const match = /\(PostgreSQL\) ((\d+)(?:\.(\d+))?\S*)/.exec(text);
  const [, version = '', major = '', minor = '0'] = match ?? [];
  if (match === null || Number(major) < 10) {
    throw new AppError(
      'invalid_input',
      `${binFolder}/postgres is no server that is known: ${text}`,
    );
  }
  return {
    versionNumber: Number(major) * 10_000 + Number(minor),
    version,
    major: Number(major),
  };
}

function assertOneMajor(major: number, config: PgConfig, program: string | undefined): void {
  const said = config['VERSION'];
  if (said === undefined || majorOf(said) === major) return;
  throw mixed(`${program} is of ${said}`, major);
}

function mixed(what: string, major: number): AppError {
  return new AppError('invalid_input', `${what}, but the server is of ${major}`, {
    remedy: `Give the pg_config of PostgreSQL ${major} with --pg-config.`,
  });
}

/** `glibc 2.36` of getconf, or the first line of ldd; musl prints neither. */
function glibcOf(text: string): string | undefined {
  const [line = ''] = text.split('\n');
  if (!/glibc|GNU libc|GLIBC/.test(line)) return undefined;
  return /(\d+\.\d+)\s*$/.exec(line.trim())?.[1];
}

/** Lines of `ldconfig -p` for that architecture, or names of files. */
export function libraryNames(lines: readonly string[], architecture: Architecture): string[] {
  const label = architecture === 'x86_64' ? 'x86-64' : 'AArch64';
  return lines.flatMap((line) => {
    const match = /^\s*(\S+) \(([^)]*)\) => /.exec(line);
    if (match === null) return isLibrary(line) ? [line] : [];
    const [, name = '', kind = ''] = match;
    return kind.split(/,\s*/).includes(label) ? [name] : [];
  });
}

export function isLibrary(name: string): boolean {
  return /^[^\s/]+\.so(?:\.[\w.]+)?$/.test(name);
}

function sumOf(line: string): string {
  return /^[0-9a-f]{64}/.exec(line.trim())?.[0] ?? '';
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

export function sortedSet(names: readonly string[]): string[] {
  return [...new Set(names)].toSorted();
}
