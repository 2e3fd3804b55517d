/** Figures of agents and types, made of the sums of days: one function a statement. */
import { json, sql, type Sql } from '../../database/database.ts';
import type { DetectorState } from './detectors.ts';
import type { Times } from './queries.ts';

/**
 * What is due: figures every few seconds, all of them each hour, insights each minute if figures are
 * newer than they (`behind`). By the database's clock.
 */
export const whatIsDue = (): Sql<{
  figures: boolean;
  survey: boolean;
  insights: boolean;
  behind: boolean;
}> =>
  sql`select renewed_at < now() - interval '3 seconds' as figures,
      surveyed_at < now() - interval '1 hour' as survey,
      insights_at < now() - interval '1 minute' as insights, insights_at < renewed_at as behind
    from learning_state`;

/** Windows of days move on although nothing is added. */
export const markAllStale = (): Sql =>
  sql`with agents as (
      update agent_performance_metrics set stale_since = now() where stale_since is null
    ), types as (
      update task_type_analysis set stale_since = now() where stale_since is null
    )
    update learning_state set surveyed_at = now()`;

export const markRatedStale = (): Sql =>
  sql`update agent_performance_metrics m set stale_since = now()
    from learning_state s
    where m.stale_since is null and m.agent in (
      select f.agent from agent_feedback f where f.given_at >= s.renewed_at)`;

export const staleAgents = (limit: number): Sql<{ agent: string }> =>
  sql`select agent from agent_performance_metrics where stale_since is not null
    order by stale_since, agent limit ${limit}::integer`;

export const staleTypes = (limit: number): Sql<{ task_type: string }> =>
  sql`select task_type from task_type_analysis where stale_since is not null
    order by stale_since, task_type limit ${limit}::integer`;

/** The figures are as new as this transaction. */
export const markRenewed = (): Sql => sql`update learning_state set renewed_at = now()`;

export const markSearched = (): Sql => sql`update learning_state set insights_at = now()`;

/** All numbers are sums over the days that are kept; null where there is none. */
export interface SumsRow {
  readonly succeeded: number | null;
  readonly failed: number | null;
  readonly faultless: number | null;
  readonly cancelled: number | null;
  readonly ms: number | null;
  readonly times: Times | null;
  readonly last_at_ms: number | null;
}

export interface AgentSumsRow extends SumsRow {
  readonly agent: string;
  readonly detectors: DetectorState | null;
  readonly paid: number | null;
  readonly micro_usd: number | null;
  readonly told_tokens: number | null;
  readonly tokens: number | null;
  readonly week_succeeded: number | null;
  readonly week_failed: number | null;
  readonly month_succeeded: number | null;
  readonly month_failed: number | null;
  readonly month_times: Times | null;
  readonly feedback: number | null;
  readonly feedback_principals: number;
  readonly now_ms: number;
}

export const agentSums = (agents: readonly string[]): Sql<AgentSumsRow> =>
  sql`with days as (
      select d.*, d.day > today - 7 as week, d.day > today - 30 as month
      from agent_task_days d, (select (now() at time zone 'UTC')::date as today) t
      where d.agent = any(${agents}::text[])
    ), sums as (
      select agent, sum(succeeded)::float8 as succeeded, sum(failed)::float8 as failed,
        sum(faultless)::float8 as faultless, sum(cancelled)::float8 as cancelled, sum(ms) as ms,
        sum(paid)::float8 as paid, sum(micro_usd) as micro_usd,
        sum(told_tokens)::float8 as told_tokens, sum(tokens) as tokens,
        sum(succeeded) filter (where week)::float8 as week_succeeded,
        sum(failed) filter (where week)::float8 as week_failed,
        sum(succeeded) filter (where month)::float8 as month_succeeded,
        sum(failed) filter (where month)::float8 as month_failed,
        (extract(epoch from max(last_at)) * 1000)::float8 as last_at_ms
      from days group by agent
    ), buckets as (
      select agent, t.key, sum(t.value::float8) as n,
        coalesce(sum(t.value::float8) filter (where month), 0) as month_n
      from days, json_each_text(times) t group by agent, t.key
    ), counts as (
      select agent, json_object_agg(key, n) as times, json_object_agg(key, month_n) as month_times
      from buckets group by agent
    )
    select m.agent, m.detectors, s.succeeded, s.failed, s.faultless, s.cancelled, s.ms, s.paid,
      s.micro_usd, s.told_tokens, s.tokens, s.week_succeeded, s.week_failed, s.month_succeeded,
      s.month_failed, s.last_at_ms, c.times, c.month_times,
      f.feedback::float8 as feedback, f.principals as feedback_principals,
      (extract(epoch from now()) * 1000)::float8 as now_ms
    from agent_performance_metrics m
    left join sums s using (agent)
    left join counts c using (agent)
    cross join lateral (
      select avg(p.score) as feedback, count(*)::int as principals from (
        select avg(score) as score from agent_feedback r where r.agent = m.agent group by principal_id
      ) p
    ) f
    where m.agent = any(${agents}::text[])`;

/** As it is written: null is unknown. */
export interface AgentFigures {
  readonly agent: string;
  readonly executions: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly tried: number;
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
  readonly last_at_ms: number | null;
}

export const writeAgentFigures = (figures: readonly AgentFigures[]): Sql =>
  sql`update agent_performance_metrics m set executions = n.executions, succeeded = n.succeeded,
      failed = n.failed, cancelled = n.cancelled, tried = n.tried, success_rate = n.success_rate,
      avg_ms = n.avg_ms, p95_ms = n.p95_ms, avg_micro_usd = n.avg_micro_usd, avg_tokens = n.avg_tokens,
      feedback = n.feedback, feedback_principals = n.feedback_principals, trend_7d = n.trend_7d,
      trend_30d = n.trend_30d, anomaly_rate = n.anomaly_rate, anomaly = n.anomaly,
      alerts = array(select json_array_elements_text(n.alerts)),
      last_at = to_timestamp(n.last_at_ms / 1000), stale_since = null, updated_at = now()
    from json_to_recordset(${json(figures)}::json) as n (agent text, executions bigint, succeeded bigint,
      failed bigint, cancelled bigint, tried bigint, success_rate float8, avg_ms float8, p95_ms float8,
      avg_micro_usd float8, avg_tokens float8, feedback float8, feedback_principals integer,
      trend_7d float8, trend_30d float8, anomaly_rate float8, anomaly text, alerts json,
      last_at_ms float8)
    where m.agent = n.agent`;

export interface TypeSumsRow extends SumsRow {
  readonly task_type: string;
  readonly told_complexity: number | null;
  readonly complexity: number | null;
  /** Of each agent of the type, at most so many as were asked for. */
  readonly by_agent:
    | readonly { readonly agent: string; readonly succeeded: number; readonly tried: number }[]
    | null;
  readonly agents: number;
}

export const typeSums = (types: readonly string[], mostAgents: number): Sql<TypeSumsRow> =>
  sql`with days as (
      select * from agent_task_days where task_type = any(${types}::text[])
    ), sums as (
      select task_type, sum(succeeded)::float8 as succeeded, sum(failed)::float8 as failed,
        sum(faultless)::float8 as faultless, sum(cancelled)::float8 as cancelled, sum(ms) as ms,
        sum(told_complexity)::float8 as told_complexity, sum(complexity) as complexity,
        count(distinct agent)::int as agents, (extract(epoch from max(last_at)) * 1000)::float8 as last_at_ms
      from days group by task_type
    ), counts as (
      select task_type, json_object_agg(key, n) as times
      from (
        select task_type, t.key, sum(t.value::float8) as n
        from days, json_each_text(times) t group by task_type, t.key
      ) buckets group by task_type
    ), agents as (
      select task_type, json_agg(json_build_object('agent', agent, 'succeeded', succeeded, 'tried', tried)) as by_agent
      from (
        select task_type, agent, sum(succeeded)::float8 as succeeded, sum(succeeded + failed)::float8 as tried,
          row_number() over (partition by task_type order by sum(succeeded + failed) desc, agent) as place
        from days group by task_type, agent
      ) each where place <= ${mostAgents}::integer group by task_type
    )
    select a.task_type, s.succeeded, s.failed, s.faultless, s.cancelled, s.ms, s.told_complexity,
      s.complexity, s.last_at_ms, c.times, g.by_agent, coalesce(s.agents, 0) as agents
    from task_type_analysis a
    left join sums s using (task_type)
    left join counts c using (task_type)
    left join agents g using (task_type)
    where a.task_type = any(${types}::text[])`;

export interface TypeFigures {
  readonly task_type: string;
  readonly executions: number;
  readonly succeeded: number;
  readonly tried: number;
  readonly success_rate: number | null;
  readonly avg_ms: number | null;
  readonly p95_ms: number | null;
  readonly avg_complexity: number | null;
  readonly agents: number;
  readonly best_agent: string | null;
  readonly best_rate: number | null;
  readonly last_at_ms: number | null;
}

export const writeTypeFigures = (figures: readonly TypeFigures[]): Sql =>
  sql`update task_type_analysis t set executions = n.executions, succeeded = n.succeeded,
      tried = n.tried, success_rate = n.success_rate, avg_ms = n.avg_ms, p95_ms = n.p95_ms,
      avg_complexity = n.avg_complexity, agents = n.agents, best_agent = n.best_agent,
      best_rate = n.best_rate, last_at = to_timestamp(n.last_at_ms / 1000), stale_since = null,
      updated_at = now()
    from json_to_recordset(${json(figures)}::json) as n (task_type text, executions bigint,
      succeeded bigint, tried bigint, success_rate float8, avg_ms float8, p95_ms float8,
      avg_complexity float8, agents integer, best_agent text, best_rate float8, last_at_ms float8)
    where t.task_type = n.task_type`;

/** Days before a date, which are older than the executions that are kept; types and agents without any stay, with nothing. */
export const forgetDays = (keepDays: number, limit: number): Sql<{ agent: string }> =>
  sql`delete from agent_task_days d using (
      select agent, task_type, day from agent_task_days
      where day < (now() at time zone 'UTC')::date - ${keepDays}::integer
      limit ${limit}::integer
    ) old
    where d.agent = old.agent and d.task_type = old.task_type and d.day = old.day
    returning d.agent`;

/** Evidence of texts that were forgotten; one that has just come may still get its text. */
export const forgetEvidence = (limit: number): Sql<{ agent: string }> =>
  sql`delete from task_evidence e using (
      select task_hash, agent from task_evidence o
      where last_at < now() - interval '1 day'
        and not exists (select from task_texts t where t.task_hash = o.task_hash)
      limit ${limit}::integer
    ) old
    where e.task_hash = old.task_hash and e.agent = old.agent
    returning e.agent`;
