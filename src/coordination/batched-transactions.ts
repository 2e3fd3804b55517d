import { retry, toAppError, type Clock, type Log } from '../base/base.ts';
import type { Database, Queryable } from '../database/database.ts';
import { GroupCommit } from './group-commit.ts';

export interface BatchedTransactionsOptions<Item, Result> {
  readonly name: string;
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: () => number;
  /** Carries a batch out; it may be called again for the same items, also after a commit whose answer was lost. */
  readonly work: (
    transaction: Queryable,
    items: readonly Item[],
  ) => Promise<readonly (Result | Error)[]>;
}

/**
 * Read, decide, write: in one transaction for all who ask at the same time. One is under way at a
 * time, since they would only wait for each other's rows and hold connections meanwhile.
 */
export function batchedTransactions<Item, Result>(
  options: BatchedTransactionsOptions<Item, Result>,
): GroupCommit<Item, Result> {
  const { name, database, clock, log, random, work } = options;
  const commit = (items: readonly Item[]): Promise<readonly (Result | Error)[]> =>
    retry(() => database.transaction((transaction) => work(transaction, items)), {
      policy: { attempts: 4, baseMs: 50, maxMs: 1_000 },
      clock,
      ...(random === undefined ? {} : { random }),
      onRetry: (error, attempt, pauseMs) =>
        log.warn({ err: error, attempt, pauseMs }, `${name}: trying again`),
    });
  return new GroupCommit({
    name,
    capacity: 100_000,
    maxInFlight: 1,
    maxItems: 200,
    async commit(items) {
      try {
        return await commit(items);
      } catch (thrown) {
        const error = toAppError(thrown);
        if (items.length === 1 || error.retryable) throw error;
        // What the database refuses of one must not be the others' failure.
        const results: (Result | Error)[] = [];
        for (const item of items) {
          const [result] = await commit([item]).catch((own: unknown) => [toAppError(own)]);
          results.push(result as Result | Error);
        }
        return results;
      }
    },
  });
}
