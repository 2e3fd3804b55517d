/** What learning knows and says as it goes over HTTP, held to its types by the compiler. */
import { Type, type Static } from 'typebox';
import { agentCategories, type AgentCategory } from '../agents/agents.ts';
import {
  routeModes,
  taskTextLength,
  type AgentPerformance,
  type CombinationView,
  type Insight,
  type InsightKind,
  type LearningStatus,
  type Listed,
  type PolicyView,
  type Recommendation,
  type RouteMode,
  type TakenFeedback,
  type LogReport,
  type TaskTypeView,
} from '../learning/learning.ts';
import { page } from './identity-requests.ts';
import { plainText } from './parameters.ts';
import { count, describes, id, maybe, oneOf, text, texts, time } from './schema-terms.ts';

const number = Type.Number();
const share = Type.Number({ minimum: 0, maximum: 1 });
const mode = oneOf<RouteMode>(routeModes);

export const listQuery = Type.Object(page, { additionalProperties: false });

const estimate = Type.Object(
  { mean: number, low: number, high: number },
  { title: 'Estimate', description: 'With the interval that holds it with a probability of 90 %' },
);
const expected = Type.Object(
  { ms: maybe(estimate), microUsd: maybe(estimate) },
  { description: 'What is absent was never measured' },
);
const prospect = Type.Object(
  {
    agent: text,
    score: Type.Number({ description: 'Expected success less what cost and time count' }),
    success: estimate,
    evidence: Type.Number({ description: 'Outcomes of like tasks, weighed by their likeness' }),
    expected,
    propensity: share,
  },
  { title: 'Prospect' },
);
const nearTask = Type.Object(
  {
    text,
    type: text,
    similarity: Type.Number({ minimum: -1, maximum: 1, description: 'The cosine' }),
    agents: Type.Array(Type.Object({ agent: text, tried: count, succeeded: count })),
  },
  { title: 'NearTask' },
);
/** An agent that is no candidate, with the reason. */
export interface LeftOut {
  readonly agent: string;
  readonly reason: string;
}
export type RecommendationAnswer = Recommendation & { readonly leftOut: readonly LeftOut[] };

export const recommendationSchema = describes<RecommendationAnswer>()(
  Type.Object({
    agent: text,
    policy: text,
    mode,
    propensity: share,
    success: estimate,
    confidence: Type.Number({
      minimum: 0,
      maximum: 1,
      description: 'Its success is at least so probable, with a probability of 95 %',
    }),
    basis: oneOf<Recommendation['basis']>(['outcomes', 'definitions', 'nothing']),
    expected,
    candidates: Type.Array(text, { description: 'All who could have been chosen' }),
    prospects: Type.Array(prospect, { description: 'The chosen one, then others by score' }),
    factors: Type.Array(Type.Object({ name: text, weight: number, text })),
    neighbours: Type.Array(nearTask),
    wouldChange: texts,
    leftOut: Type.Array(Type.Object({ agent: text, reason: text }), {
      description: 'Agents that are no candidates, and why',
    }),
  }),
  'Recommendation',
);

const bounded = { value: number, low: number, high: number };
export const logReportSchema = describes<LogReport>()(
  Type.Object({
    outcomes: count,
    agents: count,
    successRate: maybe(Type.Object(bounded)),
    byChance: maybe(Type.Object(bounded)),
    calibration: maybe(
      Type.Object({
        outcomes: count,
        brier: number,
        expectedCalibrationError: number,
        bins: Type.Array(Type.Object({ ...bounded, stated: number, outcomes: count })),
      }),
    ),
    times: maybe(
      Type.Object({
        outcomes: count,
        medianFactor: number,
        coverage: maybe(Type.Object(bounded)),
      }),
    ),
    drift: Type.Object({ success: maybe(text), times: maybe(text) }),
    unavailable: texts,
  }),
  'LearningEvaluation',
);

export const agentPerformanceFields = {
  agent: text,
  executions: count,
  succeeded: count,
  failed: count,
  cancelled: count,
  successRate: maybe(number),
  averageMs: maybe(number),
  p95Ms: maybe(number),
  averageMicroUsd: maybe(number),
  averageTokens: maybe(number),
  feedback: maybe(number),
  feedbackPrincipals: count,
  trend7d: maybe(number),
  trend30d: maybe(number),
  anomalyRate: maybe(number),
  anomaly: maybe(text),
  alerts: texts,
  lastAt: maybe(time),
  updatedAt: time,
};
const agentPerformance = describes<AgentPerformance>()(
  Type.Object(agentPerformanceFields),
  'AgentPerformance',
);
export const agentPerformancePageSchema = describes<Listed<AgentPerformance>>()(
  Type.Object({ items: Type.Array(agentPerformance), nextCursor: maybe(text) }),
  'AgentPerformancePage',
);

const insightKinds = [
  'optimal_combo',
  'avoid_pattern',
  'performance_tip',
  'resource_optimization',
  'specialization',
  'trend_alert',
  'anomaly_detection',
  'efficiency_improvement',
] as const satisfies readonly InsightKind[];
const insight = describes<Insight>()(
  Type.Object({
    key: text,
    kind: oneOf(insightKinds),
    agents: texts,
    taskType: maybe(text),
    statement: text,
    evidence: Type.Unknown({ description: 'The numbers that it was found from' }),
    confidence: share,
    createdAt: time,
    updatedAt: time,
  }),
  'Insight',
);
export const insightPageSchema = describes<Listed<Insight>>()(
  Type.Object({ items: Type.Array(insight), nextCursor: maybe(text) }),
  'InsightPage',
);
export const performanceDetailSchema = describes<
  AgentPerformance & { insights: readonly Insight[] }
>()(
  Type.Object({ ...agentPerformanceFields, insights: Type.Array(insight) }),
  'AgentPerformanceDetail',
);

const taskType = describes<TaskTypeView>()(
  Type.Object({
    type: text,
    executions: count,
    successRate: maybe(number),
    averageMs: maybe(number),
    p95Ms: maybe(number),
    averageComplexity: maybe(number),
    agents: count,
    best: maybe(Type.Object({ agent: text, rate: number })),
    lastAt: maybe(time),
  }),
  'TaskType',
);
export const taskTypePageSchema = describes<Listed<TaskTypeView>>()(
  Type.Object({ items: Type.Array(taskType), nextCursor: maybe(text) }),
  'TaskTypePage',
);

const combination = describes<CombinationView>()(
  Type.Object({
    hash: text,
    mode: text,
    agents: texts,
    executions: count,
    successRate: number,
    expectedRate: number,
    synergy: Type.Number({ minimum: -1, maximum: 1 }),
    confidence: share,
  }),
  'Combination',
);
export const combinationPageSchema = describes<Listed<CombinationView>>()(
  Type.Object({ items: Type.Array(combination), nextCursor: maybe(text) }),
  'CombinationPage',
);

const policy = describes<PolicyView>()(
  Type.Object({
    policy: text,
    state: oneOf<PolicyView['state']>(['candidate', 'incumbent', 'retired', 'refused']),
    executions: count,
    evaluation: maybe(
      Type.Object({ estimator: text, outcomes: count, value: estimate, incumbent: estimate }),
    ),
    reason: maybe(text),
    fittedAt: time,
    decidedAt: maybe(time),
  }),
  'Policy',
);
export const policyPageSchema = describes<Listed<PolicyView>>()(
  Type.Object({ items: Type.Array(policy), nextCursor: maybe(text) }),
  'PolicyPage',
);

export const learningStatusSchema = describes<LearningStatus>()(
  Type.Object({
    mode,
    policy: text,
    embedder: text,
    similarity: Type.Object({
      kind: oneOf<LearningStatus['similarity']['kind']>(['hnsw', 'exact']),
      reason: maybe(text),
    }),
    executions: count,
    texts: count,
    unembedded: count,
    behind: count,
    choices: Type.Object({ perSecond: number, averageMs: maybe(number) }),
    calibration: maybe(
      Type.Object({ outcomes: count, brier: number, expectedCalibrationError: number }),
    ),
    signing: Type.Object({ available: Type.Literal(false), reason: text }),
    fitting: Type.Boolean(),
  }),
  'LearningStatus',
);

const described = Type.String({ minLength: 1, maxLength: taskTextLength });
const taskTypeName = { ...plainText, description: 'Tasks of one type are compared first' };
const agentNames = Type.Array(plainText, { maxItems: 500 });
/** What is worth what: how much of a probability of 1 a dollar and a minute cost. */
const worth = Type.Number({ minimum: 0, maximum: 1_000 });

export const recommendSchema = Type.Object(
  {
    description: Type.String({ ...described, description: 'The task in words' }),
    type: maybe(Type.String(taskTypeName)),
    complexity: maybe(share),
    inputBytes: maybe(count),
    candidates: maybe(
      Type.Array(plainText, { minItems: 1, maxItems: 500, description: 'Only these agents' }),
    ),
    exclude: maybe(agentNames),
    category: maybe(oneOf<AgentCategory>(agentCategories)),
    capabilities: maybe(
      Type.Array(plainText, { maxItems: 50, description: 'Only agents that have all of them' }),
    ),
    partners: maybe(
      Type.Array(plainText, { maxItems: 50, description: 'Agents that will work beside it' }),
    ),
    mode: maybe(mode),
    perUsd: maybe(Type.Number({ ...worth, description: 'Of a probability of 1, a dollar costs' })),
    perMinute: maybe(
      Type.Number({ ...worth, description: 'Of a probability of 1, a minute costs' }),
    ),
  },
  { title: 'RecommendRequest', additionalProperties: false },
);

export const feedbackSchema = Type.Object(
  {
    run: maybe(Type.String({ minLength: 1, maxLength: 200, description: 'The id of a run' })),
    task: maybe(
      Type.String({ minLength: 1, maxLength: 500, description: 'Its path; the last task if not' }),
    ),
    attempt: maybe(
      Type.String({
        format: 'uuid',
        description: 'In place of run and task: an attempt, of a reported outcome for instance',
      }),
    ),
    score: Type.Integer({ minimum: 1, maximum: 10, description: '1 is useless' }),
    comment: maybe(Type.String({ minLength: 1, maxLength: 2_000 })),
  },
  { title: 'FeedbackRequest', additionalProperties: false },
);
export const takenFeedbackSchema = describes<TakenFeedback>()(
  Type.Object({
    attemptId: id,
    agent: text,
    score: Type.Integer({ minimum: 1, maximum: 10 }),
    principals: Type.Integer({
      minimum: 0,
      description: 'Who have rated this agent; below three, ratings move no choice',
    }),
  }),
  'TakenFeedback',
);

export const reportSchema = Type.Object(
  {
    agent: plainText,
    type: Type.String(taskTypeName),
    description: described,
    complexity: maybe(share),
    inputBytes: maybe(count),
    result: oneOf(['succeeded', 'failed', 'cancelled']),
    errorCode: maybe(plainText),
    ms: Type.Number({ minimum: 0 }),
    microUsd: maybe(count),
    tokens: maybe(count),
    endedAt: maybe(Type.String({ format: 'date-time', description: 'Now, unless given' })),
    attemptId: maybe(Type.String({ format: 'uuid', description: 'Makes a repeated report one' })),
  },
  { title: 'OutcomeReport', additionalProperties: false },
);
export const reportedSchema = Type.Object({ attemptId: text }, { title: 'ReportedOutcome' });
export const modeSchema = Type.Object(
  { mode },
  { title: 'LearningMode', additionalProperties: false },
);
export const fittingSchema = Type.Object(
  { fitting: Type.Literal(true) },
  { title: 'FittingBegun', description: 'What came of it is in the policies' },
);

export type AgentPerformancePage = Static<typeof agentPerformancePageSchema>;
export type AgentPerformanceDetail = Static<typeof performanceDetailSchema>;
export type TaskTypePage = Static<typeof taskTypePageSchema>;
export type CombinationPage = Static<typeof combinationPageSchema>;
export type InsightPage = Static<typeof insightPageSchema>;
export type PolicyPage = Static<typeof policyPageSchema>;
export type LearningEvaluation = Static<typeof logReportSchema>;
export type LearningStatusAnswer = Static<typeof learningStatusSchema>;
export type RecommendRequest = Static<typeof recommendSchema>;
export type FeedbackRequest = Static<typeof feedbackSchema>;
export type TakenFeedbackAnswer = Static<typeof takenFeedbackSchema>;
export type OutcomeReport = Static<typeof reportSchema>;
export type LearningMode = Static<typeof modeSchema>;
