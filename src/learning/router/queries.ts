/** What the router reads beside the executions themselves, and the policies that it keeps. */
import { json, sql, type Sql } from '../../database/database.ts';
import type { PolicyView } from '../views.ts';
import type { RouteMode } from '../types.ts';
import type { PolicyParameters } from './policy.ts';

/** The execution from which on the last `most` are learned one by one; no row when there are fewer. */
export const windowStart = (most: number): Sql<{ tx: string; attempt_id: string }> =>
  sql`select tx::text as tx, attempt_id from agent_task_executions
    order by agent_task_executions.tx desc, attempt_id desc offset ${most}::integer limit 1`;

/** How those up to a place ended, by agent and type: what is too old to be learned one by one. */
export const countsUntil = (
  tx: string,
  attemptId: string,
): Sql<{ agent: string; task_type: string; tried: number; succeeded: number }> =>
  sql`select agent, task_type, count(*)::float8 as tried,
      (count(*) filter (where result = 'succeeded'))::float8 as succeeded
    from agent_task_executions
    where (tx, attempt_id) <= (${tx}::xid8, ${attemptId}::uuid) and reported_by is null
      and (result = 'succeeded' or result = 'failed' and own_fault)
    group by agent, task_type`;

/** What principals gave each agent on average. */
export const ratings = (): Sql<{ agent: string; principalId: string; score: number }> =>
  sql`select agent, principal_id as "principalId", avg(score)::float8 as score from agent_feedback
    group by agent, principal_id`;

export const fleetMode = (): Sql<{ mode: RouteMode }> => sql`select mode from learning_state`;

export const setFleetMode = (mode: RouteMode): Sql =>
  sql`update learning_state set mode = ${mode}, updated_at = now()`;

export const incumbentPolicy = (): Sql<{ policy: string; parameters: PolicyParameters }> =>
  sql`select policy, parameters from learning_policies where state = 'incumbent'`;

export interface PolicyRow {
  readonly policy: string;
  readonly state: PolicyView['state'];
  readonly executions: number;
  readonly evaluation: NonNullable<PolicyView['evaluation']> | null;
  readonly reason: string | null;
  readonly fitted_at: Date;
  readonly decided_at: Date | null;
}

/** The newest first; before a time where one is given. */
export const listPolicies = (before: string | null, limit: number): Sql<PolicyRow> =>
  sql`select policy, state, executions::float8 as executions, evaluation, reason, fitted_at, decided_at
    from learning_policies
    where ${before}::text is null or policy < ${before}::text
    order by policy desc limit ${limit}::integer`;

/** The one whose place is taken steps back first: there is only ever one. */
export const retireIncumbent = (): Sql =>
  sql`update learning_policies set state = 'retired', decided_at = now() where state = 'incumbent'`;

export const storePolicy = (
  policy: PolicyParameters,
  row: Pick<PolicyView, 'state' | 'executions' | 'evaluation' | 'reason'>,
): Sql =>
  sql`insert into learning_policies (policy, state, parameters, executions, evaluation, reason, decided_at)
    values (${policy.name}, ${row.state}, ${json(policy)}::json, ${row.executions}::bigint,
      ${row.evaluation === undefined ? null : json(row.evaluation)}::json, ${row.reason ?? null},
      case when ${row.state}::text = 'candidate' then null else now() end)`;

export interface RoutedRow {
  readonly attempt_id: string;
  readonly task_hash: string;
  readonly task_type: string;
  readonly agent: string;
  readonly succeeded: boolean;
  readonly ended_at_ms: number;
  readonly propensity: number;
  readonly candidates: readonly string[] | null;
  readonly predicted_success: number | null;
  readonly predicted_ms: number | null;
  readonly predicted_ms_low: number | null;
  readonly predicted_ms_high: number | null;
  readonly ms: number | null;
}

/** The last routed attempts that say something of their agents. */
export const routedLately = (most: number): Sql<RoutedRow> =>
  sql`select attempt_id, encode(task_hash, 'hex') as task_hash, task_type, agent,
      result = 'succeeded' as succeeded, (extract(epoch from ended_at) * 1000)::float8 as ended_at_ms,
      propensity, candidates, predicted_success, predicted_ms, predicted_ms_low, predicted_ms_high,
      wall_ms as ms
    from agent_task_executions
    where propensity is not null and (result = 'succeeded' or result = 'failed' and own_fault)
    order by tx desc, attempt_id desc limit ${most}::integer`;

/** What was predicted of the last routed outcomes, and what came. */
export const predictedLately = (most: number): Sql<{ probability: number; succeeded: boolean }> =>
  sql`select predicted_success as probability, result = 'succeeded' as succeeded
    from agent_task_executions
    where predicted_success is not null and (result = 'succeeded' or result = 'failed' and own_fault)
    order by tx desc, attempt_id desc limit ${most}::integer`;

export const totals = (): Sql<{ executions: number; texts: number }> =>
  sql`select (select count(*) from agent_task_executions)::float8 as executions,
    (select count(*) from task_texts)::float8 as texts`;
