/** What the expressions of a task may name, and what type each of them has. */
import { references, suggest, toAppError } from '../base/base.ts';
import { allTasks, type InputSpec, type TaskSpec, type WorkflowDefinition } from './definition.ts';
import { knownNames, stepInto, union, type JsonSchema } from './schema-read.ts';
import { lastPart, type Complain } from './workflow-rules.ts';
import type { Path } from './workflow-shape.ts';

/** A task as it is found by its name: to be named, or near and not to be named here, with what to do about it. */
export type Found = { readonly view: JsonSchema } | { readonly hidden: string };

export interface Scope {
  /** `inputs`, `run` and what the place has beyond them: `item`, `previous`, `votes` … */
  readonly roots: Readonly<Record<string, JsonSchema>>;
  /** Looked up one by one: in a chain of a thousand tasks each may name all before it, and few do. */
  readonly find: (name: string) => Found | undefined;
  /** All names that `find` knows. */
  readonly names: () => readonly string[];
}

/** What an expression can ask of an ended task and of the run itself. */
const taskFields = ['agent', 'status', 'output', 'error', 'reason', 'verdict'];
const text = { type: 'string' } as const;
const textOrNothing = { type: ['string', 'null'] } as const;

/** Where the names that are not everywhere can be used. */
const places: Readonly<Record<string, string>> = {
  item: 'the stages of a pipeline have it',
  index: 'the stages of a pipeline have it',
  previous: 'the stages of a pipeline have it, but for the first',
  votes: 'the arbiter of a vote has it',
  answer: 'the verifier of a competition has it, and what undoes a task',
  workspace: 'a task with a workspace has it, in its input',
};

/** What every expression of a workflow can name. */
export function outermostScope(definition: WorkflowDefinition): Scope {
  const inputs = Object.entries(definition.inputs).map(([name, { type }]) => [name, typeOf(type)]);
  const run = { id: text, folder: text, workflow: text };
  return {
    roots: {
      inputs: closedMap(Object.fromEntries(inputs) as Record<string, JsonSchema>),
      run: closedMap(run),
    },
    find: () => undefined,
    names: () => [],
  };
}

/** An ended task as expressions see it. `completes`: whether who names it can be sure that it did. */
export function taskView(output: JsonSchema, completes: boolean): JsonSchema {
  return closedMap({
    agent: textOrNothing,
    status: { enum: ['completed', 'failed', 'cancelled', 'skipped'] },
    output: completes ? output : union([output, { type: 'null' }]),
    error: { type: ['object', 'null'] },
    reason: textOrNothing,
    verdict: { type: ['object', 'null'] },
  });
}

export function closedMap(properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  const required = Object.keys(properties);
  return { type: 'object', properties, required, additionalProperties: false };
}

export interface Reader {
  readonly definition: WorkflowDefinition;
  readonly complain: Complain;
}

/** The type of a value with expressions. Complains of those that name nothing. */
export function templateType(reader: Reader, scope: Scope, value: unknown, path: Path): JsonSchema {
  if (typeof value === 'string') return textType(reader, scope, value, path);
  if (Array.isArray(value)) {
    const prefixItems = value.map((item, index) =>
      templateType(reader, scope, item, [...path, index]),
    );
    return { type: 'array', prefixItems, minItems: value.length, maxItems: value.length };
  }
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).map(([name, inner]): [string, JsonSchema] => [
      name,
      templateType(reader, scope, inner, [...path, name]),
    ]);
    return closedMap(Object.fromEntries(entries));
  }
  return { const: value };
}

function textType(reader: Reader, scope: Scope, value: string, path: Path): JsonSchema {
  let found: string[];
  try {
    found = references(value);
  } catch (error) {
    const { message, remedy } = toAppError(error);
    reader.complain(path, message, remedy);
    return true;
  }
  const types = found.map((reference) => referenceType(reader, scope, reference, path));
  if (/^\$\{[^{}]*\}$/.test(value)) return types[0] ?? true;
  return found.length > 0 || value.includes('$${') ? text : { const: value };
}

function referenceType(
  { definition, complain }: Reader,
  scope: Scope,
  reference: string,
  path: Path,
): JsonSchema {
  const wrong = (message: string, suggestion?: string): JsonSchema => {
    complain(path, `\${${reference}}${message}`, suggestion);
    return true;
  };
  const [root = '', name, ...rest] = reference.split('.');
  if (root === 'tasks') {
    if (name === undefined) return { type: 'object', properties: viewsOf(scope) };
    const found = scope.find(name);
    if (found === undefined || 'hidden' in found) {
      const { message, suggestion } = missingTask(definition, scope, name, found);
      return wrong(message, suggestion);
    }
    const { view } = found;
    const [field] = rest;
    if (field !== undefined && !taskFields.includes(field)) {
      return wrong(`: a task has no ${field}`, `it has ${taskFields.join(', ')}`);
    }
    return walk(view, ['tasks', name], rest, wrong);
  }
  const known = Object.hasOwn(scope.roots, root) ? scope.roots[root] : undefined;
  if (known === undefined) {
    const roots = Object.keys(scope.roots);
    const where = Object.hasOwn(places, root) ? places[root] : undefined;
    if (where !== undefined) return wrong(` names nothing here`, where);
    const list = [
      'inputs',
      'tasks',
      'run',
      ...roots.filter((each) => !['inputs', 'run'].includes(each)),
    ];
    const near = suggest(root, list);
    const begin = `expressions begin with ${list.slice(0, -1).join(', ')} or ${list.at(-1)}`;
    return wrong(' names nothing', near === undefined ? begin : `did you mean ${near}?`);
  }
  if (name === undefined) return known;
  if (root === 'inputs' && stepInto(known, name) === undefined) {
    const near = suggest(name, knownNames(known));
    return wrong(`: there is no input ${name}`, near && `did you mean inputs.${near}?`);
  }
  if (root === 'run' && stepInto(known, name) === undefined) {
    return wrong(`: a run has no ${name}`, `it has ${knownNames(known).join(', ')}`);
  }
  return walk(known, [root], [name, ...rest], wrong);
}

/** Follows names down; complains of the first that surely leads nowhere. */
function walk(
  start: JsonSchema,
  before: readonly string[],
  names: readonly string[],
  wrong: (message: string, suggestion?: string) => JsonSchema,
): JsonSchema {
  let type = start;
  for (const [index, name] of names.entries()) {
    const inner = stepInto(type, name);
    if (inner === undefined) {
      const known = knownNames(type);
      const near = suggest(name, known);
      const whole = [...before, ...names.slice(0, index)].join('.');
      const list = known.length === 0 ? undefined : `it has ${known.join(', ')}`;
      return wrong(
        `: ${whole} has no ${name}`,
        near === undefined ? list : `did you mean ${near}?`,
      );
    }
    type = inner;
  }
  return type;
}

function missingTask(
  definition: WorkflowDefinition,
  scope: Scope,
  name: string,
  found: { readonly hidden: string } | undefined,
): { readonly message: string; readonly suggestion?: string } {
  if (found !== undefined) {
    return { message: `: ${name} has not ended by then`, suggestion: found.hidden };
  }
  const near = suggest(name, scope.names());
  if (near !== undefined) {
    return { message: `: there is no task ${name}`, suggestion: `did you mean tasks.${near}?` };
  }
  const elsewhere = allTasks(definition).find((task) => lastPart(task.id) === name);
  const group = elsewhere?.id.slice(0, -name.length - 1);
  if (group === undefined || group === '') return { message: `: there is no task ${name}` };
  const suggestion = `${name} is inside ${group}; from outside only ${lastPart(group)} itself is seen`;
  return { message: `: there is no task ${name} here`, suggestion };
}

function viewsOf(scope: Scope): Record<string, JsonSchema> {
  return Object.fromEntries(
    scope.names().flatMap((name) => {
      const found = scope.find(name);
      return found !== undefined && 'view' in found ? [[name, found.view] as const] : [];
    }),
  );
}

/** A scope with the tasks of a group in it. A name inside stands for what is inside, also while that can't be named yet. */
export function innerScope(
  outer: Scope,
  tasks: ReadonlyMap<string, TaskSpec>,
  find: (task: TaskSpec) => Found,
): Scope {
  return {
    roots: outer.roots,
    find: (name) => {
      const own = tasks.get(name);
      return own === undefined ? outer.find(name) : find(own);
    },
    names: () => [...new Set([...tasks.keys(), ...outer.names()])],
  };
}

export function withRoots(scope: Scope, roots: Readonly<Record<string, JsonSchema>>): Scope {
  return { ...scope, roots: { ...scope.roots, ...roots } };
}

export function localName(task: TaskSpec): string {
  return lastPart(task.id);
}

/** The tasks of a group by the names that they have in it. */
export function byName(tasks: readonly TaskSpec[]): ReadonlyMap<string, TaskSpec> {
  return new Map(tasks.map((task) => [localName(task), task]));
}

/** Of any JSON nothing is known before it is there. */
function typeOf(type: InputSpec['type']): JsonSchema {
  if (type === 'json') return {};
  return { type: type === 'directory' || type === 'git-repository' ? 'string' : type };
}
