/** The state of a run: what its events come to. */
import { AppError, type ErrorRecord } from '../base/base.ts';
import type { WorkspaceChange, WorkspaceMark } from '../workspaces/workspaces.ts';
import type { Amounts, WorkflowDefinition } from './definition.ts';
import { isAgentTask } from './definition.ts';
import type { Answer, EventBody, Parent, Question, RunEvent, Usage, Verdict } from './events.ts';
import { shapeOf, templateOf, type Shape } from './shape.ts';
import type { Stream } from './stream.ts';
import type { RunStatus, TaskStatus, UndoStatus } from './types.ts';

/** Who was chosen for an attempt. */
export type Routed = Omit<Extract<EventBody, { type: 'task.routed' }>, 'type' | 'task'>;

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
  /** Attempts that ended without a word of what they used. */
  readonly untold: string[];
  startedAtMs: number | undefined;
  /** When its last attempt began. */
  attemptAtMs: number | undefined;
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
  /** Of a task whose agent is chosen: the last choice. */
  routed: Routed | undefined;
  /** The choice that the next attempt keeps. */
  keeps: Routed | undefined;
  /** Chosen agents that failed at it, or could not work at all, since it was last made new. */
  readonly failedBy: string[];
  /** A chosen agent did what nothing undoes. */
  isIrreversible: boolean;
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
  startedBy: string | undefined;
  /** Of a run that an agent asked for. */
  parent: Parent | undefined;
  callable: readonly string[] | undefined;
  allowance: Amounts | undefined;
  /** Who may do the tasks whose agents are chosen, by path in the workflow. */
  routes: Readonly<Record<string, readonly string[]>>;
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

/** Whether nothing is left to do: it has ended, and is not being undone. */
export function isOver({ status, undo }: RunState): boolean {
  return runEnded(status) && undo !== 'requested';
}

/** The state of a run before its first event. */
export function newRunState(definition: WorkflowDefinition): RunState {
  const shape = shapeOf(definition);
  return {
    shape,
    status: 'created',
    input: {},
    agents: {},
    startedBy: undefined,
    parent: undefined,
    callable: undefined,
    allowance: undefined,
    routes: {},
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

/** How long workers have held the run up to `nowMs`: what its time limit counts. */
export function heldMs(state: RunState, nowMs: number): number {
  return (
    state.heldMs + (state.claimedAtMs === undefined ? 0 : Math.max(0, nowMs - state.claimedAtMs))
  );
}

/** Who does the task at a path, as far as that is known: the agent that it names, or the one chosen last. */
export function agentAt(state: RunState, path: string): string | undefined {
  const spec = state.shape.nodes.get(templateOf(path))?.spec;
  if (spec === undefined || !isAgentTask(spec)) return undefined;
  return spec.agent ?? state.tasks.get(path)?.routed?.agent;
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

export function corrupt(event: Pick<RunEvent, 'seq'>, message: string): AppError {
  return new AppError('run_corrupt', message, { details: { seq: event.seq } });
}

export function newTaskState(id: string): TaskState {
  return {
    id,
    status: 'created',
    attempts: 0,
    failures: 0,
    abandoned: 0,
    attemptId: undefined,
    untold: [],
    startedAtMs: undefined,
    attemptAtMs: undefined,
    finishedAtMs: undefined,
    retryAtMs: undefined,
    dueAtMs: undefined,
    output: undefined,
    usage: undefined,
    error: undefined,
    reason: undefined,
    progress: undefined,
    partial: undefined,
    verdict: undefined,
    stream: undefined,
    mark: undefined,
    routed: undefined,
    keeps: undefined,
    failedBy: [],
    isIrreversible: false,
  };
}
