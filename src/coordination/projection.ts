/** The projection of a run's events: pure, so that every worker and every face reads the same. */
import { AppError } from '../base/base.ts';
import type { WorkflowDefinition } from './definition.ts';
import type { Inherited, RunEvent, RunEventBody } from './events.ts';
import { corrupt, heldMs, newRunState, newTaskState, runEnded, type RunState } from './state.ts';
import { applyTaskEvent, removeTask } from './task-state.ts';
import type { RunStatus } from './types.ts';

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
  assertIsEvent(event);
  if ((event.seq === 1) !== (event.body.type === 'run.created')) {
    throw corrupt(event, `event ${event.seq} can not be ${event.body.type}`);
  }
  try {
    if ('task' in event.body) applyTaskEvent(state, event, event.body, atMs);
    else applyRunEvent(state, event, event.body, atMs);
  } catch (thrown) {
    // A field that is missing, or of another type than any version has written.
    throw thrown instanceof AppError ? thrown : corrupt(event, `${event.body.type}: ${thrown}`);
  }
  state.lastSeq = event.seq;
  state.lastAtMs = atMs;
}

/** What a hand has put into the log need not even be an object. */
function assertIsEvent(event: Pick<RunEvent, 'seq'> & { readonly body: unknown }): void {
  const { seq, body } = event;
  if (typeof body === 'object' && body !== null && 'type' in body) {
    if (typeof body.type === 'string' && (!('task' in body) || typeof body.task === 'string'))
      return;
  }
  throw corrupt(event, `event ${seq} is none: ${JSON.stringify(body)?.slice(0, 80)}`);
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
      state.routes = body.routes ?? {};
      state.irreversible = body.irreversible ?? [];
      state.startedBy = body.startedBy;
      state.parent = body.parent;
      state.callable = body.callable;
      state.allowance = body.allowance;
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
  inherited: Readonly<Record<string, Inherited>>,
  atMs: number,
): void {
  for (const [path, { output, agent }] of Object.entries(inherited)) {
    const task = newTaskState(path);
    task.status = 'completed';
    task.output = output;
    if (agent !== undefined) task.routed = { agent, attempt: 0 };
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

function reopen(state: RunState, tasks: readonly string[]): void {
  for (const path of tasks) removeTask(state, path, state.lastAtMs);
  state.questions.clear();
  state.status = 'queued';
  // What is done again is not undone any more.
  state.undo = undefined;
  state.cancelReason = undefined;
  state.stopError = undefined;
  state.error = undefined;
  state.output = undefined;
  state.verdict = undefined;
  state.finishedAtMs = undefined;
  state.heldMs = 0;
}
