/**
 * Workflows, runs and events as they go over HTTP. What coordination owns is held to its types by
 * the compiler, so that the reference can not drift from what is sent.
 */
import { Type, type Static } from 'typebox';
import type {
  EventBody,
  InputSpec,
  Page,
  RunDetail,
  RunEvent,
  RunPlan,
  RunStatus,
  RunSummary,
  TaskSpec,
  TaskStatus,
  TaskView,
  Usage,
  WorkflowDefinition,
  WorkflowMode,
  WorkflowProblem,
} from '../coordination/coordination.ts';
import {
  count,
  describes,
  errorRecordSchema,
  id,
  maybe,
  oneOf,
  record,
  text,
  texts,
  time,
  type DeepReadonly,
} from './schema-terms.ts';

export const runStatuses = [
  'created',
  'queued',
  'running',
  'paused',
  'waiting',
  'completed',
  'failed',
  'cancelled',
  'recovering',
] as const satisfies readonly RunStatus[];
const taskStatuses = [
  'created',
  'ready',
  'running',
  'waiting',
  'completed',
  'failed',
  'cancelled',
  'skipped',
] as const satisfies readonly TaskStatus[];
export const usageSchema = describes<Usage>()(
  Type.Object({
    wallMs: Type.Number(),
    cpuMs: maybe(Type.Number()),
    peakMemoryBytes: maybe(Type.Number()),
    outputBytes: maybe(Type.Number()),
  }),
  'Usage',
);

const runSummaryFields = {
  id,
  workflow: text,
  status: oneOf(runStatuses),
  priority: Type.Integer(),
  createdAt: time,
  startedAt: maybe(time),
  finishedAt: maybe(time),
  tasks: Type.Unsafe<Partial<Record<TaskStatus, number>>>(
    Type.Object(Object.fromEntries(taskStatuses.map((status) => [status, maybe(count)])), {
      description: 'Tasks by status',
    }),
  ),
  error: maybe(errorRecordSchema),
};
export const runSummarySchema = describes<RunSummary>()(
  Type.Object(runSummaryFields),
  'RunSummary',
);

const taskViewSchema = describes<TaskView>()(
  Type.Object({
    id: text,
    agent: text,
    description: text,
    status: oneOf(taskStatuses),
    needs: texts,
    after: texts,
    attempts: count,
    startedAt: maybe(time),
    finishedAt: maybe(time),
    usage: maybe(usageSchema),
    error: maybe(errorRecordSchema),
    skippedBecause: maybe(text),
    progress: maybe(text),
    output: maybe(Type.Unknown()),
  }),
  'TaskView',
);

const workflowMode = oneOf<WorkflowMode>(['sequential', 'parallel']);

export const runDetailSchema = describes<RunDetail>()(
  Type.Object({
    ...runSummaryFields,
    input: record,
    definitionHash: text,
    mode: workflowMode,
    taskList: Type.Array(taskViewSchema),
    output: maybe(Type.Unknown()),
    lastSeq: count,
    overheadMs: maybe(Type.Number()),
  }),
  'RunDetail',
);

const attempt = { task: text, attempt: Type.Integer({ minimum: 1 }) };
const eventBodySchema = describes<EventBody>()(
  Type.Union([
    Type.Object({
      type: Type.Literal('run.created'),
      workflow: text,
      definitionHash: text,
      input: record,
      agents: Type.Record(Type.String(), text),
    }),
    Type.Object({ type: Type.Literal('run.claimed'), worker: text, takeover: Type.Boolean() }),
    Type.Object({ type: Type.Literal('run.released'), reason: text }),
    Type.Object({ type: Type.Literal('attempt.started'), ...attempt, attemptId: text }),
    Type.Object({ type: Type.Literal('attempt.progress'), task: text, text }),
    Type.Object({
      type: Type.Literal('attempt.succeeded'),
      ...attempt,
      output: Type.Unknown(),
      usage: usageSchema,
    }),
    Type.Object({
      type: Type.Literal('attempt.failed'),
      ...attempt,
      error: errorRecordSchema,
      retryAt: maybe(time),
    }),
    Type.Object({ type: Type.Literal('attempt.abandoned'), ...attempt, reason: text }),
    Type.Object({ type: Type.Literal('attempt.cancelled'), ...attempt }),
    Type.Object({ type: Type.Literal('task.skipped'), task: text, reason: text }),
    Type.Object({ type: Type.Literal('run.stopping'), error: errorRecordSchema }),
    Type.Object({ type: Type.Literal('run.cancel_requested'), reason: text, signalId: text }),
    Type.Object({ type: Type.Literal('run.retried'), tasks: texts, signalId: text }),
    Type.Object({ type: Type.Literal('run.completed'), output: Type.Unknown() }),
    Type.Object({ type: Type.Literal('run.failed'), error: errorRecordSchema }),
    Type.Object({ type: Type.Literal('run.cancelled'), reason: text }),
  ]),
  'EventBody',
);

export const runEventSchema = describes<RunEvent>()(
  Type.Object({
    runId: id,
    seq: Type.Integer({ minimum: 1 }),
    at: time,
    epoch: Type.Integer(),
    body: eventBodySchema,
  }),
  'RunEvent',
);

/** Events of a run after a number, and the number to go on from. */
export const eventPageSchema = Type.Object(
  {
    items: Type.Array(runEventSchema),
    nextAfter: Type.Integer({ minimum: 0, description: 'Give it back as `after`' }),
  },
  { title: 'EventPage' },
);

export const runPageSchema = describes<Page<RunSummary>>()(
  Type.Object({ items: Type.Array(runSummarySchema), nextCursor: maybe(text) }),
  'RunPage',
);

const inputSpecSchema = describes<InputSpec>()(
  Type.Object({
    type: oneOf<InputSpec['type']>([
      'string',
      'number',
      'integer',
      'boolean',
      'directory',
      'git-repository',
    ]),
    description: text,
    required: Type.Boolean(),
    default: maybe(Type.Union([text, Type.Number(), Type.Boolean()])),
  }),
  'InputSpec',
);

const taskSpecSchema = describes<TaskSpec>()(
  Type.Object({
    id: text,
    agent: text,
    description: text,
    input: Type.Unknown(),
    needs: texts,
    after: texts,
    timeoutMs: maybe(Type.Number()),
    retries: maybe(count),
    priority: Type.Integer({ minimum: 1, maximum: 100 }),
    onFailure: oneOf<TaskSpec['onFailure']>(['stop', 'continue']),
  }),
  'TaskSpec',
);

export const workflowSchema = describes<WorkflowDefinition>()(
  Type.Object({
    name: text,
    description: text,
    mode: workflowMode,
    inputs: Type.Record(Type.String(), inputSpecSchema),
    tasks: Type.Array(taskSpecSchema),
    maxParallel: Type.Integer({ minimum: 1 }),
    timeoutMs: Type.Number(),
    output: maybe(Type.Unknown()),
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

export const runPlanSchema = describes<RunPlan>()(
  Type.Object({
    workflow: workflowSchema,
    input: record,
    waves: Type.Array(texts),
    agents: Type.Array(Type.Object({ name: text, hash: text, unavailable: maybe(text) })),
  }),
  'RunPlan',
);

export const startRunSchema = Type.Object(
  {
    workflow: Type.String({ minLength: 1, maxLength: 200 }),
    input: maybe(record),
    priority: maybe(Type.Integer({ minimum: 1, maximum: 100 })),
  },
  { title: 'StartRunRequest', additionalProperties: false },
);
export const cancelRunSchema = Type.Object(
  { reason: maybe(Type.String({ minLength: 1, maxLength: 1_000 })) },
  { title: 'CancelRunRequest', additionalProperties: false },
);
export type RunPage = Page<RunSummary>;
export type StartRunRequest = Static<typeof startRunSchema>;
export type WorkflowList = DeepReadonly<Static<typeof workflowListSchema>>;
export type EventPage = DeepReadonly<Static<typeof eventPageSchema>>;
