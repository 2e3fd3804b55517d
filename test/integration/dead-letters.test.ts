/** Failed runs by how they failed: on both databases. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId, type ErrorRecord } from '../../src/base/base.ts';
import {
  openDeadLetters,
  type DeadLetters,
  type FailureGroup,
} from '../../src/coordination/coordination.ts';
import { backfillFingerprints } from '../../src/coordination/dead-letters.ts';
import { json, sql } from '../../src/database/database.ts';
import { openStore, type TestStore } from '../support/coordination.ts';
import { drivers, unavailable } from '../support/databases.ts';

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`on the ${driver} database`, () => {
    let store: TestStore;
    let letters: DeadLetters;
    let retried: string[];

    beforeAll(async () => {
      store = await openStore(driver);
      retried = [];
      letters = openDeadLetters({
        database: store.database,
        async retry(id, by) {
          retried.push(`${id} by ${by}`);
          if (id === refusedRun) throw new Error('it was opened again meanwhile');
          await store.database.query(
            sql`update runs set status = 'queued', finished_at = null where run_id = ${id}::uuid`,
          );
        },
      });
    });
    afterAll(() => store.close());

    let refusedRun = '';
    /** Runs that failed in one statement, as a batch of them does: at the same microsecond. */
    const fail = async (count: number, message: string, workflow = 'review', agoS = 0) => {
      const ids = Array.from({ length: count }, () => newId());
      const error: ErrorRecord = { code: 'agent_failed', message, retryable: false };
      await store.database.query(sql`
        insert into runs (run_id, workflow, definition_hash, status, error, finished_at)
        select id, ${workflow}, 'hash', 'failed', ${json(error)}::json, now() - make_interval(secs => ${agoS}::float8)
        from unnest(${ids}::uuid[]) as id`);
      while ((await backfillFingerprints(store.database)) > 0);
      return ids;
    };
    const all = async (dismissed = false, limit = 2): Promise<FailureGroup[]> => {
      const found: FailureGroup[] = [];
      let cursor: string | undefined;
      do {
        const page = await letters.list({
          dismissed,
          limit,
          ...(cursor === undefined ? {} : { cursor }),
        });
        found.push(...page.items);
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      return found;
    };

    test('there is nothing to see at first', async () => {
      expect(await letters.list({})).toEqual({ items: [] });
      await expect(letters.get('0123456789abcdef')).rejects.toMatchObject({ code: 'not_found' });
    });

    test('runs that failed alike are one group, with how many, since when and where', async () => {
      await fail(7, 'exit status 1 after 30 s', 'review', 500);
      await fail(3, 'exit status 2 after 4.5 s', 'nightly', 100);
      await fail(1, 'no such tool', 'review', 50);
      await fail(2, 'out of memory', 'review', 400);
      const groups = await all();
      expect(groups.map(({ error, count }) => [error.message, count])).toEqual([
        ['no such tool', 1],
        ['exit status 2 after 4.5 s', 10],
        ['out of memory', 2],
      ]);
      expect(groups[1]).toMatchObject({ isMore: false, workflows: ['nightly', 'review'] });
      const { firstAt = '', lastAt = '' } = groups[1] ?? {};
      expect(Date.parse(lastAt) - Date.parse(firstAt)).toBeGreaterThan(399_000);
      expect(await letters.get(groups[1]?.fingerprint ?? '')).toEqual(groups[1]);
    });

    test('the runs of a group are listed page by page, though they failed in one moment', async () => {
      const ids = await fail(25, 'all at once', 'crowd');
      const [group] = await all();
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await letters.runs(group?.fingerprint ?? '', {
          limit: 4,
          ...(cursor === undefined ? {} : { cursor }),
        });
        seen.push(...page.items.map(({ id }) => id));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(seen).toEqual(ids.toSorted().toReversed());
      expect((await letters.runs(group?.fingerprint ?? '', { workflow: 'other' })).items).toEqual(
        [],
      );
      await expect(letters.runs(group?.fingerprint ?? '', { cursor: 'x' })).rejects.toMatchObject({
        code: 'invalid_input',
      });
    });

    test('what was dismissed is not shown until it happens again', async () => {
      const [group] = await all();
      const { fingerprint = '' } = group ?? {};
      const dismissed = await letters.dismiss(fingerprint, 'ada');
      expect(dismissed).toMatchObject({ dismissedBy: 'ada', count: 25 });
      expect((await all()).map((each) => each.fingerprint)).not.toContain(fingerprint);
      expect((await all(true))[0]).toMatchObject({ fingerprint, dismissedBy: 'ada' });
      await fail(1, 'all at once', 'crowd');
      const [again] = await all();
      expect(again).toMatchObject({ fingerprint, count: 26 });
      expect(again?.dismissedAt).toBeUndefined();
      await expect(letters.dismiss('none', 'ada')).rejects.toMatchObject({ code: 'not_found' });
    });

    test('a group is tried again together, and what is refused is told of that run alone', async () => {
      const ids = await fail(6, 'a flaky thing', 'review');
      await fail(2, 'a flaky thing', 'nightly');
      const [group] = await all();
      const { fingerprint = '' } = group ?? {};
      refusedRun = ids[0] ?? '';
      expect(
        await letters.retry(fingerprint, { workflow: 'review', limit: 4, by: 'ada' }),
      ).toMatchObject({ refused: [], isMore: true });
      const rest = await letters.retry(fingerprint, { workflow: 'review', by: 'ada' });
      expect(rest).toMatchObject({ refused: [{ run: refusedRun }], isMore: false });
      expect(retried.toSorted()).toEqual(ids.map((id) => `${id} by ada`).toSorted());
      expect(await letters.get(fingerprint)).toMatchObject({ count: 3 });
    });

    test('one kind that fails without end hides no other, and is counted up to a bound', async () => {
      await fail(1, 'the rare one', 'rare', 5_000);
      await store.database.query(sql`
        insert into runs (run_id, workflow, definition_hash, status, fingerprint, error, finished_at)
        select id, 'storm', 'hash', 'failed', 'aaaaaaaaaaaaaaaa',
          '{"code":"agent_failed","message":"again","retryable":true}'::json, now() - make_interval(secs => n / 100.0)
        from unnest(${Array.from({ length: 10_500 }, () => newId())}::uuid[])
          with ordinality as each (id, n)`);
      const groups = await all();
      const storm = groups.find(({ fingerprint }) => fingerprint === 'aaaaaaaaaaaaaaaa');
      expect(storm).toMatchObject({ count: 10_000, isMore: true, workflows: ['storm'] });
      expect(groups.map(({ error }) => error.message)).toContain('the rare one');
      expect(new Set(groups.map(({ fingerprint }) => fingerprint)).size).toBe(groups.length);
    });
  });
}
