import { createHash } from 'node:crypto';
import { Type, type Static } from 'typebox';
import { parseCheckedYaml, references, suggest, toAppError } from '../base/base.ts';
import { ancestorsOf, cycleOf, waitsFor } from './graph.ts';
import type { InputSpec, TaskSpec, WorkflowDefinition, WorkflowProblem } from './types.ts';

const closed = { additionalProperties: false } as const;
const taskId = '^[A-Za-z][A-Za-z0-9_-]{0,62}$';
const seconds = Type.Number({ exclusiveMinimum: 0, maximum: 604_800 });

const inputSchema = Type.Object(
  {
    type: Type.Optional(
      Type.Union([
        Type.Literal('string'),
        Type.Literal('number'),
        Type.Literal('integer'),
        Type.Literal('boolean'),
        Type.Literal('directory'),
        Type.Literal('git-repository'),
      ]),
    ),
    description: Type.Optional(Type.String()),
    required: Type.Optional(Type.Boolean()),
    default: Type.Optional(Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
  },
  closed,
);

const taskSchema = Type.Object(
  {
    agent: Type.String({ minLength: 1 }),
    description: Type.Optional(Type.String()),
    input: Type.Optional(Type.Unknown()),
    needs: Type.Optional(Type.Array(Type.String(), { maxItems: 1_000 })),
    after: Type.Optional(Type.Array(Type.String(), { maxItems: 1_000 })),
    timeoutSeconds: Type.Optional(seconds),
    retries: Type.Optional(Type.Integer({ minimum: 0, maximum: 20 })),
    priority: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    onFailure: Type.Optional(Type.Union([Type.Literal('stop'), Type.Literal('continue')])),
  },
  closed,
);

/** The schema of a workflow file. */
export const workflowSchema = Type.Object(
  {
    name: Type.String({ pattern: '^[a-z][a-z0-9-]{0,62}$' }),
    description: Type.Optional(Type.String()),
    mode: Type.Union([Type.Literal('sequential'), Type.Literal('parallel')]),
    inputs: Type.Optional(Type.Record(Type.String({ pattern: taskId }), inputSchema)),
    maxParallel: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
    timeoutSeconds: Type.Optional(seconds),
    tasks: Type.Record(Type.String({ pattern: taskId }), taskSchema, {
      minProperties: 1,
      maxProperties: 1_000,
    }),
    output: Type.Optional(Type.Unknown()),
  },
  closed,
);
type WorkflowFile = Static<typeof workflowSchema>;

const defaults = {
  priority: 50,
  workflowTimeoutSeconds: 300,
  maxParallel: 10,
};

export interface ParsedWorkflow {
  readonly definition: WorkflowDefinition | undefined;
  readonly problems: readonly WorkflowProblem[];
}

/**
 * Reads one workflow. Every complaint names file, line and column: unknown fields and tasks (with
 * the nearest known name), cycles, expressions that name nothing or a task that has not ended by then.
 * `agents`, when given, is what tasks may name.
 */
export function parseWorkflow(
  text: string,
  file: string,
  agents?: ReadonlySet<string>,
): ParsedWorkflow {
  const checked = parseCheckedYaml(text, workflowSchema);
  if (checked.value === undefined) {
    return {
      definition: undefined,
      problems: checked.complaints.map((each) => ({ file, ...each })),
    };
  }
  const problems: WorkflowProblem[] = [];
  const complain: Complain = (path, message, suggestion) => {
    problems.push({
      file,
      ...checked.place(path),
      message,
      ...(suggestion === undefined ? {} : { suggestion }),
    });
  };
  const definition = normalise(checked.value);
  checkInputs(definition.inputs, complain);
  checkGraph(checked.value, complain);
  if (agents !== undefined) checkAgents(definition.tasks, agents, complain);
  if (problems.length === 0) {
    const cycle = cycleOf(definition.tasks);
    const first = cycle?.[0];
    if (cycle !== undefined && first !== undefined) {
      complain(['tasks', first], `the tasks wait for each other: ${cycle.join(' → ')}`);
    } else {
      checkExpressions(definition, complain);
    }
  }
  return { definition: problems.length === 0 ? definition : undefined, problems };
}

/** SHA-256 of the definition with sorted keys, lower-case hex: the same workflow has the same hash. */
export function definitionHash(definition: WorkflowDefinition): string {
  return createHash('sha256').update(canonicalJson(definition)).digest('hex');
}

/** JSON with the keys of every object in order. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    item !== null && typeof item === 'object' && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}

type Complain = (path: readonly (string | number)[], message: string, suggestion?: string) => void;

/** Fills in defaults. In sequential mode each task waits for the one above it. */
function normalise(file: WorkflowFile): WorkflowDefinition {
  const ids = Object.keys(file.tasks);
  const tasks = Object.entries(file.tasks).map(([id, task], index): TaskSpec => {
    const before = file.mode === 'sequential' ? ids[index - 1] : undefined;
    const needs = task.needs ?? [];
    const after = task.after ?? [];
    return {
      id,
      agent: task.agent,
      description: task.description ?? '',
      input: task.input ?? {},
      needs,
      after:
        before === undefined || needs.includes(before) || after.includes(before)
          ? after
          : [...after, before],
      ...(task.timeoutSeconds === undefined ? {} : { timeoutMs: task.timeoutSeconds * 1_000 }),
      ...(task.retries === undefined ? {} : { retries: task.retries }),
      priority: task.priority ?? defaults.priority,
      onFailure: task.onFailure ?? 'stop',
    };
  });
  const inputs = Object.entries(file.inputs ?? {}).map(([name, input]): [string, InputSpec] => [
    name,
    {
      type: input.type ?? 'string',
      description: input.description ?? '',
      required: input.required ?? input.default === undefined,
      ...(input.default === undefined ? {} : { default: input.default }),
    },
  ]);
  return {
    name: file.name,
    description: file.description ?? '',
    mode: file.mode,
    inputs: Object.fromEntries(inputs),
    tasks,
    maxParallel: file.maxParallel ?? defaults.maxParallel,
    timeoutMs: (file.timeoutSeconds ?? defaults.workflowTimeoutSeconds) * 1_000,
    ...(file.output === undefined ? {} : { output: file.output }),
  };
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
    default:
      return typeof value === 'string' ? undefined : 'must be a text';
  }
}

function checkGraph(file: WorkflowFile, complain: Complain): void {
  const ids = Object.keys(file.tasks);
  for (const [id, task] of Object.entries(file.tasks)) {
    for (const field of ['needs', 'after'] as const) {
      for (const [index, other] of (task[field] ?? []).entries()) {
        const path = ['tasks', id, field, index];
        if (other === id) complain(path, `task ${id} waits for itself`);
        else if (!ids.includes(other)) {
          const near = suggest(other, ids);
          complain(
            path,
            `task ${id} waits for ${other}, which is not a task`,
            near && `did you mean ${near}?`,
          );
        }
      }
    }
  }
}

function checkAgents(
  tasks: readonly TaskSpec[],
  agents: ReadonlySet<string>,
  complain: Complain,
): void {
  for (const task of tasks) {
    if (agents.has(task.agent)) continue;
    const near = suggest(task.agent, agents);
    complain(
      ['tasks', task.id, 'agent'],
      `task ${task.id} names the agent ${task.agent}, which does not exist`,
      near === undefined ? 'see `centuria agent list`' : `did you mean ${near}?`,
    );
  }
}

function checkExpressions(definition: WorkflowDefinition, complain: Complain): void {
  const ancestors = ancestorsOf(definition.tasks);
  const inputs = Object.keys(definition.inputs);
  for (const task of definition.tasks) {
    const earlier = ancestors.get(task.id) ?? new Set();
    checkReferences(task.input, ['tasks', task.id, 'input'], inputs, earlier, complain, () =>
      waitsFor(task).length === 0 ? 'it waits for nothing' : 'add it to needs or after',
    );
  }
  const all = new Set(definition.tasks.map((task) => task.id));
  checkReferences(definition.output, ['output'], inputs, all, complain, () => 'it is no task');
}

function checkReferences(
  value: unknown,
  path: readonly string[],
  inputs: readonly string[],
  tasks: ReadonlySet<string>,
  complain: Complain,
  whyNotTask: (id: string) => string,
): void {
  let found: string[];
  try {
    found = references(value);
  } catch (error) {
    const { message, remedy } = toAppError(error);
    complain(path, message, remedy);
    return;
  }
  for (const reference of found) {
    const [root, name, field] = reference.split('.');
    if (root === 'inputs') {
      if (name === undefined || inputs.includes(name)) continue;
      const near = suggest(name, inputs);
      complain(
        path,
        `\${${reference}}: there is no input ${name}`,
        near && `did you mean inputs.${near}?`,
      );
    } else if (root === 'tasks') {
      if (name === undefined) continue;
      if (!tasks.has(name)) {
        complain(path, `\${${reference}}: ${name} has not ended by then`, whyNotTask(name));
      } else if (field !== undefined && !taskFields.includes(field)) {
        complain(
          path,
          `\${${reference}}: a task has no ${field}`,
          `it has ${taskFields.join(', ')}`,
        );
      }
    } else if (root === 'run') {
      if (name === undefined || runFields.includes(name)) continue;
      complain(path, `\${${reference}}: a run has no ${name}`, `it has ${runFields.join(', ')}`);
    } else {
      complain(
        path,
        `\${${reference}} names nothing`,
        'expressions begin with inputs, tasks or run',
      );
    }
  }
}

/** What an expression can ask of an ended task and of the run itself. */
const taskFields = ['agent', 'status', 'output', 'error', 'reason'];
const runFields = ['id', 'folder', 'workflow'];
