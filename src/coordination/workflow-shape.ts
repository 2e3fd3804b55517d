/** Whether a workflow file has the right fields everywhere, before anything is made of it. */
import type { TSchema } from 'typebox';
import { suggest, type CheckedYaml, type Complaint } from '../base/base.ts';
import type { WorkflowMode } from './definition.ts';
import {
  agentTaskSchema,
  approvalSchema,
  callSchemas,
  modes,
  modesWithoutGraph,
  namePattern,
  routedTaskSchema,
  routeFieldsSchema,
  teamSchema,
  waitSchema,
  workflowLimits,
} from './workflow-fields.ts';
import { groupSchema, modesOf, shorthandIds } from './workflow-schema.ts';

export type Path = readonly (string | number)[];

interface Walk {
  readonly document: CheckedYaml<TSchema>;
  readonly complaints: Complaint[];
  tasks: number;
}

/**
 * Holds a document against the schema of its mode, and each task against that of its kind: a
 * complaint is about what was meant, not about all that a task could have been.
 */
export function shapeComplaints(document: CheckedYaml<TSchema>): Complaint[] {
  const walk: Walk = { document, complaints: [], tasks: 0 };
  checkGroup(walk, document.value, [], 0);
  if (walk.tasks > workflowLimits.tasks) {
    const message = `the workflow has ${walk.tasks} tasks; ${workflowLimits.tasks} are allowed`;
    complain(walk, ['tasks'], message);
  }
  return walk.complaints.toSorted((a, b) => a.line - b.line || a.column - b.column);
}

function complain(walk: Walk, path: Path, message: string, suggestion?: string): void {
  const place = walk.document.place(path);
  walk.complaints.push({
    ...place,
    message,
    ...(suggestion === undefined ? {} : { suggestion }),
  });
}

function checkGroup(walk: Walk, value: unknown, path: Path, depth: number): void {
  if (!isMap(value)) return void walk.complaints.push(...notMap(walk, value, path));
  const mode = modes.find((each) => each === value['mode']);
  const schema = groupSchema(mode, path.length === 0);
  const own = withoutForeign(walk, value, mode, schema, path);
  walk.complaints.push(...walk.document.check(schema, withoutCalls(walk, own, mode, path), path));
  if (mode !== undefined && modesOf('agents').includes(mode)) checkShorthand(walk, value, path);
  if (depth > workflowLimits.depth) {
    complain(walk, path, `groups are nested deeper than ${workflowLimits.depth} levels`);
    return;
  }
  if (!isMap(value['tasks'])) return;
  for (const [id, task] of Object.entries(value['tasks'])) {
    checkTask(walk, task, [...path, 'tasks', id], mode, depth);
  }
}

/** The group without the fields that only other modes have, which are complained of by that. */
function withoutForeign(
  walk: Walk,
  value: Readonly<Record<string, unknown>>,
  mode: WorkflowMode | undefined,
  schema: TSchema,
  path: Path,
): Readonly<Record<string, unknown>> {
  if (mode === undefined) return value;
  const own = (schema as unknown as { properties: object }).properties;
  const entries = Object.entries(value).filter(([field]) => {
    const others = Object.hasOwn(own, field) ? [] : modesOf(field);
    if (others.length === 0) return true;
    const name = [...path, field].join('.');
    complain(walk, [...path, field], `${name} is a field of ${others.join(', ')}, not of ${mode}`);
    return false;
  });
  return Object.fromEntries(entries);
}

/** The group without an arbiter, a verifier or a team, each of which is held against what it means to be. */
function withoutCalls(
  walk: Walk,
  value: Readonly<Record<string, unknown>>,
  mode: WorkflowMode | undefined,
  path: Path,
): Readonly<Record<string, unknown>> {
  const { arbiter, verify, agents, ...rest } = value;
  const left: Record<string, unknown> = { ...rest };
  for (const [field, call] of Object.entries({ arbiter, verify })) {
    if (call === undefined) continue;
    if (isMap(call) && mode !== undefined) checkCall(walk, call, [...path, field]);
    else left[field] = call;
  }
  if (agents === undefined) return left;
  if (isMap(agents)) checkRouted(walk, agents, [...path, 'agents'], teamSchema);
  else left['agents'] = agents;
  return left;
}

function checkCall(walk: Walk, value: Readonly<Record<string, unknown>>, path: Path): void {
  if (!Object.hasOwn(value, 'route')) {
    walk.complaints.push(...walk.document.check(callSchemas.agent, value, path));
  } else if (Object.hasOwn(value, 'agent')) {
    const message = `${path.join('.')} has agent and route: it can have only one`;
    complain(walk, [...path, 'route'], message);
  } else checkRouted(walk, value, path, callSchemas.route);
}

/** What has a route: its fields by themselves, so that a complaint is about one of them. */
function checkRouted(
  walk: Walk,
  value: Readonly<Record<string, unknown>>,
  path: Path,
  schema: TSchema,
): void {
  const { route } = value;
  const isFields = isMap(route);
  const whole = isFields ? { ...value, route: 'auto' } : value;
  walk.complaints.push(...walk.document.check(schema, whole, path));
  if (!isFields) return;
  walk.complaints.push(...walk.document.check(routeFieldsSchema, route, [...path, 'route']));
}

/** `agents` with one `input` stand for `tasks`. */
function checkShorthand(walk: Walk, value: Readonly<Record<string, unknown>>, path: Path): void {
  const name = path.length === 0 ? 'the document' : path.join('.');
  const has = (field: string): boolean => Object.hasOwn(value, field);
  if (has('agents') && has('tasks')) {
    complain(walk, [...path, 'agents'], `${name} has agents and tasks: it can have only one`);
  } else if (!has('agents') && !has('tasks')) {
    complain(walk, path, `${name} lacks tasks`, 'or agents, where all get the same input');
  } else if (has('input') && !has('agents')) {
    const message = `${name}.input is for agents; each of the tasks has its own`;
    complain(walk, [...path, 'input'], message);
  }
  if (isMap(value['agents']) && typeof value['agents']['count'] === 'number') {
    walk.tasks += value['agents']['count'];
  }
  if (!Array.isArray(value['agents'])) return;
  walk.tasks += value['agents'].length;
  if (walk.tasks > workflowLimits.tasks) return;
  const ids = shorthandIds(value['agents'].map(String));
  for (const [index, id] of ids.entries()) {
    const isTaken = ids.indexOf(id) < index;
    if (!isTaken && new RegExp(namePattern, 'u').test(id)) continue;
    const why = isTaken ? 'is the id of two tasks' : 'can not be the id of a task';
    const message = `${name}.agents: ${id} ${why}`;
    complain(walk, [...path, 'agents', index], message, 'write them under tasks, with ids');
  }
}

const kinds = {
  agent: agentTaskSchema,
  route: routedTaskSchema,
  approval: approvalSchema,
  wait: waitSchema,
} satisfies Record<string, TSchema>;

function checkTask(
  walk: Walk,
  value: unknown,
  path: Path,
  groupMode: WorkflowMode | undefined,
  depth: number,
): void {
  walk.tasks += 1;
  // Beyond this nothing is looked at: a file that is wrong by thousands needs no thousand complaints.
  if (walk.tasks > workflowLimits.tasks) return;
  if (!isMap(value)) return void walk.complaints.push(...notMap(walk, value, path));
  checkPlace(walk, value, path, groupMode);
  const found = [...Object.keys(kinds), 'mode'].filter((kind) => Object.hasOwn(value, kind));
  if (found.length > 1) {
    const message = `${path.join('.')} has ${found.join(' and ')}: a task can be only one`;
    complain(walk, [...path, found[1] ?? ''], message);
    return;
  }
  if (found[0] === 'mode' || looksLikeGroup(value, found)) {
    checkGroup(walk, value, path, depth + 1);
    return;
  }
  const [first] = found;
  const kind = first === undefined || first === 'mode' ? 'agent' : (first as keyof typeof kinds);
  const unnamed = found.length === 0 && !nearAgent(value);
  if (unnamed) {
    const message = `${path.join('.')} lacks agent, route, mode, approval or wait: what does it do?`;
    complain(walk, path, message);
    return;
  }
  if (kind === 'route') checkRouted(walk, value, path, kinds.route);
  else walk.complaints.push(...walk.document.check(kinds[kind], value, path));
  const { wait } = value;
  if (isMap(wait) && Object.hasOwn(wait, 'seconds') && Object.hasOwn(value, 'timeoutSeconds')) {
    const message = `${path.join('.')}.timeoutSeconds is for signals; this wait ends by itself`;
    complain(walk, [...path, 'timeoutSeconds'], message);
  }
}

/** What a task may not say in a group of this mode. */
function checkPlace(
  walk: Walk,
  value: Readonly<Record<string, unknown>>,
  path: Path,
  groupMode: WorkflowMode | undefined,
): void {
  if (groupMode === undefined) return;
  const refuse = (field: string, why: string): void => {
    if (!Object.hasOwn(value, field)) return;
    complain(walk, [...path, field], `${[...path, field].join('.')}: ${why}`);
  };
  if (modesWithoutGraph.includes(groupMode)) {
    const why =
      groupMode === 'pipeline'
        ? 'the stages of a pipeline follow one another in the order of the file'
        : `the tasks of a ${groupMode} group do not know of each other`;
    refuse('needs', why);
    refuse('after', why);
  }
  if (groupMode !== 'pipeline') refuse('concurrency', 'only the stages of a pipeline have one');
}

/** A group whose mode was forgotten is told so, rather than that it lacks an agent. */
function looksLikeGroup(value: object, kindsFound: readonly string[]): boolean {
  return (
    kindsFound.length === 0 && (Object.hasOwn(value, 'tasks') || Object.hasOwn(value, 'agents'))
  );
}

function nearAgent(value: object): boolean {
  return Object.keys(value).some((field) => suggest(field, Object.keys(kinds)) === 'agent');
}

function notMap(walk: Walk, value: unknown, path: Path): Complaint[] {
  return walk.document.check(groupSchema(undefined, false), value, path);
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
