import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createLog } from '../../src/base/base.ts';
import {
  cacheFolder,
  findPostgres,
  installPostgres,
  listInstalls,
  listRunning,
  startPostgres,
  stopPostgres,
  type LocalPostgres,
  type PostgresInstall,
  type StartOptions,
} from '../../src/database/database.ts';
import { emptyDatabase, freshDatabase, postgresUnavailable } from '../support/postgres.ts';
import { testFolder } from '../support/processes.ts';

const log = createLog({ level: 'silent' });
const settings = { fsync: 'off', shared_buffers: '16MB', max_connections: 10 };

async function query<Row extends object>(url: string, text: string): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

describe.skipIf(postgresUnavailable)('databases for tests', () => {
  test('a fresh database has the vector extension and is its own', async () => {
    const [one, two] = await Promise.all([freshDatabase(), freshDatabase()]);
    const empty = await emptyDatabase();
    try {
      const rows = await query(one.url, `select '[1,2]'::vector <-> '[1,4]' as near`);
      expect(rows).toEqual([{ near: 2 }]);
      await query(one.url, 'create table mine ()');
      expect(await query(two.url, `select to_regclass('mine') as found`)).toEqual([
        { found: null },
      ]);
      expect(new Set([one.url, two.url, empty.url]).size).toBe(3);
    } finally {
      await Promise.all([one.drop(), two.drop(), empty.drop()]);
    }
  });
});

describe.skipIf(postgresUnavailable)('a local PostgreSQL', () => {
  let install: PostgresInstall;
  let base: string;
  let folder: string;

  beforeAll(async () => {
    install = await installPostgres({ major: 17, cacheFolder: cacheFolder(process.env), log });
  });
  beforeEach(async () => {
    base = await testFolder();
    folder = join(base, 'server');
  });
  afterEach(async () => {
    await stopPostgres(folder, { mode: 'immediate', log });
    await rm(base, { recursive: true });
  });

  const start = async (options: Partial<StartOptions> = {}): Promise<LocalPostgres> =>
    await startPostgres(install, { folder, settings, log, ...options });

  test('starts in an empty folder with SCRAM, a secret password and no access from outside', async () => {
    const server = await start();
    const password = await stat(join(folder, 'password'));
    expect(password.mode & 0o777).toBe(0o600);
    const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
    expect(/^Uid:\t(\d+)/m.exec(status)?.[1]).not.toBe('0');
    expect(
      await query(
        server.url,
        `select name, setting from pg_settings
         where name in ('listen_addresses', 'data_checksums', 'password_encryption') order by name`,
      ),
    ).toEqual([
      { name: 'data_checksums', setting: 'on' },
      { name: 'listen_addresses', setting: '127.0.0.1' },
      { name: 'password_encryption', setting: 'scram-sha-256' },
    ]);
    const rules = await query<{ auth_method: string }>(
      server.url,
      'select distinct auth_method from pg_hba_file_rules',
    );
    expect(rules).toEqual([{ auth_method: 'scram-sha-256' }]);
    const stranger = new URL(server.url);
    stranger.password = 'guessed';
    await expect(query(stranger.href, 'select 1')).rejects.toThrow(
      'password authentication failed',
    );
  });

  test('makes the parents of its folder so that the user of the server gets through', async () => {
    const deep = join(base, 'new', 'newer', 'server');
    const server = await startPostgres(install, { folder: deep, settings, log });
    expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    await server.stop();
  });

  test('answers on its unix socket too', async () => {
    const server = await start();
    const { username, password } = new URL(server.url);
    const client = new Client({
      host: server.socketFolder,
      port: server.port,
      user: username,
      password,
      database: 'postgres',
    });
    await client.connect();
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await client.end();
  });

  test('keeps its data, its password and its port over a stop and a start', async () => {
    const first = await start();
    await query(first.url, 'create table kept as select 42 as value');
    await first.stop();
    expect(await findPostgres(folder)).toBeUndefined();
    const second = await start();
    expect(second.url).toBe(first.url);
    expect(await query(second.url, 'select value from kept')).toEqual([{ value: 42 }]);
  });

  test('a second start on the same folder finds the first server', async () => {
    const first = await start();
    const second = await start();
    expect(first.started).toBe(true);
    expect(second).toMatchObject({ started: false, pid: first.pid, url: first.url });
    const elsewhere = first.port === 65_000 ? 65_001 : 65_000;
    await expect(start({ port: elsewhere })).rejects.toMatchObject({ code: 'conflict' });
    await second.stop();
    expect(await findPostgres(folder)).toBeUndefined();
  });

  test('two starts at the same time end with one server', async () => {
    const results = await Promise.allSettled([start(), start()]);
    const servers = results.filter((each) => each.status === 'fulfilled').map((each) => each.value);
    expect(results.filter((each) => each.status === 'rejected')).toEqual([]);
    expect(new Set(servers.map(({ pid }) => pid)).size).toBe(1);
  });

  test('a taken port is refused and the folder can be used afterwards', async () => {
    const holder = createServer();
    holder.listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as AddressInfo;
    await expect(start({ port })).rejects.toMatchObject({ code: 'port_in_use', details: { port } });
    holder.close();
    await once(holder, 'close');
    expect((await start({ port })).port).toBe(port);
  });

  test('recovers what was committed when its main process is killed', async () => {
    const first = await start();
    await query(first.url, 'create table kept as select generate_series(1, 1000) as value');
    process.kill(first.pid, 'SIGKILL');
    const second = await start();
    expect(second.started).toBe(true);
    expect(second.pid).not.toBe(first.pid);
    expect(await query(second.url, 'select count(*)::int as rows from kept')).toEqual([
      { rows: 1000 },
    ]);
    expect(await readFile(join(folder, 'server.log'), 'utf8')).toContain(
      'was not properly shut down',
    );
  });

  test('a server that ends at once is reported with its last words', async () => {
    const broken = start({ settings: { shared_buffers: 'plenty' } });
    await expect(broken).rejects.toMatchObject({ code: 'postgres_start_failed' });
    await expect(broken).rejects.toThrow(/shared_buffers.*plenty/);
    expect((await start()).started).toBe(true);
  });

  test('data of another major version is refused', async () => {
    await (await start()).stop();
    await writeFile(join(folder, 'data', 'PG_VERSION'), '15\n');
    await expect(start()).rejects.toThrow('data of PostgreSQL 15, not 17');
    await writeFile(join(folder, 'data', 'PG_VERSION'), '17\n');
  });

  test('a folder with something else in it is left alone', async () => {
    await mkdir(folder);
    await writeFile(join(folder, 'thesis.txt'), 'years of work');
    await expect(start()).rejects.toThrow('thesis.txt');
    expect(await readdir(folder)).toEqual(['thesis.txt']);
  });

  test('a half-made data folder is not taken for whole', async () => {
    await mkdir(join(folder, 'data.new-0123'), { recursive: true });
    await writeFile(join(folder, 'data.new-0123', 'PG_VERSION'), '17\n');
    expect((await start()).started).toBe(true);
    expect((await readdir(folder)).filter((name) => name.startsWith('data.new'))).toEqual([]);
  });

  test('a folder with a long path has its socket elsewhere, and takes it away', async () => {
    const long = join(base, 'a'.repeat(100));
    const server = await startPostgres(install, { folder: long, settings, log });
    expect(server.socketFolder.startsWith(long)).toBe(false);
    expect((await stat(server.socketFolder)).isDirectory()).toBe(true);
    await server.stop();
    await expect(stat(server.socketFolder)).rejects.toThrow('ENOENT');
  });

  test('the list shows installs and running servers', async () => {
    expect(await listInstalls(cacheFolder(process.env))).toContainEqual(install);
    const server = await start();
    const found = (await listRunning()).find(({ pid }) => pid === server.pid);
    expect(found).toMatchObject({ port: server.port, major: 17, dataFolder: join(folder, 'data') });
    await server.stop();
    expect((await listRunning()).map(({ pid }) => pid)).not.toContain(server.pid);
  });

  test('a stale file that names a process of somebody else stops nobody', async () => {
    const server = await start();
    const lines = await readFile(join(folder, 'data', 'postmaster.pid'), 'utf8');
    await server.stop();
    const other = spawn('sleep', ['60'], { stdio: 'ignore' });
    try {
      const stale = lines.replace(/^\d+/, String(other.pid));
      await writeFile(join(folder, 'data', 'postmaster.pid'), stale);
      expect(await stopPostgres(folder, { log })).toBe(false);
      await delay(100);
      expect(other.exitCode ?? other.signalCode).toBeNull();
    } finally {
      other.kill('SIGKILL');
      await once(other, 'exit');
    }
  });

  /** Another process that starts the server of the folder, says so and stays. */
  async function startElsewhere(lifetime: 'child' | 'detached'): Promise<ChildProcess> {
    const module = new URL('../../src/database/database.ts', import.meta.url).href;
    const options = JSON.stringify({ folder, settings, lifetime });
    const text = `
      const { startPostgres } = await import(${JSON.stringify(module)});
      const log = { warn() {}, info() {}, error() {}, debug() {} };
      await startPostgres(${JSON.stringify(install)}, { ...${options}, log });
      console.log('up');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', text], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [started] = (await Promise.race([
      once(child.stdout, 'data').then(() => [true]),
      once(child, 'exit').then(() => [false]),
    ])) as [boolean];
    if (!started) throw new Error('the other process did not start the server');
    return child;
  }

  test('a detached server outlives who started it, and another process stops it', async () => {
    const starter = await startElsewhere('detached');
    starter.kill('SIGKILL');
    await once(starter, 'exit');
    await delay(200);
    expect(await findPostgres(folder)).toMatchObject({ ready: true });
    expect(await stopPostgres(folder, { log })).toBe(true);
    expect(await findPostgres(folder)).toBeUndefined();
    expect(await stopPostgres(folder, { log })).toBe(false);
  });

  test('a server that is a child ends with its parent, even when that is killed', async () => {
    const starter = await startElsewhere('child');
    const running = await findPostgres(folder);
    expect(running).toMatchObject({ ready: true });
    starter.kill('SIGKILL');
    await once(starter, 'exit');
    await expect.poll(async () => await findPostgres(folder), { timeout: 20_000 }).toBeUndefined();
  });
});
