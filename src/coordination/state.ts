/** The projection of a run's events: pure, so that every worker and every face reads the same. */
import { AppError, type ErrorRecord } from '../base/base.ts';
import type { Amounts, WorkflowDefinition } from './definition.ts';
import type {
  Answer,
  Question,
  RunEvent,
  RunEventBody,
  Usage,
  Verdict,
  WorkspaceChange,
  WorkspaceMark,
} from './events.ts';
import { shapeOf, type Shape } from './shape.ts';
import { applyTaskEvent, newTaskState, removeTask } from './task-state.ts';
import type { Stream } from './stream.ts';
import type { RunStatus, TaskStatus, UndoStatus } from './types.ts';

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
  /** Of a wait: when it ends by itself. */
  dueAtMs: number | undefined;
  output: unknown;
  /** Of all attempts together. */
  usage: Usage | undefined;
  error: ErrorRecord | undefined;
  reason: string | undefined;
  progress: string | undefined;
  /** What the last attempt had given before it failed. */
  partial: unknown;
  verdict: Verdict | undefined;
  /** Of a pipeline that has begun. */
  stream: Stream | undefined;
  /** The state of its folder before the first attempt. */
  mark: WorkspaceMark | undefined;
}

/** Something that a run did to the world, in the order in which it did it. */
export interface Effect {
  readonly task: string;
  readonly how: 'workspace' | 'compensation';
  mark?: WorkspaceMark | WorkspaceChange;
  undone: boolean;
}

export interface OpenQuestion {
  readonly question: Question;
  answer: Answer | undefined;
}

export interface RunState {
  readonly shape: Shape;
  status: RunStatus;
  input: Readonly<Record<string, unknown>>;
  agents: Readonly<Record<string, string>>;
  irreversible: readonly string[];
  readonly tasks: Map<string, TaskState>;
  /** Paths of the attempts under way, and what was set aside for each. */
  readonly running: Map<string, Amounts>;
  paused: boolean;
  readonly questions: Map<string, OpenQuestion>;
  /** Signals that no task has taken yet. */
  signals: { readonly name: string; readonly data: unknown }[];
  readonly effects: Effect[];
  undo: UndoStatus | undefined;
  undoForced: boolean;
  cancelReason: string | undefined;
  /** Why the run is being stopped, while attempts are still under way. */
  stopError: ErrorRecord | undefined;
  output: unknown;
  error: ErrorRecord | undefined;
  verdict: Verdict | undefined;
  /** What all attempts have used. */
  spent: { microUsd: number; tokens: number; ms: number };
  /** What answers have added to the budget. */
  added: { microUsd: number; tokens: number; ms: number };
  /** Time in which at least one attempt was under way, and since when one is. */
  busyMs: number;
  busySinceMs: number;
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
  const shape = shapeOf(definition);
  return {
    shape,
    status: 'created',
    input: {},
    agents: {},
    irreversible: [],
    tasks: new Map(shape.fixed.map((id) => [id, newTaskState(id)])),
    running: new Map(),
    paused: false,
    questions: new Map(),
    signals: [],
    effects: [],
    undo: undefined,
    undoForced: false,
    cancelReason: undefined,
    stopError: undefined,
    output: undefined,
    error: undefined,
    verdict: undefined,
    spent: { microUsd: 0, tokens: 0, ms: 0 },
    added: { microUsd: 0, tokens: 0, ms: 0 },
    busyMs: 0,
    busySinceMs: 0,
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
  else applyRunEvent(state, event, event.body, atMs);
  state.lastSeq = event.seq;
  state.lastAtMs = atMs;
}

/** Folds events onto a new state. */
export function projectRun(definition: WorkflowDefinition, events: readonly RunEvent[]): RunState {
  const state = newRunState(definition);
  for (const event of events) applyEvent(state, event, Date.parse(event.at));
  return state;
}

function applyRunEvent(
  state: RunState,
  event: Pick<RunEvent, 'seq'>,
  body: RunEventBody,
  atMs: number,
): void {
  switch (body.type) {
    case 'run.created':
      state.status = 'queued';
      state.input = body.input;
      state.agents = body.agents;
      state.irreversible = body.irreversible ?? [];
      state.createdAtMs = atMs;
      inherit(state, body.inherited ?? {}, atMs);
      return;
    case 'run.claimed':
      // A worker that died held the run until its last event; what came after is nobody's time.
      state.heldMs = heldMs(state, state.lastAtMs);
      if (!runEnded(state.status)) state.status = state.paused ? 'paused' : 'running';
      state.claimedAtMs = atMs;
      return;
    case 'run.released':
      if (!runEnded(state.status)) state.status = releasedStatus(state, body.until);
      state.heldMs = heldMs(state, atMs);
      state.claimedAtMs = undefined;
      return;
    case 'run.paused':
      state.paused = true;
      state.status = 'paused';
      return;
    case 'run.resumed':
      state.paused = false;
      state.status = 'running';
      return;
    case 'question.asked':
      state.questions.set(body.question.id, { question: body.question, answer: undefined });
      return;
    case 'question.answered':
      applyAnswer(state, event, body);
      return;
    case 'signal.received':
      state.signals.push({ name: body.name, data: body.data });
      return;
    case 'run.stopping':
      state.stopError = body.error;
      state.verdict = body.verdict;
      return;
    case 'run.cancel_requested':
      state.cancelReason = body.reason;
      return;
    case 'run.retried':
      reopen(state, body.tasks);
      return;
    case 'run.undo_requested':
      state.undo = 'requested';
      state.undoForced = body.force;
      return;
    case 'run.undone':
      state.undo = body.outcome;
      state.heldMs = heldMs(state, atMs);
      state.claimedAtMs = undefined;
      return;
    case 'run.completed':
      state.output = body.output;
      state.verdict = body.verdict;
      endRun(state, 'completed', atMs);
      return;
    case 'run.failed':
      state.error = body.error;
      state.verdict = body.verdict;
      endRun(state, 'failed', atMs);
      return;
    case 'run.cancelled':
      state.cancelReason = body.reason;
      endRun(state, 'cancelled', atMs);
      return;
    default:
      throw corrupt(event, `${(body as { type: string }).type} is no event that is known here`);
  }
}

function applyAnswer(
  state: RunState,
  event: Pick<RunEvent, 'seq'>,
  { question, answer }: Extract<RunEventBody, { type: 'question.answered' }>,
): void {
  const open = state.questions.get(question);
  if (open === undefined) throw corrupt(event, `nobody asked ${question}`);
  open.answer = answer;
  if (open.question.kind !== 'budget') return;
  // What was added counts at once; a budget may be asked about again under the same name.
  state.questions.delete(question);
  if (answer.decision === 'approve') {
    state.added.microUsd += answer.add?.microUsd ?? 0;
    state.added.tokens += answer.add?.tokens ?? 0;
    state.added.ms += answer.add?.ms ?? 0;
  } else {
    state.stopError = {
      code: 'budget_exceeded',
      message: `no more was granted: ${open.question.prompt}`,
      retryable: false,
    };
  }
}

/** Results that a fork takes over stand as if their tasks had ended when it was made. */
function inherit(
  state: RunState,
  inherited: Readonly<Record<string, { readonly output: unknown }>>,
  atMs: number,
): void {
  for (const [path, { output }] of Object.entries(inherited)) {
    const task = newTaskState(path);
    task.status = 'completed';
    task.output = output;
    task.startedAtMs = atMs;
    task.finishedAtMs = atMs;
    task.reason = 'taken over from the run that this one was forked from';
    state.tasks.set(path, task);
  }
}

function releasedStatus(state: RunState, until: string | undefined): RunStatus {
  if (state.paused) return 'paused';
  return until === undefined ? 'queued' : 'waiting';
}

function endRun(state: RunState, status: RunStatus, atMs: number): void {
  state.status = status;
  state.paused = false;
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

/** Tasks of a run by status; those of a pipeline as far as they have begun. */
export function countTasks(state: RunState): Partial<Record<TaskStatus, number>> {
  const counts: Partial<Record<TaskStatus, number>> = {};
  for (const { id, status } of state.tasks.values()) {
    if (id !== '') counts[status] = (counts[status] ?? 0) + 1;
  }
  return counts;
}

/** Questions that nobody has answered yet. */
export function openQuestions(state: RunState): Question[] {
  return [...state.questions.values()]
    .filter(({ answer }) => answer === undefined)
    .map(({ question }) => question);
}

function reopen(state: RunState, tasks: readonly string[]): void {
  for (const path of tasks) removeTask(state, path, state.lastAtMs);
  state.questions.clear();
  state.status = 'queued';
  state.cancelReason = undefined;
  state.stopError = undefined;
  state.error = undefined;
  state.output = undefined;
  state.verdict = undefined;
  state.finishedAtMs = undefined;
  state.heldMs = 0;
}

export function corrupt(event: Pick<RunEvent, 'seq'>, message: string): AppError {
  return new AppError('run_corrupt', message, { details: { seq: event.seq } });
}
