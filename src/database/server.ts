import { Query, type Pool, type PoolClient } from 'pg';
import type { AppError } from '../base/base.ts';
import type {
  Database,
  OpenOptions,
  Queryable,
  QueryOptions,
  Session,
  Subscription,
} from './database.ts';
import { isConnectionLoss, isStalePlan, statementFailure, type FailureContext } from './failure.ts';
import { Listener } from './listen.ts';
import { Nesting } from './nesting.ts';
import { assertCommitted, databaseClosed, defaultTimeoutMs, Scope } from './scope.ts';
import { connect, openPool, type ServerPool } from './server-pool.ts';
import type { Sql } from './sql.ts';
import { encodeParameters } from './values.ts';

/**
 * The server ends a statement at its time limit; when its answer is late by so much more the way to
 * it is broken, which without this would take the kernel a quarter of an hour to notice.
 */
const silenceMs = 5_000;

/** Opens a pool of connections to the server in `url`. */
export async function openServer(url: string, options: OpenOptions): Promise<Database> {
  const opened = await openPool(url, options);
  const { target, makeClient } = opened;
  const { log, clock } = options;
  return new ServerDatabase(opened, new Listener(makeClient, { target, log, clock }));
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

  constructor({ pool, target, versionNumber, vector }: ServerPool, listener: Listener) {
    this.#pool = pool;
    this.#target = target;
    this.versionNumber = versionNumber;
    this.capabilities = { vector };
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
      const query = { text, query_timeout: defaultTimeoutMs + silenceMs };
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
      query_timeout: timeoutMs === 0 ? 0 : timeoutMs + silenceMs,
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
