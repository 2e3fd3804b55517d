/** Old runs are forgotten by the month; on both databases. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId, systemClock } from '../../src/base/base.ts';
import { keepRunTables, pruneRuns } from '../../src/coordination/coordination.ts';
import { ensurePartitions } from '../../src/coordination/partitions.ts';
import { sql } from '../../src/database/database.ts';
import { openFixture, openStore, type TestStore } from '../support/coordination.ts';
import { drivers, recordedLog, silentLog, unavailable } from '../support/databases.ts';

const dayMs = 86_400_000;
const clockAt = (text: string) => ({ ...systemClock, nowMs: () => Date.parse(text) });

const olderThan = (text: string) => Date.now() - Date.parse(text);
const day = (text: string) => new Date(text).toISOString();

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`on the ${driver} database`, () => {
    let store: TestStore;

    beforeAll(async () => {
      store = await openStore(driver);
    });
    beforeEach(() =>
      store.database.script(`
        truncate runs, run_events, run_signals, run_keys, workflow_definitions;
        do $$ declare partition text; begin
          for partition in select inhrelid::regclass::text from pg_inherits
            where inhparent in ('runs'::regclass, 'run_events'::regclass, 'run_signals'::regclass)
              and inhrelid::regclass::text !~ 'default$'
          loop execute 'drop table ' || partition; end loop;
        end $$`),
    );
    afterAll(() => store.close());

    const parts = () => ({ database: store.database, clock: systemClock, log: silentLog });
    const count = async (table: 'runs' | 'run_events' | 'run_signals' | 'run_keys') => {
      const all = {
        runs: sql<{ n: number }>`select count(*)::integer as n from runs`,
        run_events: sql<{ n: number }>`select count(*)::integer as n from run_events`,
        run_signals: sql<{ n: number }>`select count(*)::integer as n from run_signals`,
        run_keys: sql<{ n: number }>`select count(*)::integer as n from run_keys`,
      };
      return (await store.database.query(all[table]))[0]?.n;
    };
    const tables = async () =>
      (
        await store.database.query(
          sql<{ name: string }>`select inhrelid::regclass::text as name from pg_inherits
            where inhparent in ('runs'::regclass, 'run_events'::regclass, 'run_signals'::regclass)
            order by 1`,
        )
      ).map(({ name }) => name);
    /** Runs of a moment with an event, a request and a key each. */
    const runsAt = async (text: string, amount: number, status = 'completed') => {
      const clock = clockAt(text);
      const ids = Array.from({ length: amount }, () => newId(clock));
      await store.database.query(sql`
        with made as (
          insert into runs (run_id, workflow, definition_hash, status, finished_at)
          select id, 'old', 'hash', ${status},
            case when ${status} in ('completed', 'failed') then now() end
          from unnest(${ids}::uuid[]) as id returning run_id
        ), events as (
          insert into run_events (run_id, seq, epoch, body) select run_id, 1, 0, '[]' from made
        ), signals as (
          insert into run_signals (run_id, signal_id, kind, body)
          select run_id, run_id, 'cancel', '{}' from made
        )
        insert into run_keys (idempotency_key, run_id, request_hash)
        select 'key ' || run_id, run_id, 'hash' from made`);
      return ids;
    };

    test('a month that is old enough goes as a whole, with all that belonged to its runs', async () => {
      for (const month of ['2024-01', '2024-03'])
        await ensurePartitions(store.database, clockAt(`${month}-15T00:00:00Z`), silentLog);
      await runsAt('2024-01-31T23:59:59Z', 20);
      await runsAt('2024-02-01T00:00:00Z', 30);
      await runsAt('2024-03-10T00:00:00Z', 40);
      const request = { olderThanMs: olderThan('2024-03-05T00:00:00Z') };
      const plan = await pruneRuns(parts(), { ...request, plan: true });
      expect(plan.months.map(({ month, runs }) => [month, runs])).toEqual([
        ['2024-01', 20],
        ['2024-02', 30],
      ]);
      expect(plan.months[0]?.bytes).toBeGreaterThan(0);
      expect(await count('runs')).toBe(90);

      const done = await pruneRuns(parts(), { ...request, plan: false });
      expect(done).toMatchObject({ keys: 50, months: [{ runs: 20 }, { runs: 30 }] });
      for (const table of ['runs', 'run_events', 'run_signals', 'run_keys'] as const)
        expect([table, await count(table)]).toEqual([table, 40]);
      expect((await tables()).filter((name) => /2024_0[12]/.test(name))).toEqual([]);
      expect((await pruneRuns(parts(), { ...request, plan: false })).months).toEqual([]);
    });

    test('a month with an open run stays, and says which run keeps it', async () => {
      await ensurePartitions(store.database, clockAt('2024-01-15T00:00:00Z'), silentLog);
      await runsAt('2024-01-10T00:00:00Z', 5);
      const [open] = await runsAt('2024-01-11T00:00:00Z', 1, 'waiting');
      const done = await pruneRuns(parts(), { olderThanMs: 365 * dayMs, plan: false });
      expect(done.months[0]).toMatchObject({
        month: '2024-01',
        keptBecause: 'one run of it is open',
        keptBy: [open],
      });
      expect(await count('runs')).toBe(6);
      expect(await count('run_keys')).toBe(6);
      await store.database.query(sql`update runs set status = 'cancelled', finished_at = now()`);
      await pruneRuns(parts(), { olderThanMs: 365 * dayMs, plan: false });
      expect(await count('runs')).toBe(0);
    });

    test('rows of the default partition go in batches, those of open runs stay', async () => {
      await runsAt('2023-05-10T00:00:00Z', 2_345);
      await runsAt('2023-05-10T00:00:00Z', 2, 'running');
      await runsAt(new Date().toISOString(), 3);
      const request = { olderThanMs: 365 * dayMs };
      expect((await pruneRuns(parts(), { ...request, plan: true })).strays).toEqual({
        runs: 2_345,
        keptOpen: 2,
      });
      expect(await count('runs')).toBe(2_350);
      expect((await pruneRuns(parts(), { ...request, plan: false })).strays.runs).toBe(2_345);
      for (const table of ['runs', 'run_events', 'run_signals', 'run_keys'] as const)
        expect([table, await count(table)]).toEqual([table, 5]);
    });

    test('partitions are made for the months to come, again and again, whenever it is asked for', async () => {
      const made = await ensurePartitions(
        store.database,
        clockAt('2030-11-20T00:00:00Z'),
        silentLog,
      );
      expect(made.filter((name) => name.startsWith('runs_'))).toEqual([
        'runs_2030_11',
        'runs_2030_12',
        'runs_2031_01',
      ]);
      expect(
        await ensurePartitions(store.database, clockAt('2030-11-30T23:59:59Z'), silentLog),
      ).toEqual([]);
      const later = await ensurePartitions(
        store.database,
        clockAt('2031-01-01T00:00:00Z'),
        silentLog,
      );
      expect(later).toHaveLength(6);
    });

    test('rows that lie in the default partition already are moved into their month', async () => {
      const ids = await runsAt('2030-11-20T00:00:00Z', 10);
      const { log, lines } = recordedLog();
      await ensurePartitions(store.database, clockAt('2030-11-20T00:00:00Z'), log);
      const [row] = await store.database.query(
        sql<{ n: number; d: number }>`select (select count(*)::integer from runs_2030_11) as n,
          (select count(*)::integer from runs_default) as d`,
      );
      expect(row).toEqual({ n: 10, d: 0 });
      expect(lines.join()).toContain('rows were moved out of the default partitions');
      const [moved] = await store.database.query(
        sql`select status, workflow, definition_hash, priority from runs where run_id = ${ids[0]}::uuid`,
      );
      expect(moved).toEqual({
        status: 'completed',
        workflow: 'old',
        definition_hash: 'hash',
        priority: 50,
      });
      const [plan] = await store.database.query(
        sql<{ ok: boolean }>`select count(*) = 3 as ok from pg_inherits
          where inhrelid::regclass::text like '%2030_11'`,
      );
      expect(plan?.ok).toBe(true);
    });

    test('a partition that was made for moved rows has every index of its parent', async () => {
      await runsAt('2030-11-20T00:00:00Z', 1);
      await ensurePartitions(store.database, clockAt('2030-11-20T00:00:00Z'), silentLog);
      const rows = await store.database.query(
        sql<{
          table: string;
          n: number;
        }>`select indrelid::regclass::text as table, count(*)::integer as n
          from pg_index where indrelid in ('runs'::regclass, 'runs_2030_11'::regclass,
            'runs_default'::regclass) group by 1 order by 1`,
      );
      expect(new Set(rows.map(({ n }) => n)).size).toBe(1);
      expect(rows).toHaveLength(3);
    });

    test('a definition goes when it was last used before every run that is left', async () => {
      await store.database.query(sql`
        insert into workflow_definitions (hash, name, definition, used_at) values
          ('old', 'w', '{}', ${day('2024-01-01')}::timestamptz),
          ('used', 'w', '{}', ${day('2025-06-01')}::timestamptz),
          ('unknown', 'w', '{}', null)`);
      await runsAt('2025-05-20T00:00:00Z', 1, 'running');
      const done = await pruneRuns(parts(), { olderThanMs: 30 * dayMs, plan: false });
      expect(done.definitions).toBe(1);
      const left = await store.database.query(
        sql<{ hash: string }>`select hash from workflow_definitions order by 1`,
      );
      expect(left).toEqual([{ hash: 'unknown' }, { hash: 'used' }]);
    });

    test('upkeep removes the folders of runs that are gone, and no others', async () => {
      await ensurePartitions(store.database, clockAt('2024-01-15T00:00:00Z'), silentLog);
      const [old = ''] = await runsAt('2024-01-10T00:00:00Z', 1);
      const [open = ''] = await runsAt('2023-12-10T00:00:00Z', 1, 'running');
      const recent = newId();
      for (const name of [old, open, recent, 'notes'])
        await mkdir(join(store.home, 'runs', name), { recursive: true });
      await keepRunTables({ ...parts(), home: store.home, keepDays: 0 });
      expect(existsSync(join(store.home, 'runs', old))).toBe(true);
      await keepRunTables({ ...parts(), home: store.home, keepDays: 90 });
      const left = [old, open, recent, 'notes'].map((name) =>
        existsSync(join(store.home, 'runs', name)),
      );
      expect(left).toEqual([false, true, true, true]);
    });

    test('runs are started and end while months are dropped under them', async () => {
      const fixture = await openFixture(
        store,
        { greet: 'mode: sequential\ntasks: { say: { agent: echo } }\n' },
        { echo: () => 'hello' },
      );
      const months = ['2024-01', '2024-04', '2024-07', '2024-10'];
      for (const month of months) {
        await ensurePartitions(store.database, clockAt(`${month}-15T00:00:00Z`), silentLog);
        await runsAt(`${month}-15T00:00:00Z`, 10);
      }
      const work = Array.from({ length: 30 }, () => fixture.run('greet'));
      const [done, ...runs] = await Promise.all([
        pruneRuns(parts(), { olderThanMs: 200 * dayMs, plan: false }),
        ...work,
      ]);
      expect(done.months.filter(({ keptBecause }) => keptBecause !== undefined)).toEqual([]);
      expect(runs.map(({ status }) => status)).toEqual(runs.map(() => 'completed'));
      expect(await count('runs')).toBe(30);
      await fixture.part.stop(1_000);
    });

    test.skipIf(driver === 'embedded')(
      'a month is kept, and nobody waits, while something else holds the tables',
      async () => {
        await ensurePartitions(store.database, clockAt('2024-01-15T00:00:00Z'), silentLog);
        await runsAt('2024-01-10T00:00:00Z', 5);
        const other = await store.another();
        const quick = { ...systemClock, sleep: async () => undefined };
        await other.session(async (session) => {
          await session.script('begin; select 1 from runs limit 1');
          const held = await pruneRuns(
            { ...parts(), clock: quick },
            { olderThanMs: 365 * dayMs, plan: false },
          );
          expect(held.months[0]?.keptBecause).toContain('could not be dropped now');
          await session.script('rollback');
        });
        expect(await count('runs')).toBe(5);
        await pruneRuns(parts(), { olderThanMs: 365 * dayMs, plan: false });
        expect(await count('runs')).toBe(0);
      },
    );
  });
}
