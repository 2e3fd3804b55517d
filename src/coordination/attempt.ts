/** One attempt of a task: from its expressions to the event that says what came of it. */
import type {
  AgentDefinition,
  AgentRegistry,
  Invocation,
  InvocationResult,
} from '../agents/agents.ts';
import { AgentFailure } from '../agents/agents.ts';
import {
  AppError,
  backoffMs,
  defaultRetry,
  errorRecord,
  expand,
  toAppError,
  type Clock,
  type ErrorRecord,
  type Log,
} from '../base/base.ts';
import type { Call, CallEnd, CallGate, Refusal } from './call-gate.ts';
import type { ChoiceContext, Choices } from './choices.ts';
import type { AgentTask, Amounts, WorkflowDefinition } from './definition.ts';
import type { TaskFacts } from '../learning/learning.ts';
import { delegatingOf, type Delegating, type DelegationOptions } from './delegation.ts';
import type { WorkspaceMark, Workspaces } from '../workspaces/workspaces.ts';
import type { EventBody, Passage, Usage } from './events.ts';
import { budgetOfCall, estimateOf } from './run-budget.ts';
import { prepareRunFolder } from './run-folder.ts';
import { scopeOf } from './scope.ts';
import { templateOf, type Node } from './shape.ts';
import type { Slots } from './slots.ts';
import { StallWatch } from './stall-watch.ts';
import type { RunState } from './state.ts';
import type { TandemCalls } from './tandem-calls.ts';

export interface AttemptContext extends ChoiceContext {
  readonly registry: AgentRegistry;
  readonly home: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly gate?: CallGate;
  readonly workspaces?: Workspaces;
  readonly slots?: Pick<Slots, 'lend'>;
  /** Absent: its agents call nobody. */
  readonly delegation?: DelegationOptions;
  /** The doors of tasks that say `tandem`. */
  readonly tandem: TandemCalls;
}

export interface AttemptRequest {
  readonly context: AttemptContext;
  readonly runId: string;
  /** 1 to 100: what its agent calls has the same. */
  readonly priority: number;
  readonly definition: WorkflowDefinition;
  readonly state: RunState;
  /** Who does the tasks that name no agent. */
  readonly choices: Choices;
  /** Where in the run: the task's path, with the numbers of items. */
  readonly path: string;
  readonly task: AgentTask;
  /** What its expressions may name beyond the usual. */
  readonly extra: Readonly<Record<string, unknown>> | undefined;
  /** 1, 2, 3 … */
  readonly attempt: number;
  readonly attemptId: string;
  readonly signal: AbortSignal;
  /** Whether an abort means that the worker stops, not the run. */
  readonly isLettingGo: () => boolean;
  readonly onProgress: (text: string) => void;
  /** Takes down what the agent gets, for what will be learned of it; never rejects. */
  readonly about: (input: unknown) => TaskFacts | Promise<TaskFacts>;
  /** The run's own time: by the database's clock, whatever the worker's says. */
  readonly nowMs: () => number;
  /** Writes a fact and resolves when it is durable. */
  readonly record: (body: EventBody) => Promise<void>;
}

/** Runs one attempt. Whatever happens becomes an event, never an exception. */
export async function runAttempt(request: AttemptRequest): Promise<EventBody> {
  const attempt = new Attempt(request);
  let end: EventBody;
  try {
    end = await attempt.run();
  } catch (thrown) {
    end = await attempt.failed(thrown);
  }
  // What came of it is written with its end, so what it was about has to be known by then.
  if (attempt.about instanceof Promise) await attempt.about;
  return end;
}

/** Groups in which one member more or less does not matter: it fails at once instead of waiting. */
const spareModes: ReadonlySet<string> = new Set(['consensus', 'competitive', 'redundant']);

class Attempt {
  /** What its agent was asked, once that is known. */
  about: TaskFacts | Promise<TaskFacts> | undefined;
  readonly #request: AttemptRequest;
  readonly #node: Node | undefined;
  #retries: number;
  #call: Call | undefined;
  #mark: WorkspaceMark | undefined;
  #calls: Delegating | undefined;
  #via: readonly Passage[] = [];
  readonly #beganMs: number;

  constructor(request: AttemptRequest) {
    this.#request = request;
    this.#node = request.state.shape.nodes.get(templateOf(request.path));
    this.#retries = request.task.retries ?? 0;
    this.#beganMs = request.context.clock.monotonicMs();
  }

  async run(): Promise<EventBody> {
    const { context, runId, task, path, attempt, signal } = this.#request;
    const agent = await this.#agent();
    if ('type' in agent) return agent;
    this.#retries = task.retries ?? agent.retries;
    const deferred = await this.#admit(agent);
    if (deferred !== undefined) return deferred;
    if (this.#node?.namesFolder === true) await prepareRunFolder(context.home, runId);
    const folder = await this.#beginWorkspace();
    signal.throwIfAborted();
    const { output, usage } = await this.#invoke(agent, folder);
    await this.#finishWorkspace();
    await this.#done({ cancelled: false, last: true, usage });
    return {
      type: 'attempt.succeeded',
      task: path,
      attempt,
      output: output ?? null,
      usage: this.#withCalls(usage) ?? usage,
      ...this.#doors(),
      ...this.#blind(),
    };
  }

  /** What was used with what the called agents used: those are settled by themselves with shared budgets. */
  #withCalls(usage: Usage | undefined): Usage | undefined {
    const { tokens, microUsd } = this.#calls?.spent ?? {};
    if (tokens === undefined && microUsd === undefined) return usage;
    const wallMs = this.#request.context.clock.monotonicMs() - this.#beganMs;
    return {
      ...(usage ?? { wallMs }),
      ...(tokens === undefined ? {} : { tokens: (usage?.tokens ?? 0) + tokens }),
      ...(microUsd === undefined ? {} : { microUsd: (usage?.microUsd ?? 0) + microUsd }),
    };
  }

  #blind(): { blind?: true } {
    return this.#node?.blind === true ? { blind: true } : {};
  }

  #doors(): { via?: readonly Passage[] } {
    return this.#via.length === 0 ? {} : { via: this.#via };
  }

  /** What is written when the attempt came to nothing. */
  async failed(thrown: unknown): Promise<EventBody> {
    const { context, runId, path, attempt, signal, state, isLettingGo } = this.#request;
    const error = toAppError(thrown);
    const { usage: own, partial } = error instanceof AgentFailure ? error : {};
    const usage = this.#withCalls(own);
    if (signal.aborted) {
      await this.#done({ cancelled: true, last: true, usage: own });
      if (isLettingGo()) {
        return { type: 'attempt.abandoned', task: path, attempt, reason: 'the worker stopped' };
      }
      const why: unknown = signal.reason;
      return {
        type: 'attempt.cancelled',
        task: path,
        attempt,
        ...(why instanceof AppError ? { reason: why.message } : {}),
        ...(usage === undefined ? {} : { usage }),
      };
    }
    if (error.code === 'internal') {
      context.log.error({ error, runId, task: path }, 'an attempt met a defect');
    }
    const failures = (state.tasks.get(path)?.failures ?? 0) + 1;
    const again =
      (error.retryable || this.#request.choices.othersCan(path, error.code)) &&
      failures <= this.#retries;
    const record = errorRecord(error);
    await this.#done({ error: record, cancelled: false, last: !again, usage: own });
    // Being asked to call later is no failure: it is not counted, and the task waits.
    if (error.code === 'agent_busy') return this.#deferred(record, retryAfterMs(error));
    return {
      type: 'attempt.failed',
      task: path,
      attempt,
      error: record,
      ...(usage === undefined ? {} : { usage }),
      ...this.#doors(),
      ...(partial === undefined ? {} : { partial, ...this.#blind() }),
      ...(again
        ? { retryAt: this.#after(backoffMs(defaultRetry, failures, context.random())) }
        : {}),
    };
  }

  /** Who does it; an event when nobody can now. */
  async #agent(): Promise<AgentDefinition | EventBody> {
    const { task } = this.#request;
    if (task.route !== undefined) return this.#chosen();
    return this.#pinned(task.agent ?? '');
  }

  async #pinned(name: string): Promise<AgentDefinition> {
    const { context, state } = this.#request;
    const hash = state.agents[name] ?? '';
    const agent = await context.registry.byHash(hash);
    if (agent !== undefined) return agent;
    const message = `the definition ${hash.slice(0, 12)} of agent ${name} is gone`;
    throw new AppError('agent_not_found', message);
  }

  /** What the agent is called with and does is the chosen one's, so it is chosen before all else. */
  async #chosen(): Promise<AgentDefinition | EventBody> {
    const { choices, path, task, attempt, signal, record } = this.#request;
    const agents = await choices.candidates(path);
    // A choice that fails is tried again as often as the most patient of those that could be chosen.
    this.#retries = task.retries ?? Math.max(0, ...agents.map(({ retries }) => retries));
    this.about = this.#request.about(this.#inputToCome());
    const facts = await this.about;
    const choice = await choices.choose({ path, task, attempt, agents, facts, signal, record });
    if ('error' in choice) return this.#refused(choice);
    return this.#pinned(choice.agent);
  }

  /** What the agent will get, with the folder that it is to change where it will get one like it. */
  #inputToCome(): unknown {
    const { workspace } = this.#request.task;
    const folder = workspace && expand(workspace.folder, this.#scope(undefined));
    return this.#input(typeof folder === 'string' ? folder : undefined);
  }

  /** Asks for permission; an event when the attempt may not begin now. */
  async #admit(agent: AgentDefinition): Promise<EventBody | undefined> {
    const { context, runId, definition, attemptId, task } = this.#request;
    if (context.gate === undefined) return undefined;
    const call: Call = {
      attemptId,
      runId,
      agent,
      budgets: definition.budgets ?? [],
      onBudget: definition.onBudget ?? 'ask',
      nowMs: this.#request.nowMs(),
      estimate: { ms: agent.timeoutMs, ...estimateOf(task, agent) },
    };
    const refusal = await context.gate.ask(call);
    if (refusal === undefined) {
      this.#call = call;
      return undefined;
    }
    return this.#refused(refusal);
  }

  #refused({ error, retryAt }: Refusal): EventBody {
    const { path, attempt } = this.#request;
    const { mode } = this.#node?.group ?? { mode: 'parallel' };
    if (retryAt === undefined || spareModes.has(mode)) {
      return { type: 'attempt.failed', task: path, attempt, error };
    }
    return this.#deferred(error, retryAt.getTime() - this.#request.nowMs());
  }

  #deferred(error: ErrorRecord, ms: number | undefined): EventBody {
    const { context, path, attempt } = this.#request;
    const pauseMs = ms ?? backoffMs(defaultRetry, Math.min(attempt, 10), context.random());
    const retryAt = this.#after(Math.max(10, pauseMs));
    return { type: 'attempt.deferred', task: path, attempt, error, retryAt };
  }

  #after(ms: number): string {
    return new Date(this.#request.nowMs() + ms).toISOString();
  }

  async #invoke(agent: AgentDefinition, folder: string | undefined): Promise<InvocationResult> {
    const { context, path, task, attempt, attemptId, state, signal } = this.#request;
    const stall = new StallWatch(context.clock, task.stallMs, agent.name);
    const { partial } = state.tasks.get(path) ?? {};
    const budget = budgetOfCall(task, agent, state.running.get(path));
    const report = (text: string): void => {
      stall.progressed();
      this.#request.onProgress(text);
    };
    this.#calls = this.#delegating(agent, { budget, stall, report });
    try {
      const input = this.#input(folder);
      this.about = this.#request.about(input);
      return await this.#carry({
        agent,
        input,
        attemptId,
        attempt,
        idempotencyKey: this.#key(agent),
        timeoutMs: task.timeoutMs ?? agent.timeoutMs,
        budget,
        ...(this.#calls === undefined ? {} : { delegate: this.#calls }),
        ...(partial === undefined ? {} : { partial }),
        signal: stall.signal === undefined ? signal : AbortSignal.any([signal, stall.signal]),
        onProgress: report,
      });
    } catch (thrown) {
      // What the runtime makes of the abort says less than why it was aborted.
      if (!signal.aborted && stall.error !== undefined) {
        const facts = thrown instanceof AgentFailure ? thrown : {};
        throw new AgentFailure(stall.error, facts);
      }
      throw thrown;
    } finally {
      stall.close();
      await this.#calls?.close();
    }
  }

  #input(folder: string | undefined): unknown {
    const { task } = this.#request;
    return this.#node?.isPlain === true ? task.input : expand(task.input, this.#scope(folder));
  }

  /** The same for all attempts of an agent; another agent that is chosen must not be taken for the first. */
  #key({ name }: AgentDefinition): string {
    const { runId, path, task } = this.#request;
    return task.route === undefined ? `${runId}/${path}` : `${runId}/${path}@${name}`;
  }

  /** In this process, or through the doors that the task says. */
  async #carry(invocation: Invocation): Promise<InvocationResult> {
    const { context, task } = this.#request;
    if (task.tandem === undefined) return context.registry.invoke(invocation);
    const carried = await context.tandem.call(task.tandem, invocation);
    this.#via = carried.via;
    if ('error' in carried) throw carried.error;
    return carried.result;
  }

  /** How the agent calls others; what it waits for is no stall of its own. */
  #delegating(
    agent: AgentDefinition,
    work: { budget: Amounts; stall: StallWatch; report: (text: string) => void },
  ): Delegating | undefined {
    const { context, runId, path, attemptId, state, signal, definition } = this.#request;
    if (context.delegation === undefined) return undefined;
    return delegatingOf(context.delegation, {
      agent,
      parent: { runId, task: path, attemptId, chain: state.parent?.chain ?? [] },
      key: this.#key(agent),
      untold: state.tasks.get(path)?.untold ?? [],
      startedBy: state.startedBy,
      callable: state.callable,
      priority: this.#request.priority,
      budget: work.budget,
      budgets: definition.budgets ?? [],
      signal,
      isLettingGo: this.#request.isLettingGo,
      onProgress: work.report,
      lend() {
        const takeBack = context.slots?.lend();
        const goOn = work.stall.hold();
        return () => {
          goOn();
          takeBack?.();
        };
      },
    });
  }

  #scope(folder: string | undefined): Readonly<Record<string, unknown>> {
    const { context, runId, definition, state, path, extra } = this.#request;
    const workspace = folder === undefined ? {} : { workspace: { path: folder } };
    const source = { home: context.home, runId, definition, state };
    return scopeOf(source, path, { ...extra, ...workspace });
  }

  /** The folder that the agent may change, in the state that is fixed and written down first. */
  async #beginWorkspace(): Promise<string | undefined> {
    const { context, runId, path, task, attemptId, state, signal, record } = this.#request;
    if (task.workspace === undefined) return undefined;
    if (context.workspaces === undefined) {
      throw new AppError('unavailable', 'this worker keeps no workspaces');
    }
    const folder = expand(task.workspace.folder, this.#scope(undefined));
    if (typeof folder !== 'string') {
      throw new AppError('invalid_input', `workspace: ${JSON.stringify(folder)} is no folder`);
    }
    const { mark: previous } = state.tasks.get(path) ?? {};
    const { kind } = task.workspace;
    this.#mark = await context.workspaces.begin({
      runId,
      task: path,
      attemptId,
      folder,
      kind,
      signal,
      ...(previous === undefined ? {} : { previous }),
    });
    await record({ type: 'workspace.prepared', task: path, mark: this.#mark });
    return this.#mark.path;
  }

  async #finishWorkspace(): Promise<void> {
    const { context, path, record } = this.#request;
    const mark = this.#mark;
    this.#mark = undefined;
    if (mark === undefined || context.workspaces === undefined) return;
    const change = await context.workspaces.finish(mark).catch(async (error: unknown) => {
      await context.workspaces?.release(mark);
      throw error;
    });
    await record({ type: 'workspace.changed', task: path, change });
  }

  async #done(end: CallEnd): Promise<void> {
    const { context, path } = this.#request;
    const call = this.#call;
    this.#call = undefined;
    try {
      // An attempt that failed has changed its folder as well.
      await this.#finishWorkspace();
    } catch (error) {
      context.log.warn(
        { error: toAppError(error), task: path },
        'a folder was not looked at again',
      );
    }
    if (call === undefined || context.gate === undefined) return;
    try {
      await context.gate.done(call, end);
    } catch (error) {
      context.log.warn({ error: toAppError(error), task: path }, 'a call was not settled');
    }
  }
}

function retryAfterMs({ details }: AppError): number | undefined {
  const ms = details?.['retryAfterMs'];
  return typeof ms === 'number' && ms >= 0 ? ms : undefined;
}
