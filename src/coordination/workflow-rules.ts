/** What must hold in a workflow beyond its shape: who exists, who waits for whom, what can be met. */
import { schemaProblem, type AgentDefinition } from '../agents/agents.ts';
import { suggest } from '../base/base.ts';
import {
  allTasks,
  isAgentTask,
  isGroupTask,
  type AgentTask,
  type Amounts,
  type Group,
  type InputSpec,
  type WorkflowDefinition,
} from './definition.ts';
import { cycleOf } from './graph.ts';
import { actsTwice } from './tandem.ts';
import type { CompiledWorkflow, Places } from './workflow-compile.ts';
import { checkRoutes, doersOf, tooFew } from './workflow-routes.ts';
import type { Path } from './workflow-shape.ts';

/** What a workflow has to know of the agents that it names. */
export type KnownAgents = ReadonlyMap<
  string,
  Pick<AgentDefinition, 'runtime' | 'verify' | 'input' | 'budget'> &
    Partial<Pick<AgentDefinition, 'sideEffects' | 'category' | 'capabilities'>>
>;

export type Complain = (path: Path, message: string, suggestion?: string) => void;

/** Complains of all but expressions and types; those make no sense in what is wrong here. */
export function checkRules(
  { definition, places }: CompiledWorkflow,
  agents: KnownAgents | undefined,
  complain: Complain,
): void {
  checkInputs(definition.inputs, complain);
  checkGroup(definition, '', { places, agents, complain });
  if (agents !== undefined) {
    checkAgents(definition, agents, places, complain);
    checkRoutes(definition, agents, places, complain);
  }
  if (definition.budget !== undefined) {
    checkBudget(definition, definition.budget, agents, places, complain);
  }
}

function checkInputs(inputs: WorkflowDefinition['inputs'], complain: Complain): void {
  for (const [name, input] of Object.entries(inputs)) {
    if (input.default === undefined) continue;
    const wrong = inputTypeProblem(input.type, input.default);
    if (wrong !== undefined) complain(['inputs', name, 'default'], `default of ${name} ${wrong}`);
  }
}

/** What is wrong with a value for an input of a type, or undefined. Paths are checked where they are used. */
export function inputTypeProblem(type: InputSpec['type'], value: unknown): string | undefined {
  switch (type) {
    case 'number':
      return typeof value === 'number' && Number.isFinite(value) ? undefined : 'must be a number';
    case 'integer':
      return Number.isSafeInteger(value) ? undefined : 'must be a whole number';
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'must be true or false';
    case 'json':
      return undefined;
    default:
      return typeof value === 'string' ? undefined : 'must be a text';
  }
}

interface Check {
  readonly places: Places;
  readonly agents: KnownAgents | undefined;
  readonly complain: Complain;
}

function checkGroup(group: Group, id: string, check: Check): void {
  const { places, agents, complain } = check;
  const isKnown = checkGraph(group, id, places, complain);
  const cycle = isKnown ? cycleOf(group.tasks) : undefined;
  if (cycle !== undefined) {
    const path = places.of(cycle[0] ?? id);
    complain(path, `the tasks wait for each other: ${cycle.map(lastPart).join(' → ')}`);
  }
  checkMode(group, id, places, complain);
  const team = tooFew(group, (task) => doersOf(task, agents));
  if (team !== undefined) {
    const message = `${nameOf(id)} asks for ${team.wanted} different agents, and only ${team.found} could be chosen`;
    complain(places.of(group.tasks[0]?.id ?? id), message);
  }
  for (const task of group.tasks) {
    if (isGroupTask(task)) checkGroup(task.group, task.id, check);
  }
}

/** Whether all that is waited for exists. */
function checkGraph(group: Group, id: string, places: Places, complain: Complain): boolean {
  const ids = new Set(group.tasks.map((task) => task.id));
  const names = group.tasks.map((task) => lastPart(task.id));
  let isKnown = true;
  for (const task of group.tasks) {
    for (const field of ['needs', 'after'] as const) {
      for (const [index, other] of task[field].entries()) {
        // What was added for the order of a sequence stands nowhere in the file.
        const path = places.of(task.id, field, index);
        const name = id === '' ? other : other.slice(id.length + 1);
        if (other === task.id) {
          isKnown = false;
          complain(path, `task ${task.id} waits for itself`);
        } else if (!ids.has(other)) {
          isKnown = false;
          const near = suggest(name, names);
          const suggestion = near && `did you mean ${near}?`;
          complain(path, `task ${task.id} waits for ${name}, which is not a task`, suggestion);
        }
      }
    }
  }
  return isKnown;
}

function checkMode(group: Group, id: string, places: Places, complain: Complain): void {
  const { mode, tasks, voting, race, stream } = group;
  const taken = voting === undefined ? (race === undefined ? undefined : 'verify') : 'arbiter';
  for (const task of tasks) {
    if (taken === undefined || lastPart(task.id) !== taken) continue;
    complain(places.of(task.id), `the name ${taken} is taken here`, 'give the task another one');
  }
  if ((voting !== undefined || race !== undefined) && tasks.length < 2) {
    const what = race === undefined ? (mode === 'consensus' ? 'voters' : 'agents') : 'racers';
    complain(places.of(id, 'tasks'), `${nameOf(id)} is ${mode} and needs at least two ${what}`);
  }
  if (stream !== undefined && Array.isArray(stream.items) && stream.items.length === 0) {
    complain(places.of(id, 'items'), `${nameOf(id)} has no items to stream`);
  }
  if (race?.accept !== undefined) {
    const problem = schemaProblem(race.accept);
    const path = places.of(id, 'accept', ...(problem?.path ?? []));
    if (problem !== undefined) complain(path, `accept ${problem.message}`);
  }
  if (voting !== undefined) checkVoting(group, voting, id, places, complain);
}

function checkVoting(
  group: Group,
  { quorum, weights }: NonNullable<Group['voting']>,
  id: string,
  places: Places,
  complain: Complain,
): void {
  const voters = group.tasks.map((task) => lastPart(task.id));
  if (quorum > voters.length) {
    const message = `the quorum of ${nameOf(id)} is ${quorum}, and it has ${voters.length} voters`;
    complain(places.of(id, 'quorum'), message);
  }
  for (const name of Object.keys(weights)) {
    if (voters.includes(name)) continue;
    const near = suggest(name, voters);
    complain(
      places.of(id, 'weights', name),
      `${name} has a weight and is no voter of ${nameOf(id)}`,
      near === undefined ? `its voters are ${voters.join(', ')}` : `did you mean ${near}?`,
    );
  }
  if (voters.length > 0 && voters.every((voter) => weights[voter] === 0)) {
    complain(places.of(id, 'weights'), `no voter of ${nameOf(id)} has a weight above 0`);
  }
}

function checkAgents(
  definition: Group,
  agents: KnownAgents,
  places: Places,
  complain: Complain,
): void {
  const check = (name: string, path: Path, who: string): void => {
    if (agents.has(name)) return;
    const near = suggest(name, agents.keys());
    complain(
      path,
      `${who} names the agent ${name}, which does not exist`,
      near === undefined ? 'see `centuria agent list`' : `did you mean ${near}?`,
    );
  };
  for (const task of allTasks(definition).filter(isAgentTask)) {
    if (task.agent !== undefined) {
      check(task.agent, places.of(task.id, 'agent'), `task ${task.id}`);
    }
    checkTandem(task, agents, places, complain);
    if (task.compensate === undefined) continue;
    const path = places.of(task.id, 'compensate', 'agent');
    check(task.compensate.agent, path, `what undoes task ${task.id}`);
  }
}

/** Two doors at once call the agent twice. */
function checkTandem(
  { id, agent, tandem }: AgentTask,
  agents: KnownAgents,
  places: Places,
  complain: Complain,
): void {
  // Of those that could be chosen none with side effects is, then.
  if (agent === undefined) return;
  const { sideEffects = 'none' } = agents.get(agent) ?? {};
  if (sideEffects === 'none' || !actsTwice(tandem)) return;
  complain(
    places.of(id, 'tandem'),
    `tandem: ${tandem} calls the agent ${agent} more than once, and it has side effects (${sideEffects})`,
    'use intelligent, speed or standard',
  );
}

const units = [
  { unit: 'microUsd', field: 'usd', scale: 1e6 },
  { unit: 'tokens', field: 'tokens', scale: 1 },
  { unit: 'ms', field: 'seconds', scale: 1_000 },
] as const satisfies readonly { unit: keyof Amounts; field: string; scale: number }[];
type Unit = (typeof units)[number];

/** A call that may use more than its run could never begin; one that says nothing could not be held to it. */
function checkBudget(
  definition: WorkflowDefinition,
  budget: Amounts,
  agents: KnownAgents | undefined,
  places: Places,
  complain: Complain,
): void {
  const calls = allTasks(definition).filter(isAgentTask);
  for (const each of units) {
    const limit = budget[each.unit];
    if (limit === undefined) continue;
    for (const task of calls) {
      const own = task.budget?.[each.unit];
      for (const agent of own === undefined ? doersOf(task, agents) : [undefined]) {
        const most = own ?? ofAgent(agent, each, agents);
        if (most === undefined || most <= limit) continue;
        const whose = agent === undefined ? `task ${task.id}` : `agent ${agent}`;
        complain(
          agent === undefined ? places.of(task.id, 'budget', each.field) : whoAt(task, places),
          `one call of ${whose} may use ${most / each.scale} ${each.field}, more than the run’s ${limit / each.scale}`,
        );
      }
    }
    if (each.unit !== 'ms' && agents !== undefined) {
      checkFigures(calls, each, agents, places, complain);
    }
  }
}

function whoAt({ id, route }: AgentTask, places: Places): Path {
  return places.of(id, route === undefined ? 'agent' : 'route');
}

function checkFigures(
  calls: readonly AgentTask[],
  unit: Unit,
  agents: KnownAgents,
  places: Places,
  complain: Complain,
): void {
  const silent = calls.flatMap((task) => {
    if (task.budget?.[unit.unit] !== undefined) return [];
    const mute = doersOf(task, agents).filter(
      (name) => agents.has(name) && ofAgent(name, unit, agents) === undefined,
    );
    return mute.length === 0 ? [] : [{ task, mute }];
  });
  const { field } = unit;
  if (silent.length > 0 && silent.length === calls.length) {
    complain(
      ['budget', field],
      `the run has a budget in ${field}, and nothing says what a call may use`,
      `write budget: {${field}: …} on a task, or centuria.budget.${field} in the agent ${silent[0]?.mute[0]}`,
    );
    return;
  }
  // A program that is started here uses neither money nor tokens unless it says so.
  for (const { task, mute } of silent) {
    const unheld = mute.find((name) => agents.get(name)?.runtime?.kind !== 'command');
    if (unheld === undefined) continue;
    complain(
      whoAt(task, places),
      `the run has a budget in ${field}, and nothing says what a call of task ${task.id} may use`,
      `write budget: {${field}: …} on it, or centuria.budget.${field} in the agent ${unheld}`,
    );
  }
}

function ofAgent(
  name: string | undefined,
  { unit, scale }: Unit,
  agents: KnownAgents | undefined,
): number | undefined {
  const budget = agents?.get(name ?? '')?.budget;
  if (budget === undefined || unit === 'ms') return undefined;
  const amount = unit === 'microUsd' ? budget.usd : budget.tokens;
  return amount === undefined ? undefined : Math.round(amount * scale);
}

export function lastPart(id: string): string {
  return id.slice(id.lastIndexOf('/') + 1);
}

/** A group in a message. */
export function nameOf(id: string): string {
  return id === '' ? 'the workflow' : `task ${id}`;
}
