/** One attempt of a task: from its expressions to the event that says what came of it. */
import type { AgentRegistry } from '../agents/agents.ts';
import {
  AppError,
  backoffMs,
  defaultRetry,
  errorRecord,
  expand,
  references,
  toAppError,
  type Clock,
  type Log,
} from '../base/base.ts';
import { prepareRunFolder, runFolder } from './run-folder.ts';
import { taskEnded, type RunState } from './state.ts';
import type { EventBody, TaskSpec, WorkflowDefinition } from './types.ts';

export interface AttemptContext {
  readonly registry: AgentRegistry;
  readonly home: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

export interface AttemptRequest {
  readonly context: AttemptContext;
  readonly runId: string;
  readonly definition: WorkflowDefinition;
  readonly state: RunState;
  /** Tasks that have ended by now and may be named by expressions. */
  readonly ancestors: ReadonlySet<string>;
  readonly task: TaskSpec;
  /** 1, 2, 3 … */
  readonly attempt: number;
  readonly attemptId: string;
  readonly signal: AbortSignal;
  /** Whether an abort means that the worker stops, not the run. */
  readonly isLettingGo: () => boolean;
  readonly onProgress: (text: string) => void;
}

/** Runs one attempt. Whatever happens becomes an event, never an exception. */
export async function runAttempt(request: AttemptRequest): Promise<EventBody> {
  const { context, runId, definition, state, task, attempt, attemptId, signal } = request;
  let retries = task.retries ?? 0;
  try {
    const hash = state.agents[task.agent] ?? '';
    const agent = await context.registry.byHash(hash);
    if (agent === undefined) {
      const message = `the definition ${hash.slice(0, 12)} of agent ${task.agent} is gone`;
      throw new AppError('agent_not_found', message);
    }
    retries = task.retries ?? agent.retries;
    // Only who names the folder gets one: most tasks leave no files.
    if (references(task.input).includes('run.folder')) await prepareRunFolder(context.home, runId);
    const scope = scopeOf(context.home, runId, definition, state, request.ancestors);
    const { output, usage } = await context.registry.invoke({
      agent,
      input: expand(task.input, scope),
      attemptId,
      idempotencyKey: `${runId}/${task.id}`,
      timeoutMs: task.timeoutMs ?? agent.timeoutMs,
      signal,
      onProgress: request.onProgress,
    });
    return { type: 'attempt.succeeded', task: task.id, attempt, output: output ?? null, usage };
  } catch (thrown) {
    return failureOf(request, retries, thrown);
  }
}

/** What expressions can name: inputs, the run, and those of the given tasks that have ended. */
export function scopeOf(
  home: string,
  runId: string,
  definition: WorkflowDefinition,
  state: RunState,
  tasks: ReadonlySet<string>,
): Record<string, unknown> {
  const ended = definition.tasks.flatMap(({ id, agent }) => {
    const task = tasks.has(id) ? state.tasks.get(id) : undefined;
    if (task === undefined || !taskEnded(task.status)) return [];
    const { status, output = null, error = null, reason = null } = task;
    return [[id, { agent, status, output, error, reason }] as const];
  });
  return {
    inputs: state.input,
    run: { id: runId, workflow: definition.name, folder: runFolder(home, runId) },
    tasks: Object.fromEntries(ended),
  };
}

function failureOf(request: AttemptRequest, retries: number, thrown: unknown): EventBody {
  const { context, runId, state, task, attempt, signal } = request;
  if (signal.aborted) {
    return request.isLettingGo()
      ? { type: 'attempt.abandoned', task: task.id, attempt, reason: 'the worker stopped' }
      : { type: 'attempt.cancelled', task: task.id, attempt };
  }
  const error = toAppError(thrown);
  if (error.code === 'internal') {
    context.log.error({ error, runId, task: task.id }, 'an attempt met a defect');
  }
  const failures = (state.tasks.get(task.id)?.failures ?? 0) + 1;
  const pauseMs = backoffMs(defaultRetry, failures, context.random());
  const retryAt = new Date(context.clock.nowMs() + pauseMs).toISOString();
  return {
    type: 'attempt.failed',
    task: task.id,
    attempt,
    error: errorRecord(error),
    ...(error.retryable && failures <= retries ? { retryAt } : {}),
  };
}
