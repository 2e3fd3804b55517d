/** What a run is doing, read from its events: a pure projection, and the lines that tell of it. */
import type { RunDetail, RunEvent, RunStatus } from '../coordination/coordination.ts';
import { formatDuration, oneLine, plural } from './output.ts';

export type ProgressState =
  | 'pending'
  | 'running'
  | 'retrying'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'skipped';

export interface TaskProgress {
  readonly id: string;
  readonly agent: string;
  readonly state: ProgressState;
  readonly attempts: number;
  readonly startedAtMs?: number | undefined;
  readonly endedAtMs?: number | undefined;
  /** What the attempt under way said last, or why the task did not complete. */
  readonly line?: string | undefined;
}

export interface RunProgress {
  readonly runId: string;
  readonly workflow: string;
  readonly status: RunStatus;
  readonly createdAtMs: number;
  readonly endedAtMs?: number | undefined;
  /** In the order in which they can start. */
  readonly tasks: readonly TaskProgress[];
  /** Why the run ended as it did. */
  readonly line?: string | undefined;
  readonly lastSeq: number;
}

const endedRun: ReadonlySet<RunStatus> = new Set(['completed', 'failed', 'cancelled']);

/** Whether the run has ended; a retry may set it going again. */
export function hasEnded(progress: { readonly status: RunStatus }): boolean {
  return endedRun.has(progress.status);
}

/** Where a run stands, as the server tells it: what the events after `lastSeq` go on from. */
export function beginProgress(detail: RunDetail): RunProgress {
  return {
    runId: detail.id,
    workflow: detail.workflow,
    status: detail.status,
    createdAtMs: Date.parse(detail.createdAt),
    endedAtMs: time(detail.finishedAt),
    tasks: inStartOrder(detail.taskList).map((task) => ({
      id: task.id,
      agent: task.agent,
      state: stateOf(task.status),
      attempts: task.attempts,
      startedAtMs: time(task.startedAt),
      endedAtMs: time(task.finishedAt),
      line: task.error?.message ?? task.skippedBecause ?? task.progress,
    })),
    line: detail.error?.message,
    lastSeq: detail.lastSeq,
  };
}

/** The projection after one more event; events that it has seen already change nothing. */
export function advance(progress: RunProgress, event: RunEvent): RunProgress {
  if (event.seq <= progress.lastSeq) return progress;
  const { body } = event;
  const atMs = Date.parse(event.at);
  const before = { ...progress, lastSeq: event.seq };
  switch (body.type) {
    case 'run.created':
      return before;
    case 'run.claimed':
      return { ...before, status: 'running' };
    case 'attempt.started':
      return withTask({ ...before, status: 'running' }, body.task, (task) => ({
        state: 'running',
        attempts: Math.max(task.attempts, body.attempt),
        startedAtMs: task.startedAtMs ?? atMs,
        endedAtMs: undefined,
        line: undefined,
      }));
    case 'attempt.progress':
      return withTask(before, body.task, () => ({ line: body.text }));
    case 'attempt.succeeded':
      return withTask(before, body.task, () => ended('completed', atMs));
    case 'attempt.failed':
      return withTask(before, body.task, () =>
        body.retryAt === undefined
          ? ended('failed', atMs, body.error.message)
          : { state: 'retrying', line: body.error.message },
      );
    case 'attempt.abandoned':
      return withTask(before, body.task, () => ({ state: 'pending', line: body.reason }));
    case 'attempt.cancelled':
      return withTask(before, body.task, () => ended('cancelled', atMs));
    case 'task.skipped':
      return withTask(before, body.task, () => ended('skipped', atMs, body.reason));
    case 'run.cancel_requested':
      return { ...before, line: `cancelling: ${body.reason}` };
    case 'run.retried':
      return body.tasks.reduce<RunProgress>(
        (all, id) =>
          withTask(all, id, () => ({
            state: 'pending',
            startedAtMs: undefined,
            endedAtMs: undefined,
            line: undefined,
          })),
        { ...before, status: 'queued', endedAtMs: undefined, line: undefined },
      );
    case 'run.completed':
      return { ...before, status: 'completed', endedAtMs: atMs, line: undefined };
    case 'run.failed':
      return { ...before, status: 'failed', endedAtMs: atMs, line: body.error.message };
    case 'run.cancelled':
      return { ...before, status: 'cancelled', endedAtMs: atMs, line: body.reason };
    default:
      // An event of a newer server: nothing that this version could show.
      return before;
  }
}

/** One line for a transition; undefined for an event that is none (progress of an attempt). */
export function describeEvent(after: RunProgress, event: RunEvent): string | undefined {
  const { body } = event;
  switch (body.type) {
    case 'run.created':
      return `created ${body.workflow}`;
    case 'run.claimed':
      return body.takeover ? `taken over by ${body.worker}` : undefined;
    case 'attempt.started':
      return `started ${body.task}${body.attempt > 1 ? `, attempt ${body.attempt}` : ''}`;
    case 'attempt.progress':
      return undefined;
    case 'attempt.succeeded':
      return `completed ${body.task} in ${formatDuration(body.usage.wallMs)}${doneOf(after)}`;
    case 'attempt.failed': {
      const why = `failed ${body.task}, attempt ${body.attempt}: ${oneLine(body.error.message)}`;
      return body.retryAt === undefined ? `${why}${doneOf(after)}` : `${why}; will be tried again`;
    }
    case 'attempt.abandoned':
      return `abandoned ${body.task}, attempt ${body.attempt}: ${oneLine(body.reason)}`;
    case 'attempt.cancelled':
      return `cancelled ${body.task}${doneOf(after)}`;
    case 'task.skipped':
      return `skipped ${body.task}: ${oneLine(body.reason)}${doneOf(after)}`;
    case 'run.cancel_requested':
      return `cancelling: ${oneLine(body.reason)}`;
    case 'run.retried':
      return `retrying ${body.tasks.join(', ')}`;
    case 'run.completed':
      return `run completed in ${formatDuration((after.endedAtMs ?? 0) - after.createdAtMs)}`;
    case 'run.failed':
      return `run failed: ${oneLine(body.error.message)}`;
    case 'run.cancelled':
      return `run cancelled: ${oneLine(body.reason)}`;
    default:
      return undefined;
  }
}

/** How many tasks are in each state. */
export function countStates(progress: RunProgress): ReadonlyMap<ProgressState, number> {
  const counts = new Map<ProgressState, number>();
  for (const { state } of progress.tasks) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}

/** The order of words in the line of counts. */
const countedStates: readonly ProgressState[] = [
  'running',
  'retrying',
  'failed',
  'cancelled',
  'skipped',
  'pending',
];

/** `12 of 20 completed · 3 running · 1 failed`. */
export function countsLine(progress: RunProgress): string {
  const counts = countStates(progress);
  const parts = [
    `${counts.get('completed') ?? 0} of ${plural(progress.tasks.length, 'task')} done`,
  ];
  for (const state of countedStates) {
    const count = counts.get(state) ?? 0;
    if (count > 0) parts.push(`${count} ${state}`);
  }
  return parts.join(' · ');
}

/** By the longest way from a task without dependencies; within that, as the workflow lists them. */
function inStartOrder<T extends { id: string; needs: readonly string[]; after: readonly string[] }>(
  tasks: readonly T[],
): T[] {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const depths = new Map<string, number>();
  const depthOf = (task: T): number => {
    const known = depths.get(task.id);
    if (known !== undefined) return known;
    // Set first, so that a cycle (which the server refuses) could not recurse for ever.
    depths.set(task.id, 0);
    const before = [...task.needs, ...task.after].flatMap((id) => byId.get(id) ?? []);
    const depth = Math.max(-1, ...before.map(depthOf)) + 1;
    depths.set(task.id, depth);
    return depth;
  };
  return tasks
    .map((task, index) => ({ task, index, depth: depthOf(task) }))
    .toSorted((a, b) => a.depth - b.depth || a.index - b.index)
    .map(({ task }) => task);
}

function withTask(
  progress: RunProgress,
  id: string,
  change: (task: TaskProgress) => Partial<TaskProgress>,
): RunProgress {
  const tasks = progress.tasks.map((task) =>
    task.id === id ? { ...task, ...change(task) } : task,
  );
  return { ...progress, tasks };
}

function ended(state: ProgressState, atMs: number, line?: string): Partial<TaskProgress> {
  return { state, endedAtMs: atMs, line };
}

function stateOf(status: RunDetail['taskList'][number]['status']): ProgressState {
  if (status === 'created' || status === 'ready') return 'pending';
  return status === 'waiting' ? 'retrying' : status;
}

function doneOf(progress: RunProgress): string {
  const counts = countStates(progress);
  const open = ['pending', 'running', 'retrying'] as const;
  const left = open.reduce((sum, state) => sum + (counts.get(state) ?? 0), 0);
  return ` (${progress.tasks.length - left} of ${progress.tasks.length})`;
}

function time(iso: string | undefined): number | undefined {
  return iso === undefined ? undefined : Date.parse(iso);
}
