/** Exactly one run for each time, whoever fires it and whatever happens to it meanwhile. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AppError, systemClock } from '../../src/base/base.ts';
import type { Schedules } from '../../src/coordination/coordination.ts';
import { sql, type Database } from '../../src/database/database.ts';
import { openFixture, openStore, type Fixture, type TestStore } from '../support/coordination.ts';
import { drivers, unavailable, until } from '../support/databases.ts';
import { ada, makeDue, makeOlder, schedulesOf, settledFires } from '../support/schedules.ts';

const workflows = {
  greet: `
mode: sequential
tasks: { say: { agent: echo } }
`,
};
const agents = { echo: () => 'hello' };
const hourMs = 3_600_000;

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`on the ${driver} database`, () => {
    let store: TestStore;
    let fixture: Fixture;
    let started: Schedules[];

    beforeEach(async () => {
      store = await openStore(driver);
      fixture = await openFixture(store, workflows, agents, { worker: false });
      started = [];
    });
    afterEach(async () => {
      await Promise.all(started.map((each) => each.stop()));
      await fixture.part.stop(0);
      await store.close();
    });

    const bridge = async (
      database: Database,
      options: Parameters<typeof schedulesOf>[2] = {},
    ): Promise<Schedules> => {
      const own =
        database === store.database
          ? fixture
          : await openFixture({ database, home: store.home }, workflows, agents, { worker: false });
      const schedules = schedulesOf(own, database, options);
      started.push(schedules);
      return schedules;
    };
    const create = async (schedules: Schedules, name: string): Promise<void> => {
      const request = { name, workflow: 'greet', everySeconds: 3_600, missed: 'all' } as const;
      await schedules.create({ ...request, overlap: 'allow' }, ada);
      await makeOlder(store.database, name, 240.5 * hourMs);
    };
    const runs = () => store.database.query(sql<{ run_id: string }>`select run_id::text from runs`);

    test.skipIf(driver === 'embedded')(
      'several bridges that look at the same moment start one run for each of a thousand times',
      async () => {
        const [first, ...others] = [
          await bridge(store.database),
          await bridge(await store.another()),
          await bridge(await store.another()),
        ];
        const names = Array.from({ length: 20 }, (_, index) => `schedule-${index}`);
        for (const name of names) await create(first, name);
        await store.database.query(
          sql`update schedules set next_at = created_at + interval '190 hours'`,
        );
        await Promise.all([first, ...others].map((each) => each.start()));
        const ids: (string | undefined)[] = [];
        for (const name of names) {
          const fires = await settledFires(first, name, 51);
          expect(fires).toHaveLength(51);
          ids.push(...fires.map(({ run }) => run));
        }
        expect(ids).not.toContain(undefined);
        expect(new Set(ids).size).toBe(names.length * 51);
        expect((await runs()).map((row) => row.run_id).toSorted()).toEqual(ids.toSorted());
      },
    );

    test('one that dies after the start and before it was written down leaves no second run', async () => {
      const gate = Promise.withResolvers<void>();
      const dying = await bridge(store.database, {
        coordination: {
          plan: (request) => fixture.part.runs.plan(request),
          async start(request) {
            const run = await fixture.part.runs.start(request);
            await gate.promise;
            return run;
          },
          cancel: async () => undefined,
        },
      });
      await create(dying, 'cut');
      await dying.start();
      await makeDue(store.database, 'cut');
      await until(async () => (await runs()).length === 1);
      expect((await dying.fires('cut', {})).items).toMatchObject([{ status: 'starting' }]);

      // Its lease ends, and another takes the row up.
      await store.database.query(sql`update schedule_fires set try_at = now()`);
      const other = await bridge(store.database);
      await other.start();
      const [fire] = await settledFires(other, 'cut', 1);
      const [run] = await runs();
      expect(fire).toMatchObject({ status: 'started', run: run?.run_id });
      gate.resolve();
      await dying.stop();
      expect(await runs()).toHaveLength(1);
      expect((await other.fires('cut', {})).items).toEqual([fire]);
    });

    test('one that dies between writing a time down and starting it loses nothing', async () => {
      const never = await bridge(store.database, {
        coordination: {
          plan: (request) => fixture.part.runs.plan(request),
          start: () => new Promise(() => undefined),
          cancel: async () => undefined,
        },
      });
      started.pop();
      await create(never, 'cut');
      await never.start();
      await makeDue(store.database, 'cut');
      await until(async () => (await never.fires('cut', {})).items.length === 1);
      expect(await runs()).toEqual([]);
      await store.database.query(sql`update schedule_fires set try_at = now()`);
      const other = await bridge(store.database);
      await other.start();
      expect(await settledFires(other, 'cut', 1)).toMatchObject([{ status: 'started' }]);
      expect(await runs()).toHaveLength(1);
    });

    test('a process whose clock is years off fires by that of the database', async () => {
      for (const offMs of [-3 * 365 * 24 * hourMs, 3 * 365 * 24 * hourMs]) {
        const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + offMs };
        const schedules = await bridge(store.database, { clock });
        const name = offMs < 0 ? 'behind' : 'ahead';
        await create(schedules, name);
        await schedules.start();
        await makeDue(store.database, name);
        expect(await settledFires(schedules, name, 1)).toMatchObject([{ status: 'started' }]);
        const next = Date.parse((await schedules.get(name)).next[0]?.at ?? '');
        expect(Math.abs(next - Date.now())).toBeLessThan(hourMs);
        await schedules.stop();
      }
      expect(await runs()).toHaveLength(2);
    });

    test('a clock of the database that was put back repeats no time', async () => {
      const schedules = await bridge(store.database);
      await create(schedules, 'back');
      await makeDue(store.database, 'back', 3 * hourMs);
      await schedules.start();
      const fires = await settledFires(schedules, 'back', 3);
      // What a clock put back comes to: the schedule is due again at times that it has had.
      await makeDue(store.database, 'back', 3 * hourMs);
      await until(
        async () => Date.parse((await schedules.get('back')).next[0]?.at ?? '') > Date.now(),
      );
      expect(await settledFires(schedules, 'back', 3)).toEqual(fires);
      expect(await runs()).toHaveLength(3);
    });

    test('a start that fails for a while is tried again, and fails with the reason in the end', async () => {
      let isDown = true;
      const schedules = await bridge(store.database, {
        coordination: {
          plan: (request) => fixture.part.runs.plan(request),
          start(request) {
            if (isDown) throw new AppError('limit_exceeded', 'the queue is full');
            return fixture.part.runs.start(request);
          },
          cancel: async () => undefined,
        },
      });
      const now = () => store.database.query(sql`update schedule_fires set try_at = now()`);
      await create(schedules, 'later');
      await create(schedules, 'never');
      await makeDue(store.database, 'later');
      await schedules.start();
      await until(
        async () => (await schedules.fires('later', {})).items[0]?.reason === 'the queue is full',
      );
      isDown = false;
      await now();
      expect(await settledFires(schedules, 'later', 1)).toMatchObject([{ status: 'started' }]);
      isDown = true;
      await makeDue(store.database, 'never');
      await until(async () => {
        await now();
        await store.database.query(sql`select pg_notify('centuria_schedules', '')`);
        return (await schedules.fires('never', {})).items[0]?.status === 'failed';
      });
      expect((await schedules.fires('never', {})).items).toMatchObject([
        { status: 'failed', error: { code: 'limit_exceeded' } },
      ]);
      expect(await runs()).toHaveLength(1);
    });
  });
}
