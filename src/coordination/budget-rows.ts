/** Budgets between their rows, the ledger and what the faces show. */
import type {
  BudgetLimits,
  LedgerBudget,
  LedgerWrites,
  Reservation,
  Sums,
} from './budget-ledger.ts';
import { periodEndMs, periodStartMs, type Period } from './budget-periods.ts';
import type {
  BudgetRow,
  BudgetWrites,
  ReservationRow,
  ReservedRow,
  UseRow,
} from './budget-queries.ts';
import type { BudgetKind } from './budget-units.ts';

/** A budget as it is shown. Money in millionths of a US dollar, time in milliseconds; moments ISO 8601. */
export interface BudgetView {
  readonly name: string;
  readonly period: Period;
  readonly limits: BudgetLimits;
  /** Absent for a budget that is for ever. */
  readonly periodStart?: string;
  readonly periodEnd?: string;
  /** Used in this period. */
  readonly spent: Sums;
  /** Set aside for calls under way, and how many those are. */
  readonly reserved: Sums;
  readonly running: number;
  /** Limits that are reached: no further call that would need any of them. */
  readonly reached: readonly BudgetKind[];
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly updatedBy?: string;
}

/** What a run, an agent or a period has used of a budget. */
export interface BudgetUse extends Sums {
  /** The run's id, the agent's name, or the period's first day. */
  readonly key: string;
  readonly calls: number;
  /** Calls of which not all is known: their worker died, or the agent did not say. */
  readonly unknownCalls: number;
  readonly lastAt: string;
}

export function ledgerBudget(row: BudgetRow, reserved: ReservedRow | undefined): LedgerBudget {
  return {
    name: row.name,
    period: row.period,
    limits: limitsOf(row),
    periodStartMs: row.period_start.getTime(),
    spent: {
      microUsd: Number(row.spent_micro_usd),
      tokens: Number(row.spent_tokens),
      ms: Number(row.spent_ms),
    },
    reserved: reserved === undefined ? { microUsd: 0, tokens: 0, ms: 0 } : sumsOf(reserved),
    running: reserved?.running ?? 0,
  };
}

export function reservationOf(row: ReservationRow): Reservation {
  return {
    attemptId: row.attempt_id,
    budget: row.budget,
    runId: row.run_id,
    agent: row.agent,
    amounts: sumsOf(row),
    expiresAtMs: row.expires_at.getTime(),
  };
}

export function writesOf({ budgets, kept, ended, use }: LedgerWrites): BudgetWrites {
  return {
    budgets: budgets.map(({ name, periodStartMs: startMs, spent }) => ({
      name,
      period_start: new Date(startMs).toISOString(),
      spent_micro_usd: spent.microUsd,
      spent_tokens: spent.tokens,
      spent_ms: spent.ms,
    })),
    kept: kept.map((reservation) => ({
      attempt_id: reservation.attemptId,
      budget: reservation.budget,
      run_id: reservation.runId,
      agent: reservation.agent,
      ...columnsOf(reservation.amounts),
      expires_at: new Date(reservation.expiresAtMs).toISOString(),
    })),
    ended: ended.map(({ attemptId, budget }) => ({ attempt_id: attemptId, budget })),
    use: use.map((each) => ({
      budget: each.budget,
      period_start: new Date(each.periodStartMs).toISOString(),
      run_id: each.runId,
      agent: each.agent,
      ...columnsOf(each.used),
      calls: each.calls,
      unknown_calls: each.unknownCalls,
    })),
  };
}

export function viewOf(row: BudgetRow, reserved: ReservedRow | undefined): BudgetView {
  const { name, period, limits, ...stored } = ledgerBudget(row, reserved);
  const nowMs = reserved?.now.getTime() ?? stored.periodStartMs;
  const startMs = Math.max(stored.periodStartMs, periodStartMs(period, nowMs));
  const endMs = periodEndMs(period, startMs);
  const spent = startMs === stored.periodStartMs ? stored.spent : { microUsd: 0, tokens: 0, ms: 0 };
  const view = { limits, spent, reserved: stored.reserved, running: stored.running };
  return {
    name,
    period,
    ...view,
    ...(endMs === undefined
      ? {}
      : {
          periodStart: new Date(startMs).toISOString(),
          periodEnd: new Date(endMs).toISOString(),
        }),
    reached: reachedOf(view),
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
    ...(row.updated_by === null ? {} : { updatedBy: row.updated_by }),
  };
}

export function useView(row: UseRow): BudgetUse {
  return {
    key: row.key,
    ...sumsOf(row),
    calls: row.calls,
    unknownCalls: row.unknown_calls,
    lastAt: row.last_at.toISOString(),
  };
}

function limitsOf(row: BudgetRow): BudgetLimits {
  return {
    ...(row.limit_micro_usd === null ? {} : { microUsd: Number(row.limit_micro_usd) }),
    ...(row.limit_tokens === null ? {} : { tokens: Number(row.limit_tokens) }),
    ...(row.limit_ms === null ? {} : { ms: Number(row.limit_ms) }),
    ...(row.limit_concurrency === null ? {} : { concurrency: row.limit_concurrency }),
  };
}

function reachedOf(
  at: Pick<BudgetView, 'limits' | 'spent' | 'reserved' | 'running'>,
): BudgetKind[] {
  const { limits, spent, reserved, running } = at;
  const isReached = (kind: keyof Sums): boolean =>
    spent[kind] + reserved[kind] >= (limits[kind] ?? Infinity);
  return [
    ...(isReached('microUsd') ? (['usd'] as const) : []),
    ...(isReached('tokens') ? (['tokens'] as const) : []),
    ...(isReached('ms') ? (['seconds'] as const) : []),
    ...(running >= (limits.concurrency ?? Infinity) ? (['concurrency'] as const) : []),
  ];
}

function sumsOf(row: Pick<ReservedRow, 'micro_usd' | 'tokens' | 'ms'>): Sums {
  return { microUsd: Number(row.micro_usd), tokens: Number(row.tokens), ms: Number(row.ms) };
}

function columnsOf({ microUsd, tokens, ms }: Sums) {
  return { micro_usd: microUsd, tokens, ms };
}
