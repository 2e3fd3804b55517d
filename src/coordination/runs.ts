import { createHash } from 'node:crypto';
import type { AgentDefinition, AgentRegistry } from '../agents/agents.ts';
import { AppError, isId, newId, type Clock, type Log } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import type { CallGate } from './attempt.ts';
import { assertNoBudgets } from './call-gate.ts';
import { answerProblem } from './answers.ts';
import { canonicalJson } from './canonical.ts';
import { agentNames, allTasks, isAgentTask, type WorkflowDefinition } from './definition.ts';
import type { EventBody, RunEvent } from './events.ts';
import { wavesOf } from './graph.ts';
import { GroupCommit } from './group-commit.ts';
import { resolveInputs } from './inputs.ts';
import * as queries from './queries.ts';
import type { CreateColumns, RunRow, SignalBody, SignalKind } from './queries.ts';
import { standingOn } from './rerun.ts';
import type { RunFeed } from './run-feed.ts';
import { projectRun } from './projection.ts';
import { openQuestions, runEnded, type RunState } from './state.ts';
import type {
  Coordination,
  Page,
  RunDetail,
  RunPlan,
  RunStatus,
  RunSummary,
  StartRun,
  UndoPlan,
} from './types.ts';
import type { Workspaces } from '../workspaces/workspaces.ts';
import { planUndo } from './undo.ts';
import { detailView, eventViews, shownEvent, summaryView } from './views.ts';
import { findWorkflow, WorkflowFiles, type LoadedWorkflows } from './workflow-files.ts';
import { definitionHash } from './workflow.ts';

export interface RunsOptions {
  readonly database: Database;
  readonly registry: AgentRegistry;
  readonly workflowFolders: readonly string[];
  /** What relative defaults of path inputs start from. */
  readonly cwd: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly feed: RunFeed;
  readonly workspaces?: Workspaces;
  readonly gate?: CallGate;
}

/**
 * How long a follower waits for a wake-up before it looks by itself: what happens in other processes
 * is seen so; what happens here is published, and looking is a safety net.
 */
const pollMs = { elsewhere: 300, here: 5_000 } as const;
const cachedDefinitions = 1_000;
const followPage = 500;

interface Creation {
  readonly runId: string;
  readonly definition: WorkflowDefinition;
  readonly hash: string;
  readonly priority: number;
  readonly key: string | null;
  readonly requestHash: string;
  readonly created: Extract<EventBody, { type: 'run.created' }>;
}

/** Runs as the faces see them: started, listed, followed, cancelled, tried again. */
export class Runs implements Coordination {
  readonly #options: RunsOptions;
  readonly #creations: GroupCommit<Creation, Date | undefined>;
  readonly #files: WorkflowFiles;
  /** Definitions that are known to be stored, by hash. */
  readonly #definitions = new Map<string, WorkflowDefinition>();

  constructor(options: RunsOptions) {
    this.#options = options;
    this.#files = new WorkflowFiles(options.workflowFolders, options.registry);
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
    const { definition, input, agents } = await this.#prepare(request);
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
      irreversible: irreversibleOf(definition, agents),
    };
  }

  async start(request: StartRun): Promise<RunSummary> {
    const priority = checkedPriority(request.priority ?? 50);
    const key = request.idempotencyKey ?? null;
    if (key !== null && (key.length === 0 || key.length > 255 || key.includes('\0'))) {
      throw new AppError('invalid_input', 'an idempotency key has 1 to 255 characters and no NUL');
    }
    const { definition, input, agents } = await this.#prepare(request);
    const irreversible = irreversibleOf(definition, agents).map(({ task }) => task);
    return this.#begin(definition, agents, {
      priority,
      key,
      asked: [definition.name, input, priority],
      created: {
        input,
        ...(irreversible.length === 0 ? {} : { irreversible }),
        ...(request.startedBy === undefined ? {} : { startedBy: request.startedBy }),
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
    const { startedBy, forkedFrom } = created;
    return {
      id: creation.runId,
      workflow: definition.name,
      status: 'queued',
      priority,
      createdAt: createdAt.toISOString(),
      tasks: { created: definition.tasks.length },
      ...(startedBy === undefined ? {} : { startedBy }),
      ...(forkedFrom === undefined ? {} : { forkedFrom: forkedFrom.runId }),
    };
  }

  async list(filter: {
    status?: RunStatus;
    workflow?: string;
    limit?: number;
    cursor?: string;
  }): Promise<Page<RunSummary>> {
    const limit = Math.min(500, Math.max(1, Math.trunc(filter.limit ?? 50)));
    if (filter.cursor !== undefined && !isId(filter.cursor)) {
      throw new AppError('invalid_input', `cursor: ${filter.cursor} is not a cursor of this list`);
    }
    const rows = await this.#options.database.query(
      queries.listRuns({
        status: filter.status ?? null,
        workflow: filter.workflow ?? null,
        before: filter.cursor ?? null,
        limit: limit + 1,
      }),
    );
    const items = rows.slice(0, limit).map(summaryView);
    const last = items.at(-1);
    return rows.length > limit && last !== undefined ? { items, nextCursor: last.id } : { items };
  }

  async get(runId: string): Promise<RunDetail> {
    return this.#detail(await this.#row(runId));
  }

  async events(runId: string, after: number, limit = 200): Promise<readonly RunEvent[]> {
    const most = Math.min(1_000, Math.max(1, Math.trunc(limit)));
    const from = Math.min(2_147_483_647, Math.max(0, Math.trunc(after)));
    const rows = await this.#options.database.query(
      queries.eventsAfter(checkedId(runId), from, most),
    );
    if (rows.length === 0) await this.#row(runId);
    return eventViews(rows)
      .filter(({ seq }) => seq > from)
      .slice(0, most)
      .map(shownEvent);
  }

  async *follow(runId: string, after: number, signal?: AbortSignal): AsyncIterable<RunEvent> {
    let seen = after;
    for (let ended = false; ;) {
      signal?.throwIfAborted();
      // Listening begins before looking, so that nothing falls between the two.
      const next = this.#next(runId, 'event', signal);
      const events = await this.events(runId, seen, followPage);
      yield* events;
      seen = events.at(-1)?.seq ?? seen;
      if (events.length > 0) continue;
      // Its last events may have come after the look above: only a look after its end is the last.
      if (ended) return;
      ended = runEnded((await this.#row(runId)).status);
      if (!ended) await next;
    }
  }

  cancel(runId: string, { reason, by }: { reason: string; by?: string }): Promise<RunSummary> {
    return this.#askOpen(runId, 'cancel', { reason: reason.slice(0, 1_000), ...named(by) });
  }

  pause(runId: string, { reason, by }: { reason: string; by?: string }): Promise<RunSummary> {
    return this.#askOpen(runId, 'pause', { reason: reason.slice(0, 1_000), ...named(by) });
  }

  resume(runId: string, { by }: { by?: string }): Promise<RunSummary> {
    return this.#askOpen(runId, 'resume', named(by));
  }

  signal(
    runId: string,
    { name, data, by }: { name: string; data: unknown; by?: string },
  ): Promise<RunSummary> {
    return this.#askOpen(runId, 'signal', { name, data, ...named(by) });
  }

  async answer(runId: string, request: Parameters<Coordination['answer']>[1]): Promise<RunSummary> {
    const { question: asked, by, ...given } = request;
    const { row, state } = await this.#load(runId);
    if (runEnded(row.status)) throw finished(row);
    const open = openQuestions(state);
    const question = asked ?? (open.length === 1 ? open[0]?.id : undefined);
    if (question === undefined) throw unclearQuestion(runId, open);
    const answer = { ...given, ...named(by) };
    const problem = answerProblem(state, question, answer);
    if (problem !== undefined) {
      const code =
        state.questions.get(question)?.answer === undefined ? 'invalid_input' : 'conflict';
      throw new AppError(code, problem, { details: { question, open: open.map(({ id }) => id) } });
    }
    return this.#askOpen(runId, 'answer', { question, answer });
  }

  async retry(runId: string, { from, by }: { from?: string; by?: string }): Promise<RunSummary> {
    if (from !== undefined) standingOn((await this.#load(runId)).state, from);
    const statuses: RunStatus[] = [
      'failed',
      'cancelled',
      ...(from === undefined ? [] : ['completed' as const]),
    ];
    const body = { ...(from === undefined ? {} : { from }), ...named(by) };
    return this.#askEnded(
      runId,
      'retry',
      body,
      statuses,
      'only a failed or cancelled one can be tried again',
    );
  }

  async fork(runId: string, request: Parameters<Coordination['fork']>[1]): Promise<RunSummary> {
    const { from, input: changed = {}, by } = request;
    const { row, state, definition } = await this.#load(runId);
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
    return this.#begin(definition, agents, {
      priority: row.priority,
      key: null,
      asked: null,
      created: {
        input,
        forkedFrom: { runId: row.run_id, task: from },
        inherited: Object.fromEntries(kept.map(({ id, output }) => [id, { output }])),
        ...(state.irreversible.length === 0 ? {} : { irreversible: state.irreversible }),
        ...(by === undefined ? {} : { startedBy: by }),
      },
    });
  }

  async undoPlan(runId: string): Promise<UndoPlan> {
    const { row, state } = await this.#load(runId);
    return planUndo({ runId: row.run_id, state, workspaces: this.#options.workspaces });
  }

  async undo(runId: string, { force, by }: { force: boolean; by?: string }): Promise<RunSummary> {
    const body = { force, ...named(by) };
    const id = checkedId(runId);
    const signalId = newId(this.#options.clock);
    const told = await this.#options.database.query(
      queries.requestOfOpen(id, signalId, 'undo', body),
    );
    if (told.length > 0) return summaryView(await this.#row(id));
    return this.#askEnded(
      id,
      'undo',
      body,
      ['completed', 'failed', 'cancelled'],
      'it is being undone',
    );
  }

  /** Leaves a request for an open run. Throws `run_finished`. */
  async #askOpen(runId: string, kind: SignalKind, body: SignalBody): Promise<RunSummary> {
    const told = await this.#options.database.query(
      queries.requestOfOpen(checkedId(runId), newId(this.#options.clock), kind, body),
    );
    const row = await this.#row(runId);
    if (told.length === 0) throw finished(row);
    return summaryView(row);
  }

  async #askEnded(
    runId: string,
    kind: SignalKind,
    body: SignalBody,
    statuses: readonly RunStatus[],
    else_: string,
  ): Promise<RunSummary> {
    const told = await this.#options.database.query(
      queries.requestOfEnded(checkedId(runId), newId(this.#options.clock), kind, body, statuses),
    );
    const row = await this.#row(runId);
    if (told.length === 0) {
      throw new AppError('conflict', `run ${runId} is ${row.status}; ${else_}`, {
        details: { status: row.status },
      });
    }
    return summaryView(row);
  }

  async wait(runId: string, signal?: AbortSignal): Promise<RunDetail> {
    for (;;) {
      // The end of a run that is driven here is published here: looking before it is in vain.
      const here = this.#options.feed.driven.has(runId);
      const next = this.#next(runId, 'end', signal);
      if (here) await next;
      signal?.throwIfAborted();
      const row = await this.#row(runId);
      if (runEnded(row.status)) return this.#detail(row);
      if (!here) await next;
    }
  }

  async #detail(row: RunRow): Promise<RunDetail> {
    const { definition, state } = await this.#project(row);
    return detailView(row, definition, state);
  }

  async #load(
    runId: string,
  ): Promise<{ row: RunRow; definition: WorkflowDefinition; state: RunState }> {
    const row = await this.#row(runId);
    return { row, ...(await this.#project(row)) };
  }

  async #project(row: RunRow): Promise<{ definition: WorkflowDefinition; state: RunState }> {
    const definition = await this.#definitionOf(row);
    const rows = await this.#options.database.query(queries.eventsOfRuns([row.run_id]));
    return { definition, state: projectRun(definition, eventViews(rows)) };
  }

  async #definitionOf(row: RunRow): Promise<WorkflowDefinition> {
    const known = this.#definitions.get(row.definition_hash);
    if (known !== undefined) return known;
    const [found] = await this.#options.database.query(
      queries.definitionOfHash(row.definition_hash),
    );
    if (found === undefined) {
      throw new AppError('run_corrupt', `the definition of run ${row.run_id} is gone`, {
        remedy: 'Its events can still be read: `centuria run events`.',
      });
    }
    const definition = found.definition as WorkflowDefinition;
    if (this.#definitions.size >= cachedDefinitions) this.#definitions.clear();
    this.#definitions.set(row.definition_hash, definition);
    return definition;
  }

  #next(runId: string, until: 'event' | 'end', signal: AbortSignal | undefined): Promise<void> {
    const { feed } = this.#options;
    return feed.next(runId, until, feed.driven.has(runId) ? pollMs.here : pollMs.elsewhere, signal);
  }

  async #prepare(request: StartRun): Promise<{
    definition: WorkflowDefinition;
    input: Record<string, unknown>;
    agents: AgentDefinition[];
  }> {
    const definition = findWorkflow(request.workflow, await this.workflows());
    const { gate } = this.#options;
    const { budgets = [] } = definition;
    if (gate === undefined) assertNoBudgets(budgets);
    else await gate.check(budgets);
    const agents = agentNames(definition).map((name) => {
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
    };
  }

  /** What a run is pinned to has to be there before the run is. */
  async #store(
    hash: string,
    definition: WorkflowDefinition,
    agents: readonly AgentDefinition[],
  ): Promise<void> {
    await this.#options.registry.pin(agents);
    if (this.#definitions.has(hash)) return;
    await this.#options.database.query(queries.storeDefinition(hash, definition.name, definition));
    this.#definitions.set(hash, definition);
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
    return summaryView(await this.#row(found.run_id));
  }

  async #row(runId: string): Promise<RunRow> {
    const [row] = await this.#options.database.query(queries.runOfId(checkedId(runId)));
    if (row !== undefined) return row;
    throw notFound(runId);
  }
}

function checkedPriority(priority: number): number {
  if (Number.isInteger(priority) && priority >= 1 && priority <= 100) return priority;
  throw new AppError(
    'invalid_input',
    `priority must be a whole number from 1 to 100, got ${priority}`,
  );
}

/** Tasks whose effects nobody could undo: said before a run starts. */
function irreversibleOf(
  definition: WorkflowDefinition,
  agents: readonly AgentDefinition[],
): { task: string; why: string }[] {
  const effects = new Map(agents.map(({ name, sideEffects }) => [name, sideEffects]));
  return allTasks(definition)
    .filter(isAgentTask)
    .flatMap(({ id, agent, compensate, workspace }) => {
      const kind = effects.get(agent);
      if (kind === 'external' && compensate === undefined) {
        return [{ task: id, why: `agent ${agent} acts outside, and the task names no compensate` }];
      }
      if (kind === 'workspace' && workspace === undefined) {
        return [{ task: id, why: `agent ${agent} changes files, and the task names no workspace` }];
      }
      return [];
    });
}

function named(by: string | undefined): { by?: string } {
  return by === undefined ? {} : { by };
}

function finished(row: RunRow): AppError {
  return new AppError('run_finished', `run ${row.run_id} has ended already: ${row.status}`, {
    details: { status: row.status },
  });
}

function unclearQuestion(runId: string, open: readonly { readonly id: string }[]): AppError {
  const ids = open.map(({ id }) => id);
  if (ids.length === 0) return new AppError('conflict', `run ${runId} asks nothing`);
  return new AppError('conflict', `run ${runId} asks ${ids.length} things: ${ids.join(', ')}`, {
    details: { open: ids },
    remedy: 'Say which one is answered.',
  });
}

/** An id that is none can not name a run; the database must not have to say so. */
function checkedId(runId: string): string {
  if (isId(runId)) return runId;
  throw notFound(runId);
}

function notFound(runId: string): AppError {
  return new AppError('run_not_found', `there is no run ${runId}`, {
    remedy: '`centuria run list` shows what there is.',
  });
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
  };
}
