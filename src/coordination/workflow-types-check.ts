/** Whether data fits on its way: from inputs and outputs, by expressions, into agents. */
import { toolReportSchema } from '../base/base.ts';
import {
  isAgentTask,
  isApprovalTask,
  isGroupTask,
  type AgentTask,
  type Group,
  type TaskSpec,
} from './definition.ts';
import { ancestorsOf, waitsFor, wavesOf } from './graph.ts';
import { misfit } from './schema-fit.ts';
import { elementOf, readable, stepInto, union, type JsonSchema } from './schema-read.ts';
import type { CompiledWorkflow, Places } from './workflow-compile.ts';
import { candidatesOf, noCandidate, type Candidates } from './workflow-routes.ts';
import { nameOf, type Complain, type KnownAgents } from './workflow-rules.ts';
import {
  byName,
  closedMap,
  innerScope,
  localName,
  outermostScope,
  taskView,
  templateType,
  withRoots,
  type Found,
  type Reader,
  type Scope,
} from './workflow-scope.ts';
import type { Path } from './workflow-shape.ts';

interface Check extends Reader {
  readonly places: Places;
  readonly agents: KnownAgents | undefined;
  /** By agent: reading a schema again for each of a thousand tasks would take its time. */
  readonly outputs: Map<string, JsonSchema>;
  readonly inputs: Map<string, JsonSchema>;
  /** Who could do the tasks whose agents are chosen. */
  readonly routes: Map<string, Candidates>;
}

/**
 * Complains of expressions that name nothing by then, and of values that surely do not fit. Without
 * `agents` nothing is known of what they take and give, and all of that fits. Gives back who could do
 * each task whose agent is chosen.
 */
export function checkTypes(
  { definition, places }: CompiledWorkflow,
  agents: KnownAgents | undefined,
  complain: Complain,
): ReadonlyMap<string, Candidates> {
  const routes = new Map<string, Candidates>();
  const known = { outputs: new Map(), inputs: new Map(), routes };
  const check = { definition, places, agents, complain, ...known };
  groupType(check, definition, '', outermostScope(definition));
  return routes;
}

/** The type of what a group gives back, with everything in it checked on the way. */
function groupType(check: Check, group: Group, id: string, scope: Scope): JsonSchema {
  switch (group.mode) {
    case 'sequential':
    case 'parallel':
      return graphType(check, group, id, scope);
    case 'pipeline':
      return pipelineType(check, group, id, scope);
    default:
      return blindType(check, group, scope);
  }
}

function graphType(check: Check, group: Group, id: string, scope: Scope): JsonSchema {
  const byId = new Map(group.tasks.map((task) => [task.id, task]));
  const names = byName(group.tasks);
  const earlier = ancestorsOf(group.tasks);
  const types = new Map<string, JsonSchema>();
  const view = (task: TaskSpec, isSure: () => boolean): Found => ({
    view: taskView(types.get(task.id) ?? true, task.onFailure === 'stop' || isSure()),
  });
  for (const taskId of wavesOf(group.tasks).flat()) {
    const task = byId.get(taskId);
    if (task === undefined) continue;
    const before = earlier.get(taskId);
    const why = waitsFor(task).length === 0 ? 'it waits for nothing' : 'add it to needs or after';
    const inner = innerScope(scope, names, (each) =>
      before?.has(each.id) === true
        ? view(each, () => neededBy(task, byId).has(each.id))
        : { hidden: why },
    );
    types.set(taskId, taskType(check, task, inner));
  }
  if (group.output === undefined) return defaultOutput(group, types);
  const all = innerScope(scope, names, (each) => view(each, () => false));
  return templateType(check, all, group.output, check.places.of(id, 'output'));
}

/** All that must have completed before a task can begin. */
function neededBy(task: TaskSpec, byId: ReadonlyMap<string, TaskSpec>): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [...task.needs];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (found.has(id)) continue;
    found.add(id);
    open.push(...(byId.get(id)?.needs ?? []));
  }
  return found;
}

function defaultOutput(group: Group, types: ReadonlyMap<string, JsonSchema>): JsonSchema {
  const properties = group.tasks.map((task): [string, JsonSchema] => {
    const type = types.get(task.id) ?? true;
    return [localName(task), task.onFailure === 'stop' ? type : union([type, { type: 'null' }])];
  });
  const required = group.tasks.filter((task) => task.onFailure === 'stop').map(localName);
  return {
    type: 'object',
    properties: Object.fromEntries(properties),
    required,
    additionalProperties: false,
  };
}

function pipelineType(check: Check, group: Group, id: string, scope: Scope): JsonSchema {
  const path = check.places.of(id, 'items');
  const items = templateType(check, scope, group.stream?.items, path);
  const noList = misfit(items, { type: 'array' });
  if (noList !== undefined) check.complain(path, `items of ${nameOf(id)}: ${noList.message}`);
  // An inner pipeline's first stage has no stage before, whatever stands around it.
  const { previous: _outer, ...roots } = scope.roots;
  const names = byName(group.tasks);
  const ended = new Map<string, JsonSchema>();
  let previous: JsonSchema | undefined;
  for (const task of group.tasks) {
    const around = withRoots(
      { ...scope, roots },
      {
        item: elementOf(items),
        index: { type: 'integer', minimum: 0 },
        ...(previous === undefined ? {} : { previous }),
      },
    );
    const inner = innerScope(around, names, (each) => {
      const view = ended.get(each.id);
      return view === undefined ? { hidden: 'it comes later' } : { view };
    });
    previous = taskType(check, task, inner);
    // An item that a stage did not complete goes no further.
    ended.set(task.id, taskView(previous, true));
  }
  return { type: 'array', items: union([previous ?? true, { type: 'null' }]) };
}

function blindType(check: Check, group: Group, scope: Scope): JsonSchema {
  const why = `the tasks of a ${group.mode} group do not know of each other`;
  const inner = innerScope(scope, byName(group.tasks), () => ({ hidden: why }));
  const outputs = group.tasks.map((task) => taskType(check, task, inner));
  for (const [index, task] of group.tasks.entries()) {
    const output = outputs[index] ?? true;
    const message = canNotWin(group, output);
    if (message !== undefined)
      check.complain(check.places.of(task.id), `task ${task.id} ${message}`);
  }
  const answer = union(outputs);
  if (group.race?.verify !== undefined) {
    taskType(check, group.race.verify, withRoots(inner, { answer }));
  }
  const arbiter = group.voting?.arbiter;
  if (arbiter === undefined || arbiter === 'person') return answer;
  const decided = taskType(
    check,
    arbiter,
    withRoots(inner, { votes: { type: 'array', items: answer } }),
  );
  return union([answer, decided]);
}

/** Why a task's answer can never count. */
function canNotWin(group: Group, output: JsonSchema): string | undefined {
  if (group.race?.accept !== undefined) {
    const wrong = misfit(output, readable(group.race.accept));
    if (wrong !== undefined) return `can never win the race: ${at(wrong.path)}${wrong.message}`;
  }
  const judge = group.voting?.judge;
  if (judge?.kind !== 'elements') return undefined;
  const wrong = misfit(output, { type: 'array' });
  if (wrong !== undefined) return `is judged by elements: ${wrong.message}`;
  const missing = judge.fields?.find((field) => stepInto(elementOf(output), field) === undefined);
  return missing && `is judged by elements, and its elements have no ${missing}`;
}

/** The type of what a task gives back, with all its expressions checked. */
function taskType(check: Check, task: TaskSpec, scope: Scope): JsonSchema {
  const { places } = check;
  if (isGroupTask(task)) return groupType(check, task.group, task.id, scope);
  if (isApprovalTask(task)) {
    templateType(check, scope, task.approval.prompt, places.of(task.id, 'approval'));
    const textOrNull = { type: ['string', 'null'] };
    return closedMap({ approved: { const: true }, by: textOrNull, comment: textOrNull });
  }
  // What comes with a signal is known to nobody before.
  if (!isAgentTask(task)) return 'ms' in task.wait ? { type: 'null' } : true;
  const folder = { workspace: closedMap({ path: { type: 'string' } }) };
  const own = task.workspace === undefined ? scope : withRoots(scope, folder);
  const doers =
    task.agent === undefined ? routedCall(check, own, task) : namedCall(check, own, task);
  // Where nobody is known to do it, nothing is known of what it gives.
  const output = doers.length === 0 ? true : union(doers.map((name) => outputOf(check, name)));
  if (task.workspace !== undefined) {
    const path = places.of(task.id, 'workspace', 'folder');
    const type = templateType(check, scope, task.workspace.folder, path);
    const wrong = misfit(type, { type: 'string' });
    if (wrong !== undefined) check.complain(path, `workspace of task ${task.id}: ${wrong.message}`);
  }
  if (task.compensate !== undefined) {
    const done = closedMap({
      output: union([output, { type: 'null' }]),
      status: { type: 'string' },
    });
    const inner = withRoots(scope, { answer: done });
    const call = { id: task.id, ...task.compensate };
    checkCall(check, inner, call, ['compensate', 'input'], `what undoes task ${task.id}`);
  }
  return output;
}

function namedCall(check: Check, scope: Scope, task: AgentTask): readonly string[] {
  const { agent = '' } = task;
  checkCall(check, scope, { ...task, agent }, ['input'], `task ${task.id}`);
  return [agent];
}

/**
 * Whom a task with a route may go to. Those named have to take its input; of all others only those do
 * that it fits.
 */
function routedCall(check: Check, scope: Scope, task: AgentTask): readonly string[] {
  const { agents, places, complain, routes } = check;
  const { id, input, route } = task;
  if (agents === undefined) {
    checkCall(check, scope, { id, input, agent: '' }, ['input'], `task ${id}`);
    return route?.among ?? [];
  }
  const found = candidatesOf(task, agents);
  const given = templateType(check, scope, input, places.of(id, 'input'));
  const misfits = found.names.flatMap((agent) => {
    const wrong = misfit(given, inputOf(check, agent));
    if (wrong === undefined) return [];
    if (route?.among !== undefined) {
      checkCall(check, scope, { id, input, agent }, ['input'], `task ${id} for agent ${agent}`);
    }
    const where = ['input', ...wrong.path].join('.');
    return [[agent, `${where} does not fit: ${wrong.message}`] as const];
  });
  const out = new Map(misfits);
  const names = found.names.filter((name) => !out.has(name));
  const left = { names, refused: { ...found.refused, ...Object.fromEntries(out) } };
  routes.set(id, left);
  if (names.length === 0 && route?.among === undefined) {
    complain(places.of(id, 'route'), noCandidate(id, left));
  }
  return names;
}

/** Holds what an agent is given against what it takes. */
function checkCall(
  check: Check,
  scope: Scope,
  call: Pick<AgentTask, 'id' | 'input'> & { readonly agent: string },
  field: Path,
  who: string,
): void {
  const { places, complain } = check;
  const given = templateType(check, scope, call.input, places.of(call.id, ...field));
  const wrong = misfit(given, inputOf(check, call.agent));
  if (wrong === undefined) return;
  const where = ['input', ...wrong.path].join('.');
  const expression = expressionAt(call.input, wrong.path);
  const from = expression === undefined ? '' : `, ${expression}`;
  complain(
    places.of(call.id, ...field, ...wrong.path),
    `${where} of ${who}${from}: ${wrong.message}`,
    wrong.suggestion ?? `\`centuria agent show ${call.agent}\` says what it takes`,
  );
}

/** The expression that a part of a value comes from. */
function expressionAt(template: unknown, path: Path): string | undefined {
  let value = template;
  for (const part of path) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, part)) break;
    value = Reflect.get(value, part);
  }
  return typeof value === 'string' && value.includes('${') ? value : undefined;
}

function inputOf(check: Check, agent: string): JsonSchema {
  const known = check.inputs.get(agent) ?? readable(check.agents?.get(agent)?.input ?? true);
  check.inputs.set(agent, known);
  return known;
}

/** What an agent gives back once it has been verified. */
function outputOf(check: Check, agent: string): JsonSchema {
  const known = check.outputs.get(agent);
  if (known !== undefined) return known;
  const { verify, runtime } = check.agents?.get(agent) ?? {};
  const parts: JsonSchema[] = [];
  if (verify?.['schema'] !== undefined) parts.push(readable(verify['schema']));
  if (verify?.['format'] === 'findings') parts.push(readable(toolReportSchema));
  // A program's output is one text unless its definition says otherwise.
  if (runtime?.kind === 'command' && runtime['stdout'] !== 'json') parts.push({ type: 'string' });
  const said = parts.filter((part) => part !== true);
  const type: JsonSchema = said.length > 1 ? { allOf: said } : (said[0] ?? true);
  check.outputs.set(agent, type);
  return type;
}

function at(path: Path): string {
  return path.length === 0 ? '' : `${path.join('.')}: `;
}
