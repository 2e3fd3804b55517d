/**
 * Runs as they go over HTTP. What coordination owns is held to its types by the compiler, so that
 * the reference can not drift from what is sent.
 */
import { Type, type Static } from 'typebox';
import type {
  CalledRun,
  Page,
  Question,
  RunDetail,
  RunPlan,
  RunStatus,
  RunSummary,
  TaskStatus,
  TaskView,
  UndoPlan,
  UndoStatus,
} from '../coordination/coordination.ts';
import { decision, questionSchema, usageSchema, verdictSchema } from './run-event-schemas.ts';
import { routedViewSchema, routesSchema } from './route-schemas.ts';
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
} from './schema-terms.ts';
import { amountsSchema, workflowMode, workflowSchema } from './workflow-schemas.ts';

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
  fingerprint: maybe(text),
  undo: maybe(oneOf<UndoStatus>(['requested', 'undone', 'failed'])),
  startedBy: maybe(text),
  forkedFrom: maybe(text),
  parent: maybe(Type.Object({ runId: text, task: text, attemptId: maybe(text) })),
  wakeAt: maybe(time),
};
export const runSummarySchema = describes<RunSummary>()(
  Type.Object(runSummaryFields),
  'RunSummary',
);

export const calledRunsSchema = Type.Object(
  {
    items: Type.Array(
      describes<CalledRun>()(
        Type.Object({
          id,
          parent: Type.Object({ runId: text, task: text }),
          agent: text,
          depth: count,
          status: oneOf(runStatuses),
          createdAt: time,
          finishedAt: maybe(time),
          error: maybe(errorRecordSchema),
        }),
        'CalledRun',
      ),
    ),
  },
  { title: 'CalledRuns' },
);

const taskViewSchema = describes<TaskView>()(
  Type.Object({
    id: text,
    kind: oneOf<TaskView['kind']>(['agent', 'group', 'approval', 'wait']),
    parent: maybe(text),
    agent: maybe(text),
    routed: maybe(routedViewSchema),
    mode: maybe(workflowMode),
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
    waitsFor: maybe(Type.Object({ what: text, until: maybe(time) })),
    progress: maybe(text),
    output: maybe(Type.Unknown()),
    verdict: maybe(verdictSchema),
    items: maybe(count),
  }),
  'TaskView',
);

export const runDetailSchema = describes<RunDetail>()(
  Type.Object({
    ...runSummaryFields,
    input: record,
    definitionHash: text,
    mode: workflowMode,
    taskList: Type.Array(taskViewSchema),
    output: maybe(Type.Unknown()),
    verdict: maybe(verdictSchema),
    items: maybe(count),
    questions: Type.Array(questionSchema),
    spent: usageSchema,
    budget: maybe(amountsSchema),
    irreversible: texts,
    lastSeq: count,
    overheadMs: maybe(Type.Number()),
  }),
  'RunDetail',
);

export const runPageSchema = describes<Page<RunSummary>>()(
  Type.Object({ items: Type.Array(runSummarySchema), nextCursor: maybe(text) }),
  'RunPage',
);

export const runPlanSchema = describes<RunPlan>()(
  Type.Object({
    workflow: workflowSchema,
    input: record,
    waves: Type.Array(texts),
    agents: Type.Array(Type.Object({ name: text, hash: text, unavailable: maybe(text) })),
    routes: maybe(routesSchema),
    irreversible: Type.Array(Type.Object({ task: text, why: text })),
  }),
  'RunPlan',
);

/** A question with the run that asks it. */
export interface AskedQuestion {
  readonly run: string;
  readonly workflow: string;
  readonly question: Question;
}
export const questionPageSchema = describes<Page<AskedQuestion>>()(
  Type.Object({
    items: Type.Array(
      describes<AskedQuestion>()(
        Type.Object({ run: id, workflow: text, question: questionSchema }),
        'AskedQuestion',
      ),
    ),
    nextCursor: maybe(text),
  }),
  'QuestionPage',
);

export const undoPlanSchema = describes<UndoPlan>()(
  Type.Object({
    runId: id,
    effects: Type.Array(
      Type.Object({
        task: text,
        how: oneOf<UndoPlan['effects'][number]['how']>([
          'workspace',
          'compensation',
          'impossible',
          'done',
        ]),
        summary: text,
        files: maybe(
          Type.Array(
            Type.Object({
              path: text,
              action: oneOf<'restore' | 'delete' | 'recreate' | 'conflict' | 'left'>([
                'restore',
                'delete',
                'recreate',
                'conflict',
                'left',
              ]),
              reason: maybe(text),
            }),
          ),
        ),
      }),
    ),
    conflicts: Type.Boolean(),
  }),
  'UndoPlan',
);

export const startRunSchema = Type.Object(
  {
    workflow: Type.String({ minLength: 1, maxLength: 200 }),
    input: maybe(record),
    priority: maybe(Type.Integer({ minimum: 1, maximum: 100 })),
  },
  { title: 'StartRunRequest', additionalProperties: false },
);

const taskPath = Type.String({ minLength: 1, maxLength: 500, description: 'The path of a task' });
const said = Type.String({ minLength: 1, maxLength: 1_000 });

export const pauseRunSchema = Type.Object(
  { reason: maybe(said) },
  { title: 'PauseRunRequest', additionalProperties: false },
);
export const cancelRunSchema = Type.Object(
  { reason: maybe(said) },
  { title: 'CancelRunRequest', additionalProperties: false },
);
export const retryRunSchema = Type.Object(
  { from: maybe(taskPath) },
  { title: 'RetryRunRequest', additionalProperties: false },
);
export const forkRunSchema = Type.Object(
  { from: taskPath, input: maybe(record) },
  { title: 'ForkRunRequest', additionalProperties: false },
);
export const answerRunSchema = Type.Object(
  {
    decision,
    question: maybe(Type.String({ minLength: 1, maxLength: 500 })),
    choice: maybe(
      Type.Integer({ minimum: 0, maximum: 1_000, description: 'Of a tie: which choice, from 0' }),
    ),
    add: maybe(amountsSchema),
    comment: maybe(said),
  },
  { title: 'AnswerRunRequest', additionalProperties: false },
);
export const signalRunSchema = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 200 }),
    data: maybe(Type.Unknown({ description: 'Any JSON; null unless given' })),
  },
  { title: 'SignalRunRequest', additionalProperties: false },
);
export const undoRunSchema = Type.Object(
  {
    force: maybe(
      Type.Boolean({ description: 'Overwrites what others have changed since; default false' }),
    ),
  },
  { title: 'UndoRunRequest', additionalProperties: false },
);

export type RunPage = Page<RunSummary>;
export type QuestionPage = Page<AskedQuestion>;
export type StartRunRequest = Static<typeof startRunSchema>;
export type ForkRunRequest = Static<typeof forkRunSchema>;
export type AnswerRunRequest = Static<typeof answerRunSchema>;
export type SignalRunRequest = Static<typeof signalRunSchema>;
