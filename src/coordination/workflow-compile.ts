/** From a workflow file whose shape is right to the form that is hashed: defaults, paths, shorthands. */
import type {
  AgentTask,
  Amounts,
  Group,
  InputSpec,
  Judge,
  Race,
  Route,
  Stream,
  TaskSpec,
  Voting,
  WorkflowDefinition,
} from './definition.ts';
import { allTasks, isAgentTask, routedFormat } from './definition.ts';
import {
  workflowDefaults as defaults,
  type AgentTaskFile,
  type ApprovalFile,
  type CallFile,
  type RouteFile,
  type TeamFile,
  type WaitFile,
} from './workflow-fields.ts';
import {
  memberIds,
  shorthandIds,
  type GroupFile,
  type TaskFieldsFile,
  type WorkflowFile,
} from './workflow-schema.ts';
import type { Path } from './workflow-shape.ts';

/** Where the fields of the tasks stand in the file. The workflow itself has the path ''. */
export class Places {
  readonly #places = new Map<string, { readonly at: Path; readonly sharedInput?: Path }>();

  set(task: string, at: Path, sharedInput?: Path): void {
    this.#places.set(task, sharedInput === undefined ? { at } : { at, sharedInput });
  }

  /** Of a task that only `agents` names, the name is all that it has of its own. */
  of(task: string, ...field: Path): Path {
    const { at, sharedInput } = this.#places.get(task) ?? { at: [] };
    if (sharedInput === undefined) return [...at, ...field];
    return field[0] === 'input' ? [...sharedInput, ...field.slice(1)] : at;
  }
}

export interface CompiledWorkflow {
  readonly definition: WorkflowDefinition;
  readonly places: Places;
}

export function compileWorkflow(file: WorkflowFile): CompiledWorkflow {
  const places = new Places();
  places.set('', []);
  const group = compileGroup(file, '', [], places);
  const definition = {
    name: file.name,
    description: file.description ?? '',
    inputs: compileInputs(file.inputs ?? {}),
    timeoutMs: milliseconds(file.timeoutSeconds ?? defaults.workflowTimeoutSeconds),
    ...(file.budget === undefined ? {} : { budget: amountsOf(file.budget) }),
    ...(file.budgets === undefined ? {} : { budgets: file.budgets }),
    ...(file.onBudget === undefined ? {} : { onBudget: file.onBudget }),
    ...group,
  };
  const format = formatOf(definition);
  return { definition: format === 1 ? definition : { ...definition, format }, places };
}

function compileInputs(inputs: NonNullable<WorkflowFile['inputs']>): Record<string, InputSpec> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, input]) => [
      name,
      {
        type: input.type ?? 'string',
        description: input.description ?? '',
        required: input.required ?? input.default === undefined,
        ...(input.default === undefined ? {} : { default: input.default }),
      },
    ]),
  );
}

/** Says the least that will do: a definition keeps the hash, and the workers, that it had before. */
function formatOf(definition: WorkflowDefinition): number {
  const isRouted = allTasks(definition).some(
    (task) => isAgentTask(task) && task.route !== undefined,
  );
  if (isRouted) return routedFormat;
  return isPlain(definition) ? 1 : 2;
}

/** What the first version drives too. */
function isPlain(definition: WorkflowDefinition): boolean {
  const { mode, tasks, budget, budgets, onBudget } = definition;
  if (mode !== 'sequential' && mode !== 'parallel') return false;
  if (budget !== undefined || budgets !== undefined || onBudget !== undefined) return false;
  return tasks.every(
    (task) =>
      isAgentTask(task) &&
      task.stallMs === undefined &&
      task.budget === undefined &&
      task.tandem === undefined &&
      task.workspace === undefined &&
      task.compensate === undefined,
  );
}

function compileGroup(file: GroupFile, id: string, at: Path, places: Places): Group {
  const named = file.agents === undefined ? file.tasks : tasksOf(file.agents, file.input);
  const ids = Object.keys(named ?? {});
  const tasks = Object.entries(named ?? {}).map(([name, task], index) => {
    const path = joined(id, name);
    if (file.agents === undefined) places.set(path, [...at, 'tasks', name]);
    else if (isTeam(file.agents)) places.set(path, [...at, 'agents', 'route'], [...at, 'input']);
    else places.set(path, [...at, 'agents', index], [...at, 'input']);
    const before = file.mode === 'sequential' ? ids[index - 1] : undefined;
    return compileTask(task, path, id, before, places);
  });
  return {
    mode: file.mode,
    tasks,
    maxParallel: file.maxParallel ?? defaults.maxParallel,
    ...(file.output === undefined ? {} : { output: file.output }),
    ...modePart(file, id, at, tasks.length, places),
    ...(file.agents !== undefined && isTeam(file.agents) ? { differ: true } : {}),
  };
}

/** Agents as tasks; of those named more than once each gets a number. */
function tasksOf(
  agents: readonly string[] | TeamFile,
  input: unknown,
): Record<string, AgentTaskFile> {
  const given = input === undefined ? {} : { input };
  if (isTeam(agents)) {
    const { route } = agents;
    return Object.fromEntries(memberIds(agents).map((id) => [id, { route, ...given }]));
  }
  return Object.fromEntries(
    shorthandIds(agents).map((id, index) => [id, { agent: agents[index] ?? id, ...given }]),
  );
}

function isTeam(agents: readonly string[] | TeamFile): agents is TeamFile {
  return !Array.isArray(agents);
}

function modePart(
  file: GroupFile,
  id: string,
  at: Path,
  voters: number,
  places: Places,
): { stream?: Stream; voting?: Voting; race?: Race } {
  const call = (name: string, field: string, each: CallFile): AgentTask => {
    places.set(joined(id, name), [...at, field]);
    return compileCall(each, joined(id, name));
  };
  switch (file.mode) {
    case 'pipeline':
      return { stream: { items: file.items, buffer: file.buffer ?? defaults.buffer } };
    case 'consensus':
    case 'redundant': {
      const { arbiter } = file;
      const voting: Voting = {
        quorum: file.quorum ?? (file.mode === 'redundant' ? 1 : Math.floor(voters / 2) + 1),
        agreement: file.agreement ?? defaults.agreement,
        judge: judgeOf(file.judge ?? 'identical'),
        weights: file.weights ?? {},
      };
      if (arbiter === undefined) return { voting };
      const who = arbiter === 'person' ? arbiter : call('arbiter', 'arbiter', arbiter);
      return { voting: { ...voting, arbiter: who } };
    }
    case 'competitive':
      return {
        race: {
          hedgeMs: milliseconds(file.hedgeSeconds ?? defaults.hedgeSeconds),
          ...(file.accept === undefined ? {} : { accept: file.accept }),
          ...(file.verify === undefined ? {} : { verify: call('verify', 'verify', file.verify) }),
        },
      };
    default:
      return {};
  }
}

function judgeOf(judge: NonNullable<GroupFile['judge']>): Judge {
  if (judge === 'identical' || judge === 'elements') return { kind: judge };
  if ('similar' in judge) return { kind: 'similar', least: judge.similar };
  return { kind: 'elements', fields: judge.elements };
}

/** What stands under `tasks`, once its shape is known to be one of these. */
type TaskFile = AgentTaskFile | ApprovalFile | WaitFile | (GroupFile & TaskFieldsFile);

function compileTask(
  value: unknown,
  id: string,
  group: string,
  before: string | undefined,
  places: Places,
): TaskSpec {
  const file = value as TaskFile;
  const base = taskBase(file, id, group, before);
  if ('mode' in file) {
    return { ...base, group: compileGroup(file, id, places.of(id), places) };
  }
  const limit =
    file.timeoutSeconds === undefined ? {} : { timeoutMs: milliseconds(file.timeoutSeconds) };
  if ('approval' in file) return { ...base, approval: { prompt: file.approval }, ...limit };
  if ('wait' in file) {
    const { wait } = file;
    const what = 'signal' in wait ? wait : { ms: milliseconds(wait.seconds) };
    return { ...base, wait: what, ...limit };
  }
  return { ...base, ...compileCallFields(file) };
}

function taskBase(
  file: TaskFieldsFile,
  id: string,
  group: string,
  before: string | undefined,
): Omit<AgentTask, 'agent' | 'route' | 'type' | 'input'> {
  const needs = file.needs ?? [];
  const after = file.after ?? [];
  const waits =
    before === undefined || needs.includes(before) || after.includes(before)
      ? after
      : [...after, before];
  return {
    id,
    description: file.description ?? '',
    needs: needs.map((name) => joined(group, name)),
    after: waits.map((name) => joined(group, name)),
    priority: file.priority ?? defaults.priority,
    onFailure: file.onFailure ?? 'stop',
    ...(file.concurrency === undefined ? {} : { concurrency: file.concurrency }),
  };
}

function compileCall(file: CallFile, id: string): AgentTask {
  return { ...taskBase(file, id, '', undefined), ...compileCallFields(file) };
}

function compileCallFields(
  file: AgentTaskFile | CallFile,
): Omit<AgentTask, keyof ReturnType<typeof taskBase>> & Pick<AgentTask, 'input'> {
  const { timeoutSeconds, retries, stallSeconds, budget, tandem, workspace, compensate } = file;
  return {
    ...(file.agent === undefined ? {} : { agent: file.agent }),
    ...(file.route === undefined ? {} : { route: routeOf(file.route) }),
    ...(file.type === undefined ? {} : { type: file.type }),
    input: file.input ?? {},
    ...(timeoutSeconds === undefined ? {} : { timeoutMs: milliseconds(timeoutSeconds) }),
    ...(retries === undefined ? {} : { retries }),
    ...(stallSeconds === undefined ? {} : { stallMs: milliseconds(stallSeconds) }),
    ...(budget === undefined ? {} : { budget: amountsOf(budget) }),
    ...(tandem === undefined ? {} : { tandem }),
    ...(workspace === undefined ? {} : { workspace: workspaceOf(workspace) }),
    ...(compensate === undefined
      ? {}
      : { compensate: { agent: compensate.agent, input: compensate.input ?? {} } }),
  };
}

function routeOf(route: RouteFile): Route {
  return route === 'auto' ? {} : route;
}

function workspaceOf(
  workspace: NonNullable<AgentTaskFile['workspace']>,
): NonNullable<AgentTask['workspace']> {
  if (typeof workspace === 'string') return { folder: workspace, kind: 'snapshot' };
  return { folder: workspace.folder, kind: workspace.kind ?? 'snapshot' };
}

function amountsOf(file: NonNullable<WorkflowFile['budget']>): Amounts {
  return {
    ...(file.usd === undefined ? {} : { microUsd: Math.max(1, Math.round(file.usd * 1e6)) }),
    ...(file.tokens === undefined ? {} : { tokens: file.tokens }),
    ...(file.seconds === undefined ? {} : { ms: milliseconds(file.seconds) }),
  };
}

/** Whole and never 0: half a millisecond is no limit of none. */
function milliseconds(seconds: number): number {
  return seconds === 0 ? 0 : Math.max(1, Math.round(seconds * 1_000));
}

/** A path below a group; the outermost group has the path ''. */
export function joined(group: string, name: string): string {
  return group === '' ? name : `${group}/${name}`;
}
