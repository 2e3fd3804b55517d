/**
 * Servers that extensions are deployed to in tests: each has a private install, mirrored from the
 * suite's PostgreSQL 17, whose folders may be written as an administrator's would be.
 */
import { copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createLog } from '../../src/base/base.ts';
import {
  cacheFolder,
  listInstalls,
  startPostgres,
  type LocalPostgres,
  type PostgresInstall,
  type StopMode,
} from '../../src/database/database.ts';
import type { ServerAddress } from '../../src/ext/deployment-types.ts';
import { openLocalHost } from '../../src/ext/host/local.ts';
import { mirrorInstall } from '../../src/ext/shadow/mirror.ts';
import type { ServerPaths } from '../../src/ext/types.ts';
import { testFolder } from './processes.ts';

export interface ExtensionServer {
  /** Of the private install: write in libraryFolder and extensionFolder as you like. */
  readonly paths: ServerPaths;
  /** The superuser's, by the unix socket. */
  readonly address: ServerAddress;
  /** As `address`, by TCP: for `pg` and `psql`. */
  readonly url: string;
  readonly dataFolder: string;
  /** The folder of the server that the test may use too; it goes away with it. */
  readonly folder: string;
  /** Of the postmaster that runs now. */
  readonly pid: () => number;
  /** Same port, same socket; `settings` stay in force for later restarts. */
  restart(settings?: Readonly<Record<string, string>>, mode?: StopMode): Promise<void>;
  stop(): Promise<void>;
}

const settings = { fsync: 'off', synchronous_commit: 'off', shared_buffers: '16MB' };
const log = createLog({ level: 'warn' });

/** Why there is none for that major, or undefined: `describe.skipIf(await extensionServerUnavailable())`. */
export async function extensionServerUnavailable(major = 17): Promise<string | undefined> {
  if ((await findInstall(major)) !== undefined) return undefined;
  return `no PostgreSQL ${major} is in the cache: centuria pg get ${major}`;
}

/** The paths of an install that Centuria or Debian unpacked. */
export function pathsOf({ binFolder, major }: PostgresInstall): ServerPaths {
  const shareFolder = join(binFolder, '../../../../share/postgresql', String(major));
  return {
    binFolder,
    libraryFolder: join(binFolder, '../lib'),
    shareFolder,
    extensionFolder: join(shareFolder, 'extension'),
  };
}

/** A running server of its own, without pgvector, so that it can be deployed. Stop it. */
export async function startExtensionServer(
  options: { readonly major?: number; readonly settings?: Readonly<Record<string, string>> } = {},
): Promise<ExtensionServer> {
  const { major = 17 } = options;
  const folder = await testFolder();
  const install = await requireInstall(major);
  const paths = await mirrorSuiteInstall(folder, major);
  const mirrored = { ...install, binFolder: paths.binFolder };
  let inForce: Record<string, string> = { ...settings, ...options.settings };
  const place = join(folder, 'server');
  const start = async (): Promise<LocalPostgres> =>
    await startPostgres(mirrored, { folder: place, settings: inForce, log });
  let server = await start();
  const { pathname, password, username } = new URL(server.url);
  return {
    paths,
    url: server.url,
    address: {
      host: server.socketFolder,
      port: server.port,
      user: username,
      password,
      database: pathname.slice(1),
    },
    dataFolder: server.dataFolder,
    folder,
    pid: () => server.pid,
    async restart(changed = {}, mode = 'fast') {
      await server.stop(mode);
      inForce = { ...inForce, ...changed };
      server = await start();
    },
    async stop() {
      await server.stop('immediate');
      await rm(folder, { recursive: true });
    },
  };
}

/** The private install alone, below a folder of the test. */
export async function mirrorSuiteInstall(folder: string, major = 17): Promise<ServerPaths> {
  const place = join(folder, 'install');
  await mkdir(place, { mode: 0o755 });
  const real = pathsOf(await requireInstall(major));
  const paths = await mirrorInstall(openLocalHost(), real, place);
  for (const name of await pgvectorFiles(paths)) await rm(join(paths.extensionFolder, name));
  await rm(join(paths.libraryFolder, 'vector.so'), { force: true });
  return paths;
}

/** Debian's pgvector, copied into a folder as a release has it: `lib/vector.so`, `extension/vector*`. */
export async function copyPgvector(folder: string, major = 17): Promise<void> {
  const { libraryFolder, extensionFolder } = pathsOf(await requireInstall(major));
  await mkdir(join(folder, 'lib'), { recursive: true });
  await mkdir(join(folder, 'extension'), { recursive: true });
  await copyFile(join(libraryFolder, 'vector.so'), join(folder, 'lib/vector.so'));
  for (const name of await pgvectorFiles({ extensionFolder })) {
    await copyFile(join(extensionFolder, name), join(folder, 'extension', name));
  }
}

async function pgvectorFiles({
  extensionFolder,
}: Pick<ServerPaths, 'extensionFolder'>): Promise<string[]> {
  const names = await readdir(extensionFolder);
  return names.filter((name) => /^vector(?:--.*\.sql|\.control)$/.test(name));
}

async function requireInstall(major: number): Promise<PostgresInstall> {
  const install = await findInstall(major);
  if (install === undefined) throw new Error(await extensionServerUnavailable(major));
  return install;
}

async function findInstall(major: number): Promise<PostgresInstall | undefined> {
  const installs = await listInstalls(cacheFolder(process.env));
  return installs.find((each) => each.major === major && each.origin === 'cache');
}
