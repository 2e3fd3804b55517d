import { AppError, expand, newId } from '../base/base.ts';
import { runAttempt } from './attempt.ts';
import { Alarm } from './alarm.ts';
import { Choices } from './choices.ts';
import { decide } from './decide.ts';
import type { Decision, Expressions, Start } from './walk.ts';
import type { Amounts, WorkflowDefinition } from './definition.ts';
import type { Append } from './event-log.ts';
import type { EventBody } from './events.ts';
import { RunOutcomes } from './outcomes.ts';
import { never, type ClaimedRow, type SignalRow } from './queries.ts';
import { templateOf } from './shape.ts';
import { budgetOf } from './run-budget.ts';
import { outputScope, scopeOf } from './scope.ts';
import { endedRow, rowChange, whyParked } from './row-change.ts';
import type { ClaimedRun, DriverContext, DriverEnd } from './driver-types.ts';
import type { Ended } from './run-feed.ts';
import { comesTooLate, leftByOthers } from './takeover.ts';
import { detailView } from './views.ts';
import { answerTo } from './signals.ts';
import { applyEvent } from './projection.ts';
import { isOver, newRunState, runEnded, type RunState } from './state.ts';
import { undoEffects } from './undo.ts';

interface Attempt {
  readonly controller: AbortController;
  readonly done: Promise<void>;
}

/** A start that was written down. */
interface Begun extends Start {
  readonly attempt: number;
  readonly attemptId: string;
}

type Release = Extract<EventBody, { type: 'run.released' }>;

/** A task's progress is written at most so often: the log is for facts, not for every line. */
const progressIntervalMs = 2_000;
const progressLength = 200;
/** Counts of tasks are projected into the run's row at most so often while nothing else changes there. */
const countsIntervalMs = 1_000;
/** A run that has nothing to do for longer than this is parked: it costs no memory and no worker. */
const parkAfterMs = 5_000;

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
  readonly #row: ClaimedRow;
  readonly #agents: ClaimedRun['agents'];
  readonly #claimedMonotonicMs: number;
  readonly #state: RunState;
  readonly #expressions: Expressions;
  readonly #choices: Choices;
  readonly #outcomes: RunOutcomes;
  readonly #attempts = new Map<string, Attempt>();
  readonly #signalIds = new Set<string>();
  readonly #lastProgressMs = new Map<string, number>();
  #inbox: EventBody[] = [];
  #answered: string[] = [];
  #turn: { seq: number; body: EventBody }[] = [];
  /** Who waits for what is told to be durable, by turn. */
  #told: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  #countsAtMs = 0;
  readonly #alarm: Alarm;
  #letGo: 'no' | 'when-idle' | 'now' = 'no';
  /** Nothing fits into the budget: only an answer helps. */
  #isBroke = false;
  #isFenced = false;
  readonly #undoing = new AbortController();

  /** Throws `run_corrupt` when the run's events contradict each other. */
  constructor(context: DriverContext, claimed: ClaimedRun) {
    this.runId = claimed.row.run_id;
    this.#context = context;
    this.#alarm = new Alarm(context.clock);
    this.#definition = claimed.definition;
    this.#epoch = claimed.row.epoch;
    this.#row = claimed.row;
    this.#agents = claimed.agents;
    this.#claimedMonotonicMs = claimed.claimedMonotonicMs;
    this.#state = newRunState(claimed.definition);
    this.#choices = new Choices(context, this.#state);
    const { home } = context;
    const source = { home, runId: this.runId, definition: claimed.definition, state: this.#state };
    this.#outcomes = new RunOutcomes({ ...source, clock: context.clock });
    this.#expressions = {
      of: (value, path) => expand(value, scopeOf(source, path)),
      outputOf: (value, group) => expand(value, outputScope(source, group)),
    };
    for (const event of claimed.events) applyEvent(this.#state, event, Date.parse(event.at));
    for (const signal of claimed.signals) this.signal(signal);
    this.#open(claimed.row.status === 'recovering');
  }

  /** Tells the run what somebody asked of it; a request that is known already is ignored. */
  signal(signal: SignalRow): void {
    if (this.#signalIds.has(signal.signal_id)) return;
    this.#signalIds.add(signal.signal_id);
    this.#answered.push(signal.signal_id);
    const { events, now, problem } = answerTo(signal, this.#state);
    if (events.length === 0) {
      const { runId } = this;
      const said = { runId, kind: signal.kind, ...(problem === undefined ? {} : { problem }) };
      this.#context.log.info(said, 'a request that does not fit the run is taken away');
    }
    for (const body of events) {
      if (now) this.#record(body);
      else this.#tell(body);
    }
    this.#alarm.rouse();
  }

  /** Gives the run back: when its attempts have ended, or at once by stopping them. */
  letGo(when: 'when-idle' | 'now'): void {
    this.#letGo = when;
    if (when === 'now') this.#stopAttempts(new AppError('cancelled', stopping));
    this.#alarm.rouse();
  }

  /** The run was taken under another epoch: stops what is under way here and writes nothing more. */
  fence(): void {
    this.#isFenced = true;
    this.#stopAttempts(
      new AppError('fenced', `run ${this.runId} was taken over by another worker`),
    );
    this.#alarm.rouse();
  }

  /** Drives the run until it has ended, was given back, or was lost. */
  async drive(): Promise<DriverEnd> {
    try {
      for (;;) {
        if (this.#isFenced) return 'fenced';
        this.#gather();
        const decision = this.#decide();
        const starting = this.#recordStarts(decision);
        const release = this.#releaseFor(decision, starting.length);
        if (release !== undefined) this.#record(release);
        if ((await this.#write(release, starting.length)) === 'fenced') return 'fenced';
        if (isOver(this.#state)) return 'ended';
        if (release !== undefined) return release.reason === stopping ? 'released' : 'parked';
        if (runEnded(this.#state.status)) {
          if ((await this.#undo()) === 'fenced') return 'fenced';
          continue;
        }
        // Only what is durable is acted on.
        this.#stop(decision.stop);
        for (const start of starting) this.#start(start);
        const wakeAtMs = Math.min(decision.dueAtMs ?? Infinity, decision.limitAtMs);
        await this.#alarm.sleep(wakeAtMs - this.#now());
      }
    } finally {
      this.#isFenced = true;
      this.#context.slots.forget(this);
      if (this.#attempts.size > 0) this.#stopAttempts(undriven());
      for (const each of this.#told.splice(0)) each.reject(undriven());
      await Promise.allSettled([...this.#attempts.values()].map(({ done }) => done));
    }
  }

  /** First facts of this lease: whose it is, and which attempts died with the worker before. */
  #open(takeover: boolean): void {
    if (isOver(this.#state)) {
      throw new AppError(
        'run_corrupt',
        `run ${this.runId} is open but its events say ${this.#state.status}`,
      );
    }
    this.#record({ type: 'run.claimed', worker: this.#context.worker, takeover });
    for (const fact of leftByOthers(this.#state)) this.#record(fact);
  }

  /** By the database's clock at the claim, and monotonic since: the worker's own may jump. */
  #now(): number {
    const { claimed_at: claimedAt } = this.#row;
    return claimedAt.getTime() + this.#context.clock.monotonicMs() - this.#claimedMonotonicMs;
  }

  #tell(body: EventBody): void {
    this.#inbox.push(body);
    this.#alarm.rouse();
  }

  /** Tells a fact and waits until it is durable. Rejects when it never will be. */
  #tellDurably(body: EventBody): Promise<void> {
    // Nobody would write it any more, and who waits would wait for ever.
    if (this.#isFenced) return Promise.reject(undriven());
    return new Promise((resolve, reject) => {
      this.#told.push({ resolve, reject });
      this.#tell(body);
    });
  }

  #record(body: EventBody): void {
    const event = { seq: this.#state.lastSeq + 1, body };
    const nowMs = this.#now();
    this.#outcomes.observe(body, nowMs);
    applyEvent(this.#state, event, nowMs);
    this.#turn.push(event);
  }

  /** Turns what has happened since the last turn into events. */
  #gather(): void {
    this.#alarm.reset();
    const inbox = this.#inbox;
    this.#inbox = [];
    for (const body of inbox) {
      if (!comesTooLate(this.#state, body)) this.#record(body);
    }
  }

  /** Records what follows from the state by itself, until nothing more does. */
  #decide(): Decision {
    const stop = new Map<string, string>();
    for (;;) {
      const decision = decide(this.#definition, this.#state, this.#now(), this.#expressions);
      if (runEnded(this.#state.status)) return decision;
      for (const [path, why] of decision.stop) stop.set(path, why);
      for (const fact of decision.facts) this.#record(fact);
      if (decision.facts.length > 0) continue;
      if (decision.end !== undefined) this.#recordEnd(decision.end);
      return { ...decision, stop };
    }
  }

  #recordEnd(end: NonNullable<Decision['end']>): void {
    const verdict = 'verdict' in end && end.verdict !== undefined ? { verdict: end.verdict } : {};
    if (end.outcome === 'failed')
      this.#record({ type: 'run.failed', error: end.error, ...verdict });
    else if (end.outcome === 'cancelled') {
      this.#record({ type: 'run.cancelled', reason: end.reason });
    } else this.#record({ type: 'run.completed', output: end.output, ...verdict });
  }

  /** Takes places and sets aside what the attempts may use; what does not fit waits or is asked for. */
  #recordStarts({ start }: Decision): Begun[] {
    const state = this.#state;
    if (this.#letGo !== 'no' || state.paused || runEnded(state.status) || start.length === 0)
      return [];
    const budget = budgetOf(this.#definition, state, this.#agents);
    const fitting: (Start & { reserved?: Amounts })[] = [];
    for (const each of start) {
      const reserved = budget.reserve(each.task);
      if (reserved === 'too-much') break;
      fitting.push({ ...each, ...(reserved === undefined ? {} : { reserved }) });
    }
    this.#isBroke = fitting.length === 0 && state.running.size === 0;
    if (this.#isBroke) {
      for (const fact of budget.exhausted(start[0]?.task)) this.#tell(fact);
      return [];
    }
    const places = this.#context.slots.take(fitting.length, {
      key: this,
      priority: this.#row.priority,
      wake: () => this.#alarm.rouse(),
    });
    return fitting.slice(0, places).map((each) => {
      const { path, reserved } = each;
      const attempt = (state.tasks.get(path)?.attempts ?? 0) + 1;
      const attemptId = newId(this.#context.clock);
      this.#record({
        type: 'attempt.started',
        task: path,
        attempt,
        attemptId,
        ...(reserved === undefined ? {} : { reserved }),
      });
      return { ...each, attempt, attemptId };
    });
  }

  /** Whether the run is given back with this turn, and until when it needs nobody. */
  #releaseFor(decision: Decision, starting: number): Release | undefined {
    const state = this.#state;
    const isIdle = this.#attempts.size === 0 && starting === 0 && this.#inbox.length === 0;
    if (!isIdle || isOver(this.#state)) return undefined;
    if (this.#letGo !== 'no') return { type: 'run.released', reason: stopping };
    if (runEnded(state.status)) return undefined;
    // What waits for a place, or was just asked, is looked at again first.
    const couldStart = decision.start.length > 0 && !state.paused && !this.#isBroke;
    if (this.#alarm.isAwake || couldStart) return undefined;
    const dueAtMs = state.paused ? undefined : decision.dueAtMs;
    if (dueAtMs !== undefined && dueAtMs - this.#now() <= parkAfterMs) return undefined;
    const reason = whyParked(state);
    const until = dueAtMs === undefined ? never : new Date(Math.ceil(dueAtMs)).toISOString();
    return { type: 'run.released', reason, until };
  }

  /** Makes the turn's events durable; nothing is acted on before. */
  async #write(release: Release | undefined, places: number): Promise<'appended' | 'fenced'> {
    const events = this.#turn;
    if (events.length === 0 && this.#answered.length === 0) return 'appended';
    const signalIds = this.#answered;
    const outcomes = this.#outcomes.take();
    const told = this.#told.splice(0);
    this.#turn = [];
    this.#answered = [];
    const settle = (isWritten: boolean): void => {
      // Attempts whose start was not written do not start, so their places are free again.
      if (!isWritten) this.#context.slots.release(places);
      for (const each of told) {
        if (isWritten) each.resolve();
        else each.reject(new AppError('fenced', `run ${this.runId} was lost`));
      }
    };
    try {
      const outcome = await this.#context.eventLog.append({
        runId: this.runId,
        epoch: this.#epoch,
        events,
        ...this.#projection(events, release),
        ...(signalIds.length === 0 ? {} : { signalIds }),
        ...(outcomes.length === 0 ? {} : { outcomes }),
      });
      settle(outcome !== 'fenced');
      if (outcome === 'fenced') return 'fenced';
      this.#context.publish(this.runId, this.#endedAt(outcome.at));
      return 'appended';
    } catch (error) {
      settle(false);
      throw error;
    }
  }

  /** The run as it ended, for who waits for it. */
  #endedAt(at: Date | null): Ended | undefined {
    if (!isOver(this.#state)) return undefined;
    const row = endedRow(this.#row, this.#state, at);
    return () => detailView(row, this.#definition, this.#state);
  }

  /** What of the events shows in the run's row. */
  #projection(
    events: readonly { body: EventBody }[],
    release: Release | undefined,
  ): Pick<Append, 'row'> {
    const isDue = this.#now() - this.#countsAtMs >= countsIntervalMs;
    const row = rowChange(this.#state, events, { release, withCounts: isDue });
    if (row === undefined) return {};
    this.#countsAtMs = this.#now();
    return { row };
  }

  #start(start: Begun): void {
    const controller = new AbortController();
    const done = this.#carryOut(start, controller.signal);
    this.#attempts.set(start.path, { controller, done });
    // Asked to let go while the start was being written: the attempt ends as it began.
    if (this.#letGo === 'now')
      controller.abort(new AppError('cancelled', 'the worker is stopping'));
  }

  async #carryOut(
    { path, task, extra, attempt, attemptId }: Begun,
    signal: AbortSignal,
  ): Promise<void> {
    const body = await runAttempt({
      context: this.#context,
      runId: this.runId,
      priority: this.#row.priority,
      definition: this.#definition,
      state: this.#state,
      path,
      task,
      extra,
      choices: this.#choices,
      attempt,
      attemptId,
      signal,
      isLettingGo: () => this.#letGo !== 'no',
      nowMs: () => this.#now(),
      onProgress: (text) => this.#progress(path, text),
      about: (input) => this.#outcomes.about(path, task, input),
      record: (fact) => this.#tellDurably(fact),
    });
    this.#attempts.delete(path);
    this.#context.slots.release();
    this.#tell(body);
  }

  #progress(task: string, text: string): void {
    // What a voter says while it votes would give its vote away.
    if (this.#state.shape.nodes.get(templateOf(task))?.blind === true) return;
    const nowMs = this.#now();
    if (nowMs - (this.#lastProgressMs.get(task) ?? -Infinity) < progressIntervalMs) return;
    this.#lastProgressMs.set(task, nowMs);
    this.#tell({ type: 'attempt.progress', task, text: text.slice(0, progressLength) });
  }

  #stop(paths: Decision['stop']): void {
    for (const [path, why] of paths) {
      this.#attempts.get(path)?.controller.abort(new AppError('cancelled', why));
    }
  }

  #stopAttempts(reason: AppError): void {
    this.#undoing.abort(reason);
    for (const { controller } of this.#attempts.values()) controller.abort(reason);
  }

  /** Undoes what the run did. What is left when the worker stops is undone by the next one. */
  async #undo(): Promise<'over' | 'fenced'> {
    try {
      const outcome = await undoEffects({
        context: this.#context,
        runId: this.runId,
        definition: this.#definition,
        state: this.#state,
        signal: this.#undoing.signal,
        record: async (body) => {
          this.#record(body);
          if ((await this.#write(undefined, 0)) === 'appended') return;
          throw new AppError('fenced', `run ${this.runId} was lost`);
        },
      });
      this.#record({ type: 'run.undone', outcome });
    } catch (error) {
      if (error instanceof AppError && error.code === 'fenced') return 'fenced';
      if (this.#letGo !== 'now') throw error;
    }
    return 'over';
  }
}

const stopping = 'the worker is stopping';

function undriven(): AppError {
  return new AppError('fenced', 'the run is no longer driven here');
}
