/** Workflows as they go over HTTP, held to coordination's types by the compiler. */
import { Type, type Static } from 'typebox';
import type {
  AgentTask,
  Amounts,
  Group,
  InputSpec,
  Judge,
  Race,
  Stream,
  Tandem,
  TaskSpec,
  Voting,
  WorkflowDefinition,
  WorkflowMode,
  WorkflowProblem,
} from '../coordination/coordination.ts';
import { routeSchema } from './route-schemas.ts';
import { count, describes, maybe, oneOf, text, texts, type DeepReadonly } from './schema-terms.ts';

export const workflowMode = oneOf<WorkflowMode>([
  'sequential',
  'parallel',
  'pipeline',
  'consensus',
  'competitive',
  'redundant',
]);

const inputSpecSchema = describes<InputSpec>()(
  Type.Object({
    type: oneOf<InputSpec['type']>([
      'string',
      'number',
      'integer',
      'boolean',
      'directory',
      'git-repository',
      'json',
    ]),
    description: text,
    required: Type.Boolean(),
    default: maybe(Type.Union([text, Type.Number(), Type.Boolean()])),
  }),
  'InputSpec',
);

export const amountsSchema = describes<Amounts>()(
  Type.Object(
    {
      microUsd: maybe(
        Type.Integer({ minimum: 0, description: 'Money in millionths of a US dollar' }),
      ),
      tokens: maybe(count),
      ms: maybe(Type.Integer({ minimum: 0, description: 'Milliseconds of attempts' })),
    },
    { additionalProperties: false },
  ),
  'Amounts',
);

const taskFields = {
  id: text,
  description: text,
  needs: texts,
  after: texts,
  priority: Type.Integer({ minimum: 1, maximum: 100 }),
  onFailure: oneOf<TaskSpec['onFailure']>(['stop', 'continue']),
  concurrency: maybe(Type.Integer({ minimum: 1 })),
};

const agentTaskSchema = describes<AgentTask>()(
  Type.Object({
    ...taskFields,
    agent: maybe(text),
    route: maybe(routeSchema),
    type: maybe(text),
    input: Type.Unknown(),
    timeoutMs: maybe(Type.Number()),
    retries: maybe(count),
    stallMs: maybe(Type.Number()),
    budget: maybe(amountsSchema),
    tandem: maybe(oneOf<Tandem>(['intelligent', 'speed', 'standard', 'redundant', 'consensus'])),
    workspace: maybe(
      Type.Object({
        folder: Type.Unknown(),
        kind: oneOf<NonNullable<AgentTask['workspace']>['kind']>(['worktree', 'snapshot']),
      }),
    ),
    compensate: maybe(Type.Object({ agent: text, input: Type.Unknown() })),
  }),
  'AgentTask',
);

const streamSchema = describes<Stream>()(
  Type.Object({ items: Type.Unknown(), buffer: Type.Integer({ minimum: 1 }) }),
  'Stream',
);

const judgeSchema = describes<Judge>()(
  Type.Union([
    Type.Object({ kind: Type.Literal('identical') }),
    Type.Object({ kind: Type.Literal('similar'), least: Type.Number() }),
    Type.Object({ kind: Type.Literal('elements'), fields: maybe(texts) }),
  ]),
  'Judge',
);

const votingSchema = describes<Voting>()(
  Type.Object({
    quorum: Type.Integer({ minimum: 1 }),
    agreement: Type.Number({ exclusiveMinimum: 0, maximum: 1 }),
    judge: judgeSchema,
    weights: Type.Record(Type.String(), Type.Number()),
    arbiter: maybe(Type.Union([agentTaskSchema, Type.Literal('person')])),
  }),
  'Voting',
);

const raceSchema = describes<Race>()(
  Type.Object({
    hedgeMs: Type.Number({ minimum: 0 }),
    accept: maybe(Type.Unknown()),
    verify: maybe(agentTaskSchema),
  }),
  'Race',
);

/** A task within a task: in the reference it is the same component again. */
const taskAgain = Type.Unsafe<TaskSpec>({ type: 'object', title: 'TaskSpec' });

const groupFields = {
  mode: workflowMode,
  maxParallel: Type.Integer({ minimum: 1 }),
  output: maybe(Type.Unknown()),
  stream: maybe(streamSchema),
  voting: maybe(votingSchema),
  race: maybe(raceSchema),
  differ: maybe(Type.Literal(true)),
};

const groupSchema = describes<Group>()(
  Type.Object({ ...groupFields, tasks: Type.Array(taskAgain) }),
  'Group',
);

const taskSpecSchema = describes<TaskSpec>()(
  Type.Union([
    agentTaskSchema,
    Type.Object({ ...taskFields, group: groupSchema }),
    Type.Object({
      ...taskFields,
      approval: Type.Object({ prompt: Type.Unknown() }),
      timeoutMs: maybe(Type.Number()),
    }),
    Type.Object({
      ...taskFields,
      wait: Type.Union([Type.Object({ signal: text }), Type.Object({ ms: Type.Number() })]),
      timeoutMs: maybe(Type.Number()),
    }),
  ]),
  'TaskSpec',
);

export const workflowSchema = describes<WorkflowDefinition>()(
  Type.Object({
    ...groupFields,
    format: maybe(Type.Integer({ minimum: 1 })),
    name: text,
    description: text,
    inputs: Type.Record(Type.String(), inputSpecSchema),
    tasks: Type.Array(taskSpecSchema),
    timeoutMs: Type.Number(),
    budget: maybe(amountsSchema),
    budgets: maybe(texts),
    onBudget: maybe(oneOf<NonNullable<WorkflowDefinition['onBudget']>>(['ask', 'fail'])),
  }),
  'WorkflowDefinition',
);

const workflowProblemSchema = describes<WorkflowProblem>()(
  Type.Object({
    file: text,
    line: Type.Integer(),
    column: Type.Integer(),
    message: text,
    suggestion: maybe(text),
  }),
  'WorkflowProblem',
);

export const workflowListSchema = Type.Object(
  {
    items: Type.Array(workflowSchema),
    problems: Type.Array(workflowProblemSchema),
  },
  { title: 'WorkflowList' },
);
export type WorkflowList = DeepReadonly<Static<typeof workflowListSchema>>;
