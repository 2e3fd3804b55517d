/** Undoing what a run has done to the world: newest first, each effect once. */
import type { AgentRegistry } from '../agents/agents.ts';
import { AppError, errorRecord, expand, newId, retry, type Clock, type Log } from '../base/base.ts';
import type { AttemptWorkspaces } from './attempt.ts';
import { isAgentTask, type WorkflowDefinition } from './definition.ts';
import type { EventBody, WorkspaceChange, WorkspaceMark } from './events.ts';
import { scopeOf } from './scope.ts';
import { templateOf } from './shape.ts';
import type { Effect, RunState } from './state.ts';
import type { UndoPlan } from './types.ts';

export interface UndoContext {
  readonly registry: AgentRegistry;
  readonly home: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly workspaces?: AttemptWorkspaces & UndoWorkspaces;
}

/** One file that undoing would touch, or leave. */
export interface UndoneFile {
  readonly path: string;
  readonly action: 'restore' | 'delete' | 'recreate' | 'conflict';
}

export interface UndoWorkspaces {
  /** What undoing these, newest first, would do: nothing is touched. */
  plan(marks: readonly (WorkspaceMark | WorkspaceChange)[]): Promise<{
    readonly files: readonly UndoneFile[];
    readonly summary: string;
  }>;
  undo(
    marks: readonly (WorkspaceMark | WorkspaceChange)[],
    options: { readonly force: boolean; readonly signal: AbortSignal },
  ): Promise<{ readonly conflicts: readonly string[]; readonly summary: string }>;
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
  const { state, signal, record } = request;
  let outcome: 'undone' | 'failed' = state.irreversible.length > 0 ? 'failed' : 'undone';
  for (const effect of state.effects.toReversed()) {
    if (effect.undone) continue;
    signal.throwIfAborted();
    const { task, how } = effect;
    try {
      const detail = await undoOne(request, effect);
      await record({ type: 'effect.undone', task, how, detail });
    } catch (thrown) {
      signal.throwIfAborted();
      const error = errorRecord(thrown);
      if (error.code === 'fenced') throw thrown;
      outcome = 'failed';
      await record({ type: 'effect.undone', task, how, error });
    }
  }
  return outcome;
}

async function undoOne(request: UndoRequest, effect: Effect): Promise<unknown> {
  if (effect.how === 'compensation') return await compensate(request, effect.task);
  const { context, state, signal } = request;
  if (context.workspaces === undefined || effect.mark === undefined) {
    throw new AppError('unavailable', 'this worker keeps no workspaces');
  }
  const { conflicts, summary } = await context.workspaces.undo([effect.mark], {
    force: state.undoForced,
    signal,
  });
  if (conflicts.length === 0) return summary;
  throw new AppError(
    'undo_failed',
    `${conflicts.length} files were changed since: ${conflicts.slice(0, 5).join(', ')}`,
    {
      details: { conflicts: conflicts.slice(0, 100) },
      remedy: '`centuria run undo --plan` shows them; `--force` overwrites them.',
    },
  );
}

/** Calls the agent that undoes a task: what the task gave is its `${answer}`. */
async function compensate(request: UndoRequest, path: string): Promise<unknown> {
  const { context, runId, definition, state, signal } = request;
  const spec = state.shape.nodes.get(templateOf(path))?.spec;
  const compensation = spec !== undefined && isAgentTask(spec) ? spec.compensate : undefined;
  if (compensation === undefined)
    throw new AppError('run_corrupt', `task ${path} has no compensation`);
  const agent = await context.registry.byHash(state.agents[compensation.agent] ?? '');
  if (agent === undefined) {
    throw new AppError('agent_not_found', `the definition of agent ${compensation.agent} is gone`);
  }
  const own = state.tasks.get(path);
  const source = { home: context.home, runId, definition, state };
  const answer = { output: own?.output ?? null, status: own?.status ?? 'created' };
  const input = expand(compensation.input, scopeOf(source, path, { answer }));
  const { output } = await retry(
    () =>
      context.registry.invoke({
        agent,
        input,
        attemptId: newId(context.clock),
        idempotencyKey: `${runId}/${path}/undo`,
        timeoutMs: agent.timeoutMs,
        signal,
      }),
    {
      clock: context.clock,
      random: context.random,
      signal,
      policy: { attempts: agent.retries + 1, baseMs: 1_000, maxMs: 30_000 },
    },
  );
  return output ?? null;
}

/** What undoing would do, newest first. */
export async function planUndo(request: {
  readonly runId: string;
  readonly state: RunState;
  readonly workspaces: UndoWorkspaces | undefined;
}): Promise<UndoPlan> {
  const { runId, state, workspaces } = request;
  const effects: UndoPlan['effects'][number][] = [];
  for (const { task, how, mark, undone } of state.effects.toReversed()) {
    if (undone) effects.push({ task, how: 'done', summary: 'undone already' });
    else if (how === 'compensation') {
      const spec = state.shape.nodes.get(templateOf(task))?.spec;
      const agent = spec !== undefined && isAgentTask(spec) ? spec.compensate?.agent : undefined;
      effects.push({ task, how, summary: `agent ${agent ?? 'unknown'} is called to undo it` });
    } else if (workspaces === undefined || mark === undefined) {
      effects.push({ task, how: 'impossible', summary: 'this process keeps no workspaces' });
    } else effects.push(await planFolder(workspaces, task, mark));
  }
  for (const task of state.irreversible) {
    const begun = state.tasks.get(task)?.attempts ?? 0;
    if (begun > 0)
      effects.push({ task, how: 'impossible', summary: 'its effects can not be undone' });
  }
  const conflicts = effects.some(({ files = [] }) =>
    files.some(({ action }) => action === 'conflict'),
  );
  return { runId, effects, conflicts };
}

async function planFolder(
  workspaces: UndoWorkspaces,
  task: string,
  mark: WorkspaceMark,
): Promise<UndoPlan['effects'][number]> {
  try {
    const { files, summary } = await workspaces.plan([mark]);
    return { task, how: 'workspace', summary, files };
  } catch (thrown) {
    return { task, how: 'impossible', summary: errorRecord(thrown).message };
  }
}
