/** Tasks whose effects nobody could undo: said before a run starts. */
import type { AgentDefinition } from '../agents/agents.ts';
import {
  allTasks,
  isAgentTask,
  type AgentTask,
  type Group,
  type WorkflowDefinition,
} from './definition.ts';

/** Who may be chosen for tasks that name no agent, by the tasks' paths. */
export type Routes = Readonly<Record<string, readonly string[]>>;

/** Why what an agent does in a task could not be undone, or undefined. */
export function whyIrreversible(
  { compensate, workspace }: Pick<AgentTask, 'compensate' | 'workspace'>,
  { name, sideEffects }: Pick<AgentDefinition, 'name' | 'sideEffects'>,
): string | undefined {
  if (sideEffects === 'external' && compensate === undefined) {
    return `agent ${name} acts outside, and the task names no compensate`;
  }
  return sideEffects === 'workspace' && workspace === undefined
    ? `agent ${name} changes files, and the task names no workspace`
    : undefined;
}

/** Of a task whose agent is chosen: when any that may be acts so. */
export function irreversibleOf(
  definition: Group,
  agents: readonly AgentDefinition[],
  routes: Routes,
): { task: string; why: string }[] {
  const byName = new Map(agents.map((agent) => [agent.name, agent]));
  return allTasks(definition)
    .filter(isAgentTask)
    .flatMap((task) => {
      const names = task.agent === undefined ? (routes[task.id] ?? []) : [task.agent];
      for (const name of names) {
        const agent = byName.get(name);
        const why = agent && whyIrreversible(task, agent);
        if (why !== undefined) return [{ task: task.id, why }];
      }
      return [];
    });
}

/** For the first event of a run. */
export function irreversibleIn(
  definition: WorkflowDefinition,
  agents: readonly AgentDefinition[],
  routes: Routes = {},
): { irreversible?: readonly string[] } {
  const irreversible = irreversibleOf(definition, agents, routes).map(({ task }) => task);
  return irreversible.length === 0 ? {} : { irreversible };
}
