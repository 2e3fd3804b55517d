/** How the events of a task change the state of its run. */
import type { WorkspaceChange, WorkspaceMark } from '../workspaces/workspaces.ts';
import { isAgentTask } from './definition.ts';
import { breakerOutcome } from './breaker-outcome.ts';
import type { Amounts } from './definition.ts';
import type { RunEvent, TaskEventBody, Usage } from './events.ts';
import { itemOf, join, nameOf, parentOf, templateOf, type Node } from './shape.ts';
import { corrupt, newTaskState, taskEnded, type RunState, type TaskState } from './state.ts';
import { letIn, newStream, passStage } from './stream.ts';

type Event = Pick<RunEvent, 'seq' | 'body'>;

/** Makes a task new again; its attempts go on being counted. An item's own task is forgotten until it begins. */
export function removeTask(state: RunState, path: string, atMs: number): void {
  const before = state.tasks.get(path);
  if (before === undefined) return;
  leave(state, path, atMs);
  const { attempts, keeps, isIrreversible } = before;
  // Whoever acts outside keeps the task: it alone can know what it has done under the task's key.
  const kept = keeps?.external === true ? keeps : undefined;
  state.tasks.set(path, { ...newTaskState(path), attempts, keeps: kept, isIrreversible });
}

export function applyTaskEvent(
  state: RunState,
  event: Event,
  body: TaskEventBody,
  atMs: number,
): void {
  const node = state.shape.nodes.get(templateOf(body.task));
  if (node === undefined) throw corrupt(event, `there is no task ${body.task}`);
  if (body.type === 'effect.undone') {
    const effect = state.effects.findLast(
      ({ task, how }) => task === body.task && how === body.how,
    );
    if (effect !== undefined && body.error === undefined) effect.undone = true;
    return;
  }
  const task = taskAt(state, body.task);
  switch (body.type) {
    case 'task.started':
      startTask(state, event, { node, task, body }, atMs);
      return;
    case 'attempt.started':
      startAttempt(state, event, { node, task, body }, atMs);
      return;
    case 'task.skipped':
      refuseUnlessOpen(event, task);
      task.reason = body.reason;
      endTask(state, node, task, 'skipped', atMs);
      return;
    case 'task.ended':
      if (task.status !== 'running') throw corrupt(event, `${task.id} ends while ${task.status}`);
      task.output = body.output;
      task.error = body.error;
      task.verdict = body.verdict;
      takeSignal(state, node, body.outcome);
      endTask(state, node, task, body.outcome, atMs);
      return;
    case 'workspace.prepared':
      task.mark ??= body.mark;
      noteWorkspace(state, task.id, body.mark);
      return;
    case 'workspace.changed':
      noteWorkspace(state, task.id, body.change);
      return;
    default:
      applyAttemptEvent(state, event, { node, task, body }, atMs);
  }
}

function taskAt(state: RunState, path: string): TaskState {
  const known = state.tasks.get(path);
  if (known !== undefined) return known;
  const made = newTaskState(path);
  state.tasks.set(path, made);
  return made;
}

interface Place<Body> {
  readonly node: Node;
  readonly task: TaskState;
  readonly body: Body;
}
type Of<Type extends TaskEventBody['type']> = Extract<TaskEventBody, { type: Type }>;

function refuseUnlessOpen(event: Event, task: TaskState): void {
  if (task.status === 'created' || task.status === 'waiting') return;
  throw corrupt(event, `${event.body.type} of ${task.id}, which is ${task.status}`);
}

function startTask(
  state: RunState,
  event: Event,
  { node, task, body }: Place<Of<'task.started'>>,
  atMs: number,
): void {
  refuseUnlessOpen(event, task);
  task.status = 'running';
  task.startedAtMs ??= atMs;
  task.dueAtMs = body.dueAt === undefined ? undefined : Date.parse(body.dueAt);
  if (body.items !== undefined) {
    task.stream = newStream(body.items);
    takeUpItems(state, node, task);
  }
  enterStage(state, node, task.id);
}

/** Items that were done before the pipeline was opened again, or in the run that this one was forked from. */
function takeUpItems(state: RunState, node: Node, task: TaskState): void {
  const { stream } = task;
  if (!('group' in node.spec) || stream === undefined) return;
  const stages = node.spec.group.tasks;
  for (const own of state.tasks.values()) {
    const item = itemOf(own.id);
    if (item === undefined || parentOf(own.id) !== task.id || own.status === 'created') continue;
    letIn(stream, item);
  }
  for (const item of stream.active.keys()) {
    for (const [index, stage] of stages.entries()) {
      const own = state.tasks.get(`${join(task.id, nameOf(stage.id))}#${item}`);
      if (own === undefined || !taskEnded(own.status)) break;
      passStage(
        stream,
        item,
        index,
        own.status === 'completed' ? 'completed' : 'lost',
        stages.length,
      );
    }
  }
}

function startAttempt(
  state: RunState,
  event: Event,
  { node, task, body }: Place<Of<'attempt.started'>>,
  atMs: number,
): void {
  refuseUnlessOpen(event, task);
  task.status = 'running';
  task.attempts = body.attempt;
  task.attemptId = body.attemptId;
  task.attemptAtMs = atMs;
  task.startedAtMs ??= atMs;
  task.retryAtMs = undefined;
  task.progress = undefined;
  task.reason = undefined;
  if (state.running.size === 0) state.busySinceMs = atMs;
  state.running.set(task.id, body.reserved ?? none);
  if (isAgentTask(node.spec) && node.spec.compensate !== undefined)
    noteCompensation(state, task.id);
  enterStage(state, node, task.id);
}

const none: Amounts = {};

function enterStage(state: RunState, node: Node, path: string): void {
  if (node.index !== 0) return;
  const item = itemOf(path);
  const stream = item === undefined ? undefined : state.tasks.get(parentOf(path))?.stream;
  if (stream !== undefined && item !== undefined) letIn(stream, item);
}

function applyAttemptEvent(
  state: RunState,
  event: Event,
  { node, task, body }: Place<TaskEventBody>,
  atMs: number,
): void {
  if (task.status !== 'running') {
    throw corrupt(event, `${body.type} of ${task.id}, which is ${task.status}`);
  }
  switch (body.type) {
    case 'attempt.progress':
      task.progress = body.text;
      return;
    case 'task.routed': {
      const { type: _type, task: _path, ...routed } = body;
      task.routed = routed;
      task.isIrreversible ||= body.irreversible === true;
      return;
    }
    case 'attempt.succeeded':
      keepExternal(task, body);
      task.output = body.output;
      task.error = undefined;
      spend(state, task, body.usage);
      endTask(state, node, task, 'completed', atMs);
      return;
    case 'attempt.failed':
      keepExternal(task, body);
      noteFailed(task, body);
      task.failures += 1;
      task.error = body.error;
      task.partial = body.partial;
      spend(state, task, body.usage);
      if (body.retryAt === undefined) endTask(state, node, task, 'failed', atMs);
      else postpone(state, task, Date.parse(body.retryAt), atMs);
      return;
    case 'attempt.deferred':
      task.reason = body.error.message;
      noteUntold(task);
      postpone(state, task, Date.parse(body.retryAt), atMs);
      return;
    case 'attempt.abandoned':
      if (task.routed?.attempt === body.attempt) task.keeps = task.routed;
      task.abandoned += 1;
      noteUntold(task);
      task.reason = body.reason;
      postpone(state, task, undefined, atMs);
      return;
    case 'attempt.cancelled':
      keepExternal(task, body);
      task.reason = body.reason;
      spend(state, task, body.usage);
      endTask(state, node, task, 'cancelled', atMs);
      return;
    default:
      throw corrupt(event, `${body.type} is no event that is known here`);
  }
}

/** Whoever may have acted outside is asked again, under the same key, and nobody else is. */
function keepExternal(task: TaskState, { attempt }: { readonly attempt: number }): void {
  if (task.routed?.attempt !== attempt) return;
  const { decision: _made, ...routed } = task.routed;
  task.keeps = routed.external === true ? routed : undefined;
}

/** What the caller or a budget is to blame for says nothing of the agent. */
function noteFailed(task: TaskState, { attempt, error }: Of<'attempt.failed'>): void {
  if (task.routed?.attempt !== attempt) return;
  if (breakerOutcome(error) !== 'failure' && !cannotWork.has(error.code)) return;
  task.failedBy.push(task.routed.agent);
}

/** Of an agent that fails so another one may do what this one can't. */
export const cannotWork: ReadonlySet<string> = new Set(['agent_unavailable', 'agent_not_found']);

function noteUntold(task: TaskState): void {
  if (task.attemptId !== undefined) task.untold.push(task.attemptId);
}

/** Waiting for its next attempt: `waiting` with a time, `created` when it may start at once. */
function postpone(
  state: RunState,
  task: TaskState,
  retryAtMs: number | undefined,
  atMs: number,
): void {
  task.status = retryAtMs === undefined ? 'created' : 'waiting';
  task.retryAtMs = retryAtMs;
  task.attemptId = undefined;
  leave(state, task.id, atMs);
}

/** An attempt is not under way any more. */
function leave(state: RunState, path: string, atMs: number): void {
  if (state.running.delete(path) && state.running.size === 0) {
    state.busyMs += Math.max(0, atMs - state.busySinceMs);
  }
}

function endTask(
  state: RunState,
  node: Node,
  task: TaskState,
  status: TaskState['status'],
  atMs: number,
): void {
  task.status = status;
  task.finishedAtMs = atMs;
  task.attemptId = undefined;
  task.retryAtMs = undefined;
  leave(state, task.id, atMs);
  const item = itemOf(task.id);
  const stream = item === undefined ? undefined : state.tasks.get(parentOf(task.id))?.stream;
  if (stream === undefined || item === undefined) return;
  const outcome = status === 'completed' ? 'completed' : 'lost';
  passStage(stream, item, node.index, outcome, node.group.tasks.length);
}

/** A wait that has ended has taken the oldest signal of its name. */
function takeSignal(state: RunState, { spec }: Node, outcome: string): void {
  if (!('wait' in spec) || !('signal' in spec.wait) || outcome !== 'completed') return;
  const { signal } = spec.wait;
  const index = state.signals.findIndex(({ name }) => name === signal);
  if (index !== -1) state.signals.splice(index, 1);
}

function spend(state: RunState, task: TaskState, usage: Usage | undefined): void {
  if (usage === undefined) return;
  state.spent.ms += usage.wallMs;
  state.spent.tokens += usage.tokens ?? 0;
  state.spent.microUsd += usage.microUsd ?? 0;
  task.usage = addUsage(task.usage, usage);
  // An attempt that tells what it used tells what those before it did not.
  task.untold.length = 0;
}

/** Sums; of memory the most. What neither says stays unsaid. */
export function addUsage(a: Usage | undefined, b: Usage): Usage {
  if (a === undefined) return b;
  const sum: { -readonly [Key in keyof Usage]: Usage[Key] } = { ...a, wallMs: a.wallMs + b.wallMs };
  for (const what of ['cpuMs', 'outputBytes', 'tokens', 'microUsd'] as const) {
    const more = b[what];
    if (more !== undefined) sum[what] = (a[what] ?? 0) + more;
  }
  if (b.peakMemoryBytes !== undefined) {
    sum.peakMemoryBytes = Math.max(a.peakMemoryBytes ?? 0, b.peakMemoryBytes);
  }
  return sum;
}

/** A task that is done again after it was undone acts again. */
function noteCompensation(state: RunState, task: string): void {
  const known = state.effects.some(
    (each) => each.task === task && each.how === 'compensation' && !each.undone,
  );
  if (!known) state.effects.push({ task, how: 'compensation', undone: false });
}

/** A task whose folder is put back before its next attempt has one effect, from its first mark on. */
function noteWorkspace(state: RunState, task: string, mark: WorkspaceMark | WorkspaceChange): void {
  const known = state.effects.findLast((each) => each.task === task && each.how === 'workspace');
  if (known === undefined || known.undone) {
    state.effects.push({ task, how: 'workspace', mark, undone: false });
  } else known.mark = mark;
}
