import { json, sql, type Sql } from '../database/database.ts';
import type { Period } from './budget-periods.ts';

export interface BudgetRow {
  readonly name: string;
  readonly period: Period;
  readonly limit_micro_usd: bigint | null;
  readonly limit_tokens: bigint | null;
  readonly limit_ms: bigint | null;
  readonly limit_concurrency: number | null;
  readonly period_start: Date;
  readonly spent_micro_usd: bigint;
  readonly spent_tokens: bigint;
  readonly spent_ms: bigint;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly updated_by: string | null;
}

/** What is reserved of a budget now. */
export interface ReservedRow {
  readonly budget: string;
  readonly now: Date;
  readonly micro_usd: bigint;
  readonly tokens: bigint;
  readonly ms: bigint;
  readonly running: number;
}

export interface ReservationRow {
  readonly attempt_id: string;
  readonly budget: string;
  readonly run_id: string;
  readonly agent: string;
  readonly micro_usd: bigint;
  readonly tokens: bigint;
  readonly ms: bigint;
  readonly expires_at: Date;
}

/**
 * Locks the budgets of these names and of these attempts, in one order for all. Whatever changes what
 * is reserved or spent of a budget holds its lock.
 */
export const lockBudgets = (
  names: readonly string[],
  attemptIds: readonly string[],
): Sql<BudgetRow> =>
  sql`select b.* from budgets b
    where b.name in (
      select unnest(${names}::text[])
      union select budget from budget_reservations where attempt_id = any(${attemptIds}::uuid[])
    )
    order by b.name
    for no key update of b`;

/** A row for each budget, and the time after its lock was taken. Reservations of these attempts are left out. */
export const reservedOfOthers = (
  budgets: readonly string[],
  attemptIds: readonly string[],
): Sql<ReservedRow> =>
  sql`select b.budget, t.now, coalesce(sum(r.micro_usd), 0)::bigint as micro_usd,
      coalesce(sum(r.tokens), 0)::bigint as tokens, coalesce(sum(r.ms), 0)::bigint as ms,
      count(r.attempt_id)::integer as running
    from (select date_trunc('milliseconds', clock_timestamp()) as now) t
    cross join unnest(${budgets}::text[]) as b (budget)
    left join budget_reservations r on r.budget = b.budget and r.expires_at > t.now
      and r.attempt_id <> all (${attemptIds}::uuid[])
    group by b.budget, t.now`;

export const reservationsOf = (attemptIds: readonly string[]): Sql<ReservationRow> =>
  sql`select attempt_id, budget, run_id, agent, micro_usd, tokens, ms, expires_at
    from budget_reservations where attempt_id = any(${attemptIds}::uuid[])
    order by attempt_id, budget`;

/** What a batch of requests changed; the fields of the items are the columns they go to. */
export interface BudgetWrites {
  readonly budgets: readonly {
    readonly name: string;
    readonly period_start: string;
    readonly spent_micro_usd: number;
    readonly spent_tokens: number;
    readonly spent_ms: number;
  }[];
  readonly kept: readonly {
    readonly attempt_id: string;
    readonly budget: string;
    readonly run_id: string;
    readonly agent: string;
    readonly micro_usd: number;
    readonly tokens: number;
    readonly ms: number;
    readonly expires_at: string;
  }[];
  readonly ended: readonly { readonly attempt_id: string; readonly budget: string }[];
  readonly use: readonly {
    readonly budget: string;
    readonly period_start: string;
    readonly run_id: string;
    readonly agent: string;
    readonly micro_usd: number;
    readonly tokens: number;
    readonly ms: number;
    readonly calls: number;
    readonly unknown_calls: number;
  }[];
}

export const writeBudgets = (writes: BudgetWrites): Sql =>
  sql`
    with spent as (
      update budgets b set period_start = w.period_start, spent_micro_usd = w.spent_micro_usd,
        spent_tokens = w.spent_tokens, spent_ms = w.spent_ms
      from json_to_recordset(${json(writes.budgets)}::json) as w (
        name text, period_start timestamptz, spent_micro_usd bigint, spent_tokens bigint, spent_ms bigint
      )
      where b.name = w.name
    ), kept as (
      insert into budget_reservations
        (attempt_id, budget, run_id, agent, micro_usd, tokens, ms, expires_at)
      select attempt_id, budget, run_id, agent, micro_usd, tokens, ms, expires_at
      from json_to_recordset(${json(writes.kept)}::json) as w (
        attempt_id uuid, budget text, run_id uuid, agent text, micro_usd bigint, tokens bigint,
        ms bigint, expires_at timestamptz
      )
      on conflict (attempt_id, budget) do update set micro_usd = excluded.micro_usd,
        tokens = excluded.tokens, ms = excluded.ms, expires_at = excluded.expires_at
    ), ended as (
      delete from budget_reservations r
      using json_to_recordset(${json(writes.ended)}::json) as w (attempt_id uuid, budget text)
      where r.attempt_id = w.attempt_id and r.budget = w.budget
    )
    insert into budget_use as u
      (budget, period_start, run_id, agent, micro_usd, tokens, ms, calls, unknown_calls)
    select budget, period_start, run_id, agent, micro_usd, tokens, ms, calls, unknown_calls
    from json_to_recordset(${json(writes.use)}::json) as w (
      budget text, period_start timestamptz, run_id uuid, agent text, micro_usd bigint,
      tokens bigint, ms bigint, calls integer, unknown_calls integer
    )
    order by budget, period_start, run_id, agent
    on conflict (budget, period_start, run_id, agent) do update set
      micro_usd = u.micro_usd + excluded.micro_usd, tokens = u.tokens + excluded.tokens,
      ms = u.ms + excluded.ms, calls = u.calls + excluded.calls,
      unknown_calls = u.unknown_calls + excluded.unknown_calls, last_at = now()`;

/**
 * Forgets reservations that ended a day ago without a word of what was used, and keeps that in the
 * use of their run: a call, and nothing known of it.
 */
export const forgetReservations = (most: number): Sql =>
  sql`
    with forgotten as (
      delete from budget_reservations r
      using (
        select attempt_id, budget from budget_reservations
        where expires_at < now() - interval '1 day' limit ${most}::integer
        for update skip locked
      ) o
      where r.attempt_id = o.attempt_id and r.budget = o.budget
      returning r.budget, r.run_id, r.agent
    )
    insert into budget_use as u (budget, period_start, run_id, agent, calls, unknown_calls)
    select f.budget, b.period_start, f.run_id, f.agent, count(*), count(*)
    from forgotten f join budgets b on b.name = f.budget
    group by f.budget, b.period_start, f.run_id, f.agent
    order by f.budget, b.period_start, f.run_id, f.agent
    on conflict (budget, period_start, run_id, agent) do update set
      calls = u.calls + excluded.calls, unknown_calls = u.unknown_calls + excluded.unknown_calls`;

/** Use that nothing was added to for 400 days: a year can still be compared with the one before. */
export const forgetUse = (most: number): Sql =>
  sql`delete from budget_use u using (
      select budget, period_start, run_id, agent from budget_use
      where last_at < now() - interval '400 days' limit ${most}::integer
    ) o
    where u.budget = o.budget and u.period_start = o.period_start and u.run_id = o.run_id
      and u.agent = o.agent`;

export const addBudget = (name: string, period: Period, periodStart: Date): Sql =>
  sql`insert into budgets (name, period, period_start)
    values (${name}, ${period}, ${periodStart}::timestamptz)
    on conflict (name) do nothing`;

export interface BudgetSettings {
  readonly name: string;
  readonly period: Period;
  readonly periodStart: Date;
  readonly microUsd: number | null;
  readonly tokens: number | null;
  readonly ms: number | null;
  readonly concurrency: number | null;
  readonly by: string;
}

/** Under the budget's lock. Another period begins with what is known to have been used in it. */
export const writeBudget = (to: BudgetSettings): Sql =>
  sql`update budgets b set
      limit_micro_usd = ${to.microUsd}::bigint, limit_tokens = ${to.tokens}::bigint,
      limit_ms = ${to.ms}::bigint, limit_concurrency = ${to.concurrency}::integer,
      updated_at = now(), updated_by = ${to.by}, period = ${to.period},
      period_start = case when b.period = ${to.period} then b.period_start else u.period_start end,
      spent_micro_usd = case when b.period = ${to.period} then b.spent_micro_usd else u.micro_usd end,
      spent_tokens = case when b.period = ${to.period} then b.spent_tokens else u.tokens end,
      spent_ms = case when b.period = ${to.period} then b.spent_ms else u.ms end
    from (
      select ${to.periodStart}::timestamptz as period_start,
        coalesce(sum(micro_usd), 0)::bigint as micro_usd, coalesce(sum(tokens), 0)::bigint as tokens,
        coalesce(sum(ms), 0)::bigint as ms
      from budget_use where budget = ${to.name} and period_start = ${to.periodStart}::timestamptz
    ) u
    where b.name = ${to.name}`;

export const budgetsNamed = (names: readonly string[]): Sql<BudgetRow> =>
  sql`select * from budgets where name = any(${names}::text[]) order by name`;

export const listBudgets = (after: string | null, limit: number): Sql<BudgetRow> =>
  sql`select * from budgets where ${after}::text is null or name > ${after}::text
    order by name limit ${limit}::integer`;

export const deleteBudget = (name: string): Sql<{ name: string }> =>
  sql`delete from budgets where name = ${name} returning name`;

/** For the nearest name to one that there is not. */
export const budgetNames = (): Sql<{ name: string }> =>
  sql`select name from budgets order by name limit 10000`;

export interface UseRow {
  readonly key: string;
  readonly micro_usd: bigint;
  readonly tokens: bigint;
  readonly ms: bigint;
  readonly calls: number;
  readonly unknown_calls: number;
  readonly last_at: Date;
}

/** What was used by each run or agent, or in each period: newest first, agents by name. */
export const useOfBudget = (asked: {
  readonly name: string;
  readonly by: 'run' | 'agent' | 'period';
  /** Only of the period that began then. */
  readonly periodStart: Date | null;
  readonly after: string | null;
  readonly limit: number;
}): Sql<UseRow> =>
  sql`
    select key, least(sum(micro_usd), 9007199254740991)::bigint as micro_usd,
      least(sum(tokens), 9007199254740991)::bigint as tokens,
      least(sum(ms), 9007199254740991)::bigint as ms, sum(calls)::integer as calls,
      sum(unknown_calls)::integer as unknown_calls, max(last_at) as last_at
    from (
      select u.*, case ${asked.by}::text when 'run' then run_id::text when 'agent' then agent
        else to_char(period_start at time zone 'UTC', 'YYYY-MM-DD') end as key
      from budget_use u
      where budget = ${asked.name}
        and (${asked.periodStart}::timestamptz is null or period_start = ${asked.periodStart}::timestamptz)
    ) u
    where ${asked.after}::text is null
      or case when ${asked.by}::text = 'agent' then key > ${asked.after}::text
        else key < ${asked.after}::text end
    group by key
    order by case when ${asked.by}::text = 'agent' then key end,
      case when ${asked.by}::text <> 'agent' then key end desc
    limit ${asked.limit}::integer`;
