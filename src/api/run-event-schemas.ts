/** The events of a run as they go over HTTP, held to coordination's types by the compiler. */
import { Type, type Static } from 'typebox';
import type {
  Answer,
  Passage,
  Question,
  RunEvent,
  RunEventBody,
  TaskEventBody,
  Usage,
  Verdict,
  Vote,
  WorkspaceChange,
  WorkspaceMark,
} from '../coordination/coordination.ts';
import {
  count,
  describes,
  errorCode,
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
import { routeDecisionSchema, routesSchema } from './route-schemas.ts';
import { amountsSchema } from './workflow-schemas.ts';

export const usageSchema = describes<Usage>()(
  Type.Object({
    wallMs: Type.Number(),
    cpuMs: maybe(Type.Number()),
    peakMemoryBytes: maybe(Type.Number()),
    outputBytes: maybe(Type.Number()),
    tokens: maybe(Type.Number()),
    microUsd: maybe(Type.Number({ description: 'Money in millionths of a US dollar' })),
  }),
  'Usage',
);

export const questionSchema = describes<Question>()(
  Type.Object({
    id: text,
    kind: oneOf<Question['kind']>(['approval', 'tie', 'budget']),
    task: text,
    prompt: text,
    choices: maybe(Type.Array(Type.Unknown(), { description: 'Of a tie: the answers' })),
    lacking: maybe(amountsSchema),
  }),
  'Question',
);

export const decision = oneOf<Answer['decision']>(['approve', 'reject']);
const answerSchema = describes<Answer>()(
  Type.Object({
    decision,
    choice: maybe(count),
    add: maybe(amountsSchema),
    comment: maybe(text),
    by: maybe(text),
  }),
  'Answer',
);

const voteSchema = describes<Vote>()(
  Type.Object({
    task: text,
    weight: Type.Number(),
    answer: Type.Integer({ minimum: -1, description: '-1: it gave none' }),
    error: maybe(errorRecordSchema),
  }),
  'Vote',
);

const share = Type.Number({ minimum: 0, maximum: 1 });
export const verdictSchema = describes<Verdict>()(
  Type.Union([
    Type.Object({
      mode: oneOf<'consensus' | 'redundant'>(['consensus', 'redundant']),
      votes: Type.Array(voteSchema),
      answers: Type.Array(Type.Object({ output: Type.Unknown(), share })),
      chosen: Type.Integer({ minimum: -1 }),
      decidedBy: oneOf<'agreement' | 'order' | 'arbiter' | 'person' | 'nobody'>([
        'agreement',
        'order',
        'arbiter',
        'person',
        'nobody',
      ]),
      elements: maybe(
        Type.Array(Type.Object({ element: Type.Unknown(), share, taken: Type.Boolean() })),
      ),
    }),
    Type.Object({
      mode: Type.Literal('competitive'),
      winner: maybe(text),
      refused: Type.Array(Type.Object({ task: text, reason: text })),
    }),
    Type.Object({
      mode: Type.Literal('pipeline'),
      items: count,
      completed: count,
      dropped: Type.Array(count),
    }),
  ]),
  'Verdict',
);

const by = maybe(text);
const signalId = text;
const runEventBody = describes<RunEventBody>()(
  Type.Union([
    Type.Object({
      type: Type.Literal('run.created'),
      workflow: text,
      definitionHash: text,
      input: record,
      agents: Type.Record(Type.String(), text),
      routes: maybe(routesSchema),
      irreversible: maybe(texts),
      startedBy: maybe(text),
      forkedFrom: maybe(Type.Object({ runId: text, task: text })),
      parent: maybe(Type.Object({ runId: text, task: text, attemptId: text, chain: texts })),
      callable: maybe(texts),
      allowance: maybe(amountsSchema),
      inherited: maybe(
        Type.Record(Type.String(), Type.Object({ output: Type.Unknown(), agent: maybe(text) })),
      ),
    }),
    Type.Object({ type: Type.Literal('run.claimed'), worker: text, takeover: Type.Boolean() }),
    Type.Object({ type: Type.Literal('run.released'), reason: text, until: maybe(text) }),
    Type.Object({ type: Type.Literal('run.paused'), reason: text, by, signalId }),
    Type.Object({ type: Type.Literal('run.resumed'), by, signalId }),
    Type.Object({ type: Type.Literal('question.asked'), question: questionSchema }),
    Type.Object({
      type: Type.Literal('question.answered'),
      question: text,
      answer: answerSchema,
      signalId,
    }),
    Type.Object({
      type: Type.Literal('signal.received'),
      name: text,
      data: Type.Unknown(),
      by,
      signalId,
    }),
    Type.Object({
      type: Type.Literal('run.stopping'),
      error: errorRecordSchema,
      verdict: maybe(verdictSchema),
    }),
    Type.Object({ type: Type.Literal('run.cancel_requested'), reason: text, by, signalId }),
    Type.Object({ type: Type.Literal('run.retried'), tasks: texts, by, signalId }),
    Type.Object({
      type: Type.Literal('run.completed'),
      output: Type.Unknown(),
      verdict: maybe(verdictSchema),
    }),
    Type.Object({
      type: Type.Literal('run.failed'),
      error: errorRecordSchema,
      verdict: maybe(verdictSchema),
    }),
    Type.Object({ type: Type.Literal('run.cancelled'), reason: text }),
    Type.Object({
      type: Type.Literal('run.undo_requested'),
      force: Type.Boolean(),
      by,
      signalId,
    }),
    Type.Object({
      type: Type.Literal('run.undone'),
      outcome: oneOf<'undone' | 'failed'>(['undone', 'failed']),
    }),
  ]),
  'RunEventBody',
);

const viaSchema = Type.Array(
  describes<Passage>()(
    Type.Object({
      door: oneOf<Passage['door']>(['http', 'wire']),
      outcome: oneOf<Passage['outcome']>(['taken', 'other', 'failed', 'cancelled']),
      code: maybe(errorCode),
    }),
    'Passage',
  ),
  { description: 'The doors that the agent was called through' },
);

const attempt = { task: text, attempt: Type.Integer({ minimum: 1 }) };
const markFields = {
  kind: oneOf<WorkspaceMark['kind']>(['worktree', 'snapshot']),
  folder: text,
  path: text,
  before: text,
  host: text,
};
const taskEventBody = describes<TaskEventBody>()(
  Type.Union([
    Type.Object({
      type: Type.Literal('task.started'),
      task: text,
      items: maybe(Type.Array(Type.Unknown())),
      dueAt: maybe(time),
    }),
    Type.Object({
      type: Type.Literal('task.ended'),
      task: text,
      outcome: oneOf<'completed' | 'failed' | 'cancelled'>(['completed', 'failed', 'cancelled']),
      output: maybe(Type.Unknown()),
      error: maybe(errorRecordSchema),
      verdict: maybe(verdictSchema),
      blind: maybe(Type.Literal(true)),
    }),
    Type.Object({ type: Type.Literal('task.skipped'), task: text, reason: text }),
    Type.Object({
      type: Type.Literal('attempt.started'),
      ...attempt,
      attemptId: text,
      reserved: maybe(amountsSchema),
    }),
    Type.Object({
      type: Type.Literal('task.routed'),
      ...attempt,
      agent: text,
      decision: maybe(routeDecisionSchema),
      stays: maybe(Type.Literal(true)),
      external: maybe(Type.Literal(true)),
      irreversible: maybe(Type.Literal(true)),
    }),
    Type.Object({ type: Type.Literal('attempt.progress'), task: text, text }),
    Type.Object({
      type: Type.Literal('attempt.succeeded'),
      ...attempt,
      output: Type.Unknown(),
      usage: usageSchema,
      via: maybe(viaSchema),
      blind: maybe(Type.Literal(true)),
    }),
    Type.Object({
      type: Type.Literal('attempt.failed'),
      ...attempt,
      error: errorRecordSchema,
      usage: maybe(usageSchema),
      via: maybe(viaSchema),
      partial: maybe(Type.Unknown()),
      blind: maybe(Type.Literal(true)),
      retryAt: maybe(time),
    }),
    Type.Object({
      type: Type.Literal('attempt.deferred'),
      ...attempt,
      error: errorRecordSchema,
      retryAt: time,
    }),
    Type.Object({ type: Type.Literal('attempt.abandoned'), ...attempt, reason: text }),
    Type.Object({
      type: Type.Literal('attempt.cancelled'),
      ...attempt,
      reason: maybe(text),
      usage: maybe(usageSchema),
    }),
    Type.Object({
      type: Type.Literal('workspace.prepared'),
      task: text,
      mark: describes<WorkspaceMark>()(Type.Object(markFields), 'WorkspaceMark'),
    }),
    Type.Object({
      type: Type.Literal('workspace.changed'),
      task: text,
      change: describes<WorkspaceChange>()(
        Type.Object({ ...markFields, after: text, added: count, changed: count, removed: count }),
        'WorkspaceChange',
      ),
    }),
    Type.Object({
      type: Type.Literal('effect.undone'),
      task: text,
      how: oneOf<'workspace' | 'compensation'>(['workspace', 'compensation']),
      detail: maybe(Type.Unknown()),
      error: maybe(errorRecordSchema),
    }),
  ]),
  'TaskEventBody',
);

export const runEventSchema = describes<RunEvent>()(
  Type.Object({
    runId: id,
    seq: Type.Integer({ minimum: 1 }),
    at: time,
    epoch: Type.Integer(),
    body: Type.Union([runEventBody, taskEventBody], { title: 'EventBody' }),
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
export type EventPage = DeepReadonly<Static<typeof eventPageSchema>>;
