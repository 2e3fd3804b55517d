/** Undoing what a run has done to the world: first what it did outside, newest first, then its folders. */
import type { AgentRegistry } from '../agents/agents.ts';
import {
  AppError,
  errorRecord,
  expand,
  newId,
  retry,
  type Clock,
  type ErrorRecord,
  type Log,
} from '../base/base.ts';
import type { FolderPlan, WorkspaceMark, Workspaces } from '../workspaces/workspaces.ts';
import { isAgentTask, type WorkflowDefinition } from './definition.ts';
import type { EventBody } from './events.ts';
import { scopeOf } from './scope.ts';
import { templateOf } from './shape.ts';
import type { RunState } from './state.ts';
import type { UndoPlan } from './types.ts';

export interface UndoContext {
  readonly registry: AgentRegistry;
  readonly home: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly workspaces?: Workspaces;
}

export interface UndoRequest {
  readonly context: UndoContext;
  readonly runId: string;
  readonly definition: WorkflowDefinition;
  readonly state: RunState;
  readonly signal: AbortSignal;
  /** Writes a fact durably. */
  readonly record: (body: EventBody) => Promise<void>;
}

/**
 * Undoes the effects that are not undone yet. One that can't be is written down with its error, and
 * the others are undone all the same. An effect is undone at least once: after a crash between the
 * deed and its event it is undone again, with the same idempotency key.
 */
export async function undoEffects(request: UndoRequest): Promise<'undone' | 'failed'> {
  const { state, record } = request;
  let outcome: 'undone' | 'failed' = irreversiblyDone(state).length > 0 ? 'failed' : 'undone';
  for (const { task } of openEffects(state, 'compensation')) {
    const { detail, error } = await attempted(request, () => compensate(request, task));
    if (error !== undefined) outcome = 'failed';
    await record({
      type: 'effect.undone',
      task,
      how: 'compensation',
      detail,
      ...(error && { error }),
    });
  }
  const folders = openEffects(state, 'workspace');
  if (folders.length === 0) return outcome;
  const { detail, error } = await attempted(request, () => restore(request, folders));
  if (error !== undefined) outcome = 'failed';
  for (const { task } of folders) {
    await record({
      type: 'effect.undone',
      task,
      how: 'workspace',
      detail,
      ...(error && { error }),
    });
  }
  return outcome;
}

/** Tasks that did what nothing undoes. Where an agent was chosen, it counts what that one does. */
function irreversiblyDone(state: RunState): string[] {
  const irreversible = new Set(state.irreversible);
  return [...state.tasks.values()].flatMap(({ id, attempts, isIrreversible }) => {
    const template = templateOf(id);
    if (attempts === 0 || !irreversible.has(template)) return [];
    return state.routes[template] === undefined || isIrreversible ? [id] : [];
  });
}

interface OpenEffect {
  readonly task: string;
  readonly mark?: WorkspaceMark;
}

function openEffects(state: RunState, wanted: 'compensation' | 'workspace'): OpenEffect[] {
  return state.effects.filter(({ how, undone }) => how === wanted && !undone).toReversed();
}

/** What came of it, as data; only the end of the worker or of its lease is thrown. */
async function attempted(
  { signal }: UndoRequest,
  work: () => Promise<unknown>,
): Promise<{ detail: unknown; error?: ErrorRecord }> {
  signal.throwIfAborted();
  try {
    return { detail: await work() };
  } catch (thrown) {
    signal.throwIfAborted();
    return { detail: null, error: errorRecord(thrown) };
  }
}

async function restore(request: UndoRequest, effects: readonly OpenEffect[]): Promise<string> {
  const { context, state, signal } = request;
  if (context.workspaces === undefined) {
    throw new AppError('unavailable', 'this worker keeps no workspaces');
  }
  const { folders } = await context.workspaces.undo(marksOf(effects), {
    force: state.undoForced,
    signal,
  });
  const conflicts = folders.flatMap((folder) =>
    folder.conflicts.map(({ path, reason }) => `${folder.path}/${path}: ${reason}`),
  );
  if (conflicts.length === 0) return folders.map(summaryOf).join('; ');
  const some = conflicts.slice(0, 5).join(', ');
  throw new AppError('undo_failed', `${conflicts.length} files were left: ${some}`, {
    details: { conflicts: conflicts.slice(0, 100) },
    remedy: '`centuria run undo --plan` shows them; `--force` overwrites them.',
  });
}

function marksOf(effects: readonly OpenEffect[]): WorkspaceMark[] {
  return effects.flatMap(({ mark }) => (mark === undefined ? [] : [mark]));
}

/** Of a plan as of what was done: `/x: 2 restored, 0 brought back, 1 deleted`. */
function summaryOf({ path, restore: changed, recreate, delete: made, undone }: FolderPlan): string {
  const parts = [
    `${changed.length} restored`,
    `${recreate.length} brought back`,
    `${made.length} deleted`,
    ...(undone.length === 0 ? [] : [`${undone.length} as before already`]),
  ];
  return `${path}: ${parts.join(', ')}`;
}

/** Calls the agent that undoes a task: what the task gave is its `${answer}`. */
async function compensate(request: UndoRequest, path: string): Promise<unknown> {
  const { context, runId, definition, state, signal } = request;
  const spec = state.shape.nodes.get(templateOf(path))?.spec;
  const compensation = spec !== undefined && isAgentTask(spec) ? spec.compensate : undefined;
  if (compensation === undefined) {
    throw new AppError('run_corrupt', `task ${path} has no compensation`);
  }
  const agent = await context.registry.byHash(state.agents[compensation.agent] ?? '');
  if (agent === undefined) {
    throw new AppError('agent_not_found', `the definition of agent ${compensation.agent} is gone`);
  }
  const own = state.tasks.get(path);
  const source = { home: context.home, runId, definition, state };
  const answer = { output: own?.output ?? null, status: own?.status ?? 'created' };
  const input = expand(compensation.input, scopeOf(source, path, { answer }));
  const call = {
    agent,
    input,
    // The same after a crash, another once the task has acted again.
    idempotencyKey: `${runId}/${path}/undo/${own?.attempts ?? 0}`,
    timeoutMs: agent.timeoutMs,
    signal,
  };
  const { output } = await retry(
    () => context.registry.invoke({ ...call, attemptId: newId(context.clock) }),
    {
      clock: context.clock,
      random: context.random,
      signal,
      policy: { attempts: agent.retries + 1, baseMs: 1_000, maxMs: 30_000 },
    },
  );
  return output ?? null;
}

/** What undoing would do, in its order. */
export async function planUndo(request: {
  readonly runId: string;
  readonly state: RunState;
  readonly workspaces: Workspaces | undefined;
}): Promise<UndoPlan> {
  const { runId, state, workspaces } = request;
  const effects: UndoPlan['effects'][number][] = [];
  for (const { task } of openEffects(state, 'compensation')) {
    const spec = state.shape.nodes.get(templateOf(task))?.spec;
    const agent = spec !== undefined && isAgentTask(spec) ? spec.compensate?.agent : undefined;
    const summary = `agent ${agent ?? 'unknown'} is called to undo it`;
    effects.push({ task, how: 'compensation', summary });
  }
  effects.push(...(await planFolders(openEffects(state, 'workspace'), workspaces)));
  for (const { task, undone } of state.effects) {
    if (undone) effects.push({ task, how: 'done', summary: 'undone already' });
  }
  for (const task of irreversiblyDone(state)) {
    effects.push({ task, how: 'impossible', summary: 'its effects can not be undone' });
  }
  const conflicts = effects.some(({ files = [] }) =>
    files.some(({ action }) => action === 'conflict'),
  );
  return { runId, effects, conflicts };
}

async function planFolders(
  effects: readonly OpenEffect[],
  workspaces: Workspaces | undefined,
): Promise<UndoPlan['effects'][number][]> {
  if (effects.length === 0) return [];
  const all = effects.map(({ task }) => task).join(', ');
  try {
    if (workspaces === undefined) {
      throw new AppError('unavailable', 'this process keeps no workspaces');
    }
    const { folders } = await workspaces.plan(marksOf(effects));
    return folders.map((folder) => ({
      task: effects
        .filter(({ mark }) => mark?.folder === folder.folder)
        .map(({ task }) => task)
        .join(', '),
      how: 'workspace',
      summary: summaryOf(folder),
      files: filesOf(folder),
    }));
  } catch (thrown) {
    return [{ task: all, how: 'impossible', summary: errorRecord(thrown).message }];
  }
}

function filesOf(folder: FolderPlan): NonNullable<UndoPlan['effects'][number]['files']> {
  return [
    ...folder.restore.map((path) => ({ path, action: 'restore' as const })),
    ...folder.recreate.map((path) => ({ path, action: 'recreate' as const })),
    ...folder.delete.map((path) => ({ path, action: 'delete' as const })),
    ...folder.conflicts.map((note) => ({ ...note, action: 'conflict' as const })),
    ...folder.left.map((note) => ({ ...note, action: 'left' as const })),
  ];
}
