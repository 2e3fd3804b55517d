/** The fields of a workflow file below its groups, each with what editors show of it. */
import { Type, type Static } from 'typebox';
import { routeModes } from '../learning/learning.ts';
import type { Tandem, WorkflowMode } from './definition.ts';

export const closed = { additionalProperties: false } as const;
/** The id of a task or the name of an input; the parts of a path are joined by `/`. */
export const namePattern = '^[A-Za-z][A-Za-z0-9_-]{0,62}$';

/** What a field is when the file does not say. */
export const workflowDefaults = {
  priority: 50,
  workflowTimeoutSeconds: 300,
  maxParallel: 10,
  buffer: 10,
  agreement: 0.95,
  hedgeSeconds: 2,
} as const;

export const workflowLimits = { tasks: 2_000, depth: 10 } as const;

const optional = Type.Optional;
export const words = <const Words extends string[]>(
  list: readonly [...Words],
  description: string,
) => Type.Enum(list, { description });
export const seconds = (description: string) =>
  Type.Number({ exclusiveMinimum: 0, maximum: 604_800, description });
export const anything = (description: string) => Type.Unknown({ description });
const taskNames = (description: string) =>
  Type.Array(Type.String(), { maxItems: workflowLimits.tasks, description });

export const amounts = (whose: string) =>
  Type.Object(
    {
      usd: optional(
        Type.Number({
          exclusiveMinimum: 0,
          maximum: 1_000_000,
          description: 'US dollars, to a millionth.',
        }),
      ),
      tokens: optional(
        Type.Integer({ minimum: 1, maximum: 1e12, description: 'Tokens, read and written.' }),
      ),
      seconds: optional(
        Type.Number({
          exclusiveMinimum: 0,
          maximum: 31_536_000,
          description: 'Seconds that attempts take, added up.',
        }),
      ),
    },
    { ...closed, minProperties: 1, description: whose },
  );

export const inputSchema = Type.Object(
  {
    type: optional(
      words(
        ['string', 'number', 'integer', 'boolean', 'directory', 'git-repository', 'json'],
        'What it is; string unless given. Paths are checked and made absolute.',
      ),
    ),
    description: optional(Type.String({ description: 'Shown where it is missing.' })),
    required: optional(
      Type.Boolean({ description: 'Whether a run needs it; yes, unless there is a default.' }),
    ),
    default: optional(
      Type.Union([Type.String(), Type.Number(), Type.Boolean()], {
        description: 'Taken when it is not given; a relative path starts where the server does.',
      }),
    ),
  },
  { ...closed, description: 'One input.' },
);

/** Fields of every task. */
export const taskFields = {
  description: optional(Type.String({ description: 'One line for people.' })),
  needs: optional(
    taskNames('Tasks beside it that must have completed; if one did not, this one is skipped.'),
  ),
  after: optional(taskNames('Tasks beside it that must have ended, however.')),
  priority: optional(
    Type.Integer({
      minimum: 1,
      maximum: 100,
      description: '1 to 100, default 50; higher goes first.',
    }),
  ),
  onFailure: optional(
    words(
      ['stop', 'continue'],
      'stop (the default): a failure ends the group it stands in as failed. continue: the rest goes on.',
    ),
  ),
  concurrency: optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000,
      description:
        'Of a stage of a pipeline: items in it at the same time; maxParallel unless given.',
    }),
  ),
};

/** What a call of an agent is, wherever one can stand. */
export const callFields = {
  agent: Type.String({ minLength: 1, description: 'The name of an agent.' }),
  input: optional(anything('What the agent gets; ${…} expressions are resolved when it starts.')),
};

const worth = (description: string) => Type.Number({ minimum: 0, maximum: 1_000, description });

/** Which agents a choice is made among, and by what. */
export const routeFieldsSchema = Type.Object(
  {
    among: optional(
      Type.Array(Type.String({ minLength: 1 }), {
        minItems: 1,
        maxItems: 100,
        uniqueItems: true,
        description: 'Names of agents; all that may be called and take the input unless given.',
      }),
    ),
    category: optional(Type.String({ minLength: 1, description: 'Only agents of this category.' })),
    capabilities: optional(
      Type.Array(Type.String({ minLength: 1 }), {
        minItems: 1,
        maxItems: 20,
        uniqueItems: true,
        description: 'Only agents that have all of these.',
      }),
    ),
    mode: optional(
      words(
        routeModes,
        'How much may be tried out: exploitation takes the best known, exploration tries more; as set for the fleet unless given.',
      ),
    ),
    perUsd: optional(worth('How much of a probability of success of 1 a dollar counts.')),
    perMinute: optional(worth('How much of a probability of success of 1 a minute counts.')),
  },
  { ...closed, minProperties: 1, description: 'Which agents may do it.' },
);
export type RouteFile = 'auto' | Static<typeof routeFieldsSchema>;

const routeFields = {
  route: Type.Union([Type.Literal('auto'), routeFieldsSchema], {
    description:
      'In place of agent: it is chosen when the task begins, by what came of tasks like this one. auto, or {among: [a, b]}, {category: review}, …',
  }),
  input: callFields.input,
};

/** In place of a list of agents: so many different ones are chosen. */
export const teamSchema = Type.Object(
  {
    route: routeFields.route,
    count: Type.Integer({ minimum: 2, maximum: 50, description: 'How many different agents.' }),
  },
  { ...closed, description: 'Agents that are chosen: {route: auto, count: 3}.' },
);
export type TeamFile = { readonly route: RouteFile; readonly count: number };

const attemptFields = {
  type: optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      pattern: '^[^\\u0000-\\u001f\\u007f]+$',
      description:
        'What kind of task it is, for comparing it with others; the workflow and the task unless given.',
    }),
  ),
  timeoutSeconds: optional(seconds('One attempt’s limit; the agent’s own unless given.')),
  retries: optional(
    Type.Integer({
      minimum: 0,
      maximum: 20,
      description: 'Further tries after the first; the agent’s own unless given.',
    }),
  ),
  stallSeconds: optional(
    seconds('An attempt that reports no progress for so long is stopped and tried again.'),
  ),
  budget: optional(amounts('What one attempt may use: reserved before it starts.')),
  tandem: optional(
    words(
      ['intelligent', 'speed', 'standard', 'redundant', 'consensus'] satisfies Tandem[],
      'Through which doors the agent is called: intelligent (as measured), speed (the wire), standard (HTTP), redundant (all, the first answer counts), consensus (all must answer the same). Absent: the worker calls it itself.',
    ),
  ),
  workspace: optional(
    Type.Union(
      [
        Type.String({ minLength: 1 }),
        Type.Object(
          {
            folder: Type.String({ minLength: 1, description: 'The folder, as an absolute path.' }),
            kind: optional(
              words(
                ['worktree', 'snapshot'],
                'worktree: a git work tree of its own. snapshot (the default): the folder itself, kept before.',
              ),
            ),
          },
          closed,
        ),
      ],
      { description: 'The folder that the agent may change, kept so that it can be put back.' },
    ),
  ),
  compensate: optional(
    Type.Object(callFields, {
      ...closed,
      description: 'The call that undoes its effects on the world outside.',
    }),
  ),
};

export const agentTaskSchema = Type.Object(
  { ...callFields, ...taskFields, ...attemptFields },
  { ...closed, description: 'A task that an agent does.' },
);
export const routedTaskSchema = Type.Object(
  { ...routeFields, ...taskFields, ...attemptFields },
  { ...closed, description: 'A task whose agent is chosen when it begins.' },
);
type Routed<File> = Omit<File, 'agent'> & { agent?: string; route?: RouteFile };
export type AgentTaskFile = Routed<Static<typeof agentTaskSchema>>;

/** An arbiter or a verifier: a call that waits for nothing but its group. */
const besideCall = {
  description: taskFields.description,
  priority: taskFields.priority,
  ...attemptFields,
};
const namedCall = (description: string) =>
  Type.Object({ ...callFields, ...besideCall }, { ...closed, description });
const routedCall = (description: string) =>
  Type.Object({ ...routeFields, ...besideCall }, { ...closed, description });
export type CallFile = Routed<Static<ReturnType<typeof namedCall>>>;
/** What an arbiter or a verifier is held against, by whether its agent is chosen. */
export const callSchemas = { agent: namedCall('A call.'), route: routedCall('A call.') };

export const approvalSchema = Type.Object(
  {
    approval: Type.String({
      minLength: 1,
      description: 'What a person is asked, with expressions.',
    }),
    timeoutSeconds: optional(
      seconds('How long an answer is waited for; without end unless given.'),
    ),
    ...taskFields,
  },
  { ...closed, description: 'A task that a person answers.' },
);
export type ApprovalFile = Static<typeof approvalSchema>;

export const waitSchema = Type.Object(
  {
    wait: Type.Union(
      [
        Type.Object({ seconds: seconds('How long.') }, closed),
        Type.Object(
          { signal: Type.String({ pattern: namePattern, description: 'The name of a signal.' }) },
          closed,
        ),
      ],
      { description: 'A time that passes, or a signal that comes: {seconds: 30} or {signal: go}.' },
    ),
    timeoutSeconds: optional(seconds('How long a signal is waited for; without end unless given.')),
    ...taskFields,
  },
  { ...closed, description: 'A task that waits.' },
);
export type WaitFile = Static<typeof waitSchema>;

export const modes = [
  'sequential',
  'parallel',
  'pipeline',
  'consensus',
  'competitive',
  'redundant',
] as const satisfies readonly WorkflowMode[];

/** In these modes the tasks of a group do not know of each other, or follow one another by themselves. */
export const modesWithoutGraph: readonly WorkflowMode[] = [
  'pipeline',
  'consensus',
  'competitive',
  'redundant',
];

const share = (description: string) =>
  Type.Number({ exclusiveMinimum: 0, maximum: 1, description });

export const outputField = {
  output: optional(
    anything('What it gives back, with expressions; the outputs by id unless given.'),
  ),
};
export const streamFields = {
  items: anything(
    'A list, or an expression that gives one; stages see ${item}, ${index}, ${previous}.',
  ),
  buffer: optional(
    Type.Integer({
      minimum: 1,
      maximum: 10_000,
      description:
        'Items that may wait in front of a stage, default 10; then the stage before pauses.',
    }),
  ),
};
export const votingFields = {
  quorum: optional(
    Type.Integer({
      minimum: 1,
      description:
        'Answers that must be in; more than half of consensus voters, 1 of redundant agents.',
    }),
  ),
  agreement: optional(
    share(
      'The share of the weight that the winning answer must have, above 0, up to 1, default 0.95.',
    ),
  ),
  judge: optional(
    Type.Union(
      [
        Type.Literal('identical'),
        Type.Object({ similar: share('Their least likeness.') }, closed),
        Type.Literal('elements'),
        Type.Object(
          {
            elements: Type.Array(Type.String({ minLength: 1 }), {
              minItems: 1,
              maxItems: 100,
              uniqueItems: true,
              description: 'The fields by which two elements are one.',
            }),
          },
          closed,
        ),
      ],
      {
        description:
          'When two answers are one: identical (the default), {similar: 0.9}, elements (lists are voted on element by element), {elements: [file, line]}.',
      },
    ),
  ),
  weights: optional(
    Type.Record(
      Type.String({ pattern: namePattern }),
      Type.Number({ minimum: 0, maximum: 1_000 }),
      {
        ...closed,
        description: 'The weight of each voter, by id; 1 for those not named.',
      },
    ),
  ),
  arbiter: optional(
    Type.Union(
      [
        Type.Literal('person'),
        namedCall('An agent that sees ${votes}.'),
        routedCall('A chosen agent that sees ${votes}.'),
      ],
      {
        description:
          'Who decides where there is no agreement: person, or an agent that sees ${votes}.',
      },
    ),
  ),
};
export const raceFields = {
  hedgeSeconds: optional(
    Type.Number({
      minimum: 0,
      maximum: 604_800,
      description: 'The next racer starts when nobody has won for so long, default 2.',
    }),
  ),
  accept: optional(anything('A JSON Schema that an answer must fit to win.')),
  verify: optional(
    Type.Union([namedCall('An agent.'), routedCall('A chosen agent.')], {
      description:
        'An agent that sees ${answer}, which wins unless it fails or gives back false or {ok: false}.',
    }),
  ),
};
