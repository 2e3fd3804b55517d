/** Deployments on a real server: what they change, what stops them, and the way back. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLog, systemClock } from '../../src/base/base.ts';
import { deploy, type DeployOptions } from '../../src/ext/deploy/deploy.ts';
import { rollBack } from '../../src/ext/deploy/rollback.ts';
import { statusOf } from '../../src/ext/deploy/status.ts';
import { openTarget, planDeployment, type Target } from '../../src/ext/deploy/target.ts';
import { verify } from '../../src/ext/deploy/verify.ts';
import { stepNames } from '../../src/ext/deployment-types.ts';
import type { Bundle } from '../../src/ext/types.ts';
import { buildSample } from '../support/extension-bundles.ts';
import {
  extensionServerUnavailable,
  startExtensionServer,
  type ExtensionServer,
} from '../support/extension-servers.ts';
import { testFolder } from '../support/processes.ts';

const reason = await extensionServerUnavailable();
const log = createLog({ level: 'error' });
const options: DeployOptions = {
  adopt: false,
  acceptOneWay: false,
  acceptStandbys: false,
  mayRestart: false,
  create: [],
  rehearse: false,
  lockTimeoutMs: 1_000,
  actor: 'test',
};

describe.skipIf(reason !== undefined)('a server', () => {
  let server: ExtensionServer;
  let folder: string;
  let target: Target;
  const built: Record<string, { bundle: Bundle; file: string }> = {};

  const sample = (name: string): Bundle => {
    const found = built[name];
    if (found === undefined) throw new Error(`${name} was not built`);
    return found.bundle;
  };

  beforeAll(async () => {
    folder = await testFolder();
    server = await startExtensionServer();
    for (const release of ['1.0', '1.1', '1.2', '1.3']) {
      const into = join(folder, release);
      mkdirSync(into);
      built[release] = await buildSample('counter', { RELEASE: release }, into);
    }
    target = await open();
  }, 120_000);
  afterAll(async () => {
    await target?.close();
    await server?.stop();
    await target?.host.run('chmod -R u+w "$1"', { args: [folder] });
    await rm(folder, { recursive: true, force: true });
  });

  const open = (): Promise<Target> =>
    openTarget(
      { address: server.address, stagingFolder: join(folder, 'staging') },
      { clock: systemClock, log },
    );

  const sql = async (text: string, database = 'postgres'): Promise<unknown[]> => {
    const client = new Client({
      host: server.address.host,
      port: server.address.port,
      user: server.address.user,
      password: server.address.password,
      database,
    });
    await client.connect();
    try {
      const { rows } = await client.query(text);
      return rows;
    } finally {
      await client.end();
    }
  };

  /** Every name of the server's folders with its kind and the hash of what it gives. */
  const files = (): string =>
    [server.paths.libraryFolder, server.paths.extensionFolder]
      .flatMap((path) =>
        readdirSync(path)
          .filter((name) => name.startsWith('centuria_') || name.startsWith('.centuria'))
          .map((name) => {
            const file = join(path, name);
            const isLink = lstatSync(file).isSymbolicLink();
            const bytes = existsSync(file) ? readFileSync(file) : Buffer.from('nothing');
            const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 12);
            const mode = isLink ? readlinkSync(file) : (lstatSync(file).mode & 0o777).toString(8);
            return `${name} ${mode} ${hash}`;
          }),
      )
      .join('\n');

  const undoAll = async (): Promise<void> => {
    while (files().includes('centuria_counter')) {
      await rollBack(target, { actor: 'test' });
    }
  };

  test('takes a first release, an update with its catalogue, and both back, bit by bit', async () => {
    const none = files();
    await deploy(target, sample('1.0'), {
      ...options,
      create: ['centuria_counter'],
      databases: ['postgres'],
    });
    expect(await sql('select counter_version() as sql, counter_library() as library')).toEqual([
      { sql: '1.0', library: '1.0' },
    ]);
    await sql(`insert into counters values ('kept', 7)`);
    const first = files();

    const plan = await planDeployment(target, sample('1.1'), options);
    expect(files()).toBe(first);
    expect(plan.catalogue).toEqual([
      {
        database: 'postgres',
        extension: 'centuria_counter',
        action: 'update',
        from: '1.0',
        to: '1.1',
        back: ['1.1', '1.0'],
      },
    ]);
    expect(plan.findings.filter(({ level }) => level === 'refuse')).toEqual([]);

    const { state } = await deploy(target, sample('1.1'), { ...options, rehearse: true });
    expect(state).toBe('deployed');
    expect(await sql('select counter_version() as sql, counter_library() as library')).toEqual([
      { sql: '1.1', library: '1.1' },
    ]);
    const [verified] = await verify(target);
    expect(verified?.findings.filter(({ level }) => level === 'refuse')).toEqual([]);

    await rollBack(target, { actor: 'test' });
    expect(files()).toBe(first);
    expect(await sql('select counter_version() as sql, value from counters')).toEqual([
      { sql: '1.0', value: '7' },
    ]);
    await sql('drop table if exists built_upon');
    await rollBack(target, { actor: 'test' });
    expect(files()).toBe(none);
    expect(await sql(`select from pg_extension where extname = 'centuria_counter'`)).toEqual([]);
  });

  test('records deployments where SQL finds them', async () => {
    const rows = await sql(
      `select bundle, version, state from centuria_ext.deployments order by started_at`,
    );
    expect(rows).toEqual([
      { bundle: 'centuria_counter', version: '1.0', state: 'rolled_back' },
      { bundle: 'centuria_counter', version: '1.1', state: 'rolled_back' },
    ]);
  });

  test('is as before when an update script fails, whatever had been switched', async () => {
    await deploy(target, sample('1.1'), {
      ...options,
      create: ['centuria_counter'],
      databases: ['postgres'],
    });
    const before = files();
    const failing = deploy(target, sample('1.3'), { ...options, acceptOneWay: true });
    await expect(failing).rejects.toMatchObject({
      code: 'ext_failed',
      message: expect.stringMatching(/counter_missing.*all of it was taken back/s),
    });
    expect(files()).toBe(before);
    expect(await sql('select counter_version() as sql, counter_library() as library')).toEqual([
      { sql: '1.1', library: '1.1' },
    ]);
    const { deployments } = await statusOf(target);
    expect(deployments[0]?.state).toBe('rolled_back');
  });

  test('is rehearsed first: what would fail there never touches it', async () => {
    const before = files();
    await expect(
      deploy(target, sample('1.3'), { ...options, acceptOneWay: true, rehearse: true }),
    ).rejects.toMatchObject({ code: 'ext_failed', message: expect.stringContaining('1.3') });
    expect(files()).toBe(before);
  });

  test('refuses an update without a way back unless that is accepted, and then says so', async () => {
    const before = files();
    await expect(deploy(target, sample('1.2'), options)).rejects.toMatchObject({
      code: 'ext_refused',
      details: { findings: [expect.objectContaining({ rule: 'one-way' })] },
    });
    expect(files()).toBe(before);
    await deploy(target, sample('1.2'), { ...options, acceptOneWay: true });
    await expect(rollBack(target, { actor: 'test' })).rejects.toMatchObject({
      code: 'ext_refused',
    });
    await sql('drop extension centuria_counter');
    await rollBack(target, { actor: 'test', filesOnly: true });
    expect(files()).toBe(before);
  });

  test('says whom a lock waits for, and takes all back', async () => {
    await sql('create extension centuria_counter');
    await undoAll();
    await deploy(target, sample('1.0'), {
      ...options,
      create: ['centuria_counter'],
      databases: ['postgres'],
    });
    const before = files();
    const blocker = new Client({ connectionString: server.url });
    await blocker.connect();
    await blocker.query('begin; select * from counters');
    try {
      await expect(deploy(target, sample('1.1'), options)).rejects.toMatchObject({
        code: 'ext_failed',
        message: expect.stringMatching(/lock timeout.*waited for backend \d+/s),
      });
    } finally {
      await blocker.end();
    }
    expect(files()).toBe(before);
  });

  test('finds what something else has put in the place of a link', async () => {
    const control = join(server.paths.extensionFolder, 'centuria_counter.control');
    const link = readlinkSync(control);
    await rm(control);
    writeFileSync(control, `default_version = '9'\n`);
    const { bundles } = await statusOf(target);
    expect(bundles[0]?.drift).toEqual([
      expect.objectContaining({ path: 'extension/centuria_counter.control', kind: 'replaced' }),
    ]);
    await expect(deploy(target, sample('1.1'), options)).rejects.toMatchObject({
      code: 'ext_refused',
      details: { findings: [expect.objectContaining({ rule: 'drift' })] },
    });
    await deploy(target, sample('1.1'), { ...options, adopt: true });
    await rollBack(target, { actor: 'test' });
    expect(readFileSync(control, 'utf8')).toBe(`default_version = '9'\n`);
    expect(lstatSync(control).isSymbolicLink()).toBe(false);
    await rm(control);
    await target.host.check('ln -s "$1" "$2"', { args: [link, control] });
    expect((await statusOf(target)).bundles[0]?.drift).toEqual([]);
  });

  test.each(
    stepNames
      .filter((step) => !['begin', 'rehearse', 'restart', 'adopt'].includes(step))
      .flatMap((step) => [`${step} begins`, `${step} ends`]),
  )('is resumed, or taken back, after kill -9 at “%s”', async (killAt) => {
    const before = files();
    const old = await sql('select counter_version() as sql, counter_library() as library');
    expect(await killed(killAt)).toBe('SIGKILL');
    // Whatever came of it, a backend that begins now gets one release.
    const [seen] = (await sql('select counter_library() as library')) as { library: string }[];
    expect(['1.0', '1.1']).toContain(seen?.library);
    if (killAt === 'end ends') {
      await rollBack(target, { actor: 'test' });
    } else {
      await expect(deploy(target, sample('1.2'), options)).rejects.toMatchObject({
        code: 'ext_busy',
      });
      if (killAt.endsWith('begins')) {
        const bundle = killAt === 'stage begins' ? sample('1.1') : undefined;
        const resumed = await deploy(target, bundle, options);
        expect(resumed).toMatchObject({ state: 'deployed', wasResumed: true });
        expect(await sql('select counter_version() as sql, counter_library() as library')).toEqual([
          { sql: '1.1', library: '1.1' },
        ]);
      }
      await rollBack(target, { actor: 'test' });
    }
    expect(files()).toBe(before);
    expect(await sql('select counter_version() as sql, counter_library() as library')).toEqual(old);
    expect((await statusOf(target)).findings).toEqual([]);
  });

  test('lets one deploy at a time', async () => {
    const other = await open();
    const lock = await other.server.lock(`deploy ${other.layout.folder}`);
    try {
      await expect(deploy(target, sample('1.1'), options)).rejects.toMatchObject({
        code: 'ext_busy',
      });
    } finally {
      await lock.release();
      await other.close();
    }
  });

  test('lists the sessions that go on with the library of before, and crashes none', async () => {
    const session = new Client({ connectionString: server.url });
    await session.connect();
    const { rows } = await session.query(
      'select counter_library() as library, pg_backend_pid() as pid',
    );
    const { findings } = await deploy(target, sample('1.1'), options);
    expect(findings).toContainEqual(
      expect.objectContaining({
        rule: 'stale-backend',
        message: expect.stringContaining(String(rows[0].pid)),
      }),
    );
    const again = await session.query('select counter_library() as library');
    expect(again.rows).toEqual([{ library: '1.0' }]);
    await session.end();
    const { bundles } = await statusOf(target);
    expect(bundles[0]?.stale).toEqual({ value: [] });
    await rollBack(target, { actor: 'test' });
  });

  test('keeps files that were there by hand, and gives them back', async () => {
    await undoAll();
    const { libraryFolder, extensionFolder } = server.paths;
    const { files: contents } = sample('1.0');
    for (const [path, bytes] of contents) {
      const [kind, name = ''] = path.split('/');
      if (kind === 'lib') writeFileSync(join(libraryFolder, name), bytes, { mode: 0o755 });
      if (kind === 'extension') writeFileSync(join(extensionFolder, name), bytes, { mode: 0o640 });
    }
    for (const name of readdirSync(extensionFolder)) {
      if (name.startsWith('centuria_counter')) chmodSync(join(extensionFolder, name), 0o644);
    }
    await sql('create extension centuria_counter');
    const before = files();
    await expect(deploy(target, sample('1.1'), options)).rejects.toMatchObject({
      code: 'ext_refused',
      details: {
        findings: expect.arrayContaining([expect.objectContaining({ rule: 'name-clash' })]),
      },
    });
    expect(files()).toBe(before);
    await deploy(target, sample('1.1'), { ...options, adopt: true });
    expect(await sql('select counter_version() as sql, counter_library() as library')).toEqual([
      { sql: '1.1', library: '1.1' },
    ]);
    await rollBack(target, { actor: 'test' });
    expect(files()).toBe(before);
    expect(await sql('select counter_version() as sql, counter_library() as library')).toEqual([
      { sql: '1.0', library: '1.0' },
    ]);
  });

  async function killed(killAt: string): Promise<string | number | null> {
    const file = join(folder, 'deployer.json');
    const given = {
      address: server.address,
      stagingFolder: join(folder, 'staging'),
      bundle: built['1.1']?.file,
      killAt,
    };
    writeFileSync(file, JSON.stringify(given), { mode: 0o600 });
    const program = join(import.meta.dirname, '../support/ext-deployer.ts');
    const child = spawn(process.execPath, [program, file], { stdio: ['ignore', 'ignore', 'pipe'] });
    let words = '';
    child.stderr.on('data', (bytes: Buffer) => (words += bytes.toString()));
    const ended = await new Promise<string | number | null>((done) => {
      child.once('close', (code, signal) => done(signal ?? code));
    });
    if (ended !== 'SIGKILL') throw new Error(`the deployer ended with ${String(ended)}: ${words}`);
    return ended;
  }
});
