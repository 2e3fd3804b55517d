import { join } from 'node:path';
import { array, assert, asyncProperty, constantFrom, integer, record } from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId, systemClock } from '../../src/base/base.ts';
import {
  budgetError,
  openBudgets,
  type Budgets,
  type ReserveAnswer,
  type ReserveRequest,
} from '../../src/coordination/coordination.ts';
import {
  forgetReservations,
  forgetUse,
  lockBudgets,
} from '../../src/coordination/budget-queries.ts';
import { openDatabase, sql, type Database } from '../../src/database/database.ts';
import { startProgram } from '../support/cli.ts';
import { openStore, type TestStore } from '../support/coordination.ts';
import { drivers, recordedLog, silentLog, unavailable, until } from '../support/databases.ts';
import { freshDatabase } from '../support/postgres.ts';

const open = (database: Database, log = silentLog): Budgets =>
  openBudgets({ database, clock: systemClock, log });
const tokens = (count: number) => ({ microUsd: 0, tokens: count, ms: 0 });
const ask = (names: readonly string[], more: Partial<ReserveRequest> = {}): ReserveRequest => ({
  names,
  attemptId: newId(),
  runId: newId(),
  agent: 'writer',
  estimate: tokens(10),
  expiresInMs: 60_000,
  ...more,
});

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`budgets on the ${driver} database`, () => {
    let store: TestStore;
    let budgets: Budgets;
    beforeAll(async () => {
      store = await openStore(driver);
      budgets = open(store.database);
    });
    afterAll(async () => {
      await budgets.close();
      await store.close();
    });

    test('are made with some limits, changed one by one, and never without any', async () => {
      const made = await budgets.set(
        'team-a',
        { limits: { microUsd: 50_000_000, tokens: 2_000_000 }, period: 'month' },
        'ada',
      );
      expect(made).toMatchObject({
        name: 'team-a',
        period: 'month',
        limits: { microUsd: 50_000_000, tokens: 2_000_000 },
        spent: tokens(0),
        running: 0,
        reached: [],
        updatedBy: 'ada',
        periodStart: expect.stringMatching(/-01T00:00:00\.000Z$/),
      });
      const changed = await budgets.set(
        'team-a',
        { limits: { tokens: null, concurrency: 8 } },
        'bob',
      );
      expect(changed).toMatchObject({ period: 'month', updatedBy: 'bob' });
      expect(changed.limits).toEqual({ microUsd: 50_000_000, concurrency: 8 });
      const none = { limits: { microUsd: null, concurrency: null } };
      await expect(budgets.set('team-a', none, 'ada')).rejects.toMatchObject({
        code: 'invalid_input',
      });
      await expect(budgets.set('empty', {}, 'ada')).rejects.toThrow(/would limit nothing/);
      await expect(budgets.get('empty')).rejects.toMatchObject({ code: 'budget_not_found' });
    });

    test('refuse names and amounts that can be none, and name the nearest to a wrong one', async () => {
      for (const name of ['', 'Team', 'a b', '-a', 'x'.repeat(64), 'a\u0000']) {
        await expect(budgets.set(name, { limits: { ms: 1 } }, 'ada')).rejects.toMatchObject({
          code: 'invalid_input',
          details: { field: 'name' },
        });
      }
      for (const limit of [-1, 1.5, Number.NaN, 1e16]) {
        await expect(budgets.set('team-a', { limits: { ms: limit } }, 'ada')).rejects.toMatchObject(
          { code: 'invalid_input', details: { field: 'limits.ms' } },
        );
      }
      await expect(budgets.reserve(ask(['team-b']))).rejects.toMatchObject({
        code: 'budget_not_found',
        remedy: 'Did you mean team-a?',
      });
      await budgets.assertKnown(['team-a']);
      await expect(budgets.assertKnown(['team-a', 'taem-a'])).rejects.toMatchObject({
        code: 'budget_not_found',
        details: { budget: 'taem-a' },
      });
      await expect(
        budgets.reserve(ask(['team-a'], { estimate: { tokens: -1 } })),
      ).rejects.toMatchObject({ code: 'invalid_input' });
    });

    test('set aside before a call and count at its end, once', async () => {
      await budgets.set('counts', { limits: { tokens: 25 } }, 'ada');
      const first = ask(['counts']);
      expect(await budgets.reserve(first)).toEqual({ reserved: true });
      expect(await budgets.reserve(first)).toEqual({ reserved: true });
      expect(await budgets.get('counts')).toMatchObject({ running: 1, reserved: tokens(10) });
      expect(await budgets.settle(first.attemptId, tokens(7))).toEqual([]);
      await budgets.settle(first.attemptId, tokens(7));
      expect(await budgets.get('counts')).toMatchObject({
        running: 0,
        spent: tokens(7),
        reserved: tokens(0),
      });
      expect(await budgets.reserve(ask(['counts'], { estimate: tokens(19) }))).toMatchObject({
        reserved: false,
        what: 'tokens',
        message: 'budget counts has 7 tokens used of 25 tokens; this call may need 19 tokens',
      });
    });

    test('set aside of all that are named, or of none', async () => {
      await budgets.set('wide', { limits: { tokens: 100 } }, 'ada');
      await budgets.set('narrow', { limits: { concurrency: 1 } }, 'ada');
      expect(await budgets.reserve(ask(['wide', 'narrow']))).toEqual({ reserved: true });
      const refused = await budgets.reserve(ask(['wide', 'narrow']));
      expect(refused).toMatchObject({ reserved: false, budget: 'narrow', what: 'concurrency' });
      expect(await budgets.get('wide')).toMatchObject({ running: 1, reserved: tokens(10) });
      expect(await budgets.reserve(ask([]))).toEqual({ reserved: true });
    });

    test('tell what a program needs of a refusal', async () => {
      await budgets.set('told', { limits: { microUsd: 5_000_000 } }, 'ada');
      const refused = await budgets.reserve(
        ask(['told'], { estimate: { microUsd: 6_000_000, tokens: 0, ms: 0 } }),
      );
      expect(budgetError(refused as Extract<ReserveAnswer, { reserved: false }>)).toMatchObject({
        code: 'budget_exceeded',
        retryable: false,
        message: 'budget told has $0.00 used of $5.00; this call may need $6.00',
        remedy: 'Raise it: centuria budget set told --usd …',
      });
    });

    test('say what was used beyond what was set aside, and let nothing more through', async () => {
      const { log, lines } = recordedLog();
      const logging = open(store.database, log);
      await logging.set('over', { limits: { tokens: 20 } }, 'ada');
      const call = ask(['over']);
      await logging.reserve(call);
      expect(await logging.settle(call.attemptId, tokens(30))).toMatchObject([
        { budget: 'over', used: tokens(30), reserved: tokens(10) },
      ]);
      expect(lines.join('')).toContain('a call used more of a budget than was set aside for it');
      expect(await logging.get('over')).toMatchObject({ spent: tokens(30), reached: ['tokens'] });
      expect(await logging.reserve(ask(['over'], { estimate: tokens(0) }))).toMatchObject({
        reserved: false,
      });
      await logging.close();
    });

    test('give back what a dead worker held, and count its call if it ends after all', async () => {
      await budgets.set('given-back', { limits: { concurrency: 2 } }, 'ada');
      const calls = [ask(['given-back']), ask(['given-back'])];
      for (const call of calls) await budgets.reserve(call);
      const ids = calls.map(({ attemptId }) => attemptId);
      expect(await budgets.reserve(ask(['given-back']))).toMatchObject({ reserved: false });
      expect(await budgets.release(ids)).toBe(2);
      expect(await budgets.release([...ids, newId()])).toBe(0);
      expect(await budgets.get('given-back')).toMatchObject({ running: 0 });
      await budgets.settle(ids[0] ?? '', tokens(3));
      await budgets.settle(ids[0] ?? '', tokens(3));
      expect(await budgets.get('given-back')).toMatchObject({ spent: tokens(3) });
    });

    test('give back by themselves what nobody renews', async () => {
      await budgets.set('ends', { limits: { concurrency: 1 } }, 'ada');
      const lost = ask(['ends'], { expiresInMs: 50 });
      await budgets.reserve(lost);
      await systemClock.sleep(100);
      const next = ask(['ends']);
      expect(await budgets.reserve(next)).toEqual({ reserved: true });
      expect(await budgets.renew([lost.attemptId], 60_000)).toBe(0);
      await budgets.settle(next.attemptId, tokens(1));
      expect(await budgets.renew([lost.attemptId], 60_000)).toBe(1);
      expect(await budgets.get('ends')).toMatchObject({ running: 1 });
    });

    test('know who used how much, and of which calls that is not known', async () => {
      await budgets.set('who', { limits: { tokens: 1_000 }, period: 'day' }, 'ada');
      const runs = [newId(), newId()].toSorted();
      for (const [index, agent] of ['writer', 'reader', 'writer'].entries()) {
        const call = ask(['who'], { agent, runId: runs[index % 2] ?? '' });
        await budgets.reserve(call);
        await budgets.settle(call.attemptId, index === 1 ? {} : tokens(5));
      }
      expect((await budgets.use('who')).items).toMatchObject([
        { key: runs[1], tokens: 10, calls: 1, unknownCalls: 1 },
        { key: runs[0], tokens: 10, calls: 2, unknownCalls: 0 },
      ]);
      expect((await budgets.use('who', { by: 'agent' })).items).toMatchObject([
        { key: 'reader', calls: 1 },
        { key: 'writer', tokens: 10, calls: 2 },
      ]);
      const today = (await budgets.get('who')).periodStart?.slice(0, 10);
      expect((await budgets.use('who', { by: 'period' })).items).toMatchObject([
        { key: today, tokens: 20, calls: 3, unknownCalls: 1 },
      ]);
      const first = await budgets.use('who', { limit: 1 });
      const cursor = first.nextCursor ?? '';
      expect((await budgets.use('who', { limit: 1, cursor })).items).toMatchObject([
        { key: runs[0] },
      ]);
    });

    test('begin a period with what was used in it, and forget nothing of the ones before', async () => {
      await budgets.set('periods', { limits: { tokens: 10 }, period: 'day' }, 'ada');
      const call = ask(['periods']);
      await budgets.reserve(call);
      await budgets.settle(call.attemptId, tokens(10));
      expect(await budgets.reserve(ask(['periods']))).toMatchObject({
        reserved: false,
        retryAt: new Date((await budgets.get('periods')).periodEnd ?? ''),
      });
      await store.database.query(
        sql`update budgets set period_start = period_start - interval '1 day' where name = 'periods'`,
      );
      expect(await budgets.get('periods')).toMatchObject({ spent: tokens(0) });
      const next = ask(['periods']);
      expect(await budgets.reserve(next)).toEqual({ reserved: true });
      await budgets.settle(next.attemptId, tokens(4));
      expect(await budgets.get('periods')).toMatchObject({ spent: tokens(4) });
      const forEver = await budgets.set('periods', { period: 'forever' }, 'ada');
      expect(forEver).toMatchObject({ period: 'forever', spent: tokens(0) });
      expect(forEver).not.toHaveProperty('periodStart');
    });

    test('forget in time what ended without a word, and keep that it is not known', async () => {
      await budgets.set('forgets', { limits: { concurrency: 5 } }, 'ada');
      const call = ask(['forgets']);
      await budgets.reserve(call);
      await store.database.query(forgetReservations(10));
      expect(await budgets.get('forgets')).toMatchObject({ running: 1 });
      await store.database.query(
        sql`update budget_reservations set expires_at = now() - interval '2 days'
          where attempt_id = ${call.attemptId}::uuid`,
      );
      await store.database.query(forgetReservations(10));
      const [use] = (await budgets.use('forgets')).items;
      expect(use).toMatchObject({ key: call.runId, tokens: 0, calls: 1, unknownCalls: 1 });
      await store.database.query(
        sql`update budget_use set last_at = now() - interval '401 days' where budget = 'forgets'`,
      );
      await store.database.query(forgetUse(10));
      expect((await budgets.use('forgets')).items).toEqual([]);
    });

    test('are listed in pages and deleted', async () => {
      const all = (await budgets.list({ limit: 500 })).items.map(({ name }) => name);
      const paged: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await budgets.list({ limit: 2, ...(cursor === undefined ? {} : { cursor }) });
        paged.push(...page.items.map(({ name }) => name));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(paged).toEqual(all);
      const call = ask(['team-a']);
      await budgets.reserve(call);
      await budgets.remove('team-a', 'ada');
      expect(await budgets.settle(call.attemptId, tokens(1))).toEqual([]);
      await expect(budgets.remove('team-a', 'ada')).rejects.toMatchObject({
        code: 'budget_not_found',
      });
      await expect(budgets.use('team-a')).rejects.toMatchObject({ code: 'budget_not_found' });
    });

    test.skipIf(driver === 'embedded')(
      'are all locked, also those that a call came under while the locks were waited for',
      async () => {
        const late = open(await store.another());
        const watch = await store.another();
        const other = open(watch);
        for (const name of ['held', 'full']) {
          await budgets.set(name, { limits: { concurrency: 1 } }, 'ada');
        }
        const ended = ask(['full']);
        let renewed: Promise<readonly unknown[]> | undefined;
        await store.database.transaction(async (transaction) => {
          await transaction.query(lockBudgets(['held'], []));
          renewed = Promise.all([
            late.renew([ended.attemptId], 60_000),
            late.reserve(ask(['held'])),
          ]);
          await until(async () => {
            const waiting = await watch.query(
              sql<{ n: number }>`select count(*)::integer as n from pg_stat_activity
                where datname = current_database() and wait_event_type = 'Lock'`,
            );
            return (waiting[0]?.n ?? 0) > 0;
          });
          await other.reserve(ended);
          await other.release([ended.attemptId]);
          await other.reserve(ask(['full']));
        });
        expect(await renewed).toEqual([0, { reserved: true }]);
        expect(await budgets.get('full')).toMatchObject({ running: 1 });
        await Promise.all([late.close(), other.close()]);
      },
    );

    test('hold whatever several workers do at the same time', async () => {
      const workers = [budgets];
      const others: Budgets[] = [];
      if (driver === 'server') {
        for (let more = 0; more < 3; more += 1) others.push(open(await store.another()));
      }
      workers.push(...others);
      let round = 0;
      const step = record({
        worker: integer({ min: 0, max: 3 }),
        act: constantFrom('reserve', 'reserve', 'settle', 'release', 'renew'),
        call: integer({ min: 0, max: 9 }),
        names: constantFrom(['x'], ['y', 'x'], ['z', 'x', 'y'], ['z']),
        amount: integer({ min: 1, max: 10 }),
      });
      await assert(
        asyncProperty(array(step, { maxLength: 40, size: 'max' }), async (steps) => {
          round += 1;
          const own = (name: string): string => `${name}-${driver}-${round}`;
          for (const name of ['x', 'y', 'z']) {
            await budgets.set(own(name), { limits: { tokens: 40, concurrency: 3 } }, 'ada');
          }
          const ids = Array.from({ length: 10 }, () => newId());
          await Promise.all(
            steps.map(async ({ worker, act, call, names, amount }) => {
              const at = workers[worker % workers.length] ?? budgets;
              const attemptId = ids[call] ?? '';
              const estimate = tokens(amount);
              if (act === 'reserve') {
                await at.reserve(ask(names.map(own), { attemptId, estimate }));
              } else if (act === 'settle') await at.settle(attemptId, tokens(1));
              else if (act === 'renew') await at.renew([attemptId], 60_000);
              else await at.release([attemptId]);
            }),
          );
          // A call may end after what it held was given to others: that was used, and is counted.
          const late = steps.filter(
            ({ act, call }) =>
              act === 'settle' &&
              steps.some((each) => each.call === call && each.act === 'release'),
          );
          for (const name of ['x', 'y', 'z']) {
            const { spent, reserved, running } = await budgets.get(own(name));
            expect(spent.tokens + reserved.tokens).toBeLessThanOrEqual(40 + late.length);
            expect(running).toBeLessThanOrEqual(3);
            const use = await budgets.use(own(name), { by: 'agent' });
            expect(use.items.reduce((sum, item) => sum + item.tokens, 0)).toBe(spent.tokens);
          }
        }),
        { numRuns: 25 },
      );
      for (const other of others) await other.close();
    });
  });
}

describe.skipIf(unavailable('server') !== undefined)('budgets of several processes', () => {
  test('let as many calls through as there is room for, whatever the order of their names', async () => {
    const { url, drop } = await freshDatabase();
    const options = { url, home: '', poolSize: 4, log: silentLog, clock: systemClock };
    const database = await openDatabase(options);
    const budgets = open(database);
    for (const name of ['a', 'b', 'c']) await budgets.set(name, { limits: { tokens: 970 } }, 'ada');
    const orders = ['a,b,c', 'c,b,a', 'b,c,a'];
    const others = await Promise.all(orders.map((names) => otherProcess(url, names)));
    const granted = await Promise.all(others.map((other) => other.use()));
    // Of 970 tokens, 97 calls of 10 each; all three would have made 360.
    expect(granted.reduce((sum, count) => sum + count, 0)).toBe(97);
    for (const name of ['a', 'b', 'c']) {
      expect(await budgets.get(name)).toMatchObject({ spent: tokens(970), running: 0 });
    }
    await budgets.close();
    await database.close();
    await drop();
  });
});

/** A process that waits to make 120 calls. */
async function otherProcess(url: string, names: string) {
  const script = join(import.meta.dirname, '../support/use-budget.ts');
  const env = { ...process.env } as Record<string, string>;
  const args = [script, url, names, '10', '120'];
  const started = startProgram(process.execPath, args, { env, stdin: null });
  await started.until('stdout', /ready/);
  return {
    async use(): Promise<number> {
      started.child.stdin?.end('go\n');
      const { status, stdout, stderr } = await started.ended;
      expect([status, stderr]).toEqual([0, '']);
      return Number(stdout.split('\n')[1]);
    },
  };
}
