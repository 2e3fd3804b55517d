/**
 * PostgreSQL, in the process (PGlite) or as a server, behind one interface and one set of SQL.
 * Results are the same on both: `int8` is a bigint, `timestamptz` a Date, `json` a value, `numeric`
 * a string, `bytea` a Uint8Array.
 */
import type { Sql } from './sql.ts';

export { json, sql, type Sql } from './sql.ts';

/** Whatever can run a statement: the database itself or a transaction in it. */
export interface Queryable {
  /** Runs one statement and returns its rows. Throws `database_*` errors. */
  query<Row>(statement: Sql<Row>, options?: QueryOptions): Promise<Row[]>;
}

export interface QueryOptions {
  readonly timeoutMs?: number;
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
   * failure or deadlock is `database_retry`.
   */
  transaction<T>(work: (transaction: Queryable) => Promise<T>): Promise<T>;
  /** Runs SQL text of several statements: for migrations and dumps only. */
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

export {
  cacheFolder,
  installPostgres,
  listInstalls,
  type InstallOptions,
  type InstallProgress,
  type PostgresInstall,
} from './postgres-install.ts';
export { listRunning, type RunningPostgres } from './postgres-process.ts';
export {
  findPostgres,
  startPostgres,
  stopPostgres,
  type LocalPostgres,
  type StartOptions,
  type StopMode,
} from './postgres-run.ts';
