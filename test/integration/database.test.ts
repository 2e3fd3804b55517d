import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { retry, systemClock } from '../../src/base/base.ts';
import { json, sql, type Database, type Queryable } from '../../src/database/database.ts';
import {
  drivers,
  eagerRetry,
  testDatabase,
  until,
  unavailable,
  type TestDatabase,
} from '../support/databases.ts';

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`the ${driver} database`, () => {
    let place: TestDatabase;
    let db: Database;

    beforeAll(async () => {
      place = await testDatabase(driver);
      db = await place.open();
      await db.script(`
      create table items (id int primary key, name text unique, parent int references items
        deferrable initially deferred);
    `);
    });
    afterAll(async () => {
      await db.close();
      await place.drop();
    });

    const count = async (on: Queryable = db): Promise<number | undefined> =>
      (await on.query(sql<{ total: number }>`select count(*)::int as total from items`))[0]?.total;

    async function one(statement: ReturnType<typeof sql<{ value: unknown }>>): Promise<unknown> {
      return (await db.query(statement))[0]?.value;
    }

    test('says what it is', () => {
      expect(db.driver).toBe(driver);
      expect(db.versionNumber).toBeGreaterThanOrEqual(160_000);
      expect(db.capabilities.vector).toBeTypeOf('boolean');
    });

    const moment = new Date('2026-11-20T23:59:59.123Z');
    const uuid = '019a9f1e-0000-7000-8000-000000000001';
    const text = 'a "quoted", \\ back{slash} NULL ünïcode 🜨\n';
    const huge = 9_223_372_036_854_775_807n;
    test.each([
      ['int8', sql`select ${huge}::int8 as value`, huge],
      ['int8 from a number', sql`select ${7}::int8 as value`, 7n],
      ['int4', sql`select ${-7}::int4 as value`, -7],
      ['float8', sql`select ${0.1}::float8 as value`, 0.1],
      ['numeric', sql`select ${'1234567890.0100'}::numeric as value`, '1234567890.0100'],
      ['boolean', sql`select ${false}::bool as value`, false],
      ['text', sql`select ${text}::text as value`, text],
      ['uuid', sql`select ${uuid}::uuid as value`, uuid],
      ['timestamptz', sql`select ${moment}::timestamptz as value`, moment],
      ['date', sql`select ${'2026-02-28'}::date as value`, '2026-02-28'],
      [
        'bytea',
        sql`select ${Uint8Array.of(0, 92, 255)}::bytea as value`,
        Uint8Array.of(0, 92, 255),
      ],
      ['json', sql`select ${json({ a: [1, null] })}::json as value`, { a: [1, null] }],
      ['jsonb', sql`select ${json('text')}::jsonb as value`, 'text'],
      ['json null', sql`select ${json(null)}::jsonb as value`, null],
      ['null', sql`select ${null}::text as value`, null],
      ['undefined', sql`select ${undefined}::text as value`, null],
      ['int[]', sql`select ${[1, null, -3]}::int[] as value`, [1, null, -3]],
      ['bigint[]', sql`select ${[1n, huge]}::bigint[] as value`, [1n, huge]],
      ['uuid[]', sql`select ${[uuid, null]}::uuid[] as value`, [uuid, null]],
      [
        'text[]',
        sql`select ${[text, '', 'NULL', null]}::text[] as value`,
        [text, '', 'NULL', null],
      ],
      ['empty text[]', sql`select ${[]}::text[] as value`, []],
      ['nested int[]', sql`select ${[[1], [2]]}::int[] as value`, [[1], [2]]],
      ['timestamptz[]', sql`select ${[moment]}::timestamptz[] as value`, [moment]],
      ['bytea[]', sql`select ${[Uint8Array.of(1, 92)]}::bytea[] as value`, [Uint8Array.of(1, 92)]],
      ['boolean[]', sql`select ${[true, false]}::bool[] as value`, [true, false]],
      ['jsonb[]', sql`select ${[json({ a: '"' })]}::jsonb[] as value`, [{ a: '"' }]],
    ])('round-trips %s', async (_name, statement, expected) => {
      const value = await one(statement as ReturnType<typeof sql<{ value: unknown }>>);
      expect(value).toStrictEqual(expected);
    });

    test('refuses a parameter that has no single meaning', async () => {
      await expect(one(sql`select ${{ a: 1 }}::json as value`)).rejects.toMatchObject({
        code: 'invalid_input',
        details: { parameter: 1 },
      });
      await expect(one(sql`select ${new Date(Number.NaN)}::date as value`)).rejects.toMatchObject({
        code: 'invalid_input',
      });
    });

    test('commits what a transaction did and gives its result', async () => {
      const result = await db.transaction(async (transaction) => {
        await transaction.query(sql`insert into items values (1, 'one')`);
        return 'done';
      });
      expect(result).toBe('done');
      expect(await one(sql`select name as value from items where id = 1`)).toBe('one');
    });

    test('rolls back a transaction that throws, and passes the error on', async () => {
      const before = await count();
      const failure = new Error('no');
      const attempt = db.transaction(async (transaction) => {
        await transaction.query(sql`insert into items values (2, 'two')`);
        throw failure;
      });
      await expect(attempt).rejects.toBe(failure);
      expect(await count()).toBe(before);
    });

    test('does not report a commit when a failed statement was swallowed', async () => {
      const before = await count();
      const attempt = db.transaction(async (transaction) => {
        await transaction.query(sql`insert into items values (3, 'three')`);
        await transaction.query(sql`select 1/0`).catch(() => undefined);
      });
      await expect(attempt).rejects.toMatchObject({
        code: 'database_failed',
        details: { outcome: 'rolled_back' },
      });
      expect(await count()).toBe(before);
    });

    test('reports a constraint that fails at the commit', async () => {
      const before = await count();
      const attempt = db.transaction((transaction) =>
        transaction.query(sql`insert into items values (4, 'four', 999)`),
      );
      await expect(attempt).rejects.toMatchObject({
        code: 'database_failed',
        details: { sqlstate: '23503', constraint: 'items_parent_fkey' },
      });
      expect(await count()).toBe(before);
    });

    test('names the constraint, and no value, of a duplicate', async () => {
      await db.query(sql`insert into items values (10, 'secret-name')`);
      const again = db.query(sql`insert into items values (11, 'secret-name')`);
      const error: Error = await again.then(
        () => expect.unreachable(),
        (thrown: Error) => thrown,
      );
      expect(error).toMatchObject({
        code: 'database_failed',
        details: { sqlstate: '23505', table: 'items', constraint: 'items_name_key' },
      });
      expect(JSON.stringify([error, error.message, error.stack, error.cause])).not.toContain(
        'secret-name',
      );
    });

    test('shows no parameter in the error about a value', async () => {
      const error: Error = await one(sql`select ${'secret'}::text::int as value`).then(
        () => expect.unreachable(),
        (thrown: Error) => thrown,
      );
      expect(error).toMatchObject({ code: 'database_failed', details: { sqlstate: '22P02' } });
      expect(JSON.stringify([error, error.message, error.stack, error.cause])).not.toContain(
        'secret',
      );
    });

    test('goes on after an error', async () => {
      await expect(one(sql`select nothing from nowhere`)).rejects.toMatchObject({
        code: 'database_failed',
        details: { sqlstate: '42P01' },
      });
      expect(await one(sql`select 1 as value`)).toBe(1);
    });

    test('refuses itself inside its own transaction instead of waiting for ever', async () => {
      const attempt = db.transaction(() => db.query(sql`select 1`));
      await expect(attempt).rejects.toMatchObject({ code: 'internal' });
      const inSession = db.session(() => db.transaction(async () => undefined));
      await expect(inSession).rejects.toMatchObject({ code: 'internal' });
      expect(await one(sql`select 1 as value`)).toBe(1);
    });

    test('refuses a transaction handle that has ended', async () => {
      const kept = await db.transaction(async (transaction) => transaction);
      await expect(kept.query(sql`select 1`)).rejects.toMatchObject({ code: 'internal' });
    });

    test('keeps concurrent transactions apart', async () => {
      await db.script('create table counter (value int); insert into counter values (0)');
      const increment = () =>
        db.transaction(async (transaction) => {
          const [row] = await transaction.query(
            sql<{ value: number }>`select value from counter for update`,
          );
          await transaction.query(sql`update counter set value = ${(row?.value ?? 0) + 1}`);
        });
      await Promise.all(Array.from({ length: 20 }, increment));
      expect(await one(sql`select value from counter`)).toBe(20);
    });

    test('takes many statements at once', async () => {
      const numbers = Array.from({ length: 500 }, (_, index) => index);
      const found = await Promise.all(numbers.map((n) => one(sql`select ${n}::int as value`)));
      expect(found).toStrictEqual(numbers);
    });

    test('runs the statements of a transaction one after another, also when they are not awaited', async () => {
      const values = await db.transaction((transaction) =>
        Promise.all(
          [1, 2, 3].map((n) => transaction.query(sql<{ n: number }>`select ${n}::int as n`)),
        ),
      );
      expect(values.flat().map(({ n }) => n)).toStrictEqual([1, 2, 3]);
    });

    test('prepares a statement anew when its table has changed', async () => {
      await db.script('create table shape (a int); insert into shape values (1)');
      const all = () => db.query(sql`select * from shape`);
      // Every connection of the pool gets the old plan.
      await Promise.all([all(), all(), all(), all()]);
      await db.script('alter table shape add b int');
      // Each connection that still has the old plan asks for another try.
      const rows = await retry(all, { clock: systemClock, policy: eagerRetry });
      expect(rows).toStrictEqual([{ a: 1, b: null }]);
    });

    test('delivers notifications after the commit, to the channel that was asked for', async () => {
      const heard: string[] = [];
      const subscription = await db.listen('centuria_test', (payload) => heard.push(payload));
      await db.transaction(async (transaction) => {
        await transaction.query(sql`select pg_notify('centuria_other', 'no')`);
        await transaction.query(sql`select pg_notify('centuria_test', ${text})`);
        expect(heard).toStrictEqual([]);
      });
      await until(() => heard.length > 0);
      await subscription.close();
      await db.query(sql`select pg_notify('centuria_test', 'late')`);
      expect(heard).toStrictEqual([text]);
    });

    test('refuses a channel name that would need quoting', async () => {
      await expect(db.listen('a"; drop table items', () => undefined)).rejects.toMatchObject({
        code: 'invalid_input',
      });
    });

    test('waits at its close for what is under way, and refuses what comes later', async () => {
      const other = driver === 'embedded' ? db : await place.open();
      const underWay = other.transaction(async (transaction) => {
        await transaction.query(sql`insert into items values (20, 'twenty')`);
        await transaction.query(sql`select pg_sleep(0.05)`);
      });
      const queued = Promise.all(
        Array.from({ length: 10 }, () => other.query(sql`select pg_sleep(0.001)`)),
      );
      const closed = other.close();
      await Promise.all([underWay, queued, closed, other.close()]);
      await expect(other.query(sql`select 1`)).rejects.toMatchObject({
        code: 'database_unreachable',
        retryable: false,
      });
      if (driver === 'embedded') db = await place.open();
      expect(await one(sql`select name as value from items where id = 20`)).toBe('twenty');
    });
  });
}
