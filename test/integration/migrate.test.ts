import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/base.ts';
import { migrate, migrationStatus, sql, type Database } from '../../src/database/database.ts';
import {
  drivers,
  recordedLog,
  silentLog,
  testDatabase,
  until,
  unavailable,
  type TestDatabase,
} from '../support/databases.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'centuria-migrations-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const write = (name: string, text: string): Promise<void> => writeFile(join(folder, name), text);

const run = (db: Database, log = silentLog) => migrate(db, { folder, log, clock: systemClock });

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`migrating the ${driver} database`, () => {
    let place: TestDatabase;
    let db: Database;

    beforeAll(async () => {
      place = await testDatabase(driver);
      db = await place.open();
    });
    beforeEach(() => db.script('drop schema public cascade; create schema public'));
    afterAll(async () => {
      await db.close();
      await place.drop();
    });

    const tables = async (): Promise<string[]> => {
      const rows = await db.query(
        sql<{ name: string }>`select tablename::text as name from pg_tables
        where schemaname = 'public' order by 1`,
      );
      return rows.map(({ name }) => name);
    };

    test('applies each file once, in order, and reports what it did', async () => {
      await write('000001_first.sql', 'create table one (id int);\ncreate table two (id int);');
      await write('000002_second.sql', 'alter table one add name text;');
      await write('schema.sql', 'this is not run');
      expect(await run(db)).toStrictEqual({
        applied: ['000001_first.sql', '000002_second.sql'],
        version: 2,
      });
      expect(await run(db)).toStrictEqual({ applied: [], version: 2 });
      await write('000003_third.sql', 'drop table two');
      expect(await run(db)).toStrictEqual({ applied: ['000003_third.sql'], version: 3 });
      expect(await tables()).toStrictEqual(['one', 'schema_migrations']);
    });

    test('tells the status without changing anything', async () => {
      await write('000001_first.sql', '-- centuria: breaking\ncreate table one (id int);');
      expect(await migrationStatus(db, folder)).toStrictEqual({
        version: 0,
        applied: [],
        pending: [{ name: '000001_first.sql', breaking: true }],
        unknown: [],
      });
      expect(await tables()).toStrictEqual([]);
      await run(db);
      expect(await migrationStatus(db, folder)).toMatchObject({
        version: 1,
        applied: [{ name: '000001_first.sql', breaking: true, appliedAt: expect.any(Date) }],
        pending: [],
      });
    });

    test('keeps nothing of a file whose second statement fails, and names the line', async () => {
      await write('000001_first.sql', 'create table one (id int);');
      await write('000002_bad.sql', 'create table two (id int);\n\nselect nothing from nowhere;\n');
      await write('000003_after.sql', 'create table three (id int);');
      await expect(run(db)).rejects.toMatchObject({
        code: 'migration_failed',
        message: expect.stringContaining('000002_bad.sql:3'),
        details: { file: '000002_bad.sql', line: 3, sqlstate: '42P01' },
      });
      expect(await tables()).toStrictEqual(['one', 'schema_migrations']);
      await write('000002_bad.sql', 'create table two (id int);');
      expect(await run(db)).toMatchObject({ applied: ['000002_bad.sql', '000003_after.sql'] });
    });

    test('keeps nothing of a file that could not be recorded', async () => {
      await write('000001_first.sql', 'create table one (id int);');
      await write('000002_bad.sql', 'create table two (id int); drop table schema_migrations;');
      await expect(run(db)).rejects.toMatchObject({
        code: 'migration_failed',
        details: { file: '000002_bad.sql' },
      });
      expect(await tables()).toStrictEqual(['one', 'schema_migrations']);
    });

    test('refuses an applied file that was edited, but not other line ends', async () => {
      await write('000001_first.sql', 'create table one (\n id int);');
      await run(db);
      await write('000001_first.sql', 'create table one (\r\n id int);');
      expect(await run(db)).toMatchObject({ applied: [] });
      await write('000001_first.sql', 'create table one (id bigint);');
      await write('000002_second.sql', 'create table two (id int);');
      await expect(run(db)).rejects.toMatchObject({
        code: 'migration_changed',
        message: expect.stringContaining('000001_first.sql'),
      });
      await expect(migrationStatus(db, folder)).rejects.toMatchObject({
        code: 'migration_changed',
      });
      expect(await tables()).toStrictEqual(['one', 'schema_migrations']);
    });

    test('refuses another file under the number of an applied one', async () => {
      await write('000001_first.sql', 'create table one (id int);');
      await run(db);
      await rename(join(folder, '000001_first.sql'), join(folder, '000001_other.sql'));
      await write('000001_other.sql', 'create table other (id int);');
      await expect(run(db)).rejects.toMatchObject({
        code: 'migration_changed',
        message: expect.stringContaining('000001_first.sql'),
      });
    });

    test.each([
      ['a gap', ['000001_a.sql', '000003_b.sql'], '000003_b.sql'],
      ['a missing beginning', ['000002_a.sql'], '000002_a.sql'],
      ['a number twice', ['000001_a.sql', '000001_b.sql'], '000001_a.sql and 000001_b.sql'],
      ['a strange name', ['000001_a.sql', '2_b.sql'], '2_b.sql'],
    ])('refuses %s in the numbers, naming the file', async (_what, names, named) => {
      for (const name of names) await write(name, 'select 1');
      await expect(run(db)).rejects.toMatchObject({
        code: 'migration_failed',
        message: expect.stringContaining(named),
      });
      expect(await tables()).toStrictEqual([]);
    });

    test('refuses a file that ends its own transaction, before anything is applied', async () => {
      await write(
        '000001_a.sql',
        'create table one (id int);\ncommit;\ncreate table two (id int);',
      );
      await expect(run(db)).rejects.toMatchObject({
        code: 'migration_failed',
        message: expect.stringContaining('"commit;"'),
      });
      expect(await tables()).toStrictEqual([]);
    });

    test('takes functions with semicolons and blocks', async () => {
      await write(
        '000001_function.sql',
        `create function twice(n int) returns int language plpgsql as $$
begin
  return n * 2;
end;
$$;`,
      );
      await run(db);
      expect(await db.query(sql`select twice(4) as n`)).toStrictEqual([{ n: 8 }]);
    });

    test('tolerates a migration of a newer version unless that is breaking', async () => {
      await write('000001_first.sql', 'create table one (id int);');
      await write('000002_newer.sql', 'create table two (id int);');
      await run(db);
      await rm(join(folder, '000002_newer.sql'));
      const { log, lines } = recordedLog();
      expect(await run(db, log)).toStrictEqual({ applied: [], version: 2 });
      expect(lines.join('')).toContain('000002_newer.sql');

      await write('000002_newer.sql', 'create table two (id int);');
      await write('000003_breaking.sql', '-- centuria: breaking\ndrop table one;');
      await run(db);
      await rm(join(folder, '000003_breaking.sql'));
      await expect(run(db)).rejects.toMatchObject({
        code: 'schema_too_new',
        message: expect.stringContaining('000003_breaking.sql'),
      });
      await expect(migrationStatus(db, folder)).rejects.toMatchObject({ code: 'schema_too_new' });
    });

    test('says so when there is no folder', async () => {
      await expect(
        migrate(db, { folder: join(folder, 'none'), log: silentLog, clock: systemClock }),
      ).rejects.toMatchObject({
        code: 'migration_failed',
        details: { folder: join(folder, 'none') },
      });
    });
  });
}

describe.skipIf(unavailable('server') !== undefined)('migrating a server', () => {
  let place: TestDatabase;
  let db: Database;
  beforeAll(async () => {
    place = await testDatabase('server');
    db = await place.open();
  });
  afterAll(async () => {
    await db.close();
    await place.drop();
  });

  test('applies each file once when two begin at the same time', async () => {
    // Without the lock both would see the file as pending, and the slower would fail.
    await write('000001_slow.sql', 'select pg_sleep(0.3); create table slow (id int);');
    await write('000002_more.sql', 'create table more (id int);');
    const second = await place.open();
    const results = await Promise.all([run(db), run(second)]);
    await second.close();
    const lists = results.map(({ applied }) => applied);
    expect(lists.toSorted((a, b) => a.length - b.length)).toStrictEqual([
      [],
      ['000001_slow.sql', '000002_more.sql'],
    ]);
    expect(results.map(({ version }) => version)).toStrictEqual([2, 2]);
  });
});

describe('a process that is killed while it migrates', () => {
  test('leaves the embedded database as it was before the file', async () => {
    const place = await testDatabase('embedded');
    const started = join(place.home, 'started');
    await mkdir(started);
    const before = await place.open();
    await write('000001_first.sql', 'create table one (id int);');
    await run(before);
    await before.close();
    // The engine answers nothing while it works, so a long file is certain to be cut short.
    await write(
      '000002_long.sql',
      'create table two (id int); insert into two select generate_series(1, 2000000000);',
    );
    const script = join(import.meta.dirname, '../support/hold-home.ts');
    const child = spawn(process.execPath, [script, place.home, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(createInterface({ input: child.stdout }), 'line');
    await systemClock.sleep(500);
    expect(child.exitCode).toBeNull();
    child.kill('SIGKILL');
    await once(child, 'exit');

    await write('000002_long.sql', 'create table two (id int);');
    const after = await place.open();
    expect((await migrationStatus(after, folder)).pending).toMatchObject([
      { name: '000002_long.sql' },
    ]);
    expect(await run(after)).toStrictEqual({ applied: ['000002_long.sql'], version: 2 });
    await after.close();
    await place.drop();
  });

  test.skipIf(unavailable('server'))('leaves a server as it was before the file', async () => {
    const place = await testDatabase('server');
    const db = await place.open();
    await write('000001_first.sql', 'create table one (id int); select pg_sleep(600);');
    const child = spawn(
      process.execPath,
      ['--input-type=module-typescript', '-e', migrateInChild, place.url, folder],
      { stdio: 'inherit', cwd: join(import.meta.dirname, '../..') },
    );
    const asleep = sql`select pid from pg_stat_activity
      where wait_event = 'PgSleep' and datname = current_database()`;
    await until(async () => (await db.query(asleep)).length === 1);
    child.kill('SIGKILL');
    await once(child, 'exit');
    // The server notices a client that is gone when it next writes to it; this test can't wait.
    await db.query(sql`select pg_terminate_backend(pid) from pg_stat_activity
      where wait_event = 'PgSleep' and datname = current_database()`);

    await write('000001_first.sql', 'create table one (id int);');
    expect(await run(db)).toStrictEqual({ applied: ['000001_first.sql'], version: 1 });
    await db.close();
    await place.drop();
  });
});

const migrateInChild = `
  const { createLog, systemClock } = await import('./src/base/base.ts');
  const { migrate, openDatabase } = await import('./src/database/database.ts');
  const [url, folder] = process.argv.slice(-2);
  const log = createLog({ level: 'silent' });
  const db = await openDatabase({ url, home: '', poolSize: 2, log, clock: systemClock });
  await migrate(db, { folder, log, clock: systemClock });
`;
