/** What to do next with a run: pure, from its definition, its state and the time. */
import type { ErrorRecord } from '../base/base.ts';
import { heldMs, taskEnded, type RunState, type TaskState } from './state.ts';
import type { TaskSpec, WorkflowDefinition } from './types.ts';

export interface Decision {
  /** Tasks whose dependencies can not be met any more, in order. */
  readonly skip: readonly { readonly task: string; readonly reason: string }[];
  /** Tasks that may start now, best first, at most the run's own limit. */
  readonly start: readonly TaskSpec[];
  /** Set when attempts under way are to be stopped, since the run can not go on; says as what it will end. */
  readonly stopRunning: RunEnd | undefined;
  /** How the run has ended, once nothing is under way. */
  readonly end: RunEnd | undefined;
  /** When something will be due by time alone. */
  readonly wakeAtMs: number | undefined;
}

export type RunEnd =
  | { readonly outcome: 'completed' }
  | { readonly outcome: 'failed'; readonly error: ErrorRecord }
  | { readonly outcome: 'cancelled'; readonly reason: string };

/** Decides for a run that is held by a worker. Cancellation outranks the time limit, and that a failed task. */
export function decide(definition: WorkflowDefinition, state: RunState, nowMs: number): Decision {
  const skip = skips(definition, state);
  const skipped = new Map(skip.map((each) => [each.task, each.reason]));
  const end = stopping(definition, state, skipped, nowMs);
  const running = definition.tasks.filter((task) => taskOf(state, task).status === 'running');

  if (end !== undefined) {
    const why = end.outcome === 'cancelled' ? 'the run was cancelled' : 'the run failed';
    const rest = definition.tasks
      .filter((task) => isOpen(taskOf(state, task)) && !skipped.has(task.id))
      .map((task) => ({ task: task.id, reason: why }));
    return {
      skip: [...skip, ...rest],
      start: [],
      stopRunning: running.length > 0 ? end : undefined,
      end: running.length === 0 ? end : undefined,
      wakeAtMs: undefined,
    };
  }
  const open = definition.tasks.filter(
    (task) => isOpen(taskOf(state, task)) && !skipped.has(task.id),
  );
  if (open.length === 0 && running.length === 0) {
    return {
      skip,
      start: [],
      stopRunning: undefined,
      end: { outcome: 'completed' },
      wakeAtMs: undefined,
    };
  }
  return {
    skip,
    start: startable(definition, state, { open, skipped, running: running.length, nowMs }),
    stopRunning: undefined,
    end: undefined,
    wakeAtMs: wakeAtMs(definition, state, open, nowMs),
  };
}

function taskOf(state: RunState, task: TaskSpec): TaskState {
  const found = state.tasks.get(task.id);
  if (found === undefined) throw new Error(`no state for task ${task.id}`);
  return found;
}

function isOpen(task: TaskState): boolean {
  return task.status === 'created' || task.status === 'waiting';
}

/** Tasks that need one that has ended without completing; a skip passes on to what needs it in turn. */
function skips(
  definition: WorkflowDefinition,
  state: RunState,
): { task: string; reason: string }[] {
  const found = new Map<string, string>();
  for (let before = -1; before < found.size;) {
    before = found.size;
    for (const task of definition.tasks) {
      if (!isOpen(taskOf(state, task)) || found.has(task.id)) continue;
      const lost = task.needs.find((id) => found.has(id) || isLost(state.tasks.get(id)));
      if (lost === undefined) continue;
      const status = found.has(lost) ? 'skipped' : (state.tasks.get(lost)?.status ?? 'unknown');
      found.set(task.id, `it needs ${lost}, which was ${status}`);
    }
  }
  return [...found].map(([task, reason]) => ({ task, reason }));
}

function isLost(task: TaskState | undefined): boolean {
  return task !== undefined && taskEnded(task.status) && task.status !== 'completed';
}

/** Why the run can not go on, or undefined. */
function stopping(
  definition: WorkflowDefinition,
  state: RunState,
  skipped: ReadonlyMap<string, string>,
  nowMs: number,
): RunEnd | undefined {
  if (state.cancelReason !== undefined) return { outcome: 'cancelled', reason: state.cancelReason };
  if (state.stopError !== undefined) return { outcome: 'failed', error: state.stopError };
  for (const task of definition.tasks) {
    if (task.onFailure === 'continue') continue;
    const { status, error, reason } = taskOf(state, task);
    const skipReason = skipped.get(task.id) ?? (status === 'skipped' ? reason : undefined);
    if (status === 'failed' || skipReason !== undefined) {
      return { outcome: 'failed', error: failureOf(task.id, error, skipReason) };
    }
  }
  const openOrRunning = [...state.tasks.values()].some((task) => !taskEnded(task.status));
  if (openOrRunning && heldMs(state, nowMs) >= definition.timeoutMs) {
    const message = `the run took longer than its ${definition.timeoutMs / 1_000} s`;
    return {
      outcome: 'failed',
      error: {
        code: 'timeout',
        message,
        retryable: true,
        remedy: 'Raise timeoutSeconds in the workflow, or `centuria run retry` what is left.',
      },
    };
  }
  return undefined;
}

function failureOf(
  task: string,
  error: ErrorRecord | undefined,
  skipReason: string | undefined,
): ErrorRecord {
  if (error !== undefined && skipReason === undefined) {
    return {
      ...error,
      message: `task ${task}: ${error.message}`,
      details: { ...error.details, task },
    };
  }
  return {
    code: 'dependency_failed',
    message: `task ${task} was skipped: ${skipReason ?? 'unknown'}`,
    retryable: false,
    details: { task },
  };
}

interface Moment {
  readonly open: readonly TaskSpec[];
  /** Tasks that this same decision skips: who waits for their end need not wait for another turn. */
  readonly skipped: ReadonlyMap<string, string>;
  readonly running: number;
  readonly nowMs: number;
}

function startable(
  { maxParallel }: WorkflowDefinition,
  state: RunState,
  { open, skipped, running, nowMs }: Moment,
): TaskSpec[] {
  if (running >= maxParallel) return [];
  const completed = (id: string): boolean => state.tasks.get(id)?.status === 'completed';
  const ended = (id: string): boolean =>
    skipped.has(id) || taskEnded(state.tasks.get(id)?.status ?? 'created');
  return open
    .filter((task) => (taskOf(state, task).retryAtMs ?? 0) <= nowMs)
    .filter((task) => task.needs.every(completed) && task.after.every(ended))
    .toSorted((a, b) => b.priority - a.priority)
    .slice(0, maxParallel - running);
}

/** The earliest of the pauses before a next attempt and the run's own limit. */
function wakeAtMs(
  definition: WorkflowDefinition,
  state: RunState,
  open: readonly TaskSpec[],
  nowMs: number,
): number {
  const limit = nowMs + Math.max(0, definition.timeoutMs - heldMs(state, nowMs));
  return open.reduce((earliest, task) => {
    const { retryAtMs } = taskOf(state, task);
    return retryAtMs !== undefined && retryAtMs > nowMs ? Math.min(earliest, retryAtMs) : earliest;
  }, limit);
}
