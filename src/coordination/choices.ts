/** Whom the tasks of a run go to that name no agent: one choice after the other, each knowing the others. */
import type { AgentDefinition, AgentRegistry } from '../agents/agents.ts';
import { AppError, errorRecord, toAppError, type ErrorCode } from '../base/base.ts';
import type { Candidate, Learning, RouteDecision, TaskFacts } from '../learning/learning.ts';
import type { CallGate, Refusal } from './call-gate.ts';
import type { AgentTask } from './definition.ts';
import type { EventBody } from './events.ts';
import { whyIrreversible } from './irreversible.ts';
import { partnersOf } from './outcomes.ts';
import { estimateOf } from './run-budget.ts';
import { itemOf, join, nameOf, parentOf, templateOf } from './shape.ts';
import { agentAt, type Routed, type RunState } from './state.ts';
import { cannotWork } from './task-state.ts';

export interface ChoiceContext {
  readonly registry: Pick<AgentRegistry, 'byHash' | 'status'>;
  readonly random: () => number;
  readonly gate?: Pick<CallGate, 'peek'>;
  /** Absent: no agent is chosen here. */
  readonly router?: Pick<Learning, 'choose'>;
}

export interface ChoiceRequest {
  readonly path: string;
  readonly task: AgentTask;
  readonly attempt: number;
  /** Those that the run is pinned to and that can still be read. */
  readonly agents: readonly AgentDefinition[];
  readonly facts: TaskFacts;
  readonly signal: AbortSignal;
  /** Writes a fact and resolves when it is durable. */
  readonly record: (body: EventBody) => Promise<void>;
}

/** Prospects that a decision is kept with: the chosen one and five others. */
const mostProspects = 6;
/** In these states nobody should be given work. */
const outOfWork: ReadonlySet<string> = new Set(['unavailable', 'failed', 'shutting_down']);

export class Choices {
  readonly #context: ChoiceContext;
  readonly #state: RunState;
  /** Made, and not yet in the state. */
  readonly #made = new Map<string, string>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(context: ChoiceContext, state: RunState) {
    this.#context = context;
    this.#state = state;
  }

  /** Those that the run is pinned to for a task, as far as they can be read. */
  async candidates(path: string): Promise<AgentDefinition[]> {
    const { registry } = this.#context;
    const names = this.#state.routes[templateOf(path)] ?? [];
    const found = await Promise.all(
      names.map((name) => registry.byHash(this.#state.agents[name] ?? '')),
    );
    return found.flatMap((agent) => agent ?? []);
  }

  /** Chooses and writes it down; a refusal when nobody can do the task now. Throws what the router throws. */
  async choose(request: ChoiceRequest): Promise<Routed | Refusal> {
    const { path, attempt, signal, record } = request;
    const choosing = this.#last.then(() => {
      signal.throwIfAborted();
      return this.#pick(request);
    });
    this.#last = choosing.catch(() => undefined);
    const choice = await choosing;
    if ('error' in choice) return choice;
    try {
      await record({ type: 'task.routed', task: path, ...choice });
    } finally {
      this.#made.delete(path);
    }
    if (this.#state.tasks.get(path)?.routed?.attempt === attempt) return choice;
    throw new AppError('fenced', `the choice for task ${path} came too late`);
  }

  /** Whether another agent may do what the chosen one can't, as the error of its attempt says. */
  othersCan(path: string, code: ErrorCode): boolean {
    const { routed, failedBy = [], keeps } = this.#state.tasks.get(path) ?? {};
    if (routed === undefined || keeps !== undefined || !cannotWork.has(code)) return false;
    if (routed.external === true) return false;
    const names = this.#state.routes[templateOf(path)] ?? [];
    return names.some((name) => name !== routed.agent && !failedBy.includes(name));
  }

  async #pick(request: ChoiceRequest): Promise<Routed | Refusal> {
    const { path, task, attempt, agents } = request;
    const keeps = this.#state.tasks.get(path)?.keeps;
    if (keeps !== undefined) {
      this.#made.set(path, keeps.agent);
      return { ...keeps, attempt, stays: true };
    }
    const { free, reasons, until } = this.#free(request);
    if (free.length === 0) return nobody(path, reasons, until);
    const decision = await this.#ask(request, free);
    const agent = agents.find(({ name }) => name === decision.agent);
    this.#made.set(path, decision.agent);
    return {
      attempt,
      agent: decision.agent,
      decision,
      ...(agent?.sideEffects === 'external' ? { external: true } : {}),
      ...(agent !== undefined && whyIrreversible(task, agent) !== undefined
        ? { irreversible: true }
        : {}),
    };
  }

  async #ask(
    { path, task, facts, signal }: ChoiceRequest,
    free: readonly AgentDefinition[],
  ): Promise<RouteDecision> {
    const { router, random } = this.#context;
    if (router === undefined) throw noRouter();
    const { mode, perUsd, perMinute } = task.route ?? {};
    const partners = this.#partners(path);
    let given: RouteDecision;
    try {
      given = await router.choose({
        task: facts,
        candidates: free.map((agent) => candidateOf(task, agent)),
        draw: random(),
        signal,
        ...(partners.length === 0 ? {} : { partners }),
        ...(mode === undefined ? {} : { mode }),
        worth: {
          ...(perUsd === undefined ? {} : { perUsd }),
          ...(perMinute === undefined ? {} : { perMinute }),
        },
      });
    } catch (thrown) {
      signal.throwIfAborted();
      const { code, message, details } = toAppError(thrown);
      throw new AppError(code, `no agent was chosen: ${message}`, {
        retryable: true,
        cause: thrown,
        ...(details === undefined ? {} : { details }),
      });
    }
    const { agent, propensity, prospects } = given;
    const isSound = free.some(({ name }) => name === agent) && propensity > 0 && propensity <= 1;
    if (!isSound) {
      throw new AppError('internal', `${agent} with the propensity ${propensity} is no choice`);
    }
    return { ...given, prospects: prospects.slice(0, mostProspects) };
  }

  /** Who can do it now, and of the others why not, and when a breaker lets the first of them through. */
  #free({ path, agents }: ChoiceRequest): {
    free: readonly AgentDefinition[];
    reasons: ReadonlyMap<string, string>;
    until: Date | undefined;
  } {
    const { registry, gate } = this.#context;
    const reasons = new Map<string, string>();
    let until: Date | undefined;
    const taken = this.#taken(path);
    const free = agents.filter((agent) => {
      const { name } = agent;
      const status = registry.status(name);
      if (taken.has(name)) reasons.set(name, 'it works beside it already');
      else if (status !== undefined && outOfWork.has(status.state)) {
        reasons.set(name, status.reason ?? `it is ${status.state}`);
      } else {
        const refusal = gate?.peek(agent);
        if (refusal === undefined) return true;
        reasons.set(name, refusal.error.message);
        if (refusal.retryAt !== undefined && (until === undefined || refusal.retryAt < until)) {
          until = refusal.retryAt;
        }
      }
      return false;
    });
    for (const name of this.#state.routes[templateOf(path)] ?? []) {
      const isRead = agents.some((agent) => agent.name === name);
      if (!isRead) reasons.set(name, 'its definition is gone');
    }
    const failed = this.#state.tasks.get(path)?.failedBy ?? [];
    const fresh = free.filter(({ name }) => !failed.includes(name));
    return { free: fresh.length > 0 ? fresh : free, reasons, until };
  }

  /** Agents of its siblings, where the group asks for different ones. */
  #taken(path: string): ReadonlySet<string> {
    const group = this.#state.shape.nodes.get(templateOf(path))?.group;
    if (group?.differ !== true) return new Set();
    return new Set(group.tasks.flatMap(({ id }) => this.#chosenFor(sibling(path, id), path) ?? []));
  }

  #partners(path: string): string[] {
    const node = this.#state.shape.nodes.get(templateOf(path));
    if (node === undefined) return [];
    return partnersOf(this.#state, node, path, undefined, (each) => this.#chosenFor(each, path));
  }

  /** Who does a task that has begun, or for which somebody was just chosen. */
  #chosenFor(path: string, own: string): string | undefined {
    if (path === own) return undefined;
    const task = this.#state.tasks.get(path);
    const made = this.#made.get(path) ?? task?.keeps?.agent;
    if (made !== undefined) return made;
    return task === undefined || task.attempts === 0 ? undefined : agentAt(this.#state, path);
  }
}

/** The task of that id beside the one at a path; in a pipeline the one of the same item. */
function sibling(path: string, id: string): string {
  const item = itemOf(path);
  return `${join(parentOf(path), nameOf(id))}${item === undefined ? '' : `#${item}`}`;
}

function candidateOf(task: AgentTask, agent: AgentDefinition): Candidate {
  const { name, hash, description, category, capabilities } = agent;
  const { ms = agent.timeoutMs, microUsd } = estimateOf(task, agent);
  const known = { name, hash, description, category, capabilities, timeoutMs: ms };
  return {
    ...known,
    ...(microUsd === undefined ? {} : { budgetMicroUsd: microUsd }),
  };
}

function nobody(path: string, reasons: ReadonlyMap<string, string>, until?: Date): Refusal {
  const all = [...reasons].map(([name, why]) => `${name}: ${why}`).join('; ');
  const error = new AppError('agent_unavailable', `no agent can do task ${path} now (${all})`, {
    details: { reasons: Object.fromEntries(reasons) },
  });
  return { error: errorRecord(error), ...(until === undefined ? {} : { retryAt: until }) };
}

export function noRouter(): AppError {
  return new AppError('unavailable', 'nobody chooses agents in this process', {
    remedy: 'Name an agent in place of `route`, or start the server with learning.',
  });
}
