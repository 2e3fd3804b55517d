/**
 * Agents that call agents. Each call is a run of its own below the caller's, with what is left of the
 * caller's budget, for whoever started the outermost run, and only as far as that one may call.
 */
import { createHash } from 'node:crypto';
import type {
  AgentDefinition,
  AgentRegistry,
  Delegate,
  DelegatedAnswer,
  DelegatedCall,
} from '../agents/agents.ts';
import { canonicalJson, AppError, type Log } from '../base/base.ts';
import type { Amounts } from './definition.ts';
import type { Parent } from './events.ts';
import type { Coordination, RunDetail, RunSummary } from './types.ts';

/** Callers above one another, at the most: an agent that this many stand above calls nobody. */
export const mostDepth = 5;
/** Calls of one attempt. */
export const mostCalls = 100;
/** Runs that ended without success are begun again by a repeated attempt, so many times. */
const mostRepeats = 10;
/** How long a cancelled call may take to end; what it had set aside stays so when it takes longer. */
const mostEndingMs = 10_000;

export interface DelegationOptions {
  readonly registry: AgentRegistry;
  readonly runs: Pick<Coordination, 'startAgent' | 'wait' | 'cancel' | 'get' | 'calls'>;
  readonly log: Log;
}

/** The attempt that calls. */
export interface Caller {
  readonly agent: AgentDefinition;
  readonly parent: Parent;
  /** The same for every attempt of the task: what was asked before is found by it. */
  readonly key: string;
  /** Attempts of the task that ended without telling what they used. */
  readonly untold: readonly string[];
  readonly startedBy: string | undefined;
  readonly callable: readonly string[] | undefined;
  readonly priority: number;
  /** What the attempt may use, its calls included. */
  readonly budget: Amounts;
  readonly budgets: readonly string[];
  readonly signal: AbortSignal;
  /** Whether the attempt ends because its worker stops: the next one goes on with what was asked for. */
  readonly isLettingGo: () => boolean;
  readonly onProgress: (text: string) => void;
  /** Gives the attempt's place to others while it waits; what it returns takes the place back. */
  readonly lend: () => () => void;
}

/** The calls of one attempt. */
export interface Delegating extends Delegate {
  /** What the called agents have used so far. */
  readonly spent: { readonly tokens?: number; readonly microUsd?: number };
  /** Cancels what was asked for and not waited for; `spent` is complete afterwards. */
  close(): Promise<void>;
}

/** Undefined where the agent may call nobody. */
export function delegatingOf(options: DelegationOptions, caller: Caller): Delegating | undefined {
  const { invokes } = caller.agent;
  if (invokes.length === 0) return undefined;
  const agents = invokes.flatMap((name) => {
    const found = options.registry.get(name);
    return found === undefined || refusal(caller, name) !== undefined ? [] : [found];
  });
  return new Calls(options, caller, agents);
}

/** Why the caller may not call an agent of this name; undefined when it may. */
function refusal(caller: Caller, name: string): string | undefined {
  const { agent, parent, callable } = caller;
  if (!agent.invokes.includes(name)) return `${agent.name} does not name it under invokes`;
  if (callable !== undefined && !callable.includes(name)) {
    return `${caller.startedBy ?? 'whoever started the run'} may not call it`;
  }
  const chain = [...parent.chain, agent.name];
  if (chain.includes(name)) return `it is working already: ${[...chain, name].join(' → ')}`;
  if (chain.length > mostDepth) return `${chain.length} agents stand above it, ${mostDepth} may`;
  return undefined;
}

const kinds = ['tokens', 'microUsd'] as const;

class Calls implements Delegating {
  readonly agents: readonly AgentDefinition[];
  readonly #options: DelegationOptions;
  readonly #caller: Caller;
  readonly #spent: { tokens?: number; microUsd?: number } = {};
  /** Set aside for calls under way. */
  readonly #held = { tokens: 0, microUsd: 0 };
  readonly #underWay = new Set<Promise<DelegatedAnswer>>();
  /** Runs whose use is in `spent`, or was told by an earlier attempt. */
  readonly #settled = new Set<string>();
  readonly #closed = new AbortController();
  /** How often each agent was asked each thing: what it sees may have changed since. */
  readonly #asked = new Map<string, number>();
  #count = 0;

  constructor(options: DelegationOptions, caller: Caller, agents: readonly AgentDefinition[]) {
    this.#options = options;
    this.#caller = caller;
    this.agents = agents;
  }

  get spent(): { readonly tokens?: number; readonly microUsd?: number } {
    return this.#spent;
  }

  call(request: DelegatedCall): Promise<DelegatedAnswer> {
    const call = this.#call(request);
    this.#underWay.add(call);
    const forget = (): void => void this.#underWay.delete(call);
    call.then(forget, forget);
    return call;
  }

  async #call({ agent: name, input, signal }: DelegatedCall): Promise<DelegatedAnswer> {
    const { agent: caller, signal: ending, lend, onProgress } = this.#caller;
    const called = this.#assertMay(name);
    this.#count += 1;
    const allowance = this.#setAside(called);
    const signals = [ending, this.#closed.signal, ...(signal === undefined ? [] : [signal])];
    const stop = AbortSignal.any(signals);
    let isSettled = true;
    try {
      stop.throwIfAborted();
      const begun = await this.#begin(called, input, allowance);
      onProgress(`${caller.name} calls ${name}: run ${begun.id}`);
      const takeBack = lend();
      try {
        const run = await this.#options.runs.wait(begun.id, stop);
        onProgress(`${name}: ${run.status}`);
        this.#addSpent(run);
        return answerOf(run, name);
      } catch (error) {
        // Leaving a call before its end must not make free what it used.
        if (stop.aborted) isSettled = await this.#abandon(begun.id);
        throw error;
      } finally {
        takeBack();
      }
    } finally {
      if (isSettled) for (const kind of kinds) this.#held[kind] -= allowance[kind] ?? 0;
    }
  }

  async close(): Promise<void> {
    this.#closed.abort(new AppError('cancelled', 'its caller ended'));
    await Promise.allSettled(this.#underWay);
    await this.#settleEarlier();
  }

  #assertMay(name: string): AgentDefinition {
    const why = refusal(this.#caller, name) ?? this.#tooMany();
    const called = this.#options.registry.get(name);
    if (why === undefined && called !== undefined) return called;
    throw new AppError(
      'delegation_refused',
      `${this.#caller.agent.name} may not call ${name}: ${why ?? 'there is no such agent'}`,
      { details: { caller: this.#caller.agent.name, agent: name } },
    );
  }

  #tooMany(): string | undefined {
    return this.#count < mostCalls ? undefined : `it has called ${mostCalls} times in one attempt`;
  }

  /** What the called agent may use: what it is meant to, within what its caller has left. */
  #setAside({ name, budget: own }: AgentDefinition): Amounts {
    const { budget, agent } = this.#caller;
    const wanted = {
      tokens: own?.tokens,
      microUsd: own?.usd === undefined ? undefined : Math.round(own.usd * 1e6),
    };
    const allowance: { tokens?: number; microUsd?: number } = {};
    for (const kind of kinds) {
      const limit = budget[kind];
      if (limit === undefined) continue;
      const left = limit - (this.#spent[kind] ?? 0) - this.#held[kind];
      if (left <= 0) {
        throw new AppError(
          'budget_exceeded',
          `${agent.name} has nothing left for a call of ${name}: its ${limit} ${kind === 'tokens' ? 'tokens' : 'millionths of a dollar'} are used or set aside`,
          { details: { agent: name } },
        );
      }
      allowance[kind] = Math.min(left, wanted[kind] ?? left);
    }
    for (const kind of kinds) this.#held[kind] += allowance[kind] ?? 0;
    return allowance;
  }

  /** The run of this call: an earlier attempt's where there is one that has not failed. */
  async #begin(called: AgentDefinition, input: unknown, allowance: Amounts): Promise<RunSummary> {
    const { key, parent, agent, startedBy, callable, priority, budgets } = this.#caller;
    const { runs } = this.#options;
    const same = digestOf([called.name, input]);
    const nth = (this.#asked.get(same) ?? 0) + 1;
    this.#asked.set(same, nth);
    for (let repeat = 1; ; repeat += 1) {
      const run = await runs.startAgent({
        name: called.name,
        input: input ?? null,
        priority,
        idempotencyKey: `call:${digestOf([key, same, nth, repeat])}`,
        parent: { ...parent, chain: [...parent.chain, agent.name] },
        allowance,
        budgets,
        ...(startedBy === undefined ? {} : { startedBy }),
        ...(callable === undefined ? {} : { callable }),
      });
      if (repeat >= mostRepeats || !['failed', 'cancelled'].includes(run.status)) return run;
      this.#addSpent(await runs.get(run.id));
    }
  }

  /** What attempts before asked for whose worker died, and this one did not: nobody waits for it. */
  async #settleEarlier(): Promise<void> {
    const { untold, parent } = this.#caller;
    if (untold.length === 0 || this.#isLeft()) return;
    const calls = await this.#options.runs.calls(parent.runId);
    const own = calls.filter(
      ({ id, parent: { runId, task } }) =>
        runId === parent.runId && task === parent.task && !this.#settled.has(id),
    );
    await Promise.all(own.map(({ id }) => this.#abandon(id)));
  }

  /** Cancels a run and counts what it has used; false when that is not known. */
  async #abandon(runId: string): Promise<boolean> {
    const { runs, log } = this.#options;
    if (this.#isLeft()) return true;
    try {
      await runs.cancel(runId, { reason: 'its caller ended' }).catch((error: unknown) => {
        if (!(error instanceof AppError) || error.code !== 'run_finished') throw error;
      });
      this.#addSpent(await runs.wait(runId, AbortSignal.timeout(mostEndingMs)));
      return true;
    } catch (error) {
      log.warn({ error, runId }, 'a called run was cancelled, and what it used is not known');
      return false;
    }
  }

  /** Whether another attempt goes on with what was asked for. */
  #isLeft(): boolean {
    const { isLettingGo, signal } = this.#caller;
    return isLettingGo() || (signal.reason instanceof AppError && signal.reason.code === 'fenced');
  }

  /** What an earlier attempt has told already is not told again. */
  #addSpent({ id, spent, parent }: RunDetail): void {
    if (this.#settled.has(id)) return;
    this.#settled.add(id);
    const { untold, parent: own } = this.#caller;
    const by = parent?.attemptId ?? own.attemptId;
    if (by !== own.attemptId && !untold.includes(by)) return;
    for (const kind of kinds) {
      const used = spent[kind];
      if (used !== undefined && used > 0) this.#spent[kind] = (this.#spent[kind] ?? 0) + used;
    }
  }
}

function digestOf(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

function answerOf(run: RunDetail, name: string): DelegatedAnswer {
  if (run.status === 'completed') return { runId: run.id, output: run.output };
  const why = run.error?.message ?? run.status;
  throw new AppError('agent_failed', `${name}, called in run ${run.id}, ${run.status}: ${why}`, {
    details: { agent: name, runId: run.id, status: run.status, cause: run.error?.code },
    retryable: run.error?.retryable ?? false,
  });
}
