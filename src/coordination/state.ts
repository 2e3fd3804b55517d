/** The projection of a run's events: pure, so that every worker and every face reads the same. */
import { AppError, type ErrorRecord } from '../base/base.ts';
import type {
  EventBody,
  RunEvent,
  RunStatus,
  TaskStatus,
  Usage,
  WorkflowDefinition,
} from './types.ts';

export interface TaskState {
  readonly id: string;
  status: Extract<
    TaskStatus,
    'created' | 'running' | 'waiting' | 'completed' | 'failed' | 'cancelled' | 'skipped'
  >;
  /** Attempts begun, abandoned ones included. */
  attempts: number;
  /** Attempts that failed since the task was last made new. */
  failures: number;
  /** Attempts whose worker died, since the task was last made new. */
  abandoned: number;
  attemptId: string | undefined;
  startedAtMs: number | undefined;
  finishedAtMs: number | undefined;
  /** While it waits for its next attempt: not before this. */
  retryAtMs: number | undefined;
  output: unknown;
  usage: Usage | undefined;
  error: ErrorRecord | undefined;
  reason: string | undefined;
  progress: string | undefined;
}

export interface RunState {
  status: RunStatus;
  input: Readonly<Record<string, unknown>>;
  agents: Readonly<Record<string, string>>;
  readonly tasks: Map<string, TaskState>;
  cancelReason: string | undefined;
  /** Why the run is being stopped, while attempts are still under way. */
  stopError: ErrorRecord | undefined;
  output: unknown;
  error: ErrorRecord | undefined;
  lastSeq: number;
  createdAtMs: number;
  finishedAtMs: number | undefined;
  /** Time that workers held the run before the present one, which does not count while nobody does. */
  heldMs: number;
  claimedAtMs: number | undefined;
  lastAtMs: number;
}

/** Statuses in which a task does not change any more, unless the run is retried. */
const endedTasks: ReadonlySet<TaskStatus> = new Set([
  'completed',
  'failed',
  'cancelled',
  'skipped',
]);
const endedRuns: ReadonlySet<RunStatus> = new Set(['completed', 'failed', 'cancelled']);

export function taskEnded(status: TaskStatus): boolean {
  return endedTasks.has(status);
}

export function runEnded(status: RunStatus): boolean {
  return endedRuns.has(status);
}

/** The state of a run before its first event. */
export function newRunState(definition: WorkflowDefinition): RunState {
  return {
    status: 'created',
    input: {},
    agents: {},
    tasks: new Map(definition.tasks.map(({ id }) => [id, newTaskState(id)])),
    cancelReason: undefined,
    stopError: undefined,
    output: undefined,
    error: undefined,
    lastSeq: 0,
    createdAtMs: 0,
    finishedAtMs: undefined,
    heldMs: 0,
    claimedAtMs: undefined,
    lastAtMs: 0,
  };
}

/**
 * Applies one event. Throws `run_corrupt` for a gap or an event that can not follow what came
 * before, naming its number: a log that contradicts itself must not be guessed at.
 */
export function applyEvent(
  state: RunState,
  event: Pick<RunEvent, 'seq' | 'body'>,
  atMs: number,
): void {
  if (event.seq !== state.lastSeq + 1) {
    throw corrupt(event, `event ${event.seq} follows event ${state.lastSeq}`);
  }
  if ((event.seq === 1) !== (event.body.type === 'run.created')) {
    throw corrupt(event, `event ${event.seq} can not be ${event.body.type}`);
  }
  if ('task' in event.body) applyTaskEvent(state, event, event.body, atMs);
  else applyRunEvent(state, event.body, atMs);
  state.lastSeq = event.seq;
  state.lastAtMs = atMs;
}

/** Folds events onto a new state. */
export function projectRun(definition: WorkflowDefinition, events: readonly RunEvent[]): RunState {
  const state = newRunState(definition);
  for (const event of events) applyEvent(state, event, Date.parse(event.at));
  return state;
}

type TaskEventBody = Extract<EventBody, { task: string }>;
type RunEventBody = Exclude<EventBody, { task: string }>;

function applyRunEvent(state: RunState, body: RunEventBody, atMs: number): void {
  switch (body.type) {
    case 'run.created':
      state.status = 'queued';
      state.input = body.input;
      state.agents = body.agents;
      state.createdAtMs = atMs;
      return;
    case 'run.claimed':
      // A worker that died held the run until its last event; what came after is nobody's time.
      state.heldMs = heldMs(state, state.lastAtMs);
      state.status = 'running';
      state.claimedAtMs = atMs;
      return;
    case 'run.released':
      state.status = 'queued';
      state.heldMs = heldMs(state, atMs);
      state.claimedAtMs = undefined;
      return;
    case 'run.stopping':
      state.stopError = body.error;
      return;
    case 'run.cancel_requested':
      state.cancelReason = body.reason;
      return;
    case 'run.retried':
      reopen(state, body.tasks);
      return;
    case 'run.completed':
      state.output = body.output;
      endRun(state, 'completed', atMs);
      return;
    case 'run.failed':
      state.error = body.error;
      endRun(state, 'failed', atMs);
      return;
    case 'run.cancelled':
      state.cancelReason = body.reason;
      endRun(state, 'cancelled', atMs);
      return;
  }
}

function applyTaskEvent(
  state: RunState,
  event: Pick<RunEvent, 'seq' | 'body'>,
  body: TaskEventBody,
  atMs: number,
): void {
  const task = state.tasks.get(body.task);
  if (task === undefined) throw corrupt(event, `there is no task ${body.task}`);
  const running = task.status === 'running';
  if (body.type === 'attempt.started') {
    if (running || taskEnded(task.status)) {
      throw corrupt(event, `an attempt of ${task.id} starts while it is ${task.status}`);
    }
    task.status = 'running';
    task.attempts = body.attempt;
    task.attemptId = body.attemptId;
    task.startedAtMs ??= atMs;
    task.retryAtMs = undefined;
    task.progress = undefined;
    return;
  }
  if (body.type === 'task.skipped') {
    if (running || taskEnded(task.status)) throw corrupt(event, `${task.id} is ${task.status}`);
    task.reason = body.reason;
    endTask(task, 'skipped', atMs);
    return;
  }
  if (!running) throw corrupt(event, `${body.type} of ${task.id}, which is ${task.status}`);
  switch (body.type) {
    case 'attempt.progress':
      task.progress = body.text;
      return;
    case 'attempt.succeeded':
      task.output = body.output;
      task.usage = body.usage;
      task.error = undefined;
      endTask(task, 'completed', atMs);
      return;
    case 'attempt.failed':
      task.failures += 1;
      task.error = body.error;
      if (body.retryAt === undefined) endTask(task, 'failed', atMs);
      else postpone(task, Date.parse(body.retryAt));
      return;
    case 'attempt.abandoned':
      task.abandoned += 1;
      task.reason = body.reason;
      postpone(task, undefined);
      return;
    case 'attempt.cancelled':
      endTask(task, 'cancelled', atMs);
      return;
  }
}

/** Waiting for its next attempt: `waiting` with a time, `created` when it may start at once. */
function postpone(task: TaskState, retryAtMs: number | undefined): void {
  task.status = retryAtMs === undefined ? 'created' : 'waiting';
  task.retryAtMs = retryAtMs;
  task.attemptId = undefined;
}

function endTask(task: TaskState, status: TaskState['status'], atMs: number): void {
  task.status = status;
  task.finishedAtMs = atMs;
  task.attemptId = undefined;
  task.retryAtMs = undefined;
}

function endRun(state: RunState, status: RunStatus, atMs: number): void {
  state.status = status;
  state.finishedAtMs = atMs;
  state.heldMs = heldMs(state, atMs);
  state.claimedAtMs = undefined;
}

/** How long workers have held the run up to `nowMs`: what its time limit counts. */
export function heldMs(state: RunState, nowMs: number): number {
  return (
    state.heldMs + (state.claimedAtMs === undefined ? 0 : Math.max(0, nowMs - state.claimedAtMs))
  );
}

/** Tasks of a run by status. */
export function countTasks(state: RunState): Partial<Record<TaskStatus, number>> {
  const counts: Partial<Record<TaskStatus, number>> = {};
  for (const { status } of state.tasks.values()) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

function reopen(state: RunState, tasks: readonly string[]): void {
  for (const id of tasks) {
    const before = state.tasks.get(id);
    if (before !== undefined)
      state.tasks.set(id, { ...newTaskState(id), attempts: before.attempts });
  }
  state.status = 'queued';
  state.cancelReason = undefined;
  state.stopError = undefined;
  state.error = undefined;
  state.output = undefined;
  state.finishedAtMs = undefined;
  state.heldMs = 0;
}

function newTaskState(id: string): TaskState {
  return {
    id,
    status: 'created',
    attempts: 0,
    failures: 0,
    abandoned: 0,
    attemptId: undefined,
    startedAtMs: undefined,
    finishedAtMs: undefined,
    retryAtMs: undefined,
    output: undefined,
    usage: undefined,
    error: undefined,
    reason: undefined,
    progress: undefined,
  };
}

function corrupt(event: Pick<RunEvent, 'seq'>, message: string): AppError {
  return new AppError('run_corrupt', message, { details: { seq: event.seq } });
}
