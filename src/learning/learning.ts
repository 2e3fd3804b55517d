/** Which agent should do a task, why, and how sure: from what came of every attempt before. */
import type { Recommendation, RouteDecision, RouteMode, RouteRequest } from './types.ts';
import type {
  AgentPerformance,
  CombinationView,
  GivenFeedback,
  Insight,
  LearningStatus,
  Listed,
  ListPage,
  LogReport,
  PolicyView,
  Rater,
  ReportedOutcome,
  TakenFeedback,
  TaskTypeView,
} from './views.ts';

export type * from './types.ts';
export type * from './views.ts';
export { createEmbedder } from './embedding/embedding.ts';
export { createOfflineEmbedder } from './embedding/offline.ts';
export { openLearning, type LearningOptions } from './open.ts';
export { embeddingLength, routeModes, taskTextLength } from './types.ts';
export {
  evaluateFile,
  type EvaluatedFile,
  type EvaluateFileOptions,
} from './evaluation/evaluate-file.ts';
export type { RoutingEvaluation } from './evaluation/routing-evaluation.ts';
export {
  evaluateLog,
  type LogEvaluation,
  type LoggedExecution,
  type LoggedPolicy,
} from './evaluation/evaluate-log.ts';
export { outcomeRows, StoredTexts, type OutcomeToWrite } from './records/outcome-rows.ts';

/** Learning as coordination and the faces see it. */
export interface Learning {
  /** Chooses one of the candidates: within 2 ms beside the embedding of the task's text. */
  choose(request: RouteRequest): Promise<RouteDecision>;
  /** The same, without trying anything out, with neighbours, factors, and what would change it. */
  recommend(request: Omit<RouteRequest, 'draw'>): Promise<Recommendation>;
  /** One word of a principal on what an attempt gave; a later one takes the place of an earlier one. */
  feedback(given: GivenFeedback): Promise<TakenFeedback>;
  /** An outcome that no run of this database had. */
  report(reported: ReportedOutcome, by: Rater): Promise<{ readonly attemptId: string }>;
  agents(page?: ListPage): Promise<Listed<AgentPerformance>>;
  /** Throws `agent_not_found` when nothing is known of it. */
  agent(name: string): Promise<AgentPerformance & { readonly insights: readonly Insight[] }>;
  taskTypes(page?: ListPage): Promise<Listed<TaskTypeView>>;
  combinations(page?: ListPage): Promise<Listed<CombinationView>>;
  insights(page?: ListPage): Promise<Listed<Insight>>;
  policies(page?: ListPage): Promise<Listed<PolicyView>>;
  /** How the last choices fared, by the database's own record. */
  evaluate(): Promise<LogReport>;
  status(): Promise<LearningStatus>;
  mode(): Promise<RouteMode>;
  setMode(mode: RouteMode): Promise<void>;
  /** Begins to fit a policy anew, in the background; what came of it is in `policies`. Throws `conflict` while one is being fitted. */
  retrain(): Promise<void>;
  /** Forgets executions older than so many days; says how many. */
  prune(keepDays: number): Promise<number>;
  close(): Promise<void>;
}
