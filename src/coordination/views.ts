/** How rows and states are shown to the faces. */
import type { RunRow, TurnRow } from './queries.ts';
import { countTasks, type RunState, type TaskState } from './state.ts';
import type {
  EventBody,
  RunDetail,
  RunEvent,
  RunSummary,
  TaskSpec,
  TaskView,
  WorkflowDefinition,
} from './types.ts';

/** The events that rows hold, in order. */
export function eventViews(rows: readonly TurnRow[]): RunEvent[] {
  return rows.flatMap((row) => {
    const bodies = Array.isArray(row.body) ? (row.body as readonly EventBody[]) : [row.body];
    const at = row.at.toISOString();
    return bodies.map((body, index) => ({
      runId: row.run_id,
      seq: row.seq + index,
      at,
      epoch: Number(row.epoch),
      body: body as EventBody,
    }));
  });
}

export function summaryView(row: RunRow): RunSummary {
  return {
    id: row.run_id,
    workflow: row.workflow,
    status: row.status,
    priority: row.priority,
    createdAt: row.created_at.toISOString(),
    ...(row.started_at === null ? {} : { startedAt: row.started_at.toISOString() }),
    ...(row.finished_at === null ? {} : { finishedAt: row.finished_at.toISOString() }),
    tasks: row.task_counts ?? {},
    ...(row.error === null ? {} : { error: row.error }),
  };
}

export function detailView(
  row: RunRow,
  definition: WorkflowDefinition,
  state: RunState,
  events: readonly RunEvent[],
): RunDetail {
  return {
    ...summaryView(row),
    tasks: countTasks(state),
    input: state.input,
    definitionHash: row.definition_hash,
    mode: definition.mode,
    taskList: definition.tasks.flatMap((task) => {
      const own = state.tasks.get(task.id);
      return own === undefined ? [] : [taskView(task, own)];
    }),
    ...(state.status === 'completed' ? { output: state.output } : {}),
    lastSeq: state.lastSeq,
    ...overheadOf(state, events),
  };
}

function taskView(spec: TaskSpec, task: TaskState): TaskView {
  return dropUndefined({
    id: task.id,
    agent: spec.agent,
    description: spec.description,
    status: task.status,
    needs: spec.needs,
    after: spec.after,
    attempts: task.attempts,
    startedAt: isoTime(task.startedAtMs),
    finishedAt: isoTime(task.finishedAtMs),
    usage: task.usage,
    error: task.error,
    skippedBecause: task.status === 'skipped' ? task.reason : undefined,
    progress: task.status === 'running' ? task.progress : undefined,
    output: task.output,
  });
}

function isoTime(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}

/** The span from creation to end in which no attempt was under way. */
function overheadOf(state: RunState, events: readonly RunEvent[]): { overheadMs?: number } {
  if (state.finishedAtMs === undefined) return {};
  let busyMs = 0;
  let open = 0;
  let since = 0;
  for (const { body, at } of events) {
    const atMs = Date.parse(at);
    if (body.type === 'attempt.started') {
      if (open === 0) since = atMs;
      open += 1;
    } else if (attemptEnds.has(body.type)) {
      open -= 1;
      if (open === 0) busyMs += atMs - since;
    }
  }
  return { overheadMs: Math.max(0, state.finishedAtMs - state.createdAtMs - busyMs) };
}

const attemptEnds: ReadonlySet<string> = new Set([
  'attempt.succeeded',
  'attempt.failed',
  'attempt.abandoned',
  'attempt.cancelled',
]);

type Defined<T> = { [Key in keyof T]: Exclude<T[Key], undefined> };

function dropUndefined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(
    Object.entries(value).filter(([, item]) => item !== undefined),
  ) as Defined<T>;
}
