import { AppError, errorRecord, expand, newId } from '../base/base.ts';
import { runAttempt, scopeOf, type AttemptContext } from './attempt.ts';
import { decide, type Decision } from './decide.ts';
import type { Append, EventLog } from './event-log.ts';
import { ancestorsOf } from './graph.ts';
import type { RunRow, SignalRow } from './queries.ts';
import type { Slots } from './slots.ts';
import { applyEvent, countTasks, newRunState, runEnded, type RunState } from './state.ts';
import type { EventBody, RunEvent, RunStatus, TaskSpec, WorkflowDefinition } from './types.ts';

/** What a driver stands on; the same for all runs of a worker. */
export interface DriverContext extends AttemptContext {
  readonly worker: string;
  readonly eventLog: EventLog;
  readonly slots: Slots;
  /** Called when events have become durable, and whether the run has ended with them. */
  readonly publish: (runId: string, ended: boolean) => void;
}

export interface ClaimedRun {
  readonly row: RunRow;
  readonly definition: WorkflowDefinition;
  readonly events: readonly RunEvent[];
  readonly signals: readonly SignalRow[];
}

/** How a driver let go of its run. */
export type DriverEnd = 'ended' | 'released' | 'fenced';

interface Attempt {
  readonly controller: AbortController;
  readonly done: Promise<void>;
}

/** After so many attempts whose worker died, the task itself is taken for the cause. */
const maxAbandoned = 5;
/** A task's progress is written at most so often: the log is for facts, not for every line. */
const progressIntervalMs = 2_000;
const progressLength = 200;
/** Counts of tasks are projected into the run's row at most so often while nothing else changes there. */
const countsIntervalMs = 1_000;

/**
 * Advances one run that its worker holds, in turns: gather what has happened, decide, append all of
 * it in one write, and only then act on it. What happens next while a write is under way waits for
 * the next turn, so a serial task costs one write.
 */
export class RunDriver {
  readonly runId: string;
  readonly #context: DriverContext;
  readonly #definition: WorkflowDefinition;
  readonly #epoch: bigint;
  readonly #priority: number;
  readonly #state: RunState;
  readonly #ancestors: Map<string, ReadonlySet<string>>;
  readonly #attempts = new Map<string, Attempt>();
  readonly #signalIds = new Set<string>();
  readonly #lastProgressMs = new Map<string, number>();
  #inbox: EventBody[] = [];
  #answered: string[] = [];
  #turn: { seq: number; body: EventBody }[] = [];
  #countsAtMs = 0;
  #wake: (() => void) | undefined;
  #awake = false;
  #letGo: 'no' | 'when-idle' | 'now' = 'no';

  /** Throws `run_corrupt` when the run's events contradict each other. */
  constructor(context: DriverContext, claimed: ClaimedRun) {
    this.runId = claimed.row.run_id;
    this.#context = context;
    this.#definition = claimed.definition;
    this.#epoch = claimed.row.epoch;
    this.#priority = claimed.row.priority;
    this.#ancestors = ancestorsOf(claimed.definition.tasks);
    this.#state = newRunState(claimed.definition);
    for (const event of claimed.events) applyEvent(this.#state, event, Date.parse(event.at));
    for (const signal of claimed.signals) this.signal(signal);
    this.#open(claimed.row.status === 'recovering');
  }

  /** Attempts under way now. */
  get running(): number {
    return this.#attempts.size;
  }

  /** Tells the run what somebody asked of it; a request that is known already is ignored. */
  signal(signal: SignalRow): void {
    if (this.#signalIds.has(signal.signal_id)) return;
    this.#signalIds.add(signal.signal_id);
    this.#answered.push(signal.signal_id);
    if (signal.kind === 'cancel' && !runEnded(this.#state.status)) {
      const reason = signal.body.reason ?? 'no reason given';
      this.#tell({ type: 'run.cancel_requested', reason, signalId: signal.signal_id });
    } else if (signal.kind === 'retry' && runEnded(this.#state.status)) {
      const tasks = [...this.#state.tasks.values()].filter(({ status }) => status !== 'completed');
      this.#record({
        type: 'run.retried',
        tasks: tasks.map(({ id }) => id),
        signalId: signal.signal_id,
      });
    }
    this.#rouse();
  }

  /** Gives the run back: when its attempts have ended, or at once by stopping them. */
  letGo(when: 'when-idle' | 'now'): void {
    this.#letGo = when;
    if (when === 'now') this.#stopAttempts(new AppError('cancelled', 'the worker is stopping'));
    this.#rouse();
  }

  /** Another worker holds the run: stops what is under way here; nothing of it will be written. */
  fence(): void {
    this.#stopAttempts(
      new AppError('fenced', `run ${this.runId} was taken over by another worker`),
    );
  }

  /** Drives the run until it has ended, was given back, or was lost. */
  async drive(): Promise<DriverEnd> {
    try {
      for (;;) {
        this.#gather();
        const decision = decide(this.#definition, this.#state, this.#now());
        const starting = this.#recordDecision(decision);
        const releasing = this.#isReleasing();
        if (releasing && !runEnded(this.#state.status)) {
          this.#record({ type: 'run.released', reason: 'the worker is stopping' });
        }
        if ((await this.#write(releasing, starting.length)) === 'fenced') return 'fenced';
        if (runEnded(this.#state.status)) return 'ended';
        if (releasing) return 'released';
        if (decision.stopRunning !== undefined)
          this.#stopAttempts(stopReason(decision.stopRunning));
        for (const { task, attempt, attemptId } of starting) this.#start(task, attempt, attemptId);
        await this.#sleepUntil(decision.wakeAtMs);
      }
    } finally {
      this.#context.slots.forget(this);
      this.#stopAttempts(new AppError('cancelled', 'the run is no longer driven here'));
      await Promise.allSettled([...this.#attempts.values()].map(({ done }) => done));
    }
  }

  /** First facts of this lease: whose it is, and which attempts died with the worker before. */
  #open(takeover: boolean): void {
    if (runEnded(this.#state.status)) {
      throw new AppError(
        'run_corrupt',
        `run ${this.runId} is open but its events say ${this.#state.status}`,
      );
    }
    this.#record({ type: 'run.claimed', worker: this.#context.worker, takeover });
    for (const task of this.#state.tasks.values()) {
      if (task.status !== 'running') continue;
      if (task.abandoned + 1 >= maxAbandoned) {
        const message = `the worker died ${maxAbandoned} times during this task`;
        const error = errorRecord(new AppError('agent_crashed', message, { retryable: false }));
        this.#record({ type: 'attempt.failed', task: task.id, attempt: task.attempts, error });
      } else {
        const reason = 'the worker that ran it is gone';
        this.#record({ type: 'attempt.abandoned', task: task.id, attempt: task.attempts, reason });
      }
    }
  }

  #now(): number {
    return this.#context.clock.nowMs();
  }

  #tell(body: EventBody): void {
    this.#inbox.push(body);
    this.#rouse();
  }

  #rouse(): void {
    this.#awake = true;
    this.#wake?.();
  }

  #record(body: EventBody): void {
    const event = { seq: this.#state.lastSeq + 1, body };
    applyEvent(this.#state, event, this.#now());
    this.#turn.push(event);
  }

  /** Turns what has happened since the last turn into events. */
  #gather(): void {
    this.#awake = false;
    const inbox = this.#inbox;
    this.#inbox = [];
    for (const body of inbox) {
      if ('task' in body && this.#state.tasks.get(body.task)?.status !== 'running') continue;
      this.#record(body);
    }
  }

  #recordDecision(decision: Decision): { task: TaskSpec; attempt: number; attemptId: string }[] {
    const { stopRunning, end } = decision;
    if (stopRunning?.outcome === 'failed' && this.#state.stopError === undefined) {
      this.#record({ type: 'run.stopping', error: stopRunning.error });
    }
    for (const { task, reason } of decision.skip)
      this.#record({ type: 'task.skipped', task, reason });
    if (end !== undefined) {
      this.#recordEnd(end);
      return [];
    }
    if (this.#letGo !== 'no') return [];
    const places = this.#context.slots.take(decision.start.length, {
      key: this,
      priority: this.#priority,
      wake: () => this.#rouse(),
    });
    return decision.start.slice(0, places).map((task) => {
      const attempt = (this.#state.tasks.get(task.id)?.attempts ?? 0) + 1;
      const attemptId = newId(this.#context.clock);
      this.#record({ type: 'attempt.started', task: task.id, attempt, attemptId });
      return { task, attempt, attemptId };
    });
  }

  #recordEnd(end: NonNullable<Decision['end']>): void {
    if (end.outcome === 'failed') this.#record({ type: 'run.failed', error: end.error });
    else if (end.outcome === 'cancelled')
      this.#record({ type: 'run.cancelled', reason: end.reason });
    else {
      try {
        this.#record({ type: 'run.completed', output: this.#output() });
      } catch (thrown) {
        const error = errorRecord(thrown);
        this.#record({
          type: 'run.failed',
          error: { ...error, message: `output: ${error.message}` },
        });
      }
    }
  }

  #output(): unknown {
    const all = new Set(this.#state.tasks.keys());
    if (this.#definition.output !== undefined) {
      return expand(
        this.#definition.output,
        scopeOf(this.#context.home, this.runId, this.#definition, this.#state, all),
      );
    }
    const tasks = [...this.#state.tasks.values()].filter(({ status }) => status === 'completed');
    return Object.fromEntries(tasks.map(({ id, output }) => [id, output]));
  }

  #isReleasing(): boolean {
    return this.#letGo !== 'no' && this.#attempts.size === 0;
  }

  /** Makes the turn's events durable; nothing is acted on before. */
  async #write(release: boolean, places: number): Promise<'appended' | 'fenced'> {
    const events = this.#turn;
    if (events.length === 0 && this.#answered.length === 0) return 'appended';
    const signalIds = this.#answered;
    this.#turn = [];
    this.#answered = [];
    let outcome: 'appended' | 'fenced' | 'refused' = 'refused';
    try {
      outcome = await this.#context.eventLog.append({
        runId: this.runId,
        epoch: this.#epoch,
        events,
        ...this.#projection(events),
        ...(release ? { release } : {}),
        ...(signalIds.length === 0 ? {} : { signalIds }),
      });
    } finally {
      // Attempts whose start was not written do not start, so their places are free again.
      if (outcome !== 'appended') this.#context.slots.release(places);
    }
    if (outcome === 'appended') this.#context.publish(this.runId, runEnded(this.#state.status));
    return outcome;
  }

  /** What of the events shows in the run's row. */
  #projection(events: readonly { body: EventBody }[]): Pick<Append, 'status' | 'counts' | 'error'> {
    const changesStatus = events.some(({ body }) => statusChanges.has(body.type));
    const nowMs = this.#now();
    if (!changesStatus && nowMs - this.#countsAtMs < countsIntervalMs) return {};
    this.#countsAtMs = nowMs;
    return {
      counts: countTasks(this.#state),
      ...(changesStatus ? { status: this.#state.status satisfies RunStatus } : {}),
      ...(this.#state.error === undefined ? {} : { error: this.#state.error }),
    };
  }

  #start(task: TaskSpec, attempt: number, attemptId: string): void {
    const controller = new AbortController();
    const done = this.#carryOut(task, attempt, attemptId, controller.signal);
    this.#attempts.set(task.id, { controller, done });
    // Asked to let go while the start was being written: the attempt ends as it began.
    if (this.#letGo === 'now')
      controller.abort(new AppError('cancelled', 'the worker is stopping'));
  }

  async #carryOut(
    task: TaskSpec,
    attempt: number,
    attemptId: string,
    signal: AbortSignal,
  ): Promise<void> {
    const body = await runAttempt({
      context: this.#context,
      runId: this.runId,
      definition: this.#definition,
      state: this.#state,
      ancestors: this.#ancestors.get(task.id) ?? new Set(),
      task,
      attempt,
      attemptId,
      signal,
      isLettingGo: () => this.#letGo !== 'no',
      onProgress: (text) => this.#progress(task.id, text),
    });
    this.#attempts.delete(task.id);
    this.#context.slots.release();
    this.#tell(body);
  }

  #progress(task: string, text: string): void {
    const nowMs = this.#now();
    if (nowMs - (this.#lastProgressMs.get(task) ?? -Infinity) < progressIntervalMs) return;
    this.#lastProgressMs.set(task, nowMs);
    this.#tell({ type: 'attempt.progress', task, text: text.slice(0, progressLength) });
  }

  #stopAttempts(reason: AppError): void {
    for (const { controller } of this.#attempts.values()) controller.abort(reason);
  }

  /** Sleeps until something happens or the time comes. */
  #sleepUntil(wakeAtMs: number | undefined): Promise<void> {
    if (this.#awake) return Promise.resolve();
    return new Promise((resolve) => {
      const waitMs = Math.min(Math.max(0, (wakeAtMs ?? Infinity) - this.#now()), maxTimerMs);
      const cancel = this.#context.clock.after(waitMs, resolve);
      this.#wake = () => {
        this.#wake = undefined;
        cancel();
        resolve();
      };
    });
  }
}

/** Node's timers overflow beyond 2^31 − 1 ms; a longer wait is taken in pieces. */
const maxTimerMs = 2_000_000_000;

const statusChanges: ReadonlySet<EventBody['type']> = new Set([
  'run.claimed',
  'run.released',
  'run.retried',
  'run.completed',
  'run.failed',
  'run.cancelled',
]);

function stopReason(end: NonNullable<Decision['stopRunning']>): AppError {
  if (end.outcome === 'failed')
    return new AppError('cancelled', `the run failed: ${end.error.message}`);
  return new AppError('cancelled', end.outcome === 'cancelled' ? end.reason : 'the run has ended');
}
