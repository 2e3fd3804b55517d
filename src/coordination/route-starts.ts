/** Who may be chosen for the tasks of a run that is about to begin: settled once, for its whole life. */
import type { AgentRegistry } from '../agents/agents.ts';
import { AppError } from '../base/base.ts';
import type { Learning } from '../learning/learning.ts';
import { noRouter } from './choices.ts';
import { allTasks, isAgentTask, routedFormat, type WorkflowDefinition } from './definition.ts';
import type { Routes } from './irreversible.ts';
import type { StartRun } from './types.ts';
import { noCandidate, tooFew, type Candidates } from './workflow-routes.ts';
import { routeCandidates } from './workflow.ts';

type MayCall = StartRun['mayCall'];

export class RouteStarts {
  readonly #registry: AgentRegistry;
  readonly #router: Pick<Learning, 'choose'> | undefined;
  /** Definitions are read anew when an agent changes, so what was found for one stands as long as it. */
  readonly #found = new WeakMap<WorkflowDefinition, ReadonlyMap<string, Candidates>>();

  constructor(options: {
    readonly registry: AgentRegistry;
    readonly router?: Pick<Learning, 'choose'>;
  }) {
    this.#registry = options.registry;
    this.#router = options.router;
  }

  /**
   * Throws `unavailable` where nobody chooses, `denied` when all who could do a task may not be called,
   * and `agent_unavailable` when there is nobody for another reason.
   */
  async of(definition: WorkflowDefinition, mayCall: MayCall): Promise<Routes> {
    if (!hasRoutes(definition)) return {};
    if (this.#router === undefined) throw noRouter();
    const found = this.#candidates(definition);
    return this.#called(definition, found, mayCall);
  }

  /** Of a fork: those of the run that it is made from, as far as whoever asks may call them. */
  async again(definition: WorkflowDefinition, routes: Routes, mayCall: MayCall): Promise<Routes> {
    if (!hasRoutes(definition)) return {};
    if (this.#router === undefined) throw noRouter();
    const found = Object.entries(routes).map(
      ([task, names]) => [task, { names, refused: {} }] as const,
    );
    return this.#called(definition, new Map(found), mayCall);
  }

  #candidates(definition: WorkflowDefinition): ReadonlyMap<string, Candidates> {
    const known = this.#found.get(definition);
    if (known !== undefined) return known;
    const agents = new Map(this.#registry.list().map((agent) => [agent.name, agent]));
    const found = routeCandidates(definition, agents);
    this.#found.set(definition, found);
    return found;
  }

  async #called(
    definition: WorkflowDefinition,
    found: ReadonlyMap<string, Candidates>,
    mayCall: MayCall,
  ): Promise<Routes> {
    const routes: Record<string, readonly string[]> = {};
    const may = new Map<string, boolean>();
    for (const task of allTasks(definition).filter(isAgentTask)) {
      if (task.route === undefined) continue;
      const { names, refused } = found.get(task.id) ?? { names: [], refused: {} };
      const why: Record<string, string> = { ...refused };
      for (const name of names) {
        // Whom the author names counts like an agent that a task names.
        if (task.route.among !== undefined || mayCall === undefined) continue;
        const allowed = may.get(name) ?? (await mayCall(name));
        may.set(name, allowed);
        if (!allowed) why[name] = 'you may not call it';
      }
      const left = names.filter((name) => why[name] === undefined);
      if (left.length === 0) {
        const message = noCandidate(task.id, { names: left, refused: why });
        const code = names.length > 0 ? 'denied' : 'agent_unavailable';
        throw new AppError(code, message, { details: { task: task.id, reasons: why } });
      }
      routes[task.id] = left;
    }
    this.#assertEnough(definition, routes);
    return routes;
  }

  #assertEnough(definition: WorkflowDefinition, routes: Routes): void {
    const groups = [
      definition,
      ...allTasks(definition).flatMap((task) => ('group' in task ? [task.group] : [])),
    ];
    for (const group of groups) {
      const few = tooFew(group, ({ id }) => routes[id] ?? []);
      if (few === undefined) continue;
      const { wanted, found } = few;
      const task = group.tasks[0]?.id ?? '';
      const message = `${wanted} different agents are asked for beside ${task}, and only ${found} may be chosen`;
      throw new AppError('agent_unavailable', message, { details: { task, names: routes[task] } });
    }
  }
}

/** By its format: to look at each of two thousand tasks would take its time at every start. */
function hasRoutes({ format = 1 }: WorkflowDefinition): boolean {
  return format >= routedFormat;
}

/** For the first event of a run, and for its plan. */
export function routesIn(routes: Routes): { routes?: Routes } {
  return Object.keys(routes).length === 0 ? {} : { routes };
}
