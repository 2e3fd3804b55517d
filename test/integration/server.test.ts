import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { retry, systemClock } from '../../src/base/base.ts';
import { openDatabase, sql, type Database } from '../../src/database/database.ts';
import {
  eagerRetry,
  recordedLog,
  silentLog,
  testDatabase,
  unavailable,
  until,
  type TestDatabase,
} from '../support/databases.ts';

const open = (url: string, log = silentLog): Promise<Database> =>
  openDatabase({ url, home: '/nonexistent', poolSize: 2, log, clock: systemClock });

describe.skipIf(unavailable('server') !== undefined)('a server', () => {
  let place: TestDatabase;
  let db: Database;
  /** A connection past the driver, to break what the driver has. */
  let other: Client;

  beforeAll(async () => {
    place = await testDatabase('server');
    db = await place.open({ poolSize: 2 });
    other = new Client({ connectionString: place.url });
    await other.connect();
    await db.script('create table items (id int primary key)');
  });
  afterAll(async () => {
    await other.end();
    await db.close();
    await place.drop();
  });

  const backends = async (where: string): Promise<number> => {
    const { rowCount } = await other.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where application_name = 'centuria' and datname = current_database() and ${where}`,
    );
    return rowCount ?? 0;
  };

  test('is told who connects', async () => {
    const rows = await db.query(sql`select current_setting('application_name') as name`);
    expect(rows).toStrictEqual([{ name: 'centuria' }]);
  });

  test('ends a statement at its time limit, and the limit ends with the statement', async () => {
    const slow = db.query(sql`select pg_sleep(30)`, { timeoutMs: 50 });
    await expect(slow).rejects.toMatchObject({ code: 'timeout', details: { timeoutMs: 50 } });
    await db.query(sql`select 1`, { timeoutMs: 60_000 });
    const limits = await Promise.all(
      [1, 2].map(() =>
        db.query(sql`select current_setting('statement_timeout') as limit, pg_sleep(0.05)::text`),
      ),
    );
    expect(limits.flat()).toMatchObject([{ limit: '30s' }, { limit: '30s' }]);
  });

  test('makes a new connection when idle ones were ended', async () => {
    await db.query(sql`select 1`);
    expect(await backends("state = 'idle' and query not like 'listen%'")).toBeGreaterThan(0);
    const result = await retry(() => db.query(sql`select 1 as one`), {
      clock: systemClock,
      policy: eagerRetry,
    });
    expect(result).toStrictEqual([{ one: 1 }]);
  });

  test('that ends the connection of a transaction has kept nothing of it, and the error says so', async () => {
    const attempt = db.transaction(async (transaction) => {
      await transaction.query(sql`insert into items values (1)`);
      expect(await backends("state = 'idle in transaction'")).toBe(1);
      await transaction.query(sql`insert into items values (2)`);
    });
    await expect(attempt).rejects.toMatchObject({
      code: 'database_unreachable',
      retryable: true,
      details: { outcome: 'rolled_back' },
    });
    expect(await db.query(sql`select id from items`)).toStrictEqual([]);
  });

  test('that is lost at the commit leaves the outcome unknown, and the error says so', async () => {
    const attempt = db.transaction(async (transaction) => {
      await transaction.query(sql`insert into items values (3)`);
      expect(await backends("state = 'idle in transaction'")).toBe(1);
    });
    await expect(attempt).rejects.toMatchObject({
      code: 'database_unreachable',
      details: { outcome: 'unknown' },
    });
  });

  test('reports a deadlock as something to try again', async () => {
    await db.script(
      'create table pair (id int primary key, n int); insert into pair values (1, 0), (2, 0)',
    );
    let waiting = 0;
    const both = async (): Promise<void> => {
      waiting += 1;
      await until(() => waiting === 2);
    };
    const update = (first: number, second: number) =>
      db.transaction(async (transaction) => {
        await transaction.query(sql`update pair set n = n + 1 where id = ${first}`);
        await both();
        await transaction.query(sql`update pair set n = n + 1 where id = ${second}`);
      });
    const results = await Promise.allSettled([update(1, 2), update(2, 1)]);
    const failures = results.filter((result) => result.status === 'rejected');
    expect(failures).toMatchObject([{ reason: { code: 'database_retry', retryable: true } }]);
  });

  test('is listened to again after the connection was lost, and the gap is told', async () => {
    const heard: string[] = [];
    let gaps = 0;
    const second: string[] = [];
    await db.listen(
      'centuria_gap',
      (payload) => heard.push(payload),
      () => (gaps += 1),
    );
    await db.listen('centuria_second', (payload) => second.push(payload));
    await other.query(`select pg_notify('centuria_gap', 'before')`);
    await until(() => heard.length === 1);

    expect(await backends("query like 'listen%'")).toBe(1);
    await until(() => gaps === 1);
    await other.query(
      `select pg_notify('centuria_gap', 'after'), pg_notify('centuria_second', 'x')`,
    );
    await until(() => heard.length === 2 && second.length === 1);
    expect(heard).toStrictEqual(['before', 'after']);
    expect(gaps).toBe(1);
  });

  test('gives no state of one session to the next', async () => {
    await db.session(async (session) => {
      await session.query(sql`select pg_advisory_lock(7)`);
      await session.script("set work_mem = '1MB'; begin");
    });
    await db.session(async (session) => {
      const [row] = await session.query(
        sql`select pg_try_advisory_lock(7) as free, current_setting('work_mem') <> '1MB' as fresh`,
      );
      expect(row).toStrictEqual({ free: true, fresh: true });
    });
  });

  test('without pgvector is used without it, and the log says so', async () => {
    const { log, lines } = recordedLog();
    const again = await place.open({ log });
    const { rows } = await other.query<{ count: number }>(
      `select count(*)::int from pg_extension where extname = 'vector'`,
    );
    expect(again.capabilities.vector).toBe(rows[0]?.count === 1);
    expect(lines.some((line) => line.includes('pgvector'))).toBe(!again.capabilities.vector);
    await again.close();
  });
});

describe('a server that can not be used', () => {
  test('is named by host, port and database when nothing listens there', async () => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const error = await open(`postgres://user:hidden-word@127.0.0.1:${port}/fleet`).then(
      () => expect.unreachable(),
      (thrown: Error) => thrown,
    );
    expect(error).toMatchObject({
      code: 'database_unreachable',
      retryable: true,
      message: expect.stringContaining(`127.0.0.1:${port}/fleet`),
      remedy: expect.stringContaining('CENTURIA_DATABASE_URL'),
    });
    expectNoPassword(error);
  });

  test('is reported when its name does not resolve', async () => {
    await expect(open('postgres://db.invalid/fleet')).rejects.toMatchObject({
      code: 'database_unreachable',
      message: expect.stringContaining('db.invalid:5432/fleet'),
    });
  });

  test.each([
    'mysql://root:hidden-word@host/x',
    'postgres://user:hidden-word@host:99999/x',
    'nonsense',
  ])('is refused when the URL makes no sense: %s', async (url) => {
    const error = await open(url).then(
      () => expect.unreachable(),
      (thrown: Error) => thrown,
    );
    expect(error).toMatchObject({ code: 'config_invalid' });
    expectNoPassword(error);
  });
});

const oldBin = '/usr/lib/postgresql/15/bin';

describe.skipIf(!existsSync(join(oldBin, 'postgres')))('PostgreSQL 15 with passwords', () => {
  let folder: string;
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  let server: ChildProcess;
  let url: (password: string) => string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'centuria-old-'));
    if (nobody.uid !== undefined) chownSync(folder, nobody.uid, nobody.gid);
    const passwordFile = join(folder, 'password');
    writeFileSync(passwordFile, 'right-word');
    if (nobody.uid !== undefined) chownSync(passwordFile, nobody.uid, nobody.gid);
    const data = join(folder, 'data');
    const initdb = ['-D', data, '-U', 'fleet', '-A', 'scram-sha-256', '--no-sync'];
    execFileSync(join(oldBin, 'initdb'), [...initdb, `--pwfile=${passwordFile}`], {
      ...nobody,
      cwd: folder,
      stdio: 'ignore',
    });
    const settings = ['-c', 'listen_addresses=', '-k', folder, '-p', '5499', '-F'];
    server = spawn(join(oldBin, 'postgres'), ['-D', data, ...settings], {
      ...nobody,
      cwd: folder,
      stdio: 'ignore',
    });
    const socket = encodeURIComponent(folder);
    url = (password) => `postgres://fleet:${password}@${socket}:5499/postgres`;
    await until(() => existsSync(join(folder, '.s.PGSQL.5499')));
  });
  afterAll(async () => {
    server.kill('SIGINT');
    await once(server, 'exit');
    rmSync(folder, { recursive: true, force: true });
  });

  test('is refused as too old', async () => {
    await until(() =>
      open(url('right-word')).then(
        () => expect.unreachable(),
        (error: { code: string; retryable: boolean }) => !error.retryable,
      ),
    );
    await expect(open(url('right-word'))).rejects.toMatchObject({
      code: 'database_unsupported',
      message: expect.stringContaining('PostgreSQL 15'),
      remedy: expect.stringContaining('16'),
    });
  });

  test('refuses a wrong password, which is shown nowhere', async () => {
    const { log, lines } = recordedLog();
    const error = await open(url('hidden-word'), log).then(
      () => expect.unreachable(),
      (thrown: Error) => thrown,
    );
    expect(error).toMatchObject({
      code: 'database_unreachable',
      retryable: false,
      details: { sqlstate: '28P01' },
      remedy: expect.stringContaining('password'),
    });
    expectNoPassword(error);
    expect(lines.join('\n')).not.toContain('hidden-word');
  });
});

function expectNoPassword(error: unknown): void {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    expect(JSON.stringify({ ...at, message: at.message, stack: at.stack })).not.toContain(
      'hidden-word',
    );
  }
}
