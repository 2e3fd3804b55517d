/** A server of its own for one row of the matrix: a mirror of a cached one, with data that goes away. */
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, type Log } from '../../base/base.ts';
import { startPostgres } from '../../database/database.ts';
import type { ServerAddress } from '../deployment-types.ts';
import type { Host } from '../host/host.ts';
import { runProgram } from '../host/local.ts';
import { mirrorInstall } from '../shadow/mirror.ts';
import type { Architecture, ServerPaths } from '../types.ts';

export interface PrivateServer {
  /** Extensions are deployed here; the mirrored server keeps its own folders. */
  readonly paths: ServerPaths;
  readonly address: ServerAddress;
  stop(): Promise<void>;
}

/** Nothing of it outlives a row: it need not survive a power cut. */
const settings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
  shared_buffers: '32MB',
} as const;

export const nativeArchitecture: Architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

/** Where Debian's cross compilers keep the C library that programs of the other architecture load. */
const sysroots: Readonly<Record<Architecture, string>> = {
  x86_64: '/usr/x86_64-linux-gnu',
  aarch64: '/usr/aarch64-linux-gnu',
};

/**
 * Mirrors a cached server into a folder, with its programs run by an emulator where they are of another
 * architecture. Throws `unavailable` where there is none.
 */
export async function openPrivateInstall(
  host: Host,
  options: {
    readonly server: ServerPaths;
    readonly architecture: Architecture;
    readonly folder: string;
    readonly signal?: AbortSignal;
  },
): Promise<ServerPaths> {
  const { server, architecture, folder, signal } = options;
  const emulator =
    architecture === nativeArchitecture ? undefined : await findEmulator(architecture);
  const install = join(folder, 'install');
  await mkdir(install);
  await chmod(install, 0o755);
  const paths = await mirrorInstall(host, server, install, signal);
  if (emulator !== undefined) await wrapForEmulator(paths.binFolder, emulator);
  return paths;
}

/** Starts the server of a private install, with data below the folder. */
export async function startPrivateServer(
  paths: ServerPaths,
  options: {
    readonly major: number;
    readonly version: string;
    readonly folder: string;
    readonly log: Log;
    readonly signal?: AbortSignal;
  },
): Promise<PrivateServer> {
  const { folder, major, version, log, signal } = options;
  const { binFolder } = paths;
  const running = await startPostgres(
    { major, version, binFolder, packages: [], hasVector: false, origin: 'cache' },
    { folder: join(folder, 'server'), settings, log, ...(signal === undefined ? {} : { signal }) },
  );
  const { username, password, pathname } = new URL(running.url);
  return {
    paths,
    address: {
      host: running.socketFolder,
      port: running.port,
      user: decodeURIComponent(username),
      password: decodeURIComponent(password),
      database: pathname.slice(1),
    },
    stop: () => running.stop('immediate'),
  };
}

interface Emulator {
  readonly program: string;
  readonly sysroot: string;
}

/** Throws `unavailable`, naming the Debian package that is missing. */
export async function findEmulator(architecture: Architecture): Promise<Emulator> {
  const program = `qemu-${architecture}-static`;
  const found = await runProgram('sh', ['-c', 'command -v "$1"', 'sh', program], {});
  if (found.exit !== 0) {
    throw new AppError('unavailable', `${program} is not installed`, {
      remedy: 'Install the Debian package qemu-user-static.',
    });
  }
  const sysroot = sysroots[architecture];
  if (!existsSync(join(sysroot, 'lib'))) {
    throw new AppError('unavailable', `there is no C library for ${architecture} in ${sysroot}`, {
      remedy: `Install the Debian package libc6-${architecture === 'aarch64' ? 'arm64' : 'amd64'}-cross.`,
    });
  }
  return { program: found.stdout.toString().trim(), sysroot };
}

/**
 * Puts a script in the place of each program that runs it in the emulator. It is told its own name, by
 * which PostgreSQL finds its folders. `.real` is what mirrors and rehearsals look for beside a script.
 */
async function wrapForEmulator(binFolder: string, emulator: Emulator): Promise<void> {
  for (const name of await readdir(binFolder)) {
    const program = join(binFolder, name);
    await rename(program, `${program}.real`);
    const script = [
      '#!/bin/sh',
      'bin=$(dirname "$(readlink -f "$0")")',
      `exec ${emulator.program} -L ${emulator.sysroot} -0 "$bin/${name}" "$bin/${name}.real" "$@"`,
      '',
    ];
    await writeFile(program, script.join('\n'));
    await chmod(program, 0o755);
  }
}
