import {
  AppError,
  backoffMs,
  toAppError,
  type Clock,
  type ErrorRecord,
  type Log,
} from '../base/base.ts';
import type { Database } from '../database/database.ts';
import { outcomeRows, StoredTexts, type Outcome } from '../learning/learning.ts';
import { GroupCommit } from './group-commit.ts';
import { appendEvents, maxEventsInRow, type AppendColumns } from './queries.ts';
import type { EventBody } from './events.ts';
import type { RunStatus, TaskStatus, UndoStatus } from './types.ts';

/** How the row of a run changes; what is absent stays. */
export interface RowChange {
  readonly status?: RunStatus;
  readonly counts?: Readonly<Partial<Record<TaskStatus, number>>>;
  /** Set, or forgotten, together with the status. */
  readonly error?: ErrorRecord;
  readonly fingerprint?: string;
  readonly undo?: UndoStatus;
  /** Gives the run back, for any worker to take: now (null), or from a time on. */
  readonly release?: true;
  readonly wakeAt?: string | null;
  readonly finished?: true;
  /** When it ended; absent: now. Undoing it later does not make it longer. */
  readonly finishedAt?: string;
}

/** What one run appends in one go: all of it becomes durable, or none. */
export interface Append {
  readonly runId: string;
  readonly epoch: bigint;
  readonly events: readonly { readonly seq: number; readonly body: EventBody }[];
  /** What of them shows in the run's row; absent: nothing. */
  readonly row?: RowChange;
  /** Requests that these events answer. */
  readonly signalIds?: readonly string[];
  /** What came of the attempts that end with these events. */
  readonly outcomes?: readonly Outcome[];
}

/** `fenced`: another worker holds the run. `at`: when the row was changed, by the database's clock; null when it was not. */
export type Appended = { readonly at: Date | null } | 'fenced';

export interface EventLogOptions {
  readonly database: Database;
  readonly worker: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
}

/** Rows in one statement. Measured: beyond 500 the statement grows as fast as what it saves. */
const maxBatch = 500;

/**
 * The durable log as one worker writes it: appends of many runs share a statement, and each is
 * fenced by its run's owner and epoch inside that statement.
 */
export class EventLog {
  readonly #options: EventLogOptions;
  readonly #commits: GroupCommit<Append, Appended>;
  readonly #closing = new AbortController();
  readonly #texts: StoredTexts;

  constructor(options: EventLogOptions) {
    this.#options = options;
    this.#texts = new StoredTexts(options.clock);
    this.#commits = new GroupCommit({
      name: 'the queue of events to be written',
      capacity: 100_000,
      // One at a time: what comes meanwhile shares the next. With two, a crowd of 64 runs made twice as
      // many statements of half the size, and the same worker took a fifth fewer steps.
      maxInFlight: 1,
      maxItems: maxBatch,
      commit: (batch) => this.#commit(batch),
    });
  }

  /**
   * Resolves when the events are durable, or with `fenced` when another worker holds the run: then
   * nothing was written. While the database can not be reached it goes on trying until `close`.
   * Only one append of a run may be under way.
   */
  append(append: Append): Promise<Appended> {
    return this.#commits.submit(append);
  }

  /** Writes what is waiting; with `force`, gives up on a database that does not answer. */
  async close(force: boolean): Promise<void> {
    if (force) this.#closing.abort(new AppError('unavailable', 'the worker is stopping'));
    await this.#commits.drain();
  }

  async #commit(batch: readonly Append[]): Promise<readonly (Appended | Error)[]> {
    const { database, clock, log, random, worker } = this.#options;
    const { rows: outcomes, sent } = this.#outcomes(batch);
    const columns = columnsOf(worker, batch, outcomes);
    for (let attempt = 1; ; attempt += 1) {
      try {
        const rows = await database.query(appendEvents(columns));
        const held = new Map(rows.map((row) => [`${row.run_id} ${row.epoch}`, row]));
        if (held.size === batch.length) this.#texts.add(sent);
        this.#texts.forget(rows[0]?.missing ?? []);
        return batch.map((append) =>
          outcomeOf(append, held.get(`${append.runId} ${append.epoch}`), attempt > 1),
        );
      } catch (thrown) {
        const error = toAppError(thrown);
        if (error.retryable && !this.#closing.signal.aborted) {
          // Whether the lost statement was committed is unknown; writing the same rows again is harmless.
          const pauseMs = backoffMs(
            { attempts: Infinity, baseMs: 100, maxMs: 2_000 },
            Math.min(attempt, 10),
            random(),
          );
          log.warn(
            { error, pauseMs, runs: batch.length },
            'the database does not take events; trying again',
          );
          await clock.sleep(pauseMs, this.#closing.signal);
          continue;
        }
        if (error.retryable) throw error;
        const [only] = batch;
        if (batch.length === 1 && only !== undefined) return this.#withoutOutcomes(only, error);
        // One run's events may be what the database refuses: the others must not suffer for it.
        return this.#isolate(batch);
      }
    }
  }

  #outcomes(batch: readonly Append[]): ReturnType<typeof outcomeRows> {
    const outcomes = batch.flatMap(({ epoch, outcomes: own = [] }) =>
      own.map((outcome) => ({ outcome, epoch })),
    );
    return outcomeRows(outcomes, this.#texts);
  }

  /** What learning would like to know must not end a run: without it, its events may be fine. */
  async #withoutOutcomes(append: Append, error: AppError): Promise<readonly (Appended | Error)[]> {
    const { outcomes, ...events } = append;
    if (outcomes === undefined) throw error;
    const results = await this.#commit([events]);
    const attempts = outcomes.map(({ attemptId }) => attemptId);
    this.#options.log.error({ error, attempts }, 'what came of attempts was not recorded');
    return results;
  }

  async #isolate(batch: readonly Append[]): Promise<readonly (Appended | Error)[]> {
    const results: (Appended | Error)[] = [];
    for (const append of batch) {
      const [result] = await this.#commit([append]).catch((error: unknown) => [toAppError(error)]);
      results.push(result ?? new AppError('internal', 'a commit gave no result'));
    }
    return results;
  }
}

function outcomeOf(
  append: Append,
  held: { readonly appended: number; readonly at: Date | null } | undefined,
  repeated: boolean,
): Appended | Error {
  if (held === undefined) return 'fenced';
  const { appended, at } = held;
  if (appended === append.events.length || (repeated && appended === 0)) return { at };
  return new AppError(
    'run_corrupt',
    `run ${append.runId} already has events that its owner did not write`,
    {
      details: { runId: append.runId, first: append.events[0]?.seq },
    },
  );
}

function columnsOf(
  worker: string,
  batch: readonly Append[],
  outcomes: string | null,
): AppendColumns {
  const rows = batch.flatMap(rowsOf);
  const signals = batch.flatMap(({ runId, signalIds = [] }) =>
    signalIds.map((id) => ({ runId, id })),
  );
  return {
    worker,
    runIds: batch.map(({ runId }) => runId).join(','),
    epochs: batch.map(({ epoch }) => epoch).join(','),
    changes: batch.map(({ row }) => (row === undefined ? '' : JSON.stringify(row))).join('\n'),
    rowRunIds: rows.map(({ runId }) => runId).join(','),
    rowEpochs: rows.map(({ epoch }) => epoch).join(','),
    seqs: rows.map(({ seq }) => seq).join(','),
    eventCounts: rows.map(({ bodies }) => bodies.length).join(','),
    bodies: rows.map(({ bodies }) => JSON.stringify(bodies)).join('\n'),
    signalRunIds: signals.map(({ runId }) => runId),
    signalIds: signals.map(({ id }) => id),
    outcomes,
  };
}

/** One row a turn, unless it holds more events than a row may. */
function rowsOf({ runId, epoch, events }: Append): {
  runId: string;
  epoch: bigint;
  seq: number;
  bodies: readonly EventBody[];
}[] {
  const rows = [];
  for (let first = 0; first < events.length; first += maxEventsInRow) {
    const own = events.slice(first, first + maxEventsInRow);
    rows.push({ runId, epoch, seq: own[0]?.seq ?? 0, bodies: own.map(({ body }) => body) });
  }
  return rows;
}
