import { AppError } from '../base/base.ts';
import type { Queryable, QueryOptions } from './database.ts';
import type { Sql } from './sql.ts';

/** What a statement may take unless the caller says otherwise, milliseconds. */
export const defaultTimeoutMs = 30_000;

type Run = <Row>(statement: Sql<Row>, options: QueryOptions) => Promise<Row[]>;

/**
 * The handle that a transaction or session is given: its statements go over its connection one
 * after another, and none does after its end.
 */
export class Scope implements Queryable {
  readonly #run: Run;
  #last: Promise<unknown> = Promise.resolve();
  #ended = false;

  constructor(run: Run) {
    this.#run = run;
  }

  query<Row>(statement: Sql<Row>, options: QueryOptions = {}): Promise<Row[]> {
    return this.next(() => this.#run(statement, options));
  }

  /** Runs `work` when everything before it is through, whether or not that failed. */
  next<T>(work: () => Promise<T>): Promise<T> {
    if (this.#ended) return Promise.reject(scopeEnded());
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Refuses further statements and waits for those under way. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#last;
  }
}

/** PostgreSQL answers COMMIT of a failed transaction with ROLLBACK, not with an error. */
export function assertCommitted(commandTag: string): void {
  if (commandTag === 'COMMIT') return;
  throw new AppError('database_failed', 'the transaction was rolled back: a statement had failed', {
    details: { outcome: 'rolled_back' },
    remedy: 'Let the error of the statement pass instead of catching it inside the transaction.',
  });
}

export function databaseClosed(target: string): AppError {
  return new AppError('database_unreachable', 'the database has been closed', {
    details: { target },
    retryable: false,
  });
}

function scopeEnded(): AppError {
  return new AppError(
    'internal',
    'a statement was run on a transaction or session that has ended',
    {
      remedy: 'Await every statement before the end of the transaction.',
    },
  );
}
