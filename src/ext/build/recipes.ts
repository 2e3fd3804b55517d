/** How a kind of sources is configured, built and installed: the commands, in their order. */
import { join } from 'node:path';
import { AppError } from '../../base/base.ts';
import type { Architecture } from '../types.ts';
import type { Toolchain } from './compilers.ts';

export interface Recipe {
  readonly steps: readonly {
    readonly words: readonly [string, ...string[]];
    /** Whether the build ends when it fails. */
    readonly must: boolean;
  }[];
  /** What else must be in the work folder, by path within it. */
  readonly files: Readonly<Record<string, string>>;
}

export interface RecipeOptions {
  /** With `source` in it; the recipe makes what else it needs. */
  readonly workFolder: string;
  /** Where `make install` puts its files, in place of the root folder. */
  readonly installFolder: string;
  readonly pgConfig: string;
  readonly architecture: Architecture;
  readonly isCross: boolean;
  readonly toolchain: Toolchain;
  readonly settings: Readonly<Record<string, string>>;
  readonly jobs: number;
}

/** What the pipeline decides itself. */
const reserved = new Set(
  (
    'PG_CONFIG PGXS DESTDIR CC CXX AR RANLIB STRIP with_llvm MAKEFLAGS ' +
    'CMAKE_C_COMPILER CMAKE_CXX_COMPILER CMAKE_TOOLCHAIN_FILE CMAKE_INSTALL_PREFIX'
  ).split(' '),
);

/** Throws `invalid_input` for a setting that is not a name or is not the caller's to decide. */
export function assertSettings(settings: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(settings)) {
    if (!/^[A-Za-z_][A-Za-z0-9_.]*$/.test(name) || /[\0\n\r]/.test(value)) {
      throw new AppError('invalid_input', `settings: ${JSON.stringify(name)} is no name of one`, {
        remedy: 'Settings are make variables or CMake variables: NAME=VALUE, on one line.',
        details: { setting: name },
      });
    }
    if (reserved.has(name)) {
      throw new AppError('invalid_input', `settings: ${name} is decided by the build itself`, {
        remedy: 'The package decides the server, and the option for compilers the compiler.',
        details: { setting: name },
      });
    }
  }
}

/**
 * `make` with the package's pg_config. LLVM's bitcode is left out: it is read by one version of LLVM
 * only, and a server does without it.
 */
export function pgxsRecipe(options: RecipeOptions): Recipe {
  const { toolchain, settings, jobs } = options;
  const variables = [
    `PG_CONFIG=${options.pgConfig}`,
    'with_llvm=no',
    `CC=${toolchain.cc}`,
    `CXX=${toolchain.cxx}`,
    `AR=${toolchain.ar}`,
    `RANLIB=${toolchain.ranlib}`,
    `STRIP=${toolchain.strip}`,
    ...Object.entries(settings).map(([name, value]) => `${name}=${value}`),
  ];
  const make = (...words: string[]): readonly [string, ...string[]] => [
    'make',
    '-C',
    join(options.workFolder, 'source'),
    ...words,
    ...variables,
  ];
  return {
    files: {},
    steps: [
      // What an earlier build generated may be of another server. Not every Makefile can clean up.
      { words: make('clean'), must: false },
      { words: make(`-j${jobs}`, 'all'), must: true },
      { words: make('install', `DESTDIR=${options.installFolder}`), must: true },
    ],
  };
}

/** CMake with `-DPG_CONFIG`, and a generated toolchain file where it builds for another architecture. */
export function cmakeRecipe(options: RecipeOptions): Recipe {
  const { workFolder, toolchain, settings, jobs, pgConfig } = options;
  const build = join(workFolder, 'build');
  const toolchainFile = join(workFolder, 'toolchain.cmake');
  const definitions = {
    CMAKE_BUILD_TYPE: 'RelWithDebInfo',
    // A run path of the building machine would be cut out by overwriting, and leave its length behind.
    CMAKE_BUILD_WITH_INSTALL_RPATH: 'ON',
    CMAKE_INSTALL_PREFIX: '/usr',
    CMAKE_TOOLCHAIN_FILE: toolchainFile,
    PG_CONFIG: pgConfig,
    // The names that other projects have given to the same thing.
    PostgreSQL_CONFIG: pgConfig,
    POSTGRESQL_PG_CONFIG: pgConfig,
    ...settings,
  };
  return {
    files: { 'toolchain.cmake': toolchainText(options.architecture, options.isCross, toolchain) },
    steps: [
      {
        words: [
          'cmake',
          `-S${join(workFolder, 'source')}`,
          `-B${build}`,
          '-GUnix Makefiles',
          '--no-warn-unused-cli',
          ...Object.entries(definitions).map(([name, value]) => `-D${name}=${value}`),
        ],
        must: true,
      },
      { words: ['cmake', '--build', build, '--parallel', String(jobs), '--verbose'], must: true },
      // DESTDIR is in the environment, where CMake looks for it.
      { words: ['cmake', '--install', build], must: true },
    ],
  };
}

function toolchainText(architecture: Architecture, isCross: boolean, tools: Toolchain): string {
  const lines = [
    `set(CMAKE_C_COMPILER ${bracket(tools.cc)})`,
    `set(CMAKE_CXX_COMPILER ${bracket(tools.cxx)})`,
  ];
  if (isCross) {
    lines.unshift('set(CMAKE_SYSTEM_NAME Linux)', `set(CMAKE_SYSTEM_PROCESSOR ${architecture})`);
    lines.push(
      `set(CMAKE_AR ${bracket(tools.ar)})`,
      `set(CMAKE_RANLIB ${bracket(tools.ranlib)})`,
      `set(CMAKE_STRIP ${bracket(tools.strip)})`,
      `set(CMAKE_FIND_ROOT_PATH /usr/${architecture}-linux-gnu)`,
      'set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)',
    );
  }
  return `${lines.join('\n')}\n`;
}

/** CMake's argument that reads nothing in its text. */
function bracket(text: string): string {
  return `[==[${text}]==]`;
}
