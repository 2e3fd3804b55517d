/**
 * Hard budgets that runs share: what a call may use is set aside before it begins, in one transaction
 * over all budgets that it is under, and what it has used is counted at its end. Whatever workers die
 * or wait for each other, what is used and set aside never passes a limit.
 */
import { AppError, toAppError, type Clock, type Log } from '../base/base.ts';
import type { Database, Queryable } from '../database/database.ts';
import { batchedTransactions } from './batched-transactions.ts';
import { databaseTime } from './breaker-queries.ts';
import { checkReserve, checkSettings, checkUsed, unknownBudget } from './budget-checks.ts';
import {
  Ledger,
  type Amounts,
  type BudgetLimits,
  type Overrun,
  type ReserveAnswer,
  type ReserveRequest,
} from './budget-ledger.ts';
import { periodStartMs, type Period } from './budget-periods.ts';
import * as queries from './budget-queries.ts';
import {
  ledgerBudget,
  reservationOf,
  useView,
  viewOf,
  writesOf,
  type BudgetUse,
  type BudgetView,
} from './budget-rows.ts';
import { cursorOf, textOfCursor } from './cursor.ts';
import type { GroupCommit } from './group-commit.ts';
import type { Page } from './types.ts';

export { budgetError } from './budget-checks.ts';
export type {
  Amounts,
  BudgetLimits,
  Overrun,
  ReserveAnswer,
  ReserveRequest,
  Shortage,
} from './budget-ledger.ts';
export { periods, type Period } from './budget-periods.ts';
export type { BudgetUse, BudgetView } from './budget-rows.ts';
export { budgetKinds, formatAmount, type BudgetKind } from './budget-units.ts';

export interface Budgets {
  /**
   * Sets aside what a call may use of every named budget, or of none. What it holds is given back at
   * `expiresInMs` unless it is renewed. Throws `budget_not_found`, `invalid_input`, `database_*`.
   */
  reserve(request: ReserveRequest): Promise<ReserveAnswer>;
  /**
   * Counts what a call has used, once however often it is told, also when its reservation had ended.
   * What is absent is not known: then what was set aside is taken to be used. Says where more was used
   * than set aside.
   */
  settle(attemptId: string, used: Amounts): Promise<readonly Overrun[]>;
  /** How many of the calls hold what they reserved for so much longer. */
  renew(attemptIds: readonly string[], expiresInMs: number): Promise<number>;
  /** Gives back what calls hold whose worker died; how many held anything. */
  release(attemptIds: readonly string[]): Promise<number>;
  /** Makes a budget or changes what is given of it; null takes a limit away. Throws `invalid_input`. */
  set(name: string, change: BudgetChange, by: string): Promise<BudgetView>;
  /** For what names budgets before it needs them. Throws `budget_not_found` for the first that there is not. */
  assertKnown(names: readonly string[]): Promise<void>;
  /** Throws `budget_not_found`. */
  get(name: string): Promise<BudgetView>;
  /** By name; `limit` 1 to 500, default 50. */
  list(page?: PageRequest): Promise<Page<BudgetView>>;
  /** Deletes a budget with all that is known of its use. Throws `budget_not_found`. */
  remove(name: string, by: string): Promise<void>;
  /** Who used how much in this period; by period: in each. Throws `budget_not_found`. */
  use(name: string, asked?: UseRequest): Promise<Page<BudgetUse>>;
  close(): Promise<void>;
}

export interface BudgetChange {
  readonly period?: Period;
  readonly limits?: { readonly [Kind in keyof BudgetLimits]?: number | null };
}

export interface PageRequest {
  readonly limit?: number;
  readonly cursor?: string;
}

export interface UseRequest extends PageRequest {
  /** Default: run. */
  readonly by?: 'run' | 'agent' | 'period';
}

export interface BudgetsOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
}

type Request =
  | { readonly act: 'reserve'; readonly reserve: ReserveRequest }
  | { readonly act: 'settle'; readonly attemptId: string; readonly used: Amounts }
  | { readonly act: 'renew'; readonly attemptId: string; readonly expiresInMs: number }
  | { readonly act: 'release'; readonly attemptId: string };
type Answer = ReserveAnswer | readonly Overrun[] | boolean;

const forgetEveryMs = 600_000;
const mostForgotten = 1_000;

/** Opens the budgets on a migrated database. */
export function openBudgets(options: BudgetsOptions): Budgets {
  return new SharedBudgets(options);
}

class SharedBudgets implements Budgets {
  readonly #options: BudgetsOptions;
  readonly #requests: GroupCommit<Request, Answer>;
  readonly #closing = new AbortController();
  readonly #forgetting: Promise<void>;

  constructor(options: BudgetsOptions) {
    this.#options = options;
    this.#requests = batchedTransactions({ name: 'the budgets', ...options, work: carryOut });
    this.#forgetting = this.#forget();
  }

  async reserve(request: ReserveRequest): Promise<ReserveAnswer> {
    if (request.names.length === 0) return { reserved: true };
    checkReserve(request);
    return (await this.#requests.submit({ act: 'reserve', reserve: request })) as ReserveAnswer;
  }

  async settle(attemptId: string, used: Amounts): Promise<readonly Overrun[]> {
    checkUsed(used);
    const answer = await this.#requests.submit({ act: 'settle', attemptId, used });
    const overruns = answer as readonly Overrun[];
    for (const overrun of overruns) {
      this.#options.log.warn(overrun, 'a call used more of a budget than was set aside for it');
    }
    return overruns;
  }

  renew(attemptIds: readonly string[], expiresInMs: number): Promise<number> {
    return this.#count(
      attemptIds.map((attemptId) => ({ act: 'renew', attemptId, expiresInMs }) as const),
    );
  }

  release(attemptIds: readonly string[]): Promise<number> {
    return this.#count(attemptIds.map((attemptId) => ({ act: 'release', attemptId }) as const));
  }

  async set(name: string, change: BudgetChange, by: string): Promise<BudgetView> {
    const { database, log } = this.#options;
    const wanted = checkSettings(name, change);
    await database.transaction(async (transaction) => {
      const [time] = await transaction.query(databaseTime());
      const nowMs = time?.now.getTime() ?? 0;
      const first = wanted.period ?? 'forever';
      if (!(await isKnown(transaction, name))) {
        await transaction.query(queries.addBudget(name, first, startOf(first, nowMs)));
      }
      const [row] = await transaction.query(queries.lockBudgets([name], []));
      if (row === undefined) throw unknownBudget(name, []);
      const period = wanted.period ?? row.period;
      const settings = { name, period, periodStart: startOf(period, nowMs), by };
      await transaction.query(queries.writeBudget({ ...settings, ...wanted.limitsOver(row) }));
    });
    log.info({ budget: name, by, change }, 'a budget was set');
    return this.get(name);
  }

  async assertKnown(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    const { database } = this.#options;
    const rows = await database.query(queries.budgetsNamed(names));
    const missing = names.find((name) => !rows.some((row) => row.name === name));
    if (missing !== undefined) throw unknownBudget(missing, await namesIn(database));
  }

  async get(name: string): Promise<BudgetView> {
    const rows = await this.#options.database.query(queries.budgetsNamed([name]));
    const [view] = await this.#views(rows);
    if (view !== undefined) return view;
    throw unknownBudget(name, await namesIn(this.#options.database));
  }

  async list({ limit = 50, cursor }: PageRequest = {}): Promise<Page<BudgetView>> {
    const after = textOfCursor(cursor);
    const rows = await this.#options.database.query(queries.listBudgets(after, limit + 1));
    const items = await this.#views(rows.slice(0, limit));
    return { items, ...cursorOf(rows.length > limit, items.at(-1)?.name) };
  }

  async remove(name: string, by: string): Promise<void> {
    const { database, log } = this.#options;
    const rows = await database.query(queries.deleteBudget(name));
    if (rows.length === 0) throw unknownBudget(name, await namesIn(database));
    log.info({ budget: name, by }, 'a budget was deleted');
  }

  async use(name: string, asked: UseRequest = {}): Promise<Page<BudgetUse>> {
    const { by = 'run', limit = 50, cursor } = asked;
    const { periodStart = new Date(0).toISOString() } = await this.get(name);
    const rows = await this.#options.database.query(
      queries.useOfBudget({
        name,
        by,
        periodStart: by === 'period' ? null : new Date(periodStart),
        after: textOfCursor(cursor),
        limit: limit + 1,
      }),
    );
    const items = rows.slice(0, limit).map(useView);
    return { items, ...cursorOf(rows.length > limit, items.at(-1)?.key) };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#requests.drain();
    await this.#forgetting;
  }

  async #count(requests: readonly Request[]): Promise<number> {
    const answers = await Promise.all(requests.map((request) => this.#requests.submit(request)));
    return answers.filter((answer) => answer === true).length;
  }

  async #views(rows: readonly queries.BudgetRow[]): Promise<BudgetView[]> {
    if (rows.length === 0) return [];
    const names = rows.map(({ name }) => name);
    const reserved = await this.#options.database.query(queries.reservedOfOthers(names, []));
    const found = new Map(reserved.map((row) => [row.budget, row]));
    return rows.map((row) => viewOf(row, found.get(row.name)));
  }

  /** Calls that nobody told the end of, and use that is long past. */
  async #forget(): Promise<void> {
    const { database, clock, log } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await clock.sleep(forgetEveryMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await database.query(queries.forgetReservations(mostForgotten));
        await database.query(queries.forgetUse(mostForgotten));
      } catch (error) {
        log.warn({ err: toAppError(error) }, 'old use of budgets was not forgotten');
      }
    }
  }
}

/** Reads the budgets concerned under their locks, lets each request act on them, and writes what changed. */
async function carryOut(
  transaction: Queryable,
  requests: readonly Request[],
): Promise<readonly (Answer | Error)[]> {
  const wanted = requests.flatMap((each) => (each.act === 'reserve' ? each.reserve.names : []));
  const attemptIds = [...new Set(requests.map(attemptOf))];
  const rows = await transaction.query(queries.lockBudgets([...new Set(wanted)], attemptIds));
  const known = new Set(rows.map(({ name }) => name));
  const others = await transaction.query(queries.reservedOfOthers([...known], attemptIds));
  const own = await transaction.query(queries.reservationsOf(attemptIds));
  const late = own.find(({ budget }) => !known.has(budget));
  if (late !== undefined) {
    // Reserved by another worker while the locks were waited for: of a budget that is not among them.
    throw new AppError('database_retry', `budget ${late.budget} was not locked`);
  }
  const reserved = new Map(others.map((row) => [row.budget, row]));
  const ledger = new Ledger(
    rows.map((row) => ledgerBudget(row, reserved.get(row.name))),
    own.map(reservationOf),
    others[0]?.now.getTime() ?? 0,
  );
  const unknown = wanted.some((name) => !known.has(name));
  const names = unknown ? await namesIn(transaction) : [];
  const answers = requests.map((request): Answer | Error => {
    if (request.act === 'settle') return ledger.settle(request.attemptId, request.used);
    if (request.act === 'renew') return ledger.renew(request.attemptId, request.expiresInMs);
    if (request.act === 'release') return ledger.release(request.attemptId);
    const missing = request.reserve.names.find((name) => !known.has(name));
    return missing === undefined ? ledger.reserve(request.reserve) : unknownBudget(missing, names);
  });
  const writes = ledger.writes();
  if (Object.values(writes).some((list) => list.length > 0)) {
    await transaction.query(queries.writeBudgets(writesOf(writes)));
  }
  return answers;
}

function attemptOf(request: Request): string {
  return request.act === 'reserve' ? request.reserve.attemptId : request.attemptId;
}

function startOf(period: Period, atMs: number): Date {
  return new Date(periodStartMs(period, atMs));
}

async function isKnown(database: Queryable, name: string): Promise<boolean> {
  return (await database.query(queries.budgetsNamed([name]))).length > 0;
}

async function namesIn(database: Queryable): Promise<string[]> {
  return (await database.query(queries.budgetNames())).map(({ name }) => name);
}
