/** The shape of a workflow file, mode by mode: what the parser checks and editors complete. */
import { Type, type Static, type TProperties, type TSchema } from 'typebox';
import type { WorkflowMode } from './definition.ts';
import {
  agentTaskSchema,
  amounts,
  approvalSchema,
  callFields,
  closed,
  inputSchema,
  modes,
  namePattern,
  outputField,
  raceFields,
  routedTaskSchema,
  seconds,
  streamFields,
  taskFields,
  teamSchema,
  votingFields,
  waitSchema,
  words,
  workflowLimits,
  type TeamFile,
} from './workflow-fields.ts';

const optional = Type.Optional;

/** In place of `tasks`, where several agents get the same input. */
const agentsFields = {
  agents: optional(
    Type.Union(
      [
        Type.Array(Type.String({ minLength: 1 }), {
          minItems: 1,
          maxItems: workflowLimits.tasks,
          description: 'Their names.',
        }),
        teamSchema,
      ],
      {
        description:
          'Agents that all get `input`, in place of tasks; their names are the ids, or member-1, member-2 … where they are chosen.',
      },
    ),
  ),
  input: callFields.input,
};

/** What each mode has beyond `tasks`, `maxParallel` and its like. */
const modeFields = {
  sequential: outputField,
  parallel: outputField,
  pipeline: streamFields,
  consensus: { ...votingFields, ...agentsFields },
  competitive: { ...raceFields, ...agentsFields },
  redundant: { ...votingFields, ...agentsFields },
} satisfies Record<WorkflowMode, TProperties>;

const tasksField = (task: TSchema) => ({
  tasks: Type.Record(Type.String({ pattern: namePattern }), task, {
    ...closed,
    minProperties: 1,
    maxProperties: workflowLimits.tasks,
    description: 'Tasks by id: letters, digits, `_`, `-`; the first a letter.',
  }),
});
const groupFields = {
  maxParallel: optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000,
      description: 'Attempts at the same time, those of groups within included; default 10.',
    }),
  ),
};

/** Fields of the whole workflow. */
const workflowFields = {
  name: Type.String({
    pattern: '^[a-z][a-z0-9-]{0,62}$',
    description: 'Lower-case letters, digits, hyphens.',
  }),
  description: taskFields.description,
  inputs: optional(
    Type.Record(Type.String({ pattern: namePattern }), inputSchema, {
      ...closed,
      description: 'What a run takes, by name.',
    }),
  ),
  timeoutSeconds: optional(
    seconds('How long a run may take while a worker holds it, default 300.'),
  ),
  budget: optional(amounts('What all attempts of a run may use together.')),
  budgets: optional(
    Type.Array(Type.String({ minLength: 1 }), {
      maxItems: 20,
      uniqueItems: true,
      description: 'Names of budgets that its runs share with others.',
    }),
  ),
  onBudget: optional(
    words(
      ['ask', 'fail'],
      'At the limit of budget: a person is asked for more (default), or the run fails.',
    ),
  ),
};

const modeField = { mode: words(modes, 'How its tasks are done together.') };
const modeOnly = (mode: WorkflowMode) => ({
  mode: Type.Literal(mode, { description: modeMeanings[mode] }),
});
const modeMeanings: Readonly<Record<WorkflowMode, string>> = {
  sequential: 'Each task waits for the one above it.',
  parallel: 'Everything that waits for nothing begins, up to the limits.',
  pipeline: 'Items stream through the tasks, which are its stages.',
  consensus: 'The tasks vote without seeing each other; the answer with enough weight wins.',
  competitive: 'The tasks race; the first answer that is accepted wins.',
  redundant: 'The tasks do the same, so that one failure is no failure; answers are compared.',
};

const allModeFields = { ...outputField, ...streamFields, ...votingFields, ...raceFields };
const looseGroup = Type.Object({
  ...modeField,
  ...groupFields,
  ...agentsFields,
  ...Object.assign({}, allModeFields, { items: optional(streamFields.items) }),
  tasks: optional(tasksField(Type.Unknown()).tasks),
});
/** A group of any mode, once it has been checked. */
export type GroupFile = Static<typeof looseGroup>;
const taskFieldsSchema = Type.Object(taskFields);
export type TaskFieldsFile = Static<typeof taskFieldsSchema>;
const workflowFieldsSchema = Type.Object(workflowFields);
export type WorkflowFile = Static<typeof workflowFieldsSchema> & GroupFile;

/** What a group or, with `isTop`, a workflow of a mode may hold; `task` is the schema of those within. */
export function groupSchema(
  mode: WorkflowMode | undefined,
  isTop: boolean,
  task: TSchema = Type.Unknown(),
): ReturnType<typeof Type.Object> {
  const hasShorthand = mode === undefined || 'agents' in modeFields[mode];
  const { tasks } = tasksField(task);
  return Type.Object(
    {
      ...(isTop ? workflowFields : taskFields),
      ...(mode === undefined ? modeField : modeOnly(mode)),
      ...groupFields,
      ...(mode === undefined
        ? Object.assign({}, allModeFields, agentsFields, { items: optional(streamFields.items) })
        : modeFields[mode]),
      tasks: hasShorthand ? optional(tasks) : tasks,
    },
    { ...closed, description: mode === undefined ? 'A group.' : modeMeanings[mode] },
  );
}

/** The modes that have a field, for who wrote it in another. */
export function modesOf(field: string): WorkflowMode[] {
  return modes.filter((mode) => Object.hasOwn(modeFields[mode], field));
}

/** The ids of tasks that only `agents` names: the agents’ names, numbered where one stands twice. */
export function shorthandIds(agents: readonly string[]): string[] {
  return agents.map((agent, index) => {
    const isOnly = agents.filter((each) => each === agent).length === 1;
    const number = agents.slice(0, index + 1).filter((each) => each === agent).length;
    return isOnly ? agent : `${agent}-${number}`;
  });
}

/** The ids of agents that are chosen for a group. */
export function memberIds({ count }: TeamFile): string[] {
  return Array.from({ length: count }, (_, index) => `member-${index + 1}`);
}

/** The schema of a workflow file for editors (JSON Schema 2020-12). */
export function workflowFileSchema(): Record<string, unknown> {
  const task = Type.Unsafe({ $ref: '#/$defs/task' });
  const kinds: Record<string, TSchema> = {
    agentTask: agentTaskSchema,
    routedTask: routedTaskSchema,
    approvalTask: approvalSchema,
    waitTask: waitSchema,
    ...Object.fromEntries(modes.map((mode) => [`${mode}Group`, groupSchema(mode, false, task)])),
  };
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'A workflow of Centuria',
    anyOf: modes.map((mode) => groupSchema(mode, true, task)),
    $defs: {
      task: { anyOf: Object.keys(kinds).map((kind) => ({ $ref: `#/$defs/${kind}` })) },
      ...kinds,
    },
  };
}
