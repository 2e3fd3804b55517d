/** What insights are found from, and those that are found: one function a statement. */
import { json, sql, type Sql } from '../../database/database.ts';
import type { InsightKind } from '../views.ts';
import type { DetectorState } from './detectors.ts';

/** An agent on a type in the last 30 days, and on all types together. */
export interface AgentTypeRow {
  readonly agent: string;
  readonly task_type: string;
  readonly succeeded: number;
  readonly tried: number;
  readonly log_ms: number;
  readonly log_ms_squares: number;
  readonly paid: number;
  readonly micro_usd: number;
  readonly micro_usd_squares: number;
  readonly all_succeeded: number;
  readonly all_tried: number;
}

/** Those with at least so many outcomes, the most used first. */
export const agentTypes = (least: number, most: number): Sql<AgentTypeRow> =>
  sql`select * from (
      select agent, task_type, sum(succeeded)::float8 as succeeded, sum(succeeded + failed)::float8 as tried,
        sum(log_ms) as log_ms, sum(log_ms_squares) as log_ms_squares, sum(paid)::float8 as paid,
        sum(micro_usd) as micro_usd, sum(micro_usd_squares) as micro_usd_squares,
        (sum(sum(succeeded)) over (partition by agent))::float8 as all_succeeded,
        (sum(sum(succeeded + failed)) over (partition by agent))::float8 as all_tried
      from agent_task_days
      where day > (now() at time zone 'UTC')::date - 30
      group by agent, task_type
    ) each
    where tried >= ${least}::float8 order by tried desc, agent, task_type limit ${most}::integer`;

export interface AgentWeekRow {
  readonly agent: string;
  readonly detectors: DetectorState | null;
  readonly week_succeeded: number;
  readonly week_tried: number;
  /** Of the 23 days before that week. */
  readonly before_succeeded: number;
  readonly before_tried: number;
  readonly now_ms: number;
}

export const agentWeeks = (most: number): Sql<AgentWeekRow> =>
  sql`select m.agent, m.detectors, d.*, (extract(epoch from now()) * 1000)::float8 as now_ms
    from agent_performance_metrics m
    cross join lateral (
      select
        coalesce(sum(succeeded) filter (where week), 0)::float8 as week_succeeded,
        coalesce(sum(succeeded + failed) filter (where week), 0)::float8 as week_tried,
        coalesce(sum(succeeded) filter (where not week), 0)::float8 as before_succeeded,
        coalesce(sum(succeeded + failed) filter (where not week), 0)::float8 as before_tried
      from (
        select *, day > (now() at time zone 'UTC')::date - 7 as week from agent_task_days a
        where a.agent = m.agent and day > (now() at time zone 'UTC')::date - 30
      ) month
    ) d
    order by m.last_at desc nulls last, m.agent limit ${most}::integer`;

export interface CombinationRow {
  readonly hash: string;
  readonly mode: string;
  readonly agents: readonly string[];
  readonly executions: number;
  readonly succeeded: number;
  readonly expected: number;
}

export const usedCombinations = (least: number, most: number): Sql<CombinationRow> =>
  sql`select encode(combination_hash, 'hex') as hash, mode, agents, executions::float8 as executions,
      succeeded::float8 as succeeded, expected
    from agent_combination_patterns where executions >= ${least}::bigint
    order by executions desc, combination_hash desc limit ${most}::integer`;

export interface FoundInsight {
  readonly key: string;
  readonly kind: InsightKind;
  readonly agents: readonly string[];
  readonly task_type: string | null;
  readonly statement: string;
  readonly evidence: Readonly<Record<string, number | string>>;
  readonly confidence: number;
}

/** One that had ended and holds again begins anew. */
export const writeInsights = (found: readonly FoundInsight[]): Sql =>
  sql`insert into agent_learning_insights as i (insight_key, kind, agents, task_type, statement, evidence,
      confidence)
    select key, kind, array(select json_array_elements_text(agents)), task_type, statement, evidence,
      confidence
    from json_to_recordset(${json(found)}::json) as n (key text, kind text, agents json, task_type text,
      statement text, evidence json, confidence float8)
    on conflict (insight_key) do update set agents = excluded.agents, statement = excluded.statement,
      evidence = excluded.evidence, confidence = excluded.confidence, updated_at = now(),
      created_at = case when i.ended_at is null then i.created_at else now() end, ended_at = null`;

/** Those that hold and are not among the keys do not hold any more. */
export const endInsights = (keys: readonly string[]): Sql =>
  sql`update agent_learning_insights set ended_at = now(), updated_at = now()
    where ended_at is null and insight_key <> all (${keys}::text[])`;
