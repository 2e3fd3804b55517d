/**
 * PostgreSQL, in the process (PGlite) or as a server, behind one interface and one set of SQL.
 * Results are the same on both: `int8` is a bigint, `timestamptz` a Date, `json` a value, `numeric`
 * a string, `bytea` a Uint8Array.
 */
import type { AppError, Clock, Log } from '../base/base.ts';
import { openEmbedded } from './embedded.ts';
import { openServer } from './server.ts';
import type { Sql } from './sql.ts';

export { migrate, migrationStatus, type Migrated, type MigrationStatus } from './migrate.ts';
export {
  fetchDebianPackages,
  type DebianArchitecture,
  type DebianPackages,
  type DebianRequest,
} from './debian-packages.ts';
export { suiteOfMajor, type PostgresPackage } from './postgres-packages.ts';
export { cacheFolder, listInstalls, type PostgresInstall } from './postgres-cache.ts';
export { installPostgres, type InstallOptions, type InstallProgress } from './postgres-install.ts';
export { listRunning, type RunningPostgres } from './postgres-process.ts';
export { startPostgres, type LocalPostgres, type StartOptions } from './postgres-run.ts';
export { findPostgres, stopPostgres, type StopMode } from './postgres-stop.ts';
export { fetchDebianSource, type DebianSourceFiles } from './debian-source.ts';
export { withFileLock, type FileLockOptions } from './file-lock.ts';
export { lockHome, type HomeLock } from './home-lock.ts';
export { makeHome } from './home-folder.ts';
export { json, sql, type Sql } from './sql.ts';

/** Whatever can run a statement: the database itself, a session or a transaction in it. */
export interface Queryable {
  /**
   * Runs one statement and returns its rows. Throws `database_*` errors, and `timeout`. Never call
   * it on the database from within a transaction or session of the same database: that would wait
   * for itself, and is refused with `internal`.
   */
  query<Row>(statement: Sql<Row>, options?: QueryOptions): Promise<Row[]>;
}

export interface QueryOptions {
  /**
   * 30,000 by default; 0 is no limit. A server cancels the statement. The embedded database can't
   * be interrupted: there it limits the wait for earlier statements and transactions.
   */
  readonly timeoutMs?: number;
}

/** One connection, outside any transaction unless the caller begins one. */
export interface Session extends Queryable {
  /** Runs SQL text of several statements, without a time limit. */
  script(text: string): Promise<void>;
}

export interface Subscription {
  close(): Promise<void>;
}

export interface Database extends Queryable {
  readonly driver: 'embedded' | 'server';
  /** As `server_version_num`: 170004 is 17.4. */
  readonly versionNumber: number;
  readonly capabilities: { readonly vector: boolean };
  /**
   * Runs `work` in one transaction and commits, or rolls back when it throws. A serialization
   * failure or deadlock is `database_retry`. When the connection is lost at the commit the error's
   * `details.outcome` is `unknown`. On the embedded database nothing else runs meanwhile.
   */
  transaction<T>(work: (transaction: Queryable) => Promise<T>): Promise<T>;
  /** Runs `work` with a connection of its own: for advisory locks and migrations. */
  session<T>(work: (session: Session) => Promise<T>): Promise<T>;
  /** Runs SQL text of several statements, without a time limit: for migrations and dumps only. */
  script(text: string): Promise<void>;
  /**
   * Calls `onPayload` for every NOTIFY on the channel. After a lost connection it listens again by
   * itself and then calls `onGap`, since notifications may have been missed.
   */
  listen(
    channel: string,
    onPayload: (payload: string) => void,
    onGap?: () => void,
  ): Promise<Subscription>;
  /** Waits for statements under way and closes. Safe to call twice. */
  close(): Promise<void>;
}

export interface OpenOptions {
  /** A PostgreSQL URL; empty or absent: the embedded database in `<home>/database`. */
  readonly url?: string;
  readonly home: string;
  /** Connections to a server, at most; one more listens. */
  readonly poolSize: number;
  readonly log: Log;
  readonly clock: Clock;
  /**
   * Called once when the database can't be used again by this process: the embedded engine has
   * stopped. A server that goes away may come back, so it never causes this.
   */
  readonly onLost?: (error: AppError) => void;
}

/**
 * Opens the database. Throws `home_locked`, `home_unusable` (embedded), `database_unreachable`,
 * `database_unsupported` (older than 16, or a data folder of another PostgreSQL), `config_invalid`
 * (a URL that can't be read).
 */
export async function openDatabase(options: OpenOptions): Promise<Database> {
  const { url } = options;
  return url === undefined || url === '' ? openEmbedded(options) : openServer(url, options);
}
