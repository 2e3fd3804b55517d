/** Follows the outcomes: one process at a time adds them up, and every one may read along. */
import { toAppError, type Clock, type Log } from '../../base/base.ts';
import type { Database } from '../../database/database.ts';
import { applyBatch } from './batch.ts';
import { countedReports } from './fold.ts';
import * as queries from './queries.ts';
import type { CursorRow, ExecutionRow } from './queries.ts';
import { renew } from './renewal.ts';

/** Rows a transaction: on the embedded database nothing else runs meanwhile. */
const batchRows = 500;
/** Also what a learner waits that finds another one at work. */
const pollMs = 1_000;
/** What others have added, ratings and windows of days are looked for less often than executions. */
const pollsARenewal = 5;

export interface LearnerOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Learner {
  /** Applies all that can be read now, and makes the figures of it; says how many executions. */
  catchUp(): Promise<number>;
  stop(): Promise<void>;
}

/**
 * Starts to add outcomes up. Any number of processes may do this on one database: each batch is
 * applied by one of them, once, whichever holds the lock; when it dies, another goes on where it was.
 */
export function openLearner(options: LearnerOptions): Learner {
  const { database } = options;
  const step = (): Promise<number | 'busy'> =>
    database.transaction((transaction) => applyBatch(transaction, batchRows));
  let polls = 0;
  const loop = startLoop(options, 'outcomes were not added up; trying again', async (signal) => {
    const first = await step();
    let applied = first;
    while (applied === batchRows && !signal.aborted) applied = await step();
    const isNew = first !== 'busy' && first > 0;
    if (isNew || polls % pollsARenewal === 0) await renew(options, { force: false });
    polls += 1;
  });
  return {
    async catchUp() {
      let total = 0;
      for (;;) {
        const applied = await step();
        if (applied === 'busy') {
          await options.clock.sleep(1);
          continue;
        }
        total += applied;
        if (applied < batchRows) break;
      }
      await renew(options, { force: true });
      return total;
    },
    stop: loop,
  };
}

export interface FollowOptions extends LearnerOptions {
  /** Gets the executions in their order, each once. The next ones are read when it has resolved. */
  readonly onRows: (rows: readonly ExecutionRow[], at: CursorRow) => Promise<void> | void;
  /** Where to begin: at the first execution that is kept unless given. */
  readonly after?: CursorRow;
}

export interface Follower {
  /** Resolves when all that could be read when it was called has been given to `onRows`, or after `stop`. */
  caughtUp(): Promise<void>;
  stop(): Promise<void>;
}

/** Reads along without writing anything, from a place of its own. Rows that `onRows` throws at come again. */
export function followExecutions(options: FollowOptions): Follower {
  const { database, onRows } = options;
  let at: CursorRow = options.after ?? {
    tx: '0',
    attempt_id: '00000000-0000-0000-0000-000000000000',
  };
  // One after the other: the loop, and whoever wants to be sure that it has caught up.
  let turn: Promise<void> = Promise.resolve();
  const stopping = new AbortController();
  const read = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const rows = await database.query(
        queries.executionsAfter(at.tx, at.attempt_id, batchRows, countedReports, true),
      );
      const last = rows.at(-1);
      if (last === undefined) return;
      const next = { tx: last.tx, attempt_id: last.attempt_id };
      await onRows(rows, next);
      at = next;
      if (rows.length < batchRows) return;
    }
  };
  const inTurn = (): Promise<void> => {
    const mine = turn.then(read);
    turn = mine.catch(() => undefined);
    return mine;
  };
  const stopLoop = startLoop(options, 'outcomes were not read; trying again', inTurn);
  return {
    caughtUp: inTurn,
    // Also for who waits to have caught up: a process that ends does not read all of before first.
    stop() {
      stopping.abort();
      return stopLoop();
    },
  };
}

/** Does `work` now and each second; the function that is returned ends that. */
function startLoop(
  { clock, log }: LearnerOptions,
  complaint: string,
  work: (signal: AbortSignal) => Promise<void>,
): () => Promise<void> {
  const stopping = new AbortController();
  const loop = (async () => {
    while (!stopping.signal.aborted) {
      await work(stopping.signal).catch((error: unknown) => {
        if (!stopping.signal.aborted) log.warn({ error: toAppError(error) }, complaint);
      });
      await clock.sleep(pollMs, stopping.signal).catch(() => undefined);
    }
  })();
  return async () => {
    stopping.abort();
    await loop;
  };
}
