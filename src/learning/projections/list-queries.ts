/** What the faces list: one function a statement. */
import { sql, type Sql } from '../../database/database.ts';
import type { InsightKind } from '../views.ts';

export interface PerformanceRow {
  readonly agent: string;
  readonly executions: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly success_rate: number | null;
  readonly avg_ms: number | null;
  readonly p95_ms: number | null;
  readonly avg_micro_usd: number | null;
  readonly avg_tokens: number | null;
  readonly feedback: number | null;
  readonly feedback_principals: number;
  readonly trend_7d: number | null;
  readonly trend_30d: number | null;
  readonly anomaly_rate: number | null;
  readonly anomaly: string | null;
  readonly alerts: readonly string[];
  readonly last_at: Date | null;
  readonly updated_at: Date;
}

/** By name. */
export const listAgents = (after: string | null, limit: number): Sql<PerformanceRow> =>
  sql`select agent, executions::float8 as executions, succeeded::float8 as succeeded,
      failed::float8 as failed, cancelled::float8 as cancelled, success_rate, avg_ms, p95_ms,
      avg_micro_usd, avg_tokens, feedback, feedback_principals, trend_7d, trend_30d, anomaly_rate,
      anomaly, alerts, last_at, updated_at
    from agent_performance_metrics
    where ${after}::text is null or agent > ${after}::text
    order by agent limit ${limit}::integer`;

export const oneAgent = (agent: string): Sql<PerformanceRow> =>
  sql`select agent, executions::float8 as executions, succeeded::float8 as succeeded,
      failed::float8 as failed, cancelled::float8 as cancelled, success_rate, avg_ms, p95_ms,
      avg_micro_usd, avg_tokens, feedback, feedback_principals, trend_7d, trend_30d, anomaly_rate,
      anomaly, alerts, last_at, updated_at
    from agent_performance_metrics where agent = ${agent}`;

export interface TypeRow {
  readonly task_type: string;
  readonly executions: number;
  readonly success_rate: number | null;
  readonly avg_ms: number | null;
  readonly p95_ms: number | null;
  readonly avg_complexity: number | null;
  readonly agents: number;
  readonly best_agent: string | null;
  readonly best_rate: number | null;
  readonly last_at: Date | null;
}

/** By name. */
export const listTypes = (after: string | null, limit: number): Sql<TypeRow> =>
  sql`select task_type, executions::float8 as executions, success_rate, avg_ms, p95_ms, avg_complexity,
      agents, best_agent, best_rate, last_at
    from task_type_analysis
    where ${after}::text is null or task_type > ${after}::text
    order by task_type limit ${limit}::integer`;

export interface CombinationListRow {
  readonly hash: string;
  readonly mode: string;
  readonly agents: readonly string[];
  readonly executions: number;
  readonly succeeded: number;
  readonly expected: number;
  readonly synergy: number;
  readonly confidence: number;
}

/** The most used first. */
export const listCombinations = (
  executions: number | null,
  hash: string | null,
  limit: number,
): Sql<CombinationListRow> =>
  sql`select encode(combination_hash, 'hex') as hash, mode, agents, executions::float8 as executions,
      succeeded::float8 as succeeded, expected, synergy, confidence
    from agent_combination_patterns
    where ${hash}::text is null
      or (executions, combination_hash) < (${executions}::bigint, decode(${hash}::text, 'hex'))
    order by executions desc, combination_hash desc limit ${limit}::integer`;

export interface InsightRow {
  readonly insight_key: string;
  readonly kind: InsightKind;
  readonly agents: readonly string[];
  readonly task_type: string | null;
  readonly statement: string;
  readonly evidence: unknown;
  readonly confidence: number;
  readonly created_at: Date;
  readonly updated_at: Date;
}

/** Those that hold, by key; of one agent when it is given. */
export const listInsights = (
  agent: string | null,
  after: string | null,
  limit: number,
): Sql<InsightRow> =>
  sql`select insight_key, kind, agents, task_type, statement, evidence, confidence, created_at, updated_at
    from agent_learning_insights
    where ended_at is null and (${agent}::text is null or ${agent}::text = any(agents))
      and (${after}::text is null or insight_key > ${after}::text)
    order by insight_key limit ${limit}::integer`;
