/** The running server of a target, asked by SQL: what it is, where its folders are, what it has installed. */
import { basename } from 'node:path';
import { AppError, type Clock, type Log } from '../../base/base.ts';
import type {
  InstalledExtension,
  Known,
  Plan,
  StaleBackend,
  ServerAddress,
  ServerState,
} from '../deployment-types.ts';
import type { Host } from '../host/host.ts';
import { recordDeployment, type DeploymentNote } from './records.ts';
import { findStale } from './stale.ts';
import type { ServerPaths } from '../types.ts';
import { selectLibraryFunctions } from './catalogue-queries.ts';
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
  /** Opens the way when it is first gone: for a server that does not run now. */
  readonly isDown?: boolean;
}

/** A lock that one session of ours holds. */
export interface ServerLock {
  /** Aborts, with the error as its reason, when the session was lost and with it the lock. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

/** `library` without folder and ending, as in shared_preload_libraries. */
export interface LibraryFunction {
  readonly library: string;
  readonly symbol: string;
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
  connect(database: string, signal?: AbortSignal): Promise<TargetClient>;
  /** Functions in C that the databases expect of the libraries of these extensions. */
  catalogueFunctions(extensions: readonly string[]): Promise<readonly LibraryFunction[]>;
  /**
   * Processes of the server that have mapped a library of these names from another file than the one the
   * name leads to now. By the path that the server opens, with whatever belongs to it.
   */
  stale(libraries: ReadonlyMap<string, unknown>): Promise<Known<readonly StaleBackend[]>>;
  /** Makes the deployment known to SQL; a standby, where nothing can be written, says so. */
  record(plan: Plan, note: DeploymentNote): Promise<Known<true>>;
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
  const to = { host: address.host, port: address.port };
  const name = `${host.name}, ${address.host}:${address.port}`;
  let forward = options.isDown === true ? undefined : await host.forward(to);
  const common = async (): Promise<ConnectOptions> => {
    forward ??= await host.forward(to);
    return { ...options, address, forward, target: name };
  };
  const server: TargetServer = {
    name,
    host,
    recordDatabase: address.database,
    clock: options.clock,
    state: () => readState(server),
    paths: () => server.inDatabase(address.database, readPaths),
    connect: async (database, signal) =>
      connect(database, { ...(await common()), signal: either(options.signal, signal) }),
    async inDatabase(database, work) {
      const client = await connect(database, await common());
      try {
        return await work(client);
      } finally {
        await client.close();
      }
    },
    catalogueFunctions: (extensions) => readFunctions(server, extensions),
    stale: (libraries) =>
      server.inDatabase(address.database, (client) =>
        findStale(host, client, address.user, libraries.keys()),
      ),
    record: (plan, note) =>
      server.inDatabase(address.database, (client) => recordDeployment(client, plan, note)),
    lock: async (lockName) => takeLock(lockName, await common()),
    close: async () => forward?.close(),
  };
  if (options.isDown === true) return server;
  try {
    await server.inDatabase(address.database, async () => undefined);
    return server;
  } catch (error) {
    await forward?.close();
    throw error;
  }
}

function either(one?: AbortSignal, other?: AbortSignal): AbortSignal | undefined {
  return one === undefined || other === undefined ? (one ?? other) : AbortSignal.any([one, other]);
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
  return await inEach(server, databases, async (client, database) => {
    const rows = await client.query(selectExtensions());
    return rows.map(({ name, version }) => ({ database, name, version }));
  });
}

async function readFunctions(
  server: TargetServer,
  extensions: readonly string[],
): Promise<LibraryFunction[]> {
  const databases = await server.inDatabase(server.recordDatabase, (client) =>
    client.query(selectDatabases()),
  );
  const found = await inEach(
    server,
    databases.map(({ name }) => name),
    (client) => client.query(selectLibraryFunctions(extensions)),
  );
  const named = found.map(({ library, symbol }) => ({ library: basename(library, '.so'), symbol }));
  const ofAll = new Map(named.map((each) => [`${each.library} ${each.symbol}`, each]));
  return [...ofAll.keys()].toSorted().flatMap((key) => ofAll.get(key) ?? []);
}

async function inEach<T>(
  server: TargetServer,
  databases: readonly string[],
  work: (client: TargetClient, database: string) => Promise<T[]>,
): Promise<T[]> {
  const found: T[] = [];
  for (let first = 0; first < databases.length; first += databasesAtOnce) {
    const some = databases.slice(first, first + databasesAtOnce).map(async (database) => {
      try {
        return await server.inDatabase(database, (client) => work(client, database));
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
