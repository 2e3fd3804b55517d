/** One look at a run: what every mode of working together stands on. Pure. */
import { AppError, errorRecord, toAppError, type ErrorRecord } from '../base/base.ts';
import {
  isAgentTask,
  isApprovalTask,
  isGroupTask,
  type AgentTask,
  type Group,
  type WorkflowDefinition,
} from './definition.ts';
import type { EventBody, Verdict } from './events.ts';
import { isWithin, join, nameOf, templateOf } from './shape.ts';
import { taskEnded, type RunState, type TaskState } from './state.ts';

export interface Decision {
  /** Facts to be recorded now, after which it is decided again; empty when there are none. */
  readonly facts: readonly EventBody[];
  /** Tasks that may start now, best first, within the limits of the run and its groups. */
  readonly start: readonly Start[];
  /** Paths of attempts under way that are to be stopped, each with why. */
  readonly stop: ReadonlyMap<string, string>;
  /** How the run has ended, once nothing is under way. */
  readonly end: RunEnd | undefined;
  /** When a task will be due by time alone. */
  readonly dueAtMs: number | undefined;
  /** When the run's own limit is reached, while a worker holds it. */
  readonly limitAtMs: number;
}

export interface Start {
  readonly path: string;
  readonly task: AgentTask;
  /** What its expressions may name beyond the usual. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

export type RunEnd =
  | { readonly outcome: 'completed'; readonly output: unknown; readonly verdict?: Verdict }
  | { readonly outcome: 'failed'; readonly error: ErrorRecord; readonly verdict?: Verdict }
  | { readonly outcome: 'cancelled'; readonly reason: string };

/** How a group stands. */
export interface Standing {
  /** Set once it has a result. */
  readonly ended?: Ended;
  /** Set when it can't succeed any more, and waits for what is under way. */
  readonly failing?: ErrorRecord;
  /** Attempts under way within it. */
  readonly running: number;
}

export type Ended =
  | { readonly outcome: 'completed'; readonly output: unknown; readonly verdict?: Verdict }
  | { readonly outcome: 'failed'; readonly error: ErrorRecord; readonly verdict?: Verdict };

/** Resolves an expression of the task, or of the group's output, at a path. */
export interface Expressions {
  of(value: unknown, path: string): unknown;
  outputOf(value: unknown, group: string): unknown;
}

/** Looks at a group in the way of its mode. */
export type Look = (walk: Walk, path: string, group: Group) => Standing;

/** One look at a run, gathering what is to be done. */
export class Walk {
  readonly state: RunState;
  readonly nowMs: number;
  readonly facts: EventBody[] = [];
  readonly #expressions: Expressions;
  readonly #lookAt: Look;
  readonly #stop = new Map<string, string>();
  #starts: Start[] = [];
  #dueAtMs: number | undefined;

  constructor(state: RunState, nowMs: number, expressions: Expressions, look: Look) {
    this.state = state;
    this.nowMs = nowMs;
    this.#expressions = expressions;
    this.#lookAt = look;
  }

  decision(end: RunEnd | undefined, limitAtMs: number): Decision {
    const facts = this.facts.map((fact) => this.#blinded(fact));
    return {
      facts,
      start: facts.length > 0 || end !== undefined ? [] : this.#starts,
      stop: this.#stop,
      end: facts.length > 0 ? undefined : end,
      dueAtMs: this.#dueAtMs,
      limitAtMs,
    };
  }

  /** What a group within a vote comes to is a vote: marked, so that no log shows it before all are in. */
  #blinded(fact: EventBody): EventBody {
    if (fact.type !== 'task.ended') return fact;
    const isBlind = this.state.shape.nodes.get(templateOf(fact.task))?.blind === true;
    return isBlind ? { ...fact, blind: true } : fact;
  }

  /** Ends a run that can not go on: skips what is open, stops what runs, and waits for it. */
  closing(end: RunEnd, limitAtMs: number): Decision {
    const why = end.outcome === 'cancelled' ? 'the run was cancelled' : 'the run failed';
    this.#starts = [];
    for (const path of this.state.running.keys()) this.#stop.set(path, whyStopped(end));
    for (const task of this.state.tasks.values()) this.#closeTask(task, why);
    const { stopError, running } = this.state;
    const isLeft = running.size > 0 || this.facts.length > 0;
    if (end.outcome === 'failed' && stopError === undefined && isLeft) {
      // Written first: what is skipped because of it must not be taken for the cause.
      const { error, verdict } = end;
      this.facts.unshift({ type: 'run.stopping', error, ...(verdict && { verdict }) });
    }
    return this.decision(running.size === 0 ? end : undefined, limitAtMs);
  }

  /** Looks at a group: what of it may start, and whether it has ended. */
  group(path: string, group: Group): Standing {
    const from = this.#starts.length;
    const standing = this.#look(path, group);
    if (standing.ended !== undefined || standing.failing !== undefined) this.#starts.length = from;
    const own = this.#starts.splice(from);
    if (own.length === 0) return standing;
    // All that is under way within, losers on their way out included: they still use the machine.
    const room = Math.max(0, group.maxParallel - this.runningIn(path));
    // Sorting keeps the order of equals, which is that of the file.
    this.#starts.push(...own.toSorted((a, b) => b.task.priority - a.task.priority).slice(0, room));
    return standing;
  }

  /** Begins a workflow that is a pipeline itself; says when its list of items is none. */
  openStream(definition: WorkflowDefinition): Standing | undefined {
    if (definition.stream === undefined || this.task('')?.stream !== undefined) return undefined;
    try {
      const items = listOf(this.resolve(definition.stream.items, ''));
      this.facts.push({ type: 'task.started', task: '', items });
      return { running: 0 };
    } catch (thrown) {
      return { ended: { outcome: 'failed', error: errorRecord(toAppError(thrown)) }, running: 0 };
    }
  }

  #look(path: string, group: Group): Standing {
    try {
      return this.#lookAt(this, path, group);
    } catch (thrown) {
      // An expression of what the group gives back names something that is not there.
      const error = errorRecord(toAppError(thrown));
      const ended = { ...error, message: `output: ${error.message}` };
      return { ended: { outcome: 'failed', error: ended }, running: 0 };
    }
  }

  /** The state of a task, which in a pipeline may not have begun. */
  task(path: string): TaskState | undefined {
    return this.state.tasks.get(path);
  }

  /** Starts a task, or goes on with one that has begun. Returns how many attempts it has under way. */
  advance(path: string, task: Group['tasks'][number], extra?: Start['extra']): number {
    const own = this.state.tasks.get(path);
    const status = own?.status ?? 'created';
    if (taskEnded(status)) return 0;
    if (isAgentTask(task)) {
      if (status === 'running') return 1;
      const retryAtMs = own?.retryAtMs ?? 0;
      if (retryAtMs > this.nowMs) this.due(retryAtMs);
      else this.#starts.push({ path, task, ...(extra === undefined ? {} : { extra }) });
      return 0;
    }
    if (status !== 'running') {
      this.#begin(path, task);
      return 0;
    }
    if (isGroupTask(task)) return this.#advanceGroup(path, task.group);
    if (isApprovalTask(task)) this.#advanceApproval(path, own);
    else this.#advanceWait(path, task, own);
    return 0;
  }

  /** Attempts under way within a group. */
  runningIn(path: string): number {
    if (path === '') return this.state.running.size;
    let running = 0;
    for (const each of this.state.running.keys()) if (isWithin(each, path)) running += 1;
    return running;
  }

  due(atMs: number): void {
    this.#dueAtMs = Math.min(this.#dueAtMs ?? Infinity, atMs);
  }

  /** A task that can never start, with all that stands in it. */
  skip(path: string, reason: string): void {
    this.facts.push({ type: 'task.skipped', task: path, reason });
    this.closeRest(path, reason);
  }

  /** Closes whatever is still open in a group that has its result: nobody needs it any more. */
  closeRest(path: string, why: string): void {
    const within = `${path}/`;
    for (const task of this.state.tasks.values()) {
      if (path !== '' && !task.id.startsWith(within)) continue;
      if (this.state.running.has(task.id)) this.#stop.set(task.id, why);
      else this.#closeTask(task, why);
    }
  }

  /** Why a person's answer to a question of this id is still missing, or the answer. */
  answer(id: string) {
    return this.state.questions.get(id);
  }

  resolveOutput(value: unknown, group: string): unknown {
    return this.#expressions.outputOf(value, group);
  }

  resolve(value: unknown, path: string): unknown {
    return this.#expressions.of(value, path);
  }

  #closeTask(task: TaskState, reason: string): void {
    if (task.status === 'created' || task.status === 'waiting') {
      this.facts.push({ type: 'task.skipped', task: task.id, reason });
    } else if (task.status === 'running' && !this.state.running.has(task.id)) {
      this.facts.push({ type: 'task.ended', task: task.id, outcome: 'cancelled' });
    }
  }

  #begin(path: string, task: Exclude<Group['tasks'][number], AgentTask>): void {
    try {
      if (isGroupTask(task)) {
        const { stream } = task.group;
        const items = stream === undefined ? undefined : listOf(this.resolve(stream.items, path));
        this.facts.push({ type: 'task.started', task: path, ...(items && { items }) });
      } else if (isApprovalTask(task)) {
        const prompt = this.resolve(task.approval.prompt, path);
        const text = typeof prompt === 'string' ? prompt : JSON.stringify(prompt);
        this.facts.push(this.#started(path, task.timeoutMs), {
          type: 'question.asked',
          question: { id: path, kind: 'approval', task: path, prompt: text },
        });
      } else {
        const ms = 'ms' in task.wait ? task.wait.ms : task.timeoutMs;
        this.facts.push(this.#started(path, ms));
      }
    } catch (thrown) {
      const error = errorRecord(toAppError(thrown));
      this.facts.push(
        { type: 'task.started', task: path },
        { type: 'task.ended', task: path, outcome: 'failed', error },
      );
    }
  }

  #started(task: string, ms: number | undefined): EventBody {
    const dueAt = ms === undefined ? undefined : new Date(this.nowMs + ms).toISOString();
    return { type: 'task.started', task, ...(dueAt === undefined ? {} : { dueAt }) };
  }

  #advanceGroup(path: string, group: Group): number {
    const { ended, failing, running } = this.group(path, group);
    if (ended !== undefined) {
      this.closeRest(
        path,
        ended.outcome === 'completed' ? 'the result is there' : 'the group failed',
      );
      this.facts.push({ type: 'task.ended', task: path, ...ended });
    } else if (failing !== undefined) {
      this.closeRest(path, `the group failed: ${failing.message}`);
      if (running === 0) {
        this.facts.push({ type: 'task.ended', task: path, outcome: 'failed', error: failing });
      }
    }
    return running;
  }

  #advanceApproval(path: string, own: TaskState | undefined): void {
    const answer = this.state.questions.get(path)?.answer;
    if (answer !== undefined) {
      this.facts.push(
        answer.decision === 'approve'
          ? {
              type: 'task.ended',
              task: path,
              outcome: 'completed',
              output: { approved: true, by: answer.by ?? null, comment: answer.comment ?? null },
            }
          : {
              type: 'task.ended',
              task: path,
              outcome: 'failed',
              error: {
                code: 'rejected',
                message: `${answer.by ?? 'somebody'} said no${answer.comment === undefined ? '' : `: ${answer.comment}`}`,
                retryable: false,
              },
            },
      );
    } else this.#expire(path, own, 'nobody answered in time');
  }

  #advanceWait(
    path: string,
    task: Extract<Group['tasks'][number], { wait: unknown }>,
    own: TaskState | undefined,
  ): void {
    const { wait } = task;
    if ('ms' in wait) {
      const dueAtMs = own?.dueAtMs ?? 0;
      if (dueAtMs > this.nowMs) this.due(dueAtMs);
      else {
        this.facts.push({ type: 'task.ended', task: path, outcome: 'completed', output: null });
      }
      return;
    }
    // Two waits for one name must not both take the one signal that came.
    const taken = this.facts.filter(
      (fact) =>
        fact.type === 'task.ended' &&
        fact.outcome === 'completed' &&
        this.#waitsFor(fact.task) === wait.signal,
    ).length;
    const found = this.state.signals.filter(({ name }) => name === wait.signal)[taken];
    if (found === undefined) this.#expire(path, own, `no signal ${wait.signal} came in time`);
    else {
      this.facts.push({ type: 'task.ended', task: path, outcome: 'completed', output: found.data });
    }
  }

  #waitsFor(path: string): string | undefined {
    const spec = this.state.shape.nodes.get(templateOf(path))?.spec;
    return spec !== undefined && 'wait' in spec && 'signal' in spec.wait
      ? spec.wait.signal
      : undefined;
  }

  #expire(path: string, own: TaskState | undefined, message: string): void {
    const { dueAtMs } = own ?? {};
    if (dueAtMs === undefined) return;
    if (dueAtMs > this.nowMs) this.due(dueAtMs);
    else {
      const error: ErrorRecord = { code: 'timeout', message, retryable: true };
      this.facts.push({ type: 'task.ended', task: path, outcome: 'failed', error });
    }
  }
}

/** Items of a pipeline, at most: its state is kept in memory and its list in one event. */
export const maxItems = 100_000;

function listOf(items: unknown): readonly unknown[] {
  if (Array.isArray(items) && items.length <= maxItems) return items as unknown[];
  const what = Array.isArray(items) ? `${items.length} items` : JSON.stringify(items)?.slice(0, 80);
  throw new AppError(
    'invalid_input',
    `a pipeline streams a list of at most ${maxItems} items, and was given ${what}`,
  );
}

function whyStopped(end: RunEnd): string {
  if (end.outcome === 'failed') return `the run failed: ${end.error.message}`;
  return end.outcome === 'cancelled' ? end.reason : 'the run has ended';
}

/** The error of a task as that of the group it stands in. */
export function failureOf(
  task: string,
  error: ErrorRecord | undefined,
  reason: string | undefined,
): ErrorRecord {
  if (error !== undefined) {
    // The innermost task is named once, however many groups it passes through.
    if (error.details?.['task'] !== undefined) return error;
    return {
      ...error,
      message: `task ${task}: ${error.message}`,
      details: { ...error.details, task },
    };
  }
  return {
    code: 'dependency_failed',
    message: `task ${task} was skipped: ${reason ?? 'unknown'}`,
    retryable: false,
    details: { task },
  };
}

/** Path of a child of the group instance at a path. */
export function childPath(group: string, task: { readonly id: string }): string {
  return join(group, nameOf(task.id));
}
