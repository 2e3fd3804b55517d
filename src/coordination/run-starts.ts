/** How runs begin: planned, started and forked, pinned to all that they need for their whole life. */
import { createHash } from 'node:crypto';
import type { AgentDefinition } from '../agents/agents.ts';
import { AppError, canonicalJson, newId, suggest } from '../base/base.ts';
import { agentWorkflow } from './agent-runs.ts';
import { assertNoBudgets } from './call-gate.ts';
import { agentNames, type WorkflowDefinition } from './definition.ts';
import type { Definitions } from './definitions.ts';
import type { EventBody, Inherited } from './events.ts';
import { wavesOf } from './graph.ts';
import { GroupCommit } from './group-commit.ts';
import { resolveInputs } from './inputs.ts';
import { irreversibleIn, irreversibleOf, type Routes } from './irreversible.ts';
import * as queries from './queries.ts';
import type { CreateColumns } from './queries.ts';
import { standingOn } from './rerun.ts';
import { RouteStarts, routesIn } from './route-starts.ts';
import type { RunReads } from './run-reads.ts';
import type { RunsOptions } from './runs.ts';
import type { TaskState } from './state.ts';
import type { Coordination, RunPlan, RunSummary, StartAgent, StartRun } from './types.ts';
import { summaryView } from './views.ts';
import { findWorkflow, WorkflowFiles, type LoadedWorkflows } from './workflow-files.ts';
import { definitionHash } from './workflow.ts';

interface Creation {
  readonly runId: string;
  readonly definition: WorkflowDefinition;
  readonly hash: string;
  readonly priority: number;
  readonly key: string | null;
  readonly requestHash: string;
  readonly created: Extract<EventBody, { type: 'run.created' }>;
}

/** Starts runs. */
export class RunStarts {
  readonly #options: RunsOptions;
  readonly #reads: RunReads;
  readonly #definitions: Definitions;
  readonly #creations: GroupCommit<Creation, Date | undefined>;
  readonly #files: WorkflowFiles;
  readonly #routes: RouteStarts;

  constructor(options: RunsOptions, reads: RunReads, definitions: Definitions) {
    this.#options = options;
    this.#reads = reads;
    this.#definitions = definitions;
    this.#files = new WorkflowFiles(options.workflowFolders, options.registry);
    this.#routes = new RouteStarts(options);
    this.#creations = new GroupCommit({
      name: 'the queue of runs to be created',
      capacity: 10_000,
      maxInFlight: options.database.driver === 'embedded' ? 1 : 2,
      maxItems: 500,
      commit: (batch) => this.#create(batch),
    });
  }

  workflows(): Promise<LoadedWorkflows> {
    return this.#files.load();
  }

  async plan(request: StartRun): Promise<RunPlan> {
    const { definition, input, agents, routes } = await this.#prepare(request);
    return {
      workflow: definition,
      input,
      waves: wavesOf(definition.tasks),
      agents: agents.map(({ name, hash }) => {
        const status = this.#options.registry.status(name);
        const usable = status === undefined || status.state !== 'unavailable';
        return usable
          ? { name, hash }
          : { name, hash, unavailable: status.reason ?? 'no reason known' };
      }),
      ...routesIn(routes),
      irreversible: irreversibleOf(definition, agents, routes),
    };
  }

  async start(request: StartRun): Promise<RunSummary> {
    const priority = checkedPriority(request.priority ?? 50);
    const key = checkedKey(request.idempotencyKey);
    const { definition, input, agents, routes } = await this.#prepare(request);
    const callable = await this.#callable(agents, request.mayCall);
    return this.#begin(definition, agents, {
      priority,
      key,
      asked: [definition.name, input, priority],
      created: {
        input,
        ...routesIn(routes),
        ...irreversibleIn(definition, agents, routes),
        ...(callable === undefined ? {} : { callable }),
        ...(request.startedBy === undefined ? {} : { startedBy: request.startedBy }),
      },
    });
  }

  async startAgent(request: StartAgent): Promise<RunSummary> {
    const { name, input, startedBy, parent, allowance, budgets = [] } = request;
    const priority = checkedPriority(request.priority ?? 50);
    const key = checkedKey(request.idempotencyKey);
    const agent = this.#agentNamed(name);
    const definition = agentWorkflow(agent, { budgets });
    await this.#checkBudgets(definition);
    const callable = request.callable ?? (await this.#callable([agent], request.mayCall));
    return this.#begin(definition, [agent], {
      priority,
      key,
      asked: [definition.name, input, priority],
      created: {
        input: { input },
        ...irreversibleIn(definition, [agent]),
        ...(startedBy === undefined ? {} : { startedBy }),
        ...(parent === undefined ? {} : { parent }),
        ...(callable === undefined ? {} : { callable }),
        ...(allowance === undefined ? {} : { allowance }),
      },
    });
  }

  async fork(runId: string, request: Parameters<Coordination['fork']>[1]): Promise<RunSummary> {
    const { from, input: changed = {}, by, mayCall } = request;
    const { row, state, definition } = await this.#reads.load(runId);
    const again = new Set(standingOn(state, from));
    const kept = [...state.tasks.values()].filter(
      ({ id, status }) => status === 'completed' && id !== '' && !again.has(id),
    );
    const hashes = Object.values(state.agents);
    const found = await Promise.all(hashes.map((hash) => this.#options.registry.byHash(hash)));
    const agents = found.flatMap((agent) => (agent === undefined ? [] : [agent]));
    if (agents.length < hashes.length) {
      throw new AppError('agent_not_found', `an agent that run ${runId} was pinned to is gone`);
    }
    const input = await resolveInputs(
      definition,
      { ...state.input, ...changed },
      this.#options.cwd,
    );
    // Otherwise a fork would be a way around what its starter, or who forks it, may call and spend.
    const callable = mayCall === undefined ? state.callable : await this.#callable(agents, mayCall);
    const routes = await this.#routes.again(definition, state.routes, mayCall);
    return this.#begin(definition, agents, {
      priority: row.priority,
      key: null,
      asked: null,
      created: {
        input,
        forkedFrom: { runId: row.run_id, task: from },
        inherited: Object.fromEntries(kept.map((task) => [task.id, inheritedOf(task)])),
        ...routesIn(routes),
        ...(state.irreversible.length === 0 ? {} : { irreversible: state.irreversible }),
        ...(callable === undefined ? {} : { callable }),
        ...(state.allowance === undefined ? {} : { allowance: state.allowance }),
        ...(by === undefined ? {} : { startedBy: by }),
      },
    });
  }

  /** Writes the first event of a run, pinned to what it needs for its whole life. */
  async #begin(
    definition: WorkflowDefinition,
    agents: readonly AgentDefinition[],
    begun: {
      readonly priority: number;
      readonly key: string | null;
      /** What two starts with one key must have in common. */
      readonly asked: unknown;
      readonly created: Omit<
        Creation['created'],
        'type' | 'workflow' | 'definitionHash' | 'agents'
      >;
    },
  ): Promise<RunSummary> {
    const hash = definitionHash(definition);
    await this.#store(hash, definition, agents);
    const { priority, key, asked, created } = begun;
    const creation: Creation = {
      runId: newId(this.#options.clock),
      definition,
      hash,
      priority,
      key,
      requestHash:
        key === null ? '' : createHash('sha256').update(canonicalJson(asked)).digest('hex'),
      created: {
        type: 'run.created',
        workflow: definition.name,
        definitionHash: hash,
        agents: Object.fromEntries(agents.map((agent) => [agent.name, agent.hash])),
        ...created,
      },
    };
    const createdAt = await this.#creations.submit(creation);
    if (createdAt === undefined) return this.#existing(creation);
    const { startedBy, forkedFrom, parent } = created;
    return {
      id: creation.runId,
      workflow: definition.name,
      status: 'queued',
      priority,
      createdAt: createdAt.toISOString(),
      tasks: { created: definition.tasks.length },
      ...(startedBy === undefined ? {} : { startedBy }),
      ...(forkedFrom === undefined ? {} : { forkedFrom: forkedFrom.runId }),
      ...(parent === undefined ? {} : { parent: { runId: parent.runId, task: parent.task } }),
    };
  }

  async #prepare(request: StartRun): Promise<{
    definition: WorkflowDefinition;
    input: Record<string, unknown>;
    agents: AgentDefinition[];
    routes: Routes;
  }> {
    const definition = findWorkflow(request.workflow, await this.workflows());
    await this.#checkBudgets(definition);
    const routes = await this.#routes.of(definition, request.mayCall);
    const names = new Set([...agentNames(definition), ...Object.values(routes).flat()]);
    const agents = [...names].map((name) => {
      const agent = this.#options.registry.get(name);
      if (agent !== undefined) return agent;
      throw new AppError(
        'agent_not_found',
        `workflow ${definition.name} names the agent ${name}, which does not exist`,
      );
    });
    return {
      definition,
      input: await resolveInputs(definition, request.input, this.#options.cwd),
      agents,
      routes,
    };
  }

  async #checkBudgets({ budgets = [] }: WorkflowDefinition): Promise<void> {
    const { gate } = this.#options;
    if (gate === undefined) assertNoBudgets(budgets);
    else await gate.check(budgets);
  }

  #agentNamed(name: string): AgentDefinition {
    const { registry } = this.#options;
    const agent = registry.get(name);
    if (agent !== undefined) return agent;
    const near = suggest(
      name,
      registry.list().map((each) => each.name),
    );
    throw new AppError('agent_not_found', `there is no agent ${name}`, {
      details: { agent: name },
      remedy: near === undefined ? '`centuria agent list` shows them.' : `Did you mean ${near}?`,
    });
  }

  /** All that these agents may call, and those in turn, as far as whoever starts the run may call them. */
  async #callable(
    agents: readonly AgentDefinition[],
    mayCall: StartRun['mayCall'],
  ): Promise<string[] | undefined> {
    if (mayCall === undefined) return undefined;
    const found = new Map<string, boolean>();
    const open = agents.flatMap(({ invokes }) => invokes);
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      if (found.has(name)) continue;
      found.set(name, await mayCall(name));
      if (found.get(name) === true) {
        open.push(...(this.#options.registry.get(name)?.invokes ?? []));
      }
    }
    return [...found].flatMap(([name, may]) => (may ? [name] : [])).toSorted();
  }

  /** What a run is pinned to has to be there before the run is. */
  async #store(
    hash: string,
    definition: WorkflowDefinition,
    agents: readonly AgentDefinition[],
  ): Promise<void> {
    await this.#options.registry.pin(agents);
    await this.#definitions.keep(hash, definition);
  }

  async #create(batch: readonly Creation[]): Promise<(Date | undefined)[]> {
    const rows = await this.#options.database.query(queries.createRuns(columnsOf(batch)));
    const created = new Map(rows.map((row) => [row.run_id, row.created_at]));
    return batch.map(({ runId }) => created.get(runId));
  }

  /** The run that an earlier start with the same key made. */
  async #existing(creation: Creation): Promise<RunSummary> {
    const [found] = await this.#options.database.query(queries.runOfKey(creation.key ?? ''));
    if (found === undefined)
      throw new AppError('internal', 'a run was not created and its key is unknown');
    if (found.request_hash !== creation.requestHash) {
      throw new AppError('conflict', 'the idempotency key was used for another request', {
        details: { runId: found.run_id },
        remedy: 'Use a new key for a new request.',
      });
    }
    return summaryView(await this.#reads.row(found.run_id));
  }
}

function inheritedOf({ output, routed }: TaskState): Inherited {
  return { output, ...(routed === undefined ? {} : { agent: routed.agent }) };
}

function checkedKey(key: string | undefined): string | null {
  if (key === undefined) return null;
  if (key.length > 0 && key.length <= 255 && !key.includes('\0')) return key;
  throw new AppError('invalid_input', 'an idempotency key has 1 to 255 characters and no NUL');
}

function checkedPriority(priority: number): number {
  if (Number.isInteger(priority) && priority >= 1 && priority <= 100) return priority;
  throw new AppError(
    'invalid_input',
    `priority must be a whole number from 1 to 100, got ${priority}`,
  );
}

function columnsOf(batch: readonly Creation[]): CreateColumns {
  return {
    runIds: batch.map(({ runId }) => runId),
    workflows: batch.map(({ definition }) => definition.name),
    definitionHashes: batch.map(({ hash }) => hash),
    priorities: batch.map(({ priority }) => priority),
    keys: batch.map(({ key }) => key),
    requestHashes: batch.map(({ requestHash }) => requestHash),
    bodies: batch.map(({ created }) => JSON.stringify([created])),
    formats: batch.map(({ definition }) => definition.format ?? 1),
    startedBy: batch.map(({ created }) => created.startedBy ?? null),
    forkedFrom: batch.map(({ created }) => created.forkedFrom?.runId ?? null),
    parentRunIds: batch.map(({ created }) => created.parent?.runId ?? null),
    parentTasks: batch.map(({ created }) => created.parent?.task ?? null),
  };
}
