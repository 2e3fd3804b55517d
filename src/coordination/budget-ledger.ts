/**
 * What budgets allow, as arithmetic: no I/O, and time as an argument. A ledger holds some budgets with
 * all that is reserved of them, carries requests out one after another, and says what has to be written.
 */
import type { Amounts } from './definition.ts';
import { periodEndMs, periodStartMs, type Period } from './budget-periods.ts';
import { describeShortage, type BudgetKind } from './budget-units.ts';

export type { Amounts };
export type Sums = Required<Amounts>;

/** Absent: no limit. */
export interface BudgetLimits extends Amounts {
  readonly concurrency?: number;
}

export interface LedgerBudget {
  readonly name: string;
  readonly period: Period;
  readonly limits: BudgetLimits;
  readonly periodStartMs: number;
  readonly spent: Sums;
  /** Reserved by calls that are no part of this ledger, and how many those are. */
  readonly reserved: Sums;
  readonly running: number;
}

export interface Reservation {
  readonly attemptId: string;
  readonly budget: string;
  readonly runId: string;
  readonly agent: string;
  readonly amounts: Sums;
  /** From then on it holds nothing, and only waits for what its call has used after all. */
  readonly expiresAtMs: number;
}

export interface ReserveRequest {
  /** All of these, or nothing is reserved. */
  readonly names: readonly string[];
  readonly attemptId: string;
  readonly runId: string;
  readonly agent: string;
  /** What is not known is reserved as nothing, but only where something is left. */
  readonly estimate: Amounts;
  readonly expiresInMs: number;
}

export interface Shortage {
  readonly reserved: false;
  readonly budget: string;
  readonly what: BudgetKind;
  readonly message: string;
  /** When it may be asked again; absent when only a person can help. */
  readonly retryAt?: Date;
}
export type ReserveAnswer = { readonly reserved: true } | Shortage;

/** A call that used more than was reserved for it. */
export interface Overrun {
  readonly budget: string;
  readonly attemptId: string;
  readonly agent: string;
  readonly reserved: Sums;
  readonly used: Sums;
}

/** Use to be added to what a run's agent has used of a budget in a period. */
export interface Use {
  readonly budget: string;
  readonly periodStartMs: number;
  readonly runId: string;
  readonly agent: string;
  readonly used: Sums;
  readonly calls: number;
  readonly unknownCalls: number;
}

export interface LedgerWrites {
  readonly budgets: readonly LedgerBudget[];
  readonly kept: readonly Reservation[];
  readonly ended: readonly Reservation[];
  readonly use: readonly Use[];
}

const kinds = ['microUsd', 'tokens', 'ms'] as const;
const named = { microUsd: 'usd', tokens: 'tokens', ms: 'seconds' } as const;
const nothing: Sums = { microUsd: 0, tokens: 0, ms: 0 };
/** Whoever finds everything reserved may ask again after so long: others settle for less. */
const askAgainMs = 2_000;

export class Ledger {
  readonly #nowMs: number;
  readonly #budgets = new Map<string, LedgerBudget>();
  readonly #reservations = new Map<string, Reservation>();
  readonly #before: ReadonlyMap<string, LedgerBudget>;
  readonly #changed = new Set<string>();
  readonly #ended = new Map<string, Reservation>();
  readonly #use = new Map<string, Use>();

  constructor(
    budgets: readonly LedgerBudget[],
    reservations: readonly Reservation[],
    nowMs: number,
  ) {
    this.#nowMs = nowMs;
    this.#before = new Map(budgets.map((budget) => [budget.name, budget]));
    for (const budget of budgets) {
      // Never back: a worker may wait for its turn while another one begins the next period.
      const startMs = Math.max(budget.periodStartMs, periodStartMs(budget.period, nowMs));
      const isNew = startMs !== budget.periodStartMs;
      this.#budgets.set(budget.name, {
        ...budget,
        ...(isNew ? { periodStartMs: startMs, spent: nothing } : {}),
      });
    }
    for (const reservation of reservations) this.#reservations.set(keyOf(reservation), reservation);
  }

  /** Asking again for a call that holds its reservations takes nothing more. Every name must be a budget. */
  reserve(request: ReserveRequest): ReserveAnswer {
    const { attemptId, runId, agent, estimate } = request;
    const missing = [...new Set(request.names)].filter((budget) => {
      const own = this.#reservations.get(keyOf({ attemptId, budget }));
      return own === undefined || !this.#holds(own);
    });
    const shortages = missing.flatMap((name) => this.#shortageOf(name, estimate));
    const worst = shortages.toSorted((a, b) => lastsMs(b) - lastsMs(a))[0];
    if (worst !== undefined) return worst;
    for (const budget of missing) {
      this.#keep({
        attemptId,
        budget,
        runId,
        agent,
        amounts: { ...nothing, ...estimate },
        expiresAtMs: this.#nowMs + request.expiresInMs,
      });
    }
    return { reserved: true };
  }

  /** Counts what a call has used, once: it is known by its reservations, which end. */
  settle(attemptId: string, used: Amounts): Overrun[] {
    const overruns: Overrun[] = [];
    for (const reservation of this.#of(attemptId)) {
      const { budget: name, agent, amounts } = reservation;
      const budget = this.#budgets.get(name);
      if (budget === undefined) continue;
      // Of what nobody told, what was set aside is taken to be gone.
      const sums = { ...amounts, ...used };
      this.#budgets.set(name, { ...budget, spent: added(budget.spent, sums) });
      this.#reservations.delete(keyOf(reservation));
      this.#changed.delete(keyOf(reservation));
      this.#ended.set(keyOf(reservation), reservation);
      const isUnknown = kinds.some((kind) => used[kind] === undefined);
      this.#addUse(reservation, budget.periodStartMs, sums, isUnknown);
      if (kinds.some((kind) => budget.limits[kind] !== undefined && sums[kind] > amounts[kind])) {
        overruns.push({ budget: name, attemptId, agent, reserved: amounts, used: sums });
      }
    }
    return overruns;
  }

  /** Whether the call holds all its reservations for so much longer; one that had ended only where there is room. */
  renew(attemptId: string, expiresInMs: number): boolean {
    const own = this.#of(attemptId);
    const ended = own.filter((reservation) => !this.#holds(reservation));
    if (own.length === 0) return false;
    if (ended.some(({ budget, amounts }) => this.#shortageOf(budget, amounts).length > 0)) {
      return false;
    }
    const expiresAtMs = this.#nowMs + expiresInMs;
    for (const reservation of own) this.#keep({ ...reservation, expiresAtMs });
    return true;
  }

  /** Gives back what a call holds whose use nobody will tell; whether it held anything. */
  release(attemptId: string): boolean {
    const held = this.#of(attemptId).filter((reservation) => this.#holds(reservation));
    for (const reservation of held) this.#keep({ ...reservation, expiresAtMs: this.#nowMs });
    return held.length > 0;
  }

  /** What has changed since the beginning. */
  writes(): LedgerWrites {
    return {
      budgets: [...this.#budgets.values()].filter((budget) => {
        return budget.spent !== this.#before.get(budget.name)?.spent;
      }),
      kept: [...this.#changed].flatMap((key) => this.#reservations.get(key) ?? []),
      ended: [...this.#ended]
        .filter(([key]) => !this.#reservations.has(key))
        .map(([, reservation]) => reservation),
      use: [...this.#use.values()],
    };
  }

  /** What is used and set aside of a budget now, and by how many calls under way. */
  takenOf(name: string): {
    readonly spent: Sums;
    readonly reserved: Sums;
    readonly running: number;
  } {
    const own = [...this.#reservations.values()].filter((reservation) => {
      return reservation.budget === name && this.#holds(reservation);
    });
    const budget = this.#budgets.get(name);
    return {
      spent: budget?.spent ?? nothing,
      reserved: own.reduce((sum, { amounts }) => added(sum, amounts), budget?.reserved ?? nothing),
      running: own.length + (budget?.running ?? 0),
    };
  }

  #holds({ expiresAtMs }: Reservation): boolean {
    return expiresAtMs > this.#nowMs;
  }

  #of(attemptId: string): Reservation[] {
    return [...this.#reservations.values()].filter((each) => each.attemptId === attemptId);
  }

  #keep(reservation: Reservation): void {
    this.#reservations.set(keyOf(reservation), reservation);
    this.#changed.add(keyOf(reservation));
  }

  #shortageOf(name: string, estimate: Amounts): Shortage[] {
    const budget = this.#budgets.get(name);
    if (budget === undefined) return [];
    const { limits } = budget;
    const { spent, reserved, running } = this.takenOf(name);
    const short = (what: BudgetKind, message: string, retryAtMs: number | undefined): Shortage => ({
      reserved: false,
      budget: name,
      what,
      message,
      ...(retryAtMs === undefined ? {} : { retryAt: new Date(retryAtMs) }),
    });
    for (const kind of kinds) {
      const limit = limits[kind];
      const needed = estimate[kind] ?? 1;
      if (limit === undefined || spent[kind] + reserved[kind] + needed <= limit) continue;
      const what = named[kind];
      const message = describeShortage(name, what, {
        limit,
        spent: spent[kind],
        reserved: reserved[kind],
        ...(estimate[kind] === undefined ? {} : { needed }),
      });
      const fitsOnceSettled = spent[kind] + needed <= limit;
      const nextMs = needed > limit ? undefined : periodEndMs(budget.period, this.#nowMs);
      return [short(what, message, fitsOnceSettled ? this.#nowMs + askAgainMs : nextMs)];
    }
    const most = limits.concurrency;
    if (most === undefined || running + 1 <= most) return [];
    const message = describeShortage(name, 'concurrency', {
      limit: most,
      spent: 0,
      reserved: running,
    });
    return [short('concurrency', message, most === 0 ? undefined : this.#nowMs + askAgainMs)];
  }

  #addUse(of: Reservation, startMs: number, used: Sums, isUnknown: boolean): void {
    const { budget, runId, agent } = of;
    const key = [budget, startMs, runId, agent].join(' ');
    const before = this.#use.get(key);
    this.#use.set(key, {
      budget,
      periodStartMs: startMs,
      runId,
      agent,
      used: added(before?.used ?? nothing, used),
      calls: (before?.calls ?? 0) + 1,
      unknownCalls: (before?.unknownCalls ?? 0) + (isUnknown ? 1 : 0),
    });
  }
}

function keyOf({ attemptId, budget }: Pick<Reservation, 'attemptId' | 'budget'>): string {
  return `${attemptId} ${budget}`;
}

function added(a: Sums, b: Sums): Sums {
  return {
    microUsd: Math.min(Number.MAX_SAFE_INTEGER, a.microUsd + b.microUsd),
    tokens: Math.min(Number.MAX_SAFE_INTEGER, a.tokens + b.tokens),
    ms: Math.min(Number.MAX_SAFE_INTEGER, a.ms + b.ms),
  };
}

function lastsMs({ retryAt }: Shortage): number {
  return retryAt?.getTime() ?? Infinity;
}
