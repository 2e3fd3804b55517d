/** The running server of a target, asked by SQL: what it is, where its folders are, what it has installed. */
import { basename } from 'node:path';
import { AppError, type Clock, type Log } from '../../base/base.ts';
import type { InstalledExtension, ServerAddress, ServerState } from '../deployment-types.ts';
import type { Host } from '../host/host.ts';
import type { ServerPaths } from '../types.ts';
import { connect, type ConnectOptions, type TargetClient } from './connect.ts';
import {
  selectDatabases,
  selectExtensions,
  selectFolders,
  selectHolder,
  selectServer,
  selectStandbys,
  tryLock,
  type HolderRow,
} from './queries.ts';

export type { TargetClient } from './connect.ts';

export interface OpenServerOptions {
  readonly signal?: AbortSignal;
  readonly log: Log;
  readonly clock: Clock;
}

/** A lock that one session of ours holds. */
export interface ServerLock {
  /** Aborts, with the error as its reason, when the session was lost and with it the lock. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

/** Everything throws `target_unreachable` when a connection is not there or breaks, and `denied`. */
export interface TargetServer {
  /** For messages: host, socket, port. */
  readonly name: string;
  readonly host: Host;
  /** Where deployments are recorded. */
  readonly recordDatabase: string;
  readonly clock: Clock;
  state(): Promise<ServerState>;
  paths(): Promise<ServerPaths>;
  /** Runs the work with a connection of its own. `not_found` where there is no such database. */
  inDatabase<T>(name: string, work: (client: TargetClient) => Promise<T>): Promise<T>;
  /** A connection that the caller closes. */
  connect(database: string): Promise<TargetClient>;
  /** A session's lock in the recording database. Throws `ext_busy`, which names the holder. */
  lock(name: string): Promise<ServerLock>;
  close(): Promise<void>;
}

const databasesAtOnce = 4;

/** Connects once, so that what is wrong with the address shows here. */
export async function openServer(
  host: Host,
  address: ServerAddress,
  options: OpenServerOptions,
): Promise<TargetServer> {
  const forward = await host.forward({ host: address.host, port: address.port });
  const name = `${host.name}, ${address.host}:${address.port}`;
  const common: ConnectOptions = { ...options, address, forward, target: name };
  const server: TargetServer = {
    name,
    host,
    recordDatabase: address.database,
    clock: options.clock,
    state: () => readState(server),
    paths: () => server.inDatabase(address.database, readPaths),
    connect: (database) => connect(database, common),
    async inDatabase(database, work) {
      const client = await connect(database, common);
      try {
        return await work(client);
      } finally {
        await client.close();
      }
    },
    lock: (lockName) => takeLock(lockName, common),
    close: () => forward.close(),
  };
  try {
    await server.inDatabase(address.database, async () => undefined);
    return server;
  } catch (error) {
    await forward.close();
    throw error;
  }
}

async function readState(server: TargetServer): Promise<ServerState> {
  const { row, standbys, databases } = await server.inDatabase(
    server.recordDatabase,
    async (client) => ({
      row: (await client.query(selectServer()))[0],
      standbys: await client.query(selectStandbys()),
      databases: (await client.query(selectDatabases())).map(({ name }) => name),
    }),
  );
  if (row === undefined) throw new AppError('internal', 'the server gave no row of its settings');
  return {
    versionNumber: row.version_number,
    startedAt: row.started_at,
    isStandby: row.is_standby,
    standbys: standbys.map(({ address, ...standby }) =>
      address === null ? standby : { ...standby, address },
    ),
    preloaded: preloadedLibraries(row.preload),
    databases,
    installed: await readInstalled(server, databases),
  };
}

async function readInstalled(
  server: TargetServer,
  databases: readonly string[],
): Promise<InstalledExtension[]> {
  const found: InstalledExtension[] = [];
  for (let first = 0; first < databases.length; first += databasesAtOnce) {
    const some = databases.slice(first, first + databasesAtOnce).map(async (database) => {
      try {
        const rows = await server.inDatabase(database, (client) =>
          client.query(selectExtensions()),
        );
        return rows.map(({ name, version }) => ({ database, name, version }));
      } catch (error) {
        // Dropped since the list was read.
        if (error instanceof AppError && error.code === 'not_found') return [];
        throw error;
      }
    });
    found.push(...(await Promise.all(some)).flat());
  }
  return found;
}

/** Names as `shared_preload_libraries` lists them: separated by commas, in double quotes where needed. */
export function preloadedLibraries(setting: string): string[] {
  const items = setting.match(/"(?:[^"]|"")*"|[^,"\s][^,"]*/g) ?? [];
  return items
    .map((item) => (item.startsWith('"') ? item.slice(1, -1).replaceAll('""', '"') : item.trim()))
    .map((path) => basename(path, '.so'))
    .filter((name) => name !== '');
}

async function readPaths(client: TargetClient): Promise<ServerPaths> {
  const rows = await client.query(selectFolders());
  const folder = (name: string): string => {
    const found = rows.find((row) => row.name === name)?.setting;
    if (found !== undefined && found.startsWith('/')) return found;
    throw new AppError('ext_failed', `the server does not say where its ${name} is`, {
      details: { name, found },
    });
  };
  const shareFolder = folder('SHAREDIR');
  return {
    binFolder: folder('BINDIR'),
    libraryFolder: folder('PKGLIBDIR'),
    shareFolder,
    extensionFolder: `${shareFolder}/extension`,
  };
}

async function takeLock(name: string, common: ConnectOptions): Promise<ServerLock> {
  const lost = new AbortController();
  const client = await connect(common.address.database, {
    ...common,
    onLost: (error) => lost.abort(error),
  });
  try {
    const [answer] = await client.query(tryLock(name));
    if (answer?.taken === true) return { lost: lost.signal, release: () => client.close() };
    const [holder] = await client.query(selectHolder(name));
    throw busy(name, common.target, holder);
  } catch (error) {
    await client.close();
    throw error;
  }
}

function busy(name: string, target: string, holder: HolderRow | undefined): AppError {
  const who =
    holder === undefined
      ? 'a session that has just ended'
      : `backend ${holder.pid} of “${holder.user ?? '?'}”${holder.address === null ? '' : ` from ${holder.address}`}, connected since ${holder.since ?? 'an unknown time'}`;
  return new AppError('ext_busy', `“${name}” on ${target} is locked by ${who}`, {
    details: { name, target, ...holder },
    remedy: 'Wait until that deployment has ended, or end it.',
  });
}
