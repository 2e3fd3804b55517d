/** Starts the runs of schedules at their times: once each, however many processes do it. */
import { errorRecord, toAppError, type ErrorRecord } from '../base/base.ts';
import type { Queryable, Subscription } from '../database/database.ts';
import { runOfKey } from './queries.ts';
import { decideFires, type FireDecision } from './schedule-fires.ts';
import * as queries from './schedule-queries.ts';
import type { ClaimedFire, NewFire, ScheduleRow } from './schedule-queries.ts';
import type { SchedulesOptions } from './schedule-types.ts';
import { timingOf } from './schedule-views.ts';

/** A clock that was moved is noticed within that; otherwise there is a notification, or a time is due. */
const pollMs = 30_000;
const pauseAfterFailureMs = 1_000;
/** Far longer than a start takes; a process that died leaves its fires to others after that. */
export const leaseMs = 30_000;
const dueAtOnce = 20;
const startsAtOnce = 20;
const mostFailedTries = 8;
const longestPauseMs = 60_000;
/** How often it looks whether the run that it cancelled has ended. */
const cancelPauseMs = 500;
const keptFires = 1_000;

/**
 * Two steps. In one transaction the times that have come are written down and the schedule moves on;
 * then each is started under an idempotency key of schedule and time. Whoever dies between the two, or
 * after the start and before it is written down, leaves a row that another process takes up: the key
 * gives it the same run.
 */
export class ScheduleTicker {
  readonly #options: SchedulesOptions;
  readonly #stopping = new AbortController();
  #subscription: Subscription | undefined;
  #loop: Promise<void> = Promise.resolve();
  #wake: (() => void) | undefined;
  #isCalled = false;

  constructor(options: SchedulesOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { database } = this.#options;
    const call = (): void => this.#call();
    this.#subscription = await database.listen(queries.schedulesChannel, call, call);
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake?.();
    await this.#subscription?.close();
    await this.#loop;
  }

  /** Does all that is due now. */
  async tick(): Promise<void> {
    while ((await this.#decideDue()) === dueAtOnce && !this.#stopping.signal.aborted);
    while ((await this.#startPending()) === startsAtOnce && !this.#stopping.signal.aborted);
  }

  async #run(): Promise<void> {
    const { database, log } = this.#options;
    while (!this.#stopping.signal.aborted) {
      this.#isCalled = false;
      let waitMs = pauseAfterFailureMs;
      try {
        const [due] = await database.query(queries.untilDue());
        waitMs = Math.min(pollMs, Math.max(0, Math.ceil(due?.ms ?? pollMs)));
        if (waitMs === 0) await this.tick();
      } catch (error) {
        log.warn({ error: toAppError(error) }, 'schedules were not looked at; trying again');
      }
      if (!this.#isCalled && waitMs > 0) await this.#idle(waitMs);
    }
  }

  #call(): void {
    this.#isCalled = true;
    this.#wake?.();
  }

  #idle(ms: number): Promise<void> {
    if (this.#stopping.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(ms, resolve);
      this.#wake = () => {
        this.#wake = undefined;
        cancel();
        resolve();
      };
    });
  }

  /** Writes down what has come of some schedules; gives how many were due. */
  async #decideDue(): Promise<number> {
    return this.#options.database.transaction(async (transaction) => {
      const due = await transaction.query(queries.lockDue(dueAtOnce));
      for (const row of due) await this.#decide(transaction, row);
      return due.length;
    });
  }

  async #decide(transaction: Queryable, row: ScheduleRow & { now: Date }): Promise<void> {
    const { schedule_id: id } = row;
    const open = row.overlap === 'skip' ? await transaction.query(queries.openFires(id)) : [];
    const decision = decisionOn(row, open.length > 0);
    if ('problem' in decision) {
      // An edited row, or a zone that is not known any more, must not keep the others from firing.
      const { problem } = decision;
      this.#options.log.error({ problem, schedule: row.name }, 'a schedule has no times any more');
      await transaction.query(queries.moveOn(id, null, problem));
      return;
    }
    const written = decision.fires.map(({ atMs, status, fires, reason }): NewFire => ({
      fireAt: new Date(atMs),
      byHand: false,
      status,
      fires,
      reason: reason ?? null,
      startedBy: row.created_by,
      startedById: row.created_by_id,
    }));
    const next = decision.nextMs === undefined ? null : new Date(decision.nextMs);
    await transaction.query(queries.insertFires(id, written, 0));
    await transaction.query(queries.moveOn(id, next, null));
    await transaction.query(queries.trimFires(id, keptFires));
  }

  /** Starts what was written down and not started yet; gives how many were tried. */
  async #startPending(): Promise<number> {
    const { database, log } = this.#options;
    const claimed = await database.query(queries.claimFires(startsAtOnce, leaseMs));
    const inOrder = claimed.toSorted((a, b) => a.fire_at.getTime() - b.fire_at.getTime());
    for (const fire of inOrder) {
      try {
        await this.#startOne(fire);
      } catch (error) {
        // Nothing was written about it: after its lease it is tried again.
        log.warn({ error: toAppError(error), schedule: fire.name }, 'a fire was not recorded');
      }
    }
    return claimed.length;
  }

  /** Starts a fire that was written down with its lease. */
  async startLeased(id: string, fireAt: Date): Promise<void> {
    const [fire] = await this.#options.database.query(queries.leasedFire(id, fireAt));
    if (fire !== undefined) await this.#startOne(fire);
  }

  async #startOne(fire: ClaimedFire): Promise<void> {
    const { coordination, database, mayStart, mayCall } = this.#options;
    const { schedule_id: id, fire_at: fireAt } = fire;
    if (fire.overlap === 'cancel' && (await this.#hasToWait(fire))) return;
    try {
      const why = await mayStart(fire.started_by_id, fire.workflow);
      if (why !== undefined) return await this.#refuse(fire, why);
      const run = await coordination.start({
        workflow: fire.workflow,
        input: fire.input,
        ...(fire.priority === null ? {} : { priority: fire.priority }),
        idempotencyKey: fireKey(id, fireAt),
        startedBy: fire.started_by,
        mayCall: (agent) => mayCall(fire.started_by_id, agent),
      });
      await database.query(queries.recordStarted(id, fireAt, run.id));
    } catch (thrown) {
      await this.#failed(fire, thrown);
    }
  }

  async #refuse(fire: ClaimedFire, why: string): Promise<void> {
    const message = `${fire.started_by} may not start runs of ${fire.workflow}: ${why}`;
    const error = { code: 'denied', message, retryable: false } as const;
    const { schedule_id: id, fire_at: fireAt } = fire;
    await this.#options.database.query(
      queries.recordNotStarted(id, fireAt, 'failed', message, error),
    );
  }

  async #failed(fire: ClaimedFire, thrown: unknown): Promise<void> {
    const { database, log } = this.#options;
    const { schedule_id: id, fire_at: fireAt } = fire;
    // What its key has started already counts, also when the workflow has changed since.
    const [run] = await database.query(runOfKey(fireKey(id, fireAt)));
    if (run !== undefined) {
      await database.query(queries.recordStarted(id, fireAt, run.run_id));
      return;
    }
    const error = toAppError(thrown);
    if (error.retryable && fire.failed_tries + 1 < mostFailedTries) {
      const waitMs = Math.min(longestPauseMs, 1_000 * 2 ** fire.failed_tries);
      await database.query(queries.postponeFire(id, fireAt, waitMs, true, error.message));
      return;
    }
    log.warn({ error, schedule: fire.name, fireAt }, 'a schedule could not start its run');
    const record = errorRecord(error);
    await database.query(queries.recordNotStarted(id, fireAt, 'failed', error.message, record));
  }

  /** Cancels the runs before it, and says whether it has to wait for their end or gives way itself. */
  async #hasToWait(fire: ClaimedFire): Promise<boolean> {
    const { coordination, database } = this.#options;
    const { schedule_id: id, fire_at: fireAt } = fire;
    const open = await database.query(queries.openFires(id));
    const others = open.filter((each) => each.fire_at.getTime() !== fireAt.getTime());
    if (others.some((each) => each.fire_at > fireAt)) {
      const [run] = await database.query(runOfKey(fireKey(id, fireAt)));
      await database.query(
        run === undefined
          ? queries.recordNotStarted(id, fireAt, 'skipped', 'a later time took its place', null)
          : queries.recordStarted(id, fireAt, run.run_id),
      );
      return true;
    }
    if (others.length === 0) return false;
    if (fire.may_ask) {
      for (const { run_id: runId } of others) {
        if (runId === null) continue;
        await coordination
          .cancel(runId, { reason: `the next run of schedule ${fire.name} takes its place` })
          .catch((error: unknown) => {
            if (toAppError(error).code !== 'run_finished') throw error;
          });
      }
      await database.query(queries.recordCancelAsked(id, fireAt));
    }
    const waitsFor = 'waits for the end of the run that it cancelled';
    await database.query(queries.postponeFire(id, fireAt, cancelPauseMs, false, waitsFor));
    return true;
  }
}

function decisionOn(
  row: ScheduleRow & { now: Date },
  isOpen: boolean,
): FireDecision | { readonly problem: ErrorRecord } {
  try {
    return decideFires({
      timing: timingOf(row),
      nextMs: row.next_at?.getTime() ?? row.now.getTime(),
      nowMs: row.now.getTime(),
      untilMs: row.until_at?.getTime(),
      missed: row.missed,
      overlap: row.overlap,
      isOpen,
    });
  } catch (error) {
    return { problem: errorRecord(error) };
  }
}

/** The idempotency key of a fire's run: the same whoever starts it, and however often. */
export function fireKey(scheduleId: string, fireAt: Date): string {
  return `schedule ${scheduleId} ${fireAt.toISOString()}`;
}
