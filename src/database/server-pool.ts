import { Client, Pool, type ClientConfig, type PoolClient } from 'pg';
import { AppError, redact, type Log } from '../base/base.ts';
import type { OpenOptions } from './database.ts';
import { connectFailure, statementFailure } from './failure.ts';
import { defaultTimeoutMs } from './scope.ts';
import { parserOf } from './values.ts';

const oldestVersion = 160_000;

const limits = {
  /** To connect, or to get a connection from the pool when all are in use. */
  connectMs: 15_000,
  keepAliveMs: 10_000,
} as const;

/** How every connection reads and writes values, so that `values.ts` fits whatever the server's defaults. */
const sessionSettings =
  "set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; set bytea_output = 'hex'";

/** A pool that has been connected to once, and what that found. */
export interface ServerPool {
  readonly pool: Pool;
  /** `host:port/database`. */
  readonly target: string;
  readonly versionNumber: number;
  readonly vector: boolean;
  /** A connection outside the pool, not yet connected. */
  readonly makeClient: () => Client;
}

/** Throws `database_unreachable`, `database_unsupported`, `config_invalid`. */
export async function openPool(url: string, { poolSize, log }: OpenOptions): Promise<ServerPool> {
  const config = readUrl(url);
  const target = targetOf(config);
  const pool = new Pool({
    ...config,
    max: poolSize,
    statement_timeout: defaultTimeoutMs,
    onConnect: (client) => client.query(sessionSettings),
  });
  // A connection that breaks while idle has left the pool already; the next statement makes another.
  pool.on('error', (error) => log.debug({ err: error, target }, 'an idle connection was lost'));
  // One that breaks between two statements of a transaction tells it by an event as well, which
  // would end the process if nobody listened. The next statement on it fails, and that is enough.
  pool.on('connect', (client) => client.on('error', () => undefined));
  try {
    const found = await inspect(pool, target, log);
    return { pool, target, ...found, makeClient: () => new Client(config) };
  } catch (error) {
    await pool.end();
    throw error;
  }
}

/** `sslmode` means what libpq's documentation says, which `pg` does only when asked. */
function readUrl(url: string): ClientConfig {
  const libpq = url.includes('sslmode=') && !url.includes('uselibpqcompat=');
  const config: ClientConfig = {
    connectionString: libpq ? `${url}&uselibpqcompat=true` : url,
    application_name: 'centuria',
    connectionTimeoutMillis: limits.connectMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: limits.keepAliveMs,
    types: { getTypeParser: parserOf },
  };
  if (!/^(postgres|postgresql|socket):\/\//.test(url)) throw urlInvalid('it is no postgres:// URL');
  try {
    targetOf(config);
  } catch (error) {
    throw urlInvalid(error instanceof Error ? redact(error.message) : 'it can not be read');
  }
  return config;
}

function urlInvalid(why: string): AppError {
  return new AppError('config_invalid', `CENTURIA_DATABASE_URL: ${why}`, {
    details: { key: 'databaseUrl' },
    remedy: 'Write it as postgres://user:password@host:5432/database?sslmode=verify-full.',
  });
}

/** `host:port/database`: what may be shown of a URL. */
function targetOf(config: ClientConfig): string {
  const { host, port, database } = new Client(config);
  return `${host}:${port}/${database ?? ''}`;
}

interface Inspection {
  readonly versionNumber: number;
  readonly vector: boolean;
}

async function inspect(pool: Pool, target: string, log: Log): Promise<Inspection> {
  const client = await connect(pool, target);
  try {
    const { rows } = await client.query<{ number: number; text: string }>(
      `select current_setting('server_version_num')::int as number,
              current_setting('server_version') as text`,
    );
    const versionNumber = rows[0]?.number ?? 0;
    if (versionNumber < oldestVersion) {
      throw new AppError('database_unsupported', `${target} is PostgreSQL ${rows[0]?.text}`, {
        details: { target, versionNumber, oldestVersion },
        remedy: 'Use PostgreSQL 16 or later, or no CENTURIA_DATABASE_URL for the embedded one.',
      });
    }
    return { versionNumber, vector: await makeVector(client, target, log) };
  } catch (error) {
    throw statementFailure(error, { target });
  } finally {
    client.release();
  }
}

/** Creates the extension `vector` where that is possible; says why where it is not. */
async function makeVector(client: PoolClient, target: string, log: Log): Promise<boolean> {
  const state = `select (select count(*) from pg_extension where extname = 'vector')::int as made,
    (select count(*) from pg_available_extensions where name = 'vector')::int as available`;
  const look = async (): Promise<{ made: number; available: number } | undefined> =>
    (await client.query<{ made: number; available: number }>(state)).rows[0];
  const before = await look();
  if (before?.made === 1) return true;
  if (before?.available !== 1) {
    log.warn({ target }, 'pgvector is not installed on the server: similarity search is exact');
    return false;
  }
  try {
    await client.query('create extension if not exists vector');
  } catch (error) {
    // Another process may have been quicker, which `if not exists` does not cover.
    if ((await look())?.made === 1) return true;
    log.warn(
      { target, why: error instanceof Error ? error.message : String(error) },
      'pgvector can not be created in the database: similarity search is exact',
    );
    return false;
  }
  return true;
}

/** A connection of the pool. Throws `database_unreachable`, and `timeout` when none becomes free. */
export async function connect(pool: Pool, target: string): Promise<PoolClient> {
  try {
    return await pool.connect();
  } catch (error) {
    if (error instanceof Error && error.message === 'timeout exceeded when trying to connect') {
      throw new AppError('timeout', `no connection to ${target} became free`, {
        details: { target, timeoutMs: limits.connectMs, poolSize: pool.options.max },
        remedy: 'Raise CENTURIA_DATABASE_POOL_SIZE.',
      });
    }
    throw connectFailure(error, target);
  }
}
