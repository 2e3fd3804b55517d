/**
 * A run as it goes on: what the server told of it, moved on by the events since. A pure projection
 * that keeps the server's own shape, so that what is drawn live and what is asked for later agree.
 */
import type {
  Question,
  RoutedView,
  RunDetail,
  RunEvent,
  RunEventBody,
  RunStatus,
  TaskEventBody,
  TaskStatus,
  TaskView,
  Usage,
} from '../coordination/coordination.ts';

const endedRun: ReadonlySet<RunStatus> = new Set(['completed', 'failed', 'cancelled']);
const endedTask: ReadonlySet<TaskStatus> = new Set(['completed', 'failed', 'cancelled', 'skipped']);

/** Whether the run has ended; a retry may set it going again. */
export function hasEnded(run: { readonly status: RunStatus }): boolean {
  return endedRun.has(run.status);
}

export function taskEnded(task: { readonly status: TaskStatus }): boolean {
  return endedTask.has(task.status);
}

/** The run after one more event; events that it has seen already change nothing. */
export function advance(run: RunDetail, event: RunEvent): RunDetail {
  if (event.seq <= run.lastSeq) return run;
  const next = { ...run, lastSeq: event.seq };
  const { body } = event;
  if ('task' in body) return advanceTask(next, body, event.at);
  return advanceRun(next, body, event.at);
}

/** The run with what its tasks wait for, as the server tells it. */
export function withWaits(run: RunDetail, told: RunDetail): RunDetail {
  const waits = new Map(
    told.taskList.map(({ id, status, waitsFor }) => [id, { status, waitsFor }]),
  );
  const taskList = run.taskList.map((task) => {
    const found = waits.get(task.id);
    if (found?.waitsFor === undefined || found.status !== task.status) return task;
    return { ...task, waitsFor: found.waitsFor };
  });
  return { ...run, taskList };
}

function advanceRun(run: RunDetail, body: RunEventBody, at: string): RunDetail {
  switch (body.type) {
    case 'run.claimed':
      return goingOn({ ...run, startedAt: run.startedAt ?? at }, run.status !== 'paused');
    case 'run.released': {
      if (hasEnded(run) || run.status === 'paused') return run;
      const { wakeAt: _before, ...rest } = run;
      if (body.until === undefined) return { ...rest, status: 'queued' };
      return { ...rest, status: 'waiting', ...(wakes(body.until) ? { wakeAt: body.until } : {}) };
    }
    case 'run.paused':
      return { ...run, status: 'paused' };
    case 'run.resumed':
      return goingOn(run, true);
    case 'question.asked':
      return { ...run, questions: [...withoutQuestion(run, body.question.id), body.question] };
    case 'question.answered':
      return answered(run, body);
    case 'run.retried':
      return reopened(run, body.tasks);
    case 'run.completed':
      return { ...decided(ended(run, 'completed', at), body), output: body.output };
    case 'run.failed':
      return { ...decided(ended(run, 'failed', at), body), error: body.error };
    case 'run.cancelled':
      return ended(run, 'cancelled', at);
    case 'run.undo_requested':
      return { ...run, undo: 'requested' };
    case 'run.undone':
      return { ...run, undo: body.outcome };
    default:
      // What changes nothing that is shown, or an event of a newer server.
      return run;
  }
}

/** A run that only a person or a signal wakes is parked until the end of the calendar. */
export function wakes(until: string): boolean {
  return !until.startsWith('9999-');
}

function goingOn(run: RunDetail, isGoing: boolean): RunDetail {
  const { wakeAt: _over, ...rest } = run;
  return isGoing && !hasEnded(run) ? { ...rest, status: 'running' } : rest;
}

function ended(run: RunDetail, status: RunStatus, at: string): RunDetail {
  const { wakeAt: _over, error: _before, ...rest } = run;
  return { ...rest, status, finishedAt: at, questions: [] };
}

function decided(run: RunDetail, { verdict }: Pick<RunDetail, 'verdict'>): RunDetail {
  return verdict === undefined ? run : { ...run, verdict };
}

function withoutQuestion(run: RunDetail, id: string): readonly Question[] {
  return run.questions.filter((question) => question.id !== id);
}

function answered(
  run: RunDetail,
  { question: id, answer }: Extract<RunEventBody, { type: 'question.answered' }>,
): RunDetail {
  const { add } = answer;
  const { budget } = run;
  const questions = withoutQuestion(run, id);
  if (budget === undefined || add === undefined || answer.decision === 'reject') {
    return { ...run, questions };
  }
  const keys = ['microUsd', 'tokens', 'ms'] as const;
  const raised = keys.flatMap((key) => {
    const limit = budget[key];
    return limit === undefined ? [] : [[key, limit + (add[key] ?? 0)] as const];
  });
  return { ...run, questions, budget: Object.fromEntries(raised) };
}

function reopened(run: RunDetail, tasks: readonly string[]): RunDetail {
  const { error: _why, finishedAt: _at, output: _given, verdict: _how, ...rest } = run;
  return tasks.reduce<RunDetail>(
    (all, id) =>
      withTask(all, id, {
        status: 'created',
        startedAt: undefined,
        finishedAt: undefined,
        error: undefined,
        skippedBecause: undefined,
        waitsFor: undefined,
        progress: undefined,
        output: undefined,
        verdict: undefined,
        routed: undefined,
      }),
    { ...rest, status: 'queued' },
  );
}

function advanceTask(run: RunDetail, body: TaskEventBody, at: string): RunDetail {
  // The empty path is the workflow itself, which is no task of the list.
  if (body.task === '') return advanceRoot(run, body);
  const { task: id } = body;
  switch (body.type) {
    case 'task.started': {
      // What it waits for is not in the event; until when is.
      const waits = body.dueAt === undefined ? {} : { waitsFor: { what: '', until: body.dueAt } };
      const items = body.items === undefined ? {} : { items: body.items.length };
      return withTask(run, id, { status: 'running', startedAt: at, ...waits, ...items });
    }
    case 'task.ended':
      return endTask(run, id, body.outcome, at, {
        error: body.error,
        verdict: body.verdict,
        output: body.output,
      });
    case 'task.skipped':
      return endTask(run, id, 'skipped', at, { skippedBecause: body.reason });
    case 'task.routed':
      return withTask(run, id, { agent: body.agent, routed: routedOf(body) });
    case 'attempt.progress':
      return withTask(run, id, { progress: body.text });
    case 'attempt.started':
    case 'attempt.succeeded':
    case 'attempt.failed':
    case 'attempt.deferred':
    case 'attempt.abandoned':
    case 'attempt.cancelled':
      return advanceAttempt(run, body, at);
    default:
      return run;
  }
}

function routedOf({
  agent,
  stays,
  decision,
}: Extract<TaskEventBody, { type: 'task.routed' }>): RoutedView {
  const evidence = decision?.prospects.find((each) => each.agent === agent)?.evidence;
  return {
    ...(stays === undefined ? {} : { stays }),
    ...(decision === undefined
      ? {}
      : {
          of: decision.candidates.length,
          success: decision.success.mean,
          basis: decision.basis,
        }),
    ...(evidence === undefined ? {} : { evidence }),
  };
}

function advanceRoot(run: RunDetail, body: TaskEventBody): RunDetail {
  if (body.type === 'task.started' && body.items !== undefined) {
    return { ...run, items: body.items.length };
  }
  return body.type === 'task.ended' && body.verdict !== undefined
    ? { ...run, verdict: body.verdict }
    : run;
}

type AttemptEvent = Extract<TaskEventBody, { readonly attempt: number }>;

function advanceAttempt(run: RunDetail, body: AttemptEvent, at: string): RunDetail {
  const { task: id } = body;
  switch (body.type) {
    case 'attempt.started': {
      const going = run.status === 'paused' ? run : goingOn(run, true);
      const before = run.taskList.find((task) => task.id === id);
      return withTask(going, id, {
        status: 'running',
        attempts: Math.max(before?.attempts ?? 0, body.attempt),
        startedAt: before?.startedAt ?? at,
        finishedAt: undefined,
        waitsFor: undefined,
        progress: undefined,
        error: undefined,
      });
    }
    case 'attempt.succeeded':
      return endTask(spend(run, id, body.usage), id, 'completed', at, { output: body.output });
    case 'attempt.failed': {
      const spent = spend(run, id, body.usage);
      if (body.retryAt === undefined)
        return endTask(spent, id, 'failed', at, { error: body.error });
      const { error } = body;
      const waitsFor = { what: 'its next try', until: body.retryAt };
      return withTask(spent, id, { status: 'waiting', waitsFor, error, progress: undefined });
    }
    case 'attempt.deferred': {
      const waitsFor = { what: body.error.message, until: body.retryAt };
      return withTask(run, id, { status: 'waiting', waitsFor, progress: undefined });
    }
    case 'attempt.abandoned':
      return withTask(run, id, { status: 'created', progress: body.reason });
    case 'attempt.cancelled':
      return endTask(spend(run, id, body.usage), id, 'cancelled', at, {});
    default:
      return run;
  }
}

type Changes = { readonly [Key in keyof TaskView]?: TaskView[Key] | undefined };

function endTask(
  run: RunDetail,
  id: string,
  status: TaskStatus,
  at: string,
  changes: Changes,
): RunDetail {
  const over = { waitsFor: undefined, progress: undefined, error: undefined };
  return withTask(run, id, { ...over, ...changes, status, finishedAt: at });
}

function spend(run: RunDetail, id: string, usage: Usage | undefined): RunDetail {
  if (usage === undefined) return run;
  const before = run.taskList.find((task) => task.id === id)?.usage;
  const spent = { ...run, spent: together(run.spent, usage) };
  return withTask(spent, id, { usage: together(before, usage) });
}

function together(before: Usage | undefined, more: Usage): Usage {
  if (before === undefined) return more;
  const sum = (key: 'cpuMs' | 'outputBytes' | 'tokens' | 'microUsd') =>
    before[key] === undefined && more[key] === undefined
      ? {}
      : { [key]: (before[key] ?? 0) + (more[key] ?? 0) };
  const peak = Math.max(before.peakMemoryBytes ?? 0, more.peakMemoryBytes ?? 0);
  return {
    wallMs: before.wallMs + more.wallMs,
    ...sum('cpuMs'),
    ...sum('outputBytes'),
    ...sum('tokens'),
    ...sum('microUsd'),
    ...(peak === 0 ? {} : { peakMemoryBytes: peak }),
  };
}

/** The run with one task changed; undefined takes a field away. The counts by status follow. */
function withTask(run: RunDetail, id: string, changes: Changes): RunDetail {
  const index = run.taskList.findIndex((task) => task.id === id);
  const before = run.taskList[index] ?? newTask(run, id);
  const merged = Object.entries({ ...before, ...changes }).filter(
    ([, value]) => value !== undefined,
  );
  const task = Object.fromEntries(merged) as unknown as TaskView;
  const taskList = index === -1 ? [...run.taskList, task] : run.taskList.with(index, task);
  const tasks = { ...run.tasks };
  if (index !== -1) tasks[before.status] = Math.max(0, (tasks[before.status] ?? 0) - 1);
  tasks[task.status] = (tasks[task.status] ?? 0) + 1;
  return { ...run, tasks, taskList };
}

/** A task that exists only since it began: an item at a stage, a verifier, an arbiter. */
function newTask(run: RunDetail, id: string): TaskView {
  const slash = id.lastIndexOf('/');
  const template = id.replaceAll(/#\d+/g, '');
  const like = run.taskList.find((task) => task.id.replaceAll(/#\d+/g, '') === template);
  return {
    id,
    kind: like?.kind ?? 'agent',
    description: like?.description ?? '',
    status: 'created',
    needs: [],
    after: [],
    attempts: 0,
    ...(slash === -1 ? {} : { parent: id.slice(0, slash) }),
    // Who does another item says nothing of who is chosen for this one.
    ...(like?.agent === undefined || like.routed !== undefined ? {} : { agent: like.agent }),
    ...(like?.mode === undefined ? {} : { mode: like.mode }),
  };
}
