import { array, assert, constantFrom, integer, oneof, option, property, record } from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  Ledger,
  type Amounts,
  type LedgerBudget,
  type Reservation,
  type ReserveRequest,
  type Use,
} from '../../src/coordination/budget-ledger.ts';
import { periodEndMs, periods, periodStartMs } from '../../src/coordination/budget-periods.ts';
import { formatAmount } from '../../src/coordination/budget-units.ts';

const kinds = ['microUsd', 'tokens', 'ms'] as const;
const nothing = { microUsd: 0, tokens: 0, ms: 0 };
const start = Date.UTC(2026, 10, 30, 23, 50);

const budget = (name: string, more: Partial<LedgerBudget> = {}): LedgerBudget => ({
  name,
  period: 'forever',
  limits: {},
  periodStartMs: 0,
  spent: nothing,
  reserved: nothing,
  running: 0,
  ...more,
});

/** What is stored between transactions, each of which is a ledger of its own. */
class Store {
  nowMs = start;
  readonly budgets: Map<string, LedgerBudget>;
  readonly reservations = new Map<string, Reservation>();
  readonly use: Use[] = [];

  constructor(budgets: readonly LedgerBudget[]) {
    this.budgets = new Map(budgets.map((each) => [each.name, each]));
  }

  transaction<Result>(work: (ledger: Ledger) => Result): Result {
    const ledger = new Ledger(
      [...this.budgets.values()],
      [...this.reservations.values()],
      this.nowMs,
    );
    const result = work(ledger);
    const { budgets, kept, ended, use } = ledger.writes();
    for (const each of budgets) this.budgets.set(each.name, each);
    for (const each of kept) this.reservations.set(`${each.attemptId} ${each.budget}`, each);
    for (const each of ended) this.reservations.delete(`${each.attemptId} ${each.budget}`);
    this.use.push(...use);
    return result;
  }

  /** Used in the present period, and set aside, by adding up rows. */
  taken(name: string): { spent: Required<Amounts>; all: Required<Amounts>; running: number } {
    const { period } = this.budgets.get(name) ?? budget(name);
    const spent = { ...nothing };
    for (const each of this.use) {
      if (each.budget !== name || each.periodStartMs !== periodStartMs(period, this.nowMs))
        continue;
      for (const kind of kinds) spent[kind] += each.used[kind];
    }
    const all = { ...spent };
    let running = 0;
    for (const each of this.reservations.values()) {
      if (each.budget !== name || each.expiresAtMs <= this.nowMs) continue;
      running += 1;
      for (const kind of kinds) all[kind] += each.amounts[kind];
    }
    return { spent, all, running };
  }
}

function takenIn(
  taken: ReturnType<Ledger['takenOf']> | undefined,
  kind: (typeof kinds)[number],
): number {
  return (taken?.spent[kind] ?? 0) + (taken?.reserved[kind] ?? 0);
}

const amount = integer({ min: 0, max: 40 });
const amounts = record({ microUsd: amount, tokens: amount, ms: amount }, { requiredKeys: [] }).map(
  (made): Amounts => made,
);
const attemptId = integer({ min: 1, max: 6 }).map((number) => `attempt-${number}`);
const names = constantFrom(['a'], ['b'], ['a', 'b'], ['b', 'c', 'a'], ['c', 'c']);
const step = oneof(
  record({ act: constantFrom('reserve' as const), attemptId, names, estimate: amounts }),
  record({ act: constantFrom('settle' as const), attemptId, used: amounts }),
  record({ act: constantFrom('renew' as const, 'release' as const), attemptId }),
  record({ act: constantFrom('wait' as const), ms: constantFrom(1, 400, 1_000, 600_000) }),
);
const limit = option(integer({ min: 0, max: 100 }), { nil: undefined });
const limits = record({
  microUsd: limit,
  tokens: limit,
  ms: limit,
  concurrency: option(integer({ min: 0, max: 3 }), { nil: undefined }),
}).map((made) => JSON.parse(JSON.stringify(made)) as LedgerBudget['limits']);

test('whatever is reserved, used, renewed, given back or forgotten, nothing passes its limit', () => {
  const seen = { granted: 0, refused: 0, overrun: 0 };
  const scene = record({
    limits: array(limits, { minLength: 3, maxLength: 3 }),
    batches: array(array(step, { minLength: 1, maxLength: 3 }), { maxLength: 40, size: 'max' }),
  });
  assert(
    property(scene, ({ limits: given, batches }) => {
      const store = new Store([
        budget('a', {
          period: 'day',
          limits: given[0] ?? {},
          periodStartMs: periodStartMs('day', start),
        }),
        budget('b', { limits: given[1] ?? {} }),
        budget('c', {
          period: 'month',
          limits: given[2] ?? {},
          periodStartMs: periodStartMs('month', start),
        }),
      ]);
      /** Used beyond what was set aside at that moment: what no ledger could have held back. */
      const beyond = new Map<string, number>();
      for (const batch of batches) {
        store.transaction((ledger) => {
          for (const each of batch) {
            if (each.act === 'reserve') {
              const asked = { ...each, runId: 'run', agent: 'agent', expiresInMs: 1_000 };
              const before = each.names.map((name) => ledger.takenOf(name));
              const answer = ledger.reserve(asked);
              if (answer.reserved) {
                seen.granted += 1;
              } else {
                seen.refused += 1;
                expect(each.names.map((name) => ledger.takenOf(name))).toEqual(before);
                if (answer.retryAt !== undefined) {
                  expect(answer.retryAt.getTime()).toBeGreaterThan(store.nowMs);
                }
              }
            } else if (each.act === 'settle') {
              const before = [...store.budgets.keys()].map((name) => ledger.takenOf(name));
              seen.overrun += ledger.settle(each.attemptId, each.used).length;
              for (const [index, name] of [...store.budgets.keys()].entries()) {
                for (const kind of kinds) {
                  const grown = takenIn(ledger.takenOf(name), kind) - takenIn(before[index], kind);
                  const key = `${name} ${kind}`;
                  beyond.set(key, (beyond.get(key) ?? 0) + Math.max(0, grown));
                }
              }
            } else if (each.act === 'renew') ledger.renew(each.attemptId, 1_000);
            else if (each.act === 'release') ledger.release(each.attemptId);
          }
        });
        for (const [name, { limits: most }] of store.budgets) {
          const { spent, all, running } = store.taken(name);
          for (const kind of kinds) {
            const bound = most[kind] ?? Infinity;
            expect(all[kind]).toBeLessThanOrEqual(bound + (beyond.get(`${name} ${kind}`) ?? 0));
          }
          expect(running).toBeLessThanOrEqual(most.concurrency ?? Infinity);
          const kept = store.budgets.get(name);
          const isCurrent =
            kept?.periodStartMs === periodStartMs(kept?.period ?? 'day', store.nowMs);
          if (isCurrent) expect(kept?.spent).toEqual(spent);
        }
        for (const each of batch) if (each.act === 'wait') store.nowMs += each.ms;
      }
    }),
    { numRuns: 600 },
  );
  expect(Math.min(seen.granted, seen.refused, seen.overrun)).toBeGreaterThan(100);
});

function request(
  attempt: string,
  estimate: Amounts,
  more: Partial<ReserveRequest> = {},
): ReserveRequest {
  const ids = { attemptId: attempt, runId: 'run', agent: 'agent' };
  return { names: ['a'], ...ids, estimate, expiresInMs: 1_000, ...more };
}

describe('a ledger', () => {
  test('counts a call once however often its use is told, also after it was given back', () => {
    const store = new Store([budget('a', { limits: { tokens: 100 } })]);
    store.transaction((ledger) => ledger.reserve(request('one', { tokens: 50 })));
    store.nowMs += 2_000;
    expect(store.taken('a').running).toBe(0);
    for (let told = 0; told < 3; told += 1) {
      store.transaction((ledger) => ledger.settle('one', { microUsd: 1, tokens: 30, ms: 5 }));
    }
    expect(store.budgets.get('a')?.spent).toEqual({ microUsd: 1, tokens: 30, ms: 5 });
    expect(store.use).toMatchObject([{ calls: 1, unknownCalls: 0 }]);
  });

  test('takes what was set aside for used when nobody knows, and says that it is not known', () => {
    const store = new Store([budget('a', { limits: { tokens: 100, microUsd: 10 } })]);
    store.transaction((ledger) => ledger.reserve(request('one', { tokens: 50 })));
    store.transaction((ledger) => ledger.settle('one', {}));
    expect(store.budgets.get('a')?.spent).toEqual({ microUsd: 0, tokens: 50, ms: 0 });
    expect(store.use).toMatchObject([{ calls: 1, unknownCalls: 1 }]);
  });

  test('says where more was used than set aside, and lets no further call through', () => {
    const store = new Store([budget('a', { limits: { tokens: 100 } })]);
    store.transaction((ledger) => ledger.reserve(request('one', { tokens: 50 })));
    const used = { microUsd: 0, tokens: 120, ms: 0 };
    expect(store.transaction((ledger) => ledger.settle('one', used))).toMatchObject([
      { budget: 'a', attemptId: 'one', agent: 'agent', used, reserved: { tokens: 50 } },
    ]);
    expect(store.transaction((ledger) => ledger.reserve(request('two', { tokens: 0 })))).toEqual({
      reserved: false,
      budget: 'a',
      what: 'tokens',
      message: 'budget a has 120 tokens used of 100 tokens; this call may need 0 tokens',
    });
  });

  test('lets a call through that is known to cost nothing when all is used, but none that is not', () => {
    const store = new Store([
      budget('a', { limits: { microUsd: 5 }, spent: { ...nothing, microUsd: 5 } }),
    ]);
    const ask = (estimate: Amounts) =>
      store.transaction((ledger) => ledger.reserve(request('one', estimate)));
    expect(ask({})).toMatchObject({ reserved: false, what: 'usd' });
    expect(ask({ microUsd: 0 })).toEqual({ reserved: true });
  });

  test('says when to come back: soon, in the next period, or not without a person', () => {
    const daily = budget('a', {
      period: 'day',
      periodStartMs: periodStartMs('day', start),
      limits: { tokens: 100, concurrency: 2 },
    });
    const soon = new Date(start + 2_000);
    const tomorrow = new Date(Date.UTC(2026, 11, 1));
    const ask = (held: Partial<LedgerBudget>, tokens: number) =>
      new Ledger([{ ...daily, ...held }], [], start).reserve(request('one', { tokens }));
    expect(ask({ reserved: { ...nothing, tokens: 60 } }, 50)).toMatchObject({ retryAt: soon });
    expect(ask({ running: 2 }, 1)).toMatchObject({ what: 'concurrency', retryAt: soon });
    expect(ask({ spent: { ...nothing, tokens: 60 } }, 50)).toMatchObject({ retryAt: tomorrow });
    expect(ask({}, 101)).not.toHaveProperty('retryAt');
    expect(ask({ period: 'forever', spent: { ...nothing, tokens: 60 } }, 50)).not.toHaveProperty(
      'retryAt',
    );
    expect(ask({ limits: { concurrency: 0 } }, 1)).not.toHaveProperty('retryAt');
  });

  test('tells the shortage that lasts longest when there are several', () => {
    const one = budget('a', { limits: { concurrency: 1 }, running: 1 });
    const other = budget('b', { limits: { tokens: 10 } });
    const ask = request('one', { tokens: 20 }, { names: ['a', 'b'] });
    expect(new Ledger([one, other], [], start).reserve(ask)).toMatchObject({ budget: 'b' });
  });

  test('begins a period anew and never goes back to the one before', () => {
    const store = new Store([
      budget('a', {
        period: 'day',
        periodStartMs: periodStartMs('day', start),
        limits: { tokens: 10 },
        spent: { ...nothing, tokens: 10 },
      }),
    ]);
    const ask = (attempt: string) =>
      store.transaction((ledger) => ledger.reserve(request(attempt, { tokens: 10 })));
    expect(ask('one')).toMatchObject({ retryAt: new Date(Date.UTC(2026, 11, 1)) });
    store.nowMs += 600_000;
    expect(ask('two')).toEqual({ reserved: true });
    store.transaction((ledger) => ledger.settle('two', { tokens: 10 }));
    store.nowMs -= 600_000;
    expect(ask('three')).toMatchObject({ reserved: false });
    expect(store.budgets.get('a')?.spent.tokens).toBe(10);
  });
});

test('every moment lies in its period, and the next one begins where that ends', () => {
  const moment = integer({ min: 0, max: 4_102_444_800 }).map((seconds) => seconds * 1_000);
  assert(
    property(constantFrom(...periods), moment, (period, atMs) => {
      const from = periodStartMs(period, atMs);
      const to = periodEndMs(period, atMs) ?? Infinity;
      expect(from).toBeLessThanOrEqual(atMs);
      expect(to).toBeGreaterThan(atMs);
      expect(periodStartMs(period, from)).toBe(from);
      if (to === Infinity) return;
      expect(periodStartMs(period, to)).toBe(to);
      expect(periodStartMs(period, to - 1)).toBe(from);
      const { 0: weekday, 1: day } = [new Date(from).getUTCDay(), new Date(from).getUTCDate()];
      if (period === 'week') expect(weekday).toBe(1);
      if (period === 'month') expect(day).toBe(1);
    }),
  );
});

test.each([
  ['usd', 50_000_000, '$50.00'],
  ['usd', 1_234_567_890_000, '$1,234,567.89'],
  ['usd', 12_500, '$0.0125'],
  ['usd', 4, '$0.000004'],
  ['tokens', 2_000_000, '2,000,000 tokens'],
  ['tokens', 1, '1 token'],
  ['seconds', 36_000_000, '36,000 s'],
  ['seconds', 1_500, '1.5 s'],
  ['concurrency', 8, '8 calls'],
] as const)('%s %i reads %s', (what, given, text) => {
  expect(formatAmount(what, given)).toBe(text);
});
