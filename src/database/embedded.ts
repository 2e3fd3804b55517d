import { join } from 'node:path';
import { AppError, type Log } from '../base/base.ts';
import type {
  Database,
  OpenOptions,
  Queryable,
  QueryOptions,
  Session,
  Subscription,
} from './database.ts';
import { isEngineDeath, type Engine } from './embedded-engine.ts';
import { isStalePlan, statementFailure } from './failure.ts';
import { makeHome, startInHome } from './home-folder.ts';
import { lockHome, type HomeLock } from './home-lock.ts';
import { listenStatement } from './listen.ts';
import { Nesting } from './nesting.ts';
import { assertCommitted, databaseClosed, defaultTimeoutMs, Scope } from './scope.ts';
import { sql, type Sql } from './sql.ts';
import { Turns } from './turns.ts';

/** Opens `<home>/database`, holding `<home>/lock` until it is closed. */
export async function openEmbedded(options: OpenOptions): Promise<Database> {
  const { home, clock, log } = options;
  makeHome(home);
  const lock = await lockHome(home, clock);
  try {
    const engine = await startInHome(home, log);
    const [row] = await engine.query(
      sql<{ version: number }>`select current_setting('server_version_num')::int as version`,
    );
    return new EmbeddedDatabase(engine, lock, row?.version ?? 0, options);
  } catch (error) {
    lock.release();
    throw error;
  }
}

class EmbeddedDatabase implements Database {
  readonly driver = 'embedded';
  readonly versionNumber: number;
  readonly capabilities = { vector: true };
  readonly #engine: Engine;
  readonly #lock: HomeLock;
  readonly #log: Log;
  readonly #target: string;
  readonly #onLost: ((error: AppError) => void) | undefined;
  readonly #turns: Turns;
  readonly #nesting = new Nesting();
  readonly #listeners = new Map<string, Set<(payload: string) => void>>();
  #lost: AppError | undefined;
  #closing: Promise<void> | undefined;

  constructor(engine: Engine, lock: HomeLock, versionNumber: number, options: OpenOptions) {
    this.#engine = engine;
    this.#lock = lock;
    this.versionNumber = versionNumber;
    this.#log = options.log;
    this.#onLost = options.onLost;
    this.#target = join(options.home, 'database');
    this.#turns = new Turns(this.#target, options.clock);
    engine.onNotification((channel, payload) => this.#notify(channel, payload));
  }

  query<Row>(statement: Sql<Row>, options: QueryOptions = {}): Promise<Row[]> {
    return this.#alone(() => this.#run(statement), options.timeoutMs);
  }

  transaction<T>(work: (transaction: Queryable) => Promise<T>): Promise<T> {
    return this.#alone(async () => {
      const scope = new Scope(this.#run);
      await this.#script('begin');
      let result: T;
      try {
        result = await this.#nesting.within(() => work(scope));
        await scope.end();
      } catch (error) {
        await scope.end();
        await this.#script('rollback');
        throw error;
      }
      assertCommitted(await this.#script('commit'));
      return result;
    });
  }

  session<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.#alone(async () => {
      const scope = new Scope(this.#run);
      const script = async (text: string): Promise<void> => {
        await scope.next(() => this.#script(text));
      };
      try {
        const query: Session['query'] = (statement, options) => scope.query(statement, options);
        return await this.#nesting.within(() => work({ query, script }));
      } finally {
        await scope.end();
        // A session that leaves a transaction open would take the next caller's work into it.
        await this.#script('rollback');
      }
    });
  }

  async script(text: string): Promise<void> {
    await this.#alone(() => this.#script(text));
  }

  /** Never has a gap: there is no connection to lose. */
  async listen(channel: string, onPayload: (payload: string) => void): Promise<Subscription> {
    const statement = listenStatement(channel);
    const listeners = this.#listeners.get(channel) ?? new Set();
    // A function of its own for each call, since the same one may be given twice.
    const listener = (payload: string): void => onPayload(payload);
    await this.#alone(() => this.#script(statement));
    this.#listeners.set(channel, listeners.add(listener));
    return {
      // The engine goes on listening: to nobody's cost, and a later subscriber finds it so.
      close: async () => void listeners.delete(listener),
    };
  }

  close(): Promise<void> {
    this.#nesting.assertOutside();
    this.#closing ??= this.#turns.run(async () => {
      try {
        if (this.#lost === undefined) await this.#engine.close();
      } finally {
        this.#lock.release();
      }
    }, 0);
    return this.#closing;
  }

  async #alone<T>(work: () => Promise<T>, timeoutMs = defaultTimeoutMs): Promise<T> {
    this.#nesting.assertOutside();
    if (this.#closing !== undefined) throw databaseClosed(this.#target);
    return this.#turns.run(work, timeoutMs);
  }

  readonly #run = <Row>(statement: Sql<Row>): Promise<Row[]> =>
    this.#attempt(() => this.#engine.query(statement), { statement: statement.name });

  readonly #script = (text: string): Promise<string> =>
    this.#attempt(() => this.#engine.script(text), { script: true });

  async #attempt<T>(
    work: () => Promise<T>,
    context: { statement?: string; script?: boolean },
  ): Promise<T> {
    if (this.#lost !== undefined) throw this.#lost;
    try {
      return await work();
    } catch (error) {
      if (isEngineDeath(error)) throw this.#lose(error);
      if (isStalePlan(error)) this.#engine.forgetStatements();
      throw statementFailure(error, { target: this.#target, ...context });
    }
  }

  /** A trap in the engine leaves its memory in no known state: it must not be used again. */
  #lose(cause: unknown): AppError {
    this.#lost = new AppError('database_unreachable', 'the embedded database has stopped', {
      details: { target: this.#target, outcome: 'unknown' },
      remedy: 'Start Centuria again; what was committed is kept.',
      retryable: false,
      cause,
    });
    this.#log.error({ err: this.#lost }, 'the embedded database has stopped');
    this.#onLost?.(this.#lost);
    return this.#lost;
  }

  #notify(channel: string, payload: string): void {
    for (const listener of this.#listeners.get(channel) ?? []) {
      try {
        listener(payload);
      } catch (error) {
        this.#log.error({ err: error, channel }, 'a listener failed');
      }
    }
  }
}
