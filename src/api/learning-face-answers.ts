/** What learning knows in the words of its own API, which are written in snake_case. What is not known is null. */
import type {
  AgentPerformance,
  CombinationView,
  Insight,
  LearningStatus,
  Prospect,
  TaskTypeView,
} from '../learning/learning.ts';
import type { RecommendationAnswer } from './learning-schemas.ts';

/** As `GET /status` tells it. */
export function statusAnswer(
  status: LearningStatus,
  about: { readonly database: 'ok' | 'unavailable'; readonly agents: number },
) {
  const { choices } = status;
  return {
    learning_system: 'ok',
    database: about.database,
    agents_registered: about.agents,
    performance: {
      queries_per_sec: choices.perSecond,
      avg_latency_ms: choices.averageMs ?? null,
    },
    mode: status.mode,
    policy: status.policy,
    embedder: status.embedder,
    similarity: status.similarity,
    executions: status.executions,
    executions_not_read_yet: status.behind,
    calibration:
      status.calibration === undefined
        ? null
        : {
            outcomes: status.calibration.outcomes,
            brier: status.calibration.brier,
            expected_calibration_error: status.calibration.expectedCalibrationError,
          },
  };
}

/** As the lists of agents tell it. */
export function performanceAnswer(agent: AgentPerformance) {
  return {
    agent_id: agent.agent,
    executions: agent.executions,
    succeeded: agent.succeeded,
    failed: agent.failed,
    cancelled: agent.cancelled,
    success_rate: agent.successRate ?? null,
    avg_execution_time_ms: agent.averageMs ?? null,
    p95_execution_time_ms: agent.p95Ms ?? null,
    avg_cost_usd: usd(agent.averageMicroUsd),
    avg_tokens: agent.averageTokens ?? null,
    feedback: agent.feedback ?? null,
    feedback_principals: agent.feedbackPrincipals,
    trend_7d: agent.trend7d ?? null,
    trend_30d: agent.trend30d ?? null,
    anomaly_rate: agent.anomalyRate ?? null,
    anomaly: agent.anomaly ?? null,
    alerts: agent.alerts,
    last_execution_at: agent.lastAt ?? null,
    updated_at: agent.updatedAt,
  };
}

export function insightAnswer(insight: Insight) {
  return {
    kind: insight.kind,
    agents: insight.agents,
    task_type: insight.taskType ?? null,
    statement: insight.statement,
    evidence: insight.evidence,
    confidence: insight.confidence,
    updated_at: insight.updatedAt,
  };
}

export function taskTypeAnswer(type: TaskTypeView) {
  return {
    task_type: type.type,
    executions: type.executions,
    success_rate: type.successRate ?? null,
    avg_execution_time_ms: type.averageMs ?? null,
    p95_execution_time_ms: type.p95Ms ?? null,
    avg_complexity: type.averageComplexity ?? null,
    agents: type.agents,
    best_agent: type.best?.agent ?? null,
    best_success_rate: type.best?.rate ?? null,
  };
}

export function combinationAnswer(combination: CombinationView) {
  return {
    agents: combination.agents,
    mode: combination.mode,
    executions: combination.executions,
    success_rate: combination.successRate,
    expected_success_rate: combination.expectedRate,
    synergy: combination.synergy,
    confidence: combination.confidence,
  };
}

/** As `POST /task/recommend` tells it: the chosen one, the others, and what the choice stands on. */
export function recommendationAnswer(found: RecommendationAnswer) {
  const { agent, prospects, basis } = found;
  const chosen = prospects.find((one) => one.agent === agent);
  return {
    primary_agent: agent,
    alternative_agents: prospects
      .filter((one) => one.agent !== agent)
      .map((one) => ({ agent: one.agent, score: one.score, ...estimateAnswer(one) })),
    confidence: found.confidence,
    basis,
    reasoning: reasoningOf(found),
    performance_estimate: estimateAnswer(
      chosen ?? { success: found.success, expected: found.expected },
    ),
    would_change: found.wouldChange,
    excluded_agents: found.leftOut,
  };
}

function estimateAnswer({
  success,
  expected,
  evidence,
}: Pick<Prospect, 'success' | 'expected'> & Partial<Pick<Prospect, 'evidence'>>) {
  return {
    success_rate: success.mean,
    success_rate_low: success.low,
    success_rate_high: success.high,
    execution_time_ms: expected.ms?.mean ?? null,
    cost_usd: usd(expected.microUsd?.mean),
    evidence: evidence ?? null,
  };
}

const withoutOutcomes: Readonly<Record<string, string>> = {
  definitions:
    'No agent has an outcome of a task like this one: the words of their definitions decided.',
  nothing: 'Nothing is known of tasks like this one, and no definition speaks of it.',
};

/** Sentences, the weightiest first. */
function reasoningOf({ basis, factors, neighbours }: RecommendationAnswer): string[] {
  const none = withoutOutcomes[basis];
  return [
    ...(none === undefined ? [] : [none]),
    ...factors.map(({ text }) => text),
    ...neighbours.slice(0, 5).map(({ text, similarity, agents }) => {
      const tried = agents.map((one) => `${one.agent} ${one.succeeded} of ${one.tried}`).join(', ');
      return `Like ${JSON.stringify(text.slice(0, 120))} (${similarity.toFixed(2)}): ${tried || 'nobody tried'}.`;
    }),
  ];
}

function usd(microUsd: number | undefined): number | null {
  return microUsd === undefined ? null : microUsd / 1_000_000;
}
