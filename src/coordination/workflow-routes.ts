/** Who could do a task whose agent is chosen when it begins, as far as that is known before any run. */
import { suggest } from '../base/base.ts';
import { allTasks, isAgentTask, type AgentTask, type Group } from './definition.ts';
import { actsTwice } from './tandem.ts';
import type { Places } from './workflow-compile.ts';
import type { Complain, KnownAgents } from './workflow-rules.ts';
import type { Path } from './workflow-shape.ts';

/** Agents that a task's route allows, and of the others why they are none. */
export interface Candidates {
  readonly names: readonly string[];
  readonly refused: Readonly<Record<string, string>>;
}

/**
 * Leaves aside whether the task's input fits and whether they may be called. Whoever acts outside, or
 * changes files that nothing keeps, is never tried out: such an agent has to be named in `among`.
 */
export function candidatesOf(task: AgentTask, agents: KnownAgents): Candidates {
  const names: string[] = [];
  const refused: Record<string, string> = {};
  for (const name of task.route?.among ?? agents.keys()) {
    const why = whyNot(task, name, agents);
    if (why === undefined) names.push(name);
    else refused[name] = why;
  }
  return { names, refused };
}

/** Whom a call may go to. */
export function doersOf(task: AgentTask, agents: KnownAgents | undefined): readonly string[] {
  if (task.agent !== undefined) return [task.agent];
  return agents === undefined ? (task.route?.among ?? []) : candidatesOf(task, agents).names;
}

function whyNot(
  { route = {}, compensate, workspace, tandem }: AgentTask,
  name: string,
  agents: KnownAgents,
): string | undefined {
  const agent = agents.get(name);
  if (agent === undefined) return 'it does not exist';
  const { category, capabilities = [], sideEffects = 'none' } = agent;
  if (route.category !== undefined && route.category !== category) {
    return `its category is ${category ?? 'unknown'}`;
  }
  const lacking = route.capabilities?.find((each) => !capabilities.includes(each));
  if (lacking !== undefined) return `it has no capability ${lacking}`;
  if (sideEffects === 'none') return undefined;
  if (actsTwice(tandem)) return `tandem: ${tandem} calls it twice, and it has side effects`;
  if (route.among !== undefined) return undefined;
  if (sideEffects === 'external' && compensate === undefined) {
    return 'it acts outside, so it has to be named in among';
  }
  return sideEffects === 'workspace' && workspace === undefined
    ? 'it changes files, and the task names no workspace'
    : undefined;
}

/** Complains of names, categories and capabilities that nobody has, and of tasks that nobody could do. */
export function checkRoutes(
  definition: Group,
  agents: KnownAgents,
  places: Places,
  complain: Complain,
): void {
  for (const task of allTasks(definition).filter(isAgentTask)) {
    if (task.route !== undefined) checkRoute(task, agents, places, complain);
  }
}

function checkRoute(
  task: AgentTask,
  agents: KnownAgents,
  places: Places,
  complain: Complain,
): void {
  const { among = [], category, capabilities = [] } = task.route ?? {};
  const at = (...field: Path): Path => places.of(task.id, 'route', ...field);
  let isKnown = true;
  const check = (name: string, known: Iterable<string>, path: Path, what: string): void => {
    const all = [...new Set(known)];
    if (all.includes(name)) return;
    isKnown = false;
    const near = suggest(name, all);
    const hint = near === undefined ? 'see `centuria agent list`' : `did you mean ${near}?`;
    complain(path, `the route of task ${task.id} names ${what}`, hint);
  };
  for (const [index, name] of among.entries()) {
    check(name, agents.keys(), at('among', index), `the agent ${name}, which does not exist`);
  }
  const fleet = [...agents.values()];
  if (category !== undefined) {
    const known = fleet.flatMap((agent) => agent.category ?? []);
    check(category, known, at('category'), `the category ${category}, which no agent has`);
  }
  for (const [index, name] of capabilities.entries()) {
    const known = fleet.flatMap((agent) => agent.capabilities ?? []);
    const path = at('capabilities', index);
    check(name, known, path, `the capability ${name}, which no agent has`);
  }
  if (!isKnown) return;
  const found = candidatesOf(task, agents);
  if (found.names.length === 0) complain(at(), noCandidate(task.id, found));
}

/** Why nobody is left, naming the first few. */
export function noCandidate(task: string, { refused }: Candidates): string {
  const most = 5;
  const all = Object.entries(refused);
  const some = all.slice(0, most).map(([name, why]) => `${name}: ${why}`);
  const rest = all.length > most ? `; and ${all.length - most} more` : '';
  const why = all.length === 0 ? 'there is no agent' : `${some.join('; ')}${rest}`;
  return `no agent can do task ${task} (${why})`;
}

/** How many different agents a group asks for beyond those that could be chosen, or undefined. */
export function tooFew(
  group: Group,
  namesOf: (task: AgentTask) => readonly string[],
): { readonly wanted: number; readonly found: number } | undefined {
  const routed = group.tasks.filter(isAgentTask).filter(({ route }) => route !== undefined);
  if (group.differ !== true) return undefined;
  // They share one route, so that the candidates of one are those of all.
  const found = Math.max(0, ...routed.map((task) => namesOf(task).length));
  return found > 0 && found < routed.length ? { wanted: routed.length, found } : undefined;
}
