/** The compilers of a build: found, asked what they are, and put behind scripts that hold builds together. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, chmod, mkdir, writeFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '../../base/base.ts';
import type { Architecture } from '../types.ts';

const run = promisify(execFile);

/** Names in PATH, or absolute paths. */
export interface Compilers {
  readonly cc: string;
  readonly cxx: string;
  readonly ar: string;
  readonly ranlib: string;
  readonly strip: string;
}

/** What a build is given in their place. */
export interface Toolchain {
  readonly cc: string;
  /** Where no C++ compiler is installed, it says so when it is called: few extensions need one. */
  readonly cxx: string;
  readonly ar: string;
  readonly ranlib: string;
  readonly strip: string;
  /** First line of `cc --version`. */
  readonly version: string;
  /** Options of the server's own build that this compiler does not know; all of them warnings. */
  readonly dropped: readonly string[];
}

/** What a script of ours prints when a build asks for this machine's processor. */
export const nativeMark = 'centuria: refused';
/** What it prints when its compiler is not installed. */
export const missingMark = 'centuria: missing';

const debianPackages: Record<Architecture, string> = {
  aarch64: 'gcc-aarch64-linux-gnu g++-aarch64-linux-gnu',
  x86_64: 'gcc-x86-64-linux-gnu g++-x86-64-linux-gnu',
};

/** Which of the two this machine is; absent for a third. */
export function hostArchitecture(): Architecture | undefined {
  return ({ x64: 'x86_64', arm64: 'aarch64' } as const)[process.arch as string];
}

/** GCC's usual names: plain for this machine, with the GNU triplet for another. */
export function defaultCompilers(architecture: Architecture): Compilers {
  const prefix = architecture === hostArchitecture() ? '' : `${architecture}-linux-gnu-`;
  return {
    cc: `${prefix}gcc`,
    cxx: `${prefix}g++`,
    ar: `${prefix}ar`,
    ranlib: `${prefix}ranlib`,
    strip: `${prefix}strip`,
  };
}

/**
 * Puts scripts for the compilers into a folder. Each adds the maps of paths, which not every Makefile
 * passes on to C++ (COPT of PGXS does not reach it), and refuses what ties the result to this processor.
 * Throws `unavailable`, naming Debian's packages, where a compiler is missing.
 */
export async function prepareToolchain(options: {
  readonly folder: string;
  readonly architecture: Architecture;
  readonly compilers: Compilers;
  /** Folders of this machine and what is to stand for them in the result. */
  readonly maps: readonly (readonly [string, string])[];
  /** CFLAGS of the server's own build; its warnings for C++ are fewer of the same. */
  readonly flags: string;
}): Promise<Toolchain> {
  const { folder, architecture, compilers, maps } = options;
  const cc = await findProgram(compilers.cc);
  if (cc === undefined) throw missingCompiler(compilers.cc, architecture);
  const cxx = await findProgram(compilers.cxx);
  await mkdir(folder, { recursive: true });
  const dropped = await unknownWarnings(cc, options.flags);
  const place = async (name: string, script: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, script);
    await chmod(path, 0o755);
    return path;
  };
  const { stdout } = await run(cc, ['--version'], { env: { ...process.env, LC_ALL: 'C' } });
  return {
    cc: await place('cc', compilerScript(cc, maps, dropped)),
    cxx: await place(
      'c++',
      cxx === undefined ? missingScript(compilers.cxx) : compilerScript(cxx, maps, dropped),
    ),
    ar: compilers.ar,
    ranlib: compilers.ranlib,
    strip: compilers.strip,
    version: stdout.split('\n')[0]?.trim() ?? '',
    dropped,
  };
}

/** POSIX sh; every word of the call is kept as it is, but for the dropped ones. */
export function compilerScript(
  program: string,
  maps: readonly (readonly [string, string])[],
  dropped: readonly string[],
): string {
  const drop = dropped.length === 0 ? '' : `    ${dropped.map(quote).join('|')}) continue ;;\n`;
  const mapWords = maps.map(([from, to]) => quote(`-ffile-prefix-map=${from}=${to}`));
  return `#!/bin/sh
for word do
  shift
  case $word in
    -march=native|-mcpu=native) echo "${nativeMark} $word" >&2; exit 1 ;;
${drop}  esac
  set -- "$@" "$word"
done
exec ${[quote(program), ...mapWords].join(' ')} "$@"
`;
}

/** In place of a compiler that is not here, lest a build takes the one of another architecture. */
function missingScript(program: string): string {
  return `#!/bin/sh\necho '${missingMark}' ${quote(program)} >&2\nexit 1\n`;
}

/**
 * Warnings that a newer compiler was asked for when the server was built (18's
 * `-Wmissing-variable-declarations` needs GCC 14) and that this one refuses to hear of. They change
 * nothing of the result.
 */
async function unknownWarnings(cc: string, flags: string): Promise<string[]> {
  const warnings = new Set(
    flags.split(/\s+/).filter((word) => /^-W[a-z]/.test(word) && !/^-W[lap],/.test(word)),
  );
  if (warnings.size === 0) return [];
  try {
    await run(cc, [...warnings, '-fsyntax-only', '-x', 'c', '/dev/null'], {
      env: { ...process.env, LC_ALL: 'C' },
    });
    return [];
  } catch (cause) {
    const { stderr = '' } = cause as { stderr?: string };
    const named = stderr.matchAll(/unrecognized command-line option '(-W[^']+)'/g);
    return [...new Set([...named].map((match) => match[1] ?? ''))]
      .filter((word) => warnings.has(word))
      .toSorted();
  }
}

async function findProgram(name: string): Promise<string | undefined> {
  const folders = (process.env['PATH'] ?? '').split(':').filter((folder) => isAbsolute(folder));
  const paths = isAbsolute(name) ? [name] : folders.map((folder) => join(folder, name));
  for (const path of paths) {
    const there = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (there) return path;
  }
  return undefined;
}

export function missingCompiler(program: string, architecture: Architecture): AppError {
  const isCross = architecture !== hostArchitecture();
  return new AppError('unavailable', `no compiler for ${architecture}: ${program} is not here`, {
    retryable: false,
    details: { program, architecture },
    remedy: isCross
      ? `Debian has it: apt-get install ${debianPackages[architecture]}.`
      : 'Debian has it: apt-get install build-essential.',
  });
}

/** As one word of sh. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
