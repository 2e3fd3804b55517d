/** What is refused of budgets before anything is done, and how what they lack is told. */
import { AppError, suggest } from '../base/base.ts';
import type { Amounts, ReserveRequest, Shortage } from './budget-ledger.ts';
import { periods } from './budget-periods.ts';
import type { BudgetRow } from './budget-queries.ts';
import type { BudgetChange } from './budgets.ts';

/** A million dollars, or 31 years: what passes that is a mistake of units. */
const mostOfCall = 1e12;
const mostOfBudget = 1e15;
const mostConcurrency = 1_000_000;
const mostNames = 32;
/** A worker that lives renews far more often than each day. */
const longestMs = 86_400_000;

/** The error of a reservation that was refused, where a person or a program has to hear of it. */
export function budgetError(shortage: Shortage): AppError {
  const { budget, what, message, retryAt } = shortage;
  return new AppError('budget_exceeded', message, {
    details: { budget, what, ...(retryAt === undefined ? {} : { retryAt: retryAt.toISOString() }) },
    retryable: retryAt !== undefined,
    remedy:
      retryAt === undefined
        ? `Raise it: centuria budget set ${budget} --${what} …`
        : `It may be tried again from ${retryAt.toISOString()} on.`,
  });
}

export function unknownBudget(name: string, known: readonly string[]): AppError {
  const near = suggest(name, known);
  return new AppError('budget_not_found', `there is no budget ${JSON.stringify(name)}`, {
    details: { budget: name },
    remedy: near === undefined ? 'centuria budget list shows them.' : `Did you mean ${near}?`,
  });
}

export function checkReserve({ names, estimate, agent, expiresInMs }: ReserveRequest): void {
  if (names.length > mostNames) {
    throw wrong('budgets', `a call is under ${mostNames} budgets at most`);
  }
  if (agent === '' || /\p{Cc}/u.test(agent)) throw wrong('agent', 'no agent is named');
  checkAmounts(estimate);
  if (!(expiresInMs > 0 && expiresInMs <= longestMs)) {
    throw wrong('expiresInMs', 'a reservation lasts more than nothing and at most a day');
  }
}

export function checkUsed(used: Amounts): void {
  checkAmounts(used);
}

function checkAmounts(amounts: Amounts): void {
  for (const kind of ['microUsd', 'tokens', 'ms'] as const) {
    const amount = amounts[kind];
    if (amount === undefined || isWhole(amount, mostOfCall)) continue;
    throw wrong(kind, `${kind} takes a whole number from 0 to ${mostOfCall}`);
  }
}

/** The settings that a change asks for; `limitsOver` lays them over those that a budget has. */
export function checkSettings(name: string, { period, limits = {} }: BudgetChange) {
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name)) {
    throw wrong('name', `${JSON.stringify(name.slice(0, 80))} can be no name of a budget`, {
      remedy:
        'Use 1 to 63 of the letters a to z, digits and . _ -, beginning with a letter or digit.',
    });
  }
  if (period !== undefined && !periods.includes(period)) {
    throw wrong('period', `a budget is for one of ${periods.join(', ')}`);
  }
  for (const [kind, limit] of Object.entries(limits)) {
    const most = kind === 'concurrency' ? mostConcurrency : mostOfBudget;
    if (limit === null || limit === undefined || isWhole(limit, most)) continue;
    throw wrong(`limits.${kind}`, `${kind} takes a whole number from 0 to ${most}`);
  }
  return { period, limitsOver: (row: BudgetRow) => laidOver(row, limits) };
}

interface LimitColumns {
  readonly microUsd: number | null;
  readonly tokens: number | null;
  readonly ms: number | null;
  readonly concurrency: number | null;
}

function laidOver(row: BudgetRow, change: NonNullable<BudgetChange['limits']>): LimitColumns {
  const limits: LimitColumns = {
    microUsd: over(change.microUsd, row.limit_micro_usd),
    tokens: over(change.tokens, row.limit_tokens),
    ms: over(change.ms, row.limit_ms),
    concurrency: over(change.concurrency, row.limit_concurrency),
  };
  if (Object.values(limits).some((limit) => limit !== null)) return limits;
  throw wrong('limits', `budget ${row.name} would limit nothing`, {
    remedy: 'Give it at least one limit, or delete it.',
  });
}

function over(given: number | null | undefined, present: bigint | number | null): number | null {
  if (given !== undefined) return given;
  return present === null ? null : Number(present);
}

function isWhole(value: number, most: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= most;
}

function wrong(field: string, message: string, more: { remedy?: string } = {}): AppError {
  return new AppError('invalid_input', message, { details: { field }, ...more });
}
