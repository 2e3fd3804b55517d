/** How rows and states are shown to the faces. */
import { agentWorkflowPrefix } from './agent-runs.ts';
import {
  isAgentTask,
  isApprovalTask,
  isGroupTask,
  type TaskSpec,
  type WorkflowDefinition,
} from './definition.ts';
import type { EventBody, Parent, RunEvent } from './events.ts';
import { never, type BelowRow, type RunRow, type TurnRow } from './queries.ts';
import { limitsOf } from './run-budget.ts';
import { nameOf, parentOf, templateOf } from './shape.ts';
import {
  agentAt,
  countTasks,
  openQuestions,
  taskEnded,
  type Routed,
  type RunState,
  type TaskState,
} from './state.ts';
import type { CalledRun, RoutedView, RunDetail, RunSummary, TaskView } from './types.ts';

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

/** An event as others may see it: a vote's answer is shown in the verdict, when all are in, and not before. */
export function shownEvent(event: RunEvent): RunEvent {
  const { body } = event;
  if (!('blind' in body)) return event;
  if (body.type === 'attempt.succeeded') return { ...event, body: { ...body, output: null } };
  if (body.type === 'attempt.failed') {
    const { partial: _, ...shown } = body;
    return { ...event, body: shown };
  }
  const { output: _, verdict: __, ...shown } = body;
  return { ...event, body: shown };
}

export function summaryView(row: RunRow): RunSummary {
  const isTimed = row.wake_at !== null && row.wake_at.toISOString() !== never;
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
    ...(row.fingerprint === null ? {} : { fingerprint: row.fingerprint }),
    ...(row.undo === null ? {} : { undo: row.undo }),
    ...(row.started_by === null ? {} : { startedBy: row.started_by }),
    ...(row.forked_from === null ? {} : { forkedFrom: row.forked_from }),
    ...(row.parent_run_id === null
      ? {}
      : { parent: { runId: row.parent_run_id, task: row.parent_task ?? '' } }),
    ...(isTimed ? { wakeAt: row.wake_at?.toISOString() ?? '' } : {}),
  };
}

export function calledView(row: BelowRow): CalledRun {
  return {
    id: row.run_id,
    parent: { runId: row.parent_run_id, task: row.parent_task },
    agent: row.workflow.slice(agentWorkflowPrefix.length),
    depth: row.depth,
    status: row.status,
    createdAt: row.created_at.toISOString(),
    ...(row.finished_at === null ? {} : { finishedAt: row.finished_at.toISOString() }),
    ...(row.error === null ? {} : { error: row.error }),
  };
}

/** Tasks shown at most; a pipeline may have more items. */
const maxTasks = 5_000;

export function detailView(
  row: RunRow,
  definition: WorkflowDefinition,
  state: RunState,
): RunDetail {
  const budget = limitsOf(definition, state);
  const { spent } = state;
  const stream = state.tasks.get('')?.stream;
  return {
    ...summaryView(row),
    ...(state.parent === undefined ? {} : { parent: withoutChain(state.parent) }),
    tasks: countTasks(state),
    input: state.input,
    definitionHash: row.definition_hash,
    mode: definition.mode,
    taskList: taskViews(state),
    ...(state.status === 'completed' ? { output: state.output } : {}),
    ...(state.verdict === undefined ? {} : { verdict: state.verdict }),
    ...(stream === undefined ? {} : { items: stream.items.length }),
    questions: openQuestions(state),
    spent: { wallMs: spent.ms, tokens: spent.tokens, microUsd: spent.microUsd },
    ...(budget === undefined ? {} : { budget }),
    irreversible: state.irreversible,
    lastSeq: state.lastSeq,
    ...overheadOf(state),
  };
}

function withoutChain({ runId, task, attemptId }: Parent): RunDetail['parent'] & {} {
  return { runId, task, attemptId };
}

/** In the order of the definition; a group's tasks come after it, a pipeline's by item. */
function taskViews(state: RunState): TaskView[] {
  const children = new Map<string, TaskState[]>();
  for (const task of state.tasks.values()) {
    if (task.id === '') continue;
    const parent = parentOf(task.id);
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [task]);
    else siblings.push(task);
  }
  const views: TaskView[] = [];
  const add = (parent: string): void => {
    for (const task of children.get(parent) ?? []) {
      if (views.length >= maxTasks) return;
      const spec = state.shape.nodes.get(templateOf(task.id))?.spec;
      if (spec === undefined) continue;
      views.push(taskView(state, spec, task));
      add(task.id);
    }
  };
  add('');
  return views;
}

function taskView(state: RunState, spec: TaskSpec, task: TaskState): TaskView {
  const parent = parentOf(task.id);
  const hidden = isHidden(state, task.id);
  return dropUndefined({
    id: task.id,
    kind: kindOf(spec),
    parent: parent === '' ? undefined : parent,
    agent: agentAt(state, task.id),
    routed: task.routed === undefined ? undefined : routedView(task.routed),
    mode: isGroupTask(spec) ? spec.group.mode : undefined,
    description: spec.description,
    status: task.status,
    needs: spec.needs.map(nameOf),
    after: spec.after.map(nameOf),
    attempts: task.attempts,
    startedAt: isoTime(task.startedAtMs),
    finishedAt: isoTime(task.finishedAtMs),
    usage: task.usage,
    error: task.error,
    skippedBecause: task.status === 'skipped' ? task.reason : undefined,
    waitsFor: waitsFor(state, spec, task),
    progress: task.status === 'running' ? task.progress : undefined,
    output: hidden ? undefined : task.output,
    verdict: hidden ? undefined : task.verdict,
    items: task.stream?.items.length,
  });
}

export function routedView({ stays, agent, decision }: Routed): RoutedView {
  const evidence = decision?.prospects.find((each) => each.agent === agent)?.evidence;
  return dropUndefined({
    of: decision?.candidates.length,
    stays,
    success: decision?.success.mean,
    basis: decision?.basis,
    evidence,
  });
}

function kindOf(spec: TaskSpec): TaskView['kind'] {
  if (isAgentTask(spec)) return 'agent';
  if (isGroupTask(spec)) return 'group';
  return isApprovalTask(spec) ? 'approval' : 'wait';
}

function waitsFor(
  state: RunState,
  spec: TaskSpec,
  task: TaskState,
): { what: string; until?: string } | undefined {
  if (task.status === 'waiting') {
    const what = task.error === undefined ? (task.reason ?? 'its next try') : 'its next try';
    return { what, ...until(task.retryAtMs) };
  }
  if (task.status !== 'running') return undefined;
  if (isApprovalTask(spec)) {
    const prompt = state.questions.get(task.id)?.question.prompt ?? 'an answer';
    return { what: prompt, ...until(task.dueAtMs) };
  }
  if (!('wait' in spec)) return undefined;
  const what = 'signal' in spec.wait ? `the signal ${spec.wait.signal}` : 'time to pass';
  return { what, ...until(task.dueAtMs) };
}

function until(ms: number | undefined): { until?: string } {
  const text = isoTime(ms);
  return text === undefined ? {} : { until: text };
}

/** Whether a vote is still being cast somewhere around the task. */
function isHidden(state: RunState, path: string): boolean {
  if (state.shape.nodes.get(templateOf(path))?.blind !== true) return false;
  for (let here = path; here !== ''; here = parentOf(here)) {
    const node = state.shape.nodes.get(templateOf(here));
    if (node?.group.mode !== 'consensus') continue;
    const around = parentOf(here);
    const hasEnded =
      around === ''
        ? state.finishedAtMs !== undefined
        : taskEnded(state.tasks.get(around)?.status ?? 'created');
    if (!hasEnded) return true;
  }
  return false;
}

function isoTime(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}

/** The span from creation to end in which no attempt was under way. */
function overheadOf({ finishedAtMs, createdAtMs, busyMs }: RunState): { overheadMs?: number } {
  if (finishedAtMs === undefined) return {};
  return { overheadMs: Math.max(0, finishedAtMs - createdAtMs - busyMs) };
}

type Defined<T> = { [Key in keyof T]: Exclude<T[Key], undefined> };

function dropUndefined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(
    Object.entries(value).filter(([, item]) => item !== undefined),
  ) as Defined<T>;
}
