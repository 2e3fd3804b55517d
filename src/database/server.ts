import { Client, Pool, Query, type ClientConfig, type PoolClient } from 'pg';
import { AppError, redact, type Log } from '../base/base.ts';
import type {
  Database,
  OpenOptions,
  Queryable,
  QueryOptions,
  Session,
  Subscription,
} from './database.ts';
import {
  connectFailure,
  isConnectionLoss,
  isStalePlan,
  statementFailure,
  type FailureContext,
} from './failure.ts';
import { Listener } from './listen.ts';
import { Nesting } from './nesting.ts';
import { assertCommitted, databaseClosed, defaultTimeoutMs, Scope } from './scope.ts';
import type { Sql } from './sql.ts';
import { encodeParameters, parserOf } from './values.ts';

const oldestVersion = 160_000;

const limits = {
  /** To connect, or to get a connection from the pool when all are in use. */
  connectMs: 15_000,
  /**
   * The server ends a statement at its time limit; when its answer is late by so much more the way
   * to it is broken, which without this would take the kernel a quarter of an hour to notice.
   */
  silenceMs: 5_000,
  keepAliveMs: 10_000,
} as const;

/** How every connection reads and writes values, so that `values.ts` fits whatever the server's defaults. */
const sessionSettings =
  "set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; set bytea_output = 'hex'";

/** Opens a pool of connections to the server in `url`. */
export async function openServer(url: string, options: OpenOptions): Promise<Database> {
  const config = readUrl(url);
  const target = targetOf(config);
  const pool = new Pool({
    ...config,
    max: options.poolSize,
    connectionTimeoutMillis: limits.connectMs,
    statement_timeout: defaultTimeoutMs,
    onConnect: (client) => client.query(sessionSettings),
  });
  const { log, clock } = options;
  // A connection that breaks while idle has left the pool already; the next statement makes another.
  pool.on('error', (error) => log.debug({ err: error, target }, 'an idle connection was lost'));
  // One that breaks between two statements of a transaction tells it by an event as well, which
  // would end the process if nobody listened. The next statement on it fails, and that is enough.
  pool.on('connect', (client) => client.on('error', () => undefined));
  try {
    const found = await inspect(pool, target, log);
    const connectListener = (): Client =>
      new Client({ ...config, connectionTimeoutMillis: limits.connectMs });
    const listener = new Listener(connectListener, { target, log, clock });
    return new ServerDatabase(pool, target, found, listener);
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

async function connect(pool: Pool, target: string): Promise<PoolClient> {
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

class ServerDatabase implements Database {
  readonly driver = 'server';
  readonly versionNumber: number;
  readonly capabilities: { readonly vector: boolean };
  readonly #pool: Pool;
  readonly #target: string;
  readonly #listener: Listener;
  readonly #nesting = new Nesting();
  /** Connections whose state is not known, or known to be bad: not given back to the pool. */
  readonly #spoiled = new WeakSet<PoolClient>();
  #underWay = 0;
  #onIdle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(pool: Pool, target: string, found: Inspection, listener: Listener) {
    this.#pool = pool;
    this.#target = target;
    this.versionNumber = found.versionNumber;
    this.capabilities = { vector: found.vector };
    this.#listener = listener;
  }

  query<Row>(statement: Sql<Row>, options: QueryOptions = {}): Promise<Row[]> {
    return this.#withClient((client) => this.#run(client, statement, options));
  }

  transaction<T>(work: (transaction: Queryable) => Promise<T>): Promise<T> {
    return this.#withClient(async (client) => {
      const scope = new Scope((statement, options) =>
        this.#run(client, statement, options, 'rolled_back'),
      );
      await this.#command(client, 'begin', 'rolled_back');
      let result: T;
      try {
        result = await this.#nesting.within(() => work(scope));
        await scope.end();
      } catch (error) {
        await scope.end();
        // A connection that can't even do that is spoiled by the attempt, which ends its transaction.
        await this.#command(client, 'rollback').catch(() => undefined);
        throw error;
      }
      assertCommitted(await this.#command(client, 'commit'));
      return result;
    });
  }

  session<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.#withClient(async (client) => {
      const scope = new Scope((statement, options) => this.#run(client, statement, options));
      const session: Session = {
        query: (statement, options) => scope.query(statement, options),
        script: (text) => scope.next(() => this.#script(client, text)),
      };
      try {
        return await this.#nesting.within(() => work(session));
      } finally {
        await scope.end();
        // Its connection ends with it, and so do its settings; but the server takes a moment over
        // that, and its locks and transaction should be gone when this returns.
        await this.#command(client, leaveNothing).catch(() => undefined);
        this.#spoiled.add(client);
      }
    });
  }

  script(text: string): Promise<void> {
    return this.#withClient((client) => this.#script(client, text));
  }

  async listen(
    channel: string,
    onPayload: (payload: string) => void,
    onGap?: () => void,
  ): Promise<Subscription> {
    if (this.#closing !== undefined) throw databaseClosed(this.#target);
    return this.#listener.listen(channel, onPayload, onGap);
  }

  close(): Promise<void> {
    this.#nesting.assertOutside();
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    await this.#listener.close();
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    await this.#pool.end();
  }

  async #withClient<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    this.#nesting.assertOutside();
    if (this.#closing !== undefined) throw databaseClosed(this.#target);
    this.#underWay += 1;
    try {
      const client = await connect(this.#pool, this.#target);
      try {
        return await work(client);
      } finally {
        client.release(this.#spoiled.has(client));
      }
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#onIdle?.();
    }
  }

  async #run<Row>(
    client: PoolClient,
    statement: Sql<Row>,
    { timeoutMs = defaultTimeoutMs }: QueryOptions,
    outcome?: 'rolled_back',
  ): Promise<Row[]> {
    const ownLimit = timeoutMs !== defaultTimeoutMs;
    if (ownLimit) await this.#command(client, `set statement_timeout = ${Math.trunc(timeoutMs)}`);
    try {
      const rows = await send<Row>(client, statement, timeoutMs);
      if (ownLimit) await this.#command(client, resetTimeout);
      return rows;
    } catch (error) {
      // A rollback undoes the setting; outside a transaction nothing would.
      if (ownLimit) this.#spoiled.add(client);
      throw this.#failure(client, error, {
        statement: statement.name,
        timeoutMs,
        ...(outcome === undefined ? {} : { outcome }),
      });
    }
  }

  /** Runs one statement without parameters; gives its command tag. */
  async #command(client: PoolClient, text: string, outcome?: 'rolled_back'): Promise<string> {
    try {
      const query = { text, query_timeout: defaultTimeoutMs + limits.silenceMs };
      return (await client.query(query)).command;
    } catch (error) {
      throw this.#failure(client, error, outcome === undefined ? {} : { outcome });
    }
  }

  async #script(client: PoolClient, text: string): Promise<void> {
    await this.#command(client, 'set statement_timeout = 0');
    try {
      await client.query(text);
    } catch (error) {
      throw this.#failure(client, error, { script: true });
    } finally {
      // The script may have left the connection in any state.
      this.#spoiled.add(client);
    }
  }

  #failure(client: PoolClient, error: unknown, context: Omit<FailureContext, 'target'>): AppError {
    if (isConnectionLoss(error) || isStalePlan(error)) this.#spoiled.add(client);
    return statementFailure(error, { target: this.#target, ...context });
  }
}

/**
 * Runs a named statement. A `Query` made here instead of a configuration object, which `pg` would
 * clone by its property descriptors: that was the costliest thing after the socket in a profile.
 */
function send<Row>(client: PoolClient, statement: Sql<Row>, timeoutMs: number): Promise<Row[]> {
  const { name, text } = statement;
  const values = encodeParameters(statement);
  return new Promise((resolve, reject) => {
    const query = Object.assign(new Query(text, values), {
      name,
      query_timeout: timeoutMs === 0 ? 0 : timeoutMs + limits.silenceMs,
      callback(error: unknown, result?: { rows: Row[] }) {
        if (error instanceof Error) reject(error);
        else resolve(result?.rows ?? []);
      },
    });
    client.query(query);
  });
}

const leaveNothing = 'rollback; select pg_advisory_unlock_all()';
const resetTimeout = `set statement_timeout = ${defaultTimeoutMs}`;
