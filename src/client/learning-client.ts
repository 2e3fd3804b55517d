/** What is known of agents, and choosing one, for the typed client: one function an operation. */
import type {
  AgentPerformanceDetail,
  AgentPerformancePage,
  CombinationPage,
  FeedbackRequest,
  InsightPage,
  LearningEvaluation,
  LearningMode,
  LearningStatusAnswer,
  OutcomeReport,
  PolicyPage,
  RecommendationAnswer,
  RecommendRequest,
  TakenFeedbackAnswer,
  TaskTypePage,
} from '../api/api.ts';
import type { PageOptions } from './identity-client.ts';
import { query } from './query.ts';
import type { CallOptions, Send } from './send.ts';

const base = '/api/v1/learning';

export function learningClient(send: Send) {
  /** One page; `limit` 1 to 500, default 50. */
  const list =
    <Page>(name: string) =>
    (page: PageOptions = {}, call?: CallOptions) =>
      send<Page>('GET', `${base}/${name}${query({ ...page })}`, undefined, call);
  return {
    learningStatus: (call?: CallOptions) =>
      send<LearningStatusAnswer>('GET', `${base}/status`, undefined, call),
    /** How the last choices fared. */
    learningEvaluation: (call?: CallOptions) =>
      send<LearningEvaluation>('GET', `${base}/evaluation`, undefined, call),
    agentPerformances: list<AgentPerformancePage>('agents'),
    agentPerformance: (name: string) =>
      send<AgentPerformanceDetail>('GET', `${base}/agents/${encodeURIComponent(name)}`),
    taskTypes: list<TaskTypePage>('task-types'),
    combinations: list<CombinationPage>('combinations'),
    insights: list<InsightPage>('insights'),
    policies: list<PolicyPage>('policies'),

    /** Which agent should do a task; nothing is started. */
    recommend: (body: RecommendRequest, call?: CallOptions) =>
      send<RecommendationAnswer>('POST', `${base}/recommend`, body, call),
    giveFeedback: (body: FeedbackRequest) =>
      send<TakenFeedbackAnswer>('POST', `${base}/feedback`, body),
    /** What came of a task that no run did. */
    reportOutcome: (body: OutcomeReport) =>
      send<{ readonly attemptId: string }>('POST', `${base}/outcomes`, body),

    learningMode: () => send<LearningMode>('GET', `${base}/mode`),
    setLearningMode: (mode: LearningMode['mode']) =>
      send<LearningMode>('PUT', `${base}/mode`, { mode }),
    /** Begins to fit the choice anew. Throws `conflict` while it is being fitted. */
    retrainLearning: () => send<{ readonly fitting: true }>('POST', `${base}/retrain`),
  };
}
