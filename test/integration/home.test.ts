import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/base.ts';
import { openDatabase, sql, type Database } from '../../src/database/database.ts';
import { silentLog } from '../support/databases.ts';
import { seedHome } from '../support/embedded-template.ts';

const script = join(import.meta.dirname, '../support/hold-home.ts');

let home: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'centuria-home-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) await stop(child, 'SIGKILL');
  await rm(home, { recursive: true, force: true });
});

const open = (folder = home): Promise<Database> =>
  openDatabase({ home: folder, poolSize: 1, log: silentLog, clock: systemClock });

/** Starts a process on the data folder and gives the first line that it says. */
async function start(): Promise<{ child: ChildProcess; said: Record<string, unknown> }> {
  const child = spawn(process.execPath, [script, home], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, 'line')) as [string];
  return { child, said: JSON.parse(line) as Record<string, unknown> };
}

async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}

describe('the lock of the data folder', () => {
  beforeEach(() => seedHome(home, 'empty'));

  test('refuses a second process, which names the first', async () => {
    const first = await start();
    expect(first.said).toStrictEqual({ open: true });
    const pid = first.child.pid;
    await expect(open()).rejects.toMatchObject({
      code: 'home_locked',
      message: expect.stringContaining(`process ${pid}`),
      details: { pid },
      remedy: expect.stringContaining('--home'),
    });
    await stop(first.child, 'SIGTERM');
    expect(await readdir(home)).toStrictEqual(['database']);
  });

  test('is taken over from a process that was killed, and what that committed is there', async () => {
    const first = await start();
    await stop(first.child, 'SIGKILL');
    expect(await readdir(home)).toContain('lock');
    const db = await open();
    expect(await db.query(sql`select 1 as one`)).toStrictEqual([{ one: 1 }]);
    await db.close();
    expect(await readdir(home)).toStrictEqual(['database']);
  });

  test('is taken over when the pid belongs to another process by now', async () => {
    const db = await open();
    const held = JSON.parse(await readFile(join(home, 'lock'), 'utf8')) as object;
    await db.close();
    // Process 1 lives, but did not start then.
    await writeFile(join(home, 'lock'), JSON.stringify({ ...held, pid: 1 }));
    const again = await open();
    expect(await again.query(sql`select 1 as one`)).toStrictEqual([{ one: 1 }]);
    await again.close();
  });

  test('is not taken from a process of another container or machine', async () => {
    const db = await open();
    const held = JSON.parse(await readFile(join(home, 'lock'), 'utf8')) as object;
    await db.close();
    await writeFile(join(home, 'lock'), JSON.stringify({ ...held, host: 'elsewhere' }));
    await expect(open()).rejects.toMatchObject({
      code: 'home_locked',
      message: expect.stringContaining('elsewhere'),
      remedy: expect.stringContaining(join(home, 'lock')),
    });
  });

  test('is not taken when the file is not ours', async () => {
    await writeFile(join(home, 'lock'), 'something else');
    await expect(open()).rejects.toMatchObject({ code: 'home_locked' });
    expect(await readFile(join(home, 'lock'), 'utf8')).toBe('something else');
  });

  test('goes to exactly one of several processes that find it stale at the same time', async () => {
    const first = await start();
    await stop(first.child, 'SIGKILL');
    const all = await Promise.all([start(), start(), start(), start()]);
    const codes = all.map(({ said }) => said['code'] ?? 'open').toSorted();
    expect(codes).toStrictEqual(['home_locked', 'home_locked', 'home_locked', 'open']);
  });
});

describe('the data folder', () => {
  test('is made for its owner only', async () => {
    const inner = join(home, 'a', 'b');
    const db = await open(inner);
    await db.close();
    expect((await stat(inner)).mode & 0o777).toBe(0o700);
  });

  test('is refused where no folder can be made, at once', async ({ skip }) => {
    if (process.platform !== 'linux') skip('there is no /proc here');
    // Node's recursive mkdir never returns from this.
    await expect(open('/proc/centuria/home')).rejects.toMatchObject({ code: 'home_unusable' });
  });

  test('is refused where a file stands', async () => {
    const file = join(home, 'file');
    await writeFile(file, '');
    await expect(open(file)).rejects.toMatchObject({
      code: 'home_unusable',
      message: expect.stringContaining('is not a folder'),
    });
    await expect(open(join(file, 'inner'))).rejects.toMatchObject({ code: 'home_unusable' });
  });

  test('is refused when this user may not write it', async ({ skip }) => {
    skip(process.getuid?.() === 0, 'root may write everything');
    await chmod(home, 0o500);
    await expect(open()).rejects.toMatchObject({ code: 'home_unusable' });
    await chmod(home, 0o700);
  });

  test('is refused when something else is in the place of the database', async () => {
    const folder = join(home, 'other');
    const inner = join(folder, 'database');
    await mkdir(inner, { recursive: true });
    await writeFile(join(inner, 'diary.txt'), 'dear diary');
    await expect(open(folder)).rejects.toMatchObject({
      code: 'home_unusable',
      message: expect.stringContaining('is not a database'),
    });
    expect(await readdir(inner)).toStrictEqual(['diary.txt']);
    expect(await readdir(folder)).toStrictEqual(['database']);
  });

  test('is refused when another PostgreSQL wrote it', async () => {
    seedHome(home, 'empty');
    await writeFile(join(home, 'database', 'PG_VERSION'), '17\n');
    await expect(open()).rejects.toMatchObject({ code: 'database_unsupported' });
    expect(await readdir(home)).not.toContain('lock');
  });

  test('is refused when the database is damaged', async () => {
    seedHome(home, 'empty');
    await rm(join(home, 'database', 'global', 'pg_control'));
    await expect(open()).rejects.toMatchObject({ code: 'home_unusable' });
  });

  test('gets its database made again when the first start was cut short', async () => {
    seedHome(home, 'empty');
    await rm(join(home, 'database', 'global'), { recursive: true });
    await writeFile(join(home, 'database.incomplete'), '');
    const again = await open();
    expect(await again.query(sql`select 1 as one`)).toStrictEqual([{ one: 1 }]);
    await again.close();
    expect(await readdir(home)).toStrictEqual(['database']);
  });
});
