/** Schedules on both databases: what becomes of each time, in one process. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Schedules } from '../../src/coordination/coordination.ts';
import { sql } from '../../src/database/database.ts';
import { openFixture, openStore, type Fixture, type TestStore } from '../support/coordination.ts';
import { drivers, unavailable, until } from '../support/databases.ts';
import { ada, makeDue, makeOlder, schedulesOf, settledFires } from '../support/schedules.ts';

const workflows = {
  greet: `
mode: sequential
inputs: { word: { default: hello } }
tasks: { say: { agent: echo, input: "\${inputs.word}" } }
output: "\${tasks.say.output}"
`,
  slow: `
mode: sequential
tasks: { wait: { agent: hangs } }
`,
  doomed: `
mode: sequential
tasks: { say: { agent: echo } }
`,
};
const hourMs = 3_600_000;

/** Every item of a list, page by page. */
async function collect<T>(
  load: (cursor?: string) => Promise<{ items: readonly T[]; nextCursor?: string }>,
): Promise<T[]> {
  const seen: T[] = [];
  let cursor: string | undefined;
  do {
    const page = await load(cursor);
    seen.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return seen;
}

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`on the ${driver} database`, () => {
    let store: TestStore;
    let fixture: Fixture;
    let schedules: Schedules;
    const refused = new Set<string>();

    beforeAll(async () => {
      store = await openStore(driver);
      fixture = await openFixture(store, workflows, {
        echo: ({ input }) => input,
        hangs: ({ signal }) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason as Error));
          }),
      });
      schedules = schedulesOf(fixture, store.database, {
        mayStart: async (_id, workflow) =>
          refused.has(workflow) ? 'no role grants it' : undefined,
      });
      await schedules.start();
    });
    afterAll(async () => {
      await schedules.stop();
      await fixture.part.stop(0);
      await store.close();
    });

    const outcome = async (name: string, count: number) =>
      (await settledFires(schedules, name, count)).map(({ status, fires }) => [status, fires]);
    const hourly = async (name: string, more = {}) => {
      await schedules.create({ name, workflow: 'greet', everySeconds: 3_600, ...more }, ada);
      // The last of its times was half an hour ago: missed, however slow this machine is.
      await makeOlder(store.database, name, 240.5 * hourMs);
    };
    const cancelAll = async (name: string) => {
      await schedules.pause(name);
      for (const { run } of await settledFires(schedules, name, 1)) {
        if (run !== undefined)
          await fixture.part.runs.cancel(run, { reason: 'the end' }).catch(() => undefined);
      }
    };

    test('a time that comes starts one run, and the schedule goes on', async () => {
      await schedules.create(
        { name: 'daily', workflow: 'greet', input: { word: 'six' }, cron: '* * * * *' },
        ada,
      );
      await makeDue(store.database, 'daily', 0);
      const [fire] = await settledFires(schedules, 'daily', 1);
      expect(fire).toMatchObject({ status: 'started', fires: 1, byHand: false, startedBy: 'ada' });
      const run = await fixture.part.runs.wait(fire?.run ?? '');
      expect(run).toMatchObject({ status: 'completed', workflow: 'greet', output: 'six' });
      const shown = await schedules.get('daily');
      expect(shown.state).toBe('active');
      expect(shown.next).toHaveLength(5);
      expect(Date.parse(shown.next[0]?.at ?? '')).toBeGreaterThan(Date.now() - 60_000);
      expect(shown.lastFire?.runStatus).toBe('completed');
    });

    test('what nobody was there for is skipped, made up for once, or all of it', async () => {
      for (const missed of ['skip', 'once', 'all'] as const) {
        await hourly(`missed-${missed}`, { missed, overlap: 'allow' });
        await makeDue(store.database, `missed-${missed}`, 5 * hourMs + 120_000);
      }
      expect(await outcome('missed-skip', 1)).toEqual([['skipped', 5]]);
      expect(await outcome('missed-once', 2)).toEqual([
        ['skipped', 4],
        ['started', 1],
      ]);
      expect(await outcome('missed-all', 5)).toEqual(
        Array.from({ length: 5 }, () => ['started', 1]),
      );
    });

    test('while a run goes on, the next time is skipped with the reason', async () => {
      await hourly('no-overlap', { workflow: 'slow' });
      const fire = await schedules.runNow('no-overlap', ada);
      expect(fire).toMatchObject({ status: 'started', byHand: true });
      await expect(schedules.runNow('no-overlap', ada)).rejects.toMatchObject({
        code: 'conflict',
        details: { run: fire.run },
      });
      await store.database.query(sql`
        update schedules set created_at = now() - interval '1 hour', next_at = now()
        where name = 'no-overlap'`);
      await makeDue(store.database, 'no-overlap', 60_000);
      await until(async () => (await schedules.fires('no-overlap', {})).items.length === 2);
      const all = await settledFires(schedules, 'no-overlap', 2);
      expect(all.find(({ byHand }) => !byHand)).toMatchObject({
        status: 'skipped',
        reason: 'the run before it had not ended',
      });
      await cancelAll('no-overlap');
    });

    test('a later run takes the place of the one that goes on, and starts after its end', async () => {
      await hourly('replacing', { workflow: 'slow', overlap: 'cancel' });
      const first = await schedules.runNow('replacing', ada);
      await schedules.runNow('replacing', ada);
      const fires = await settledFires(schedules, 'replacing', 2);
      expect(fires.map(({ status }) => status)).toEqual(['started', 'started']);
      const [before, after] = await Promise.all([
        fixture.part.runs.get(first.run ?? ''),
        fixture.part.runs.get(fires[1]?.run ?? ''),
      ]);
      expect(before.status).toBe('cancelled');
      expect(Date.parse(after.createdAt)).toBeGreaterThanOrEqual(
        Date.parse(before.finishedAt ?? ''),
      );
      await cancelAll('replacing');
    });

    test('a workflow that vanished fails each fire with the reason, and the schedule goes on', async () => {
      await hourly('orphan', { workflow: 'doomed', missed: 'once' });
      await rm(join(store.home, 'workflows', 'doomed.yaml'));
      await makeDue(store.database, 'orphan');
      const fires = await settledFires(schedules, 'orphan', 1);
      expect(fires.at(-1)).toMatchObject({
        status: 'failed',
        error: { code: 'workflow_not_found' },
      });
      const { items } = await schedules.list({ limit: 500 });
      const shown = items.find(({ name }) => name === 'orphan');
      expect(shown).toMatchObject({ state: 'active', lastFire: { status: 'failed' } });
      expect(shown?.next).toHaveLength(5);
    });

    test('an input that no longer fits fails the fire by its name', async () => {
      await hourly('outdated', { missed: 'once' });
      await store.database.query(
        sql`update schedules set input = '{"wrod":"x"}' where name = 'outdated'`,
      );
      await makeDue(store.database, 'outdated');
      expect((await settledFires(schedules, 'outdated', 1)).at(-1)).toMatchObject({
        status: 'failed',
        error: { code: 'invalid_input', remedy: 'Did you mean word?' },
      });
    });

    test('a principal who lost the right starts nothing', async () => {
      await hourly('no-right', { missed: 'once' });
      refused.add('greet');
      await makeDue(store.database, 'no-right');
      const fires = await settledFires(schedules, 'no-right', 1);
      refused.clear();
      expect(fires.at(-1)).toMatchObject({ status: 'failed', error: { code: 'denied' } });
      expect(fires.at(-1)?.run).toBeUndefined();
    });

    test('a schedule that was edited into nonsense is broken by itself, and said to be so', async () => {
      await hourly('broken');
      await hourly('beside-broken', { missed: 'once' });
      await store.database.query(sql`
        update schedules set next_at = now() - interval '1 hour',
          cron = case when name = 'broken' then 'nonsense' end,
          every_seconds = case when name <> 'broken' then every_seconds end
        where name in ('broken', 'beside-broken')`);
      await makeDue(store.database, 'beside-broken');
      await until(async () => (await schedules.get('broken')).state === 'broken');
      expect(await schedules.get('broken')).toMatchObject({
        next: [],
        problem: { code: 'invalid_input' },
      });
      expect(await outcome('beside-broken', 1)).toEqual([['started', 1]]);
    });

    test('times during a pause do not count, and a paused one can be run by hand', async () => {
      await hourly('paused', { missed: 'all' });
      expect(await schedules.pause('paused')).toMatchObject({ state: 'paused', next: [] });
      const byHand = await schedules.runNow('paused', ada);
      expect(byHand.status).toBe('started');
      const resumed = await schedules.resume('paused');
      expect(resumed.state).toBe('active');
      expect(Date.parse(resumed.next[0]?.at ?? '')).toBeGreaterThan(Date.now());
      expect((await schedules.fires('paused', {})).items).toHaveLength(1);
    });

    test('deleting one leaves its runs, and frees its name', async () => {
      await hourly('gone');
      const { run = '' } = await schedules.runNow('gone', ada);
      await schedules.remove('gone');
      await expect(schedules.get('gone')).rejects.toMatchObject({ code: 'not_found' });
      expect((await fixture.part.runs.wait(run)).status).toBe('completed');
      await hourly('gone');
      expect((await schedules.fires('gone', {})).items).toEqual([]);
    });

    test('fires and schedules are listed page by page, without gap or repetition', async () => {
      for (let n = 0; n < 5; n += 1) await schedules.runNow('paused', ada).catch(() => undefined);
      const names = (
        await collect((cursor) =>
          schedules.list({ limit: 3, ...(cursor === undefined ? {} : { cursor }) }),
        )
      ).map(({ name }) => name);
      expect(names).toEqual([...new Set(names)].toSorted());
      const times = (
        await collect((cursor) =>
          schedules.fires('paused', { limit: 1, ...(cursor === undefined ? {} : { cursor }) }),
        )
      ).map(({ at }) => at);
      expect(times).toEqual([...new Set(times)].toSorted().toReversed());
    });

    test.each([
      [{ name: 'Bad Name' }, 'name'],
      [{ cron: '61 * * * *' }, 'cron'],
      [{ cron: '@daily', everySeconds: 5 }, 'cron'],
      [{ everySeconds: 60, timezone: 'Europe/Berlin' }, 'timezone'],
      [{ cron: '@daily', timezone: 'Nowhere' }, 'timezone'],
      [{ cron: '@daily', until: '2001-01-01' }, 'until'],
      [{ cron: '@daily', until: 'soon' }, 'until'],
      [{}, 'cron'],
    ])('%j is refused by its field, and nothing is written', async (wrong, field) => {
      const request = { name: 'never', workflow: 'greet', ...wrong };
      const error = { code: 'invalid_input', details: { field } };
      await expect(schedules.create(request, ada)).rejects.toMatchObject(error);
      await expect(schedules.plan(request)).rejects.toMatchObject(error);
      await expect(schedules.get('never')).rejects.toMatchObject({ code: 'not_found' });
    });

    test('a name that is taken, an unknown workflow and an unknown input are refused', async () => {
      const request = { name: 'daily', workflow: 'greet', cron: '@daily' };
      await expect(schedules.create(request, ada)).rejects.toMatchObject({ code: 'conflict' });
      await expect(
        schedules.create({ ...request, name: 'x', workflow: 'gret' }, ada),
      ).rejects.toMatchObject({ code: 'workflow_not_found' });
      await expect(
        schedules.create({ ...request, name: 'x', input: { wrod: 1 } }, ada),
      ).rejects.toMatchObject({ code: 'invalid_input', remedy: 'Did you mean word?' });
    });
  });
}
