/** Deployments on a real server: what they change, what stops them, and the way back. */
import {
  chmodSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deploy } from '../../src/ext/deploy/deploy.ts';
import { rollBack } from '../../src/ext/deploy/rollback.ts';
import { statusOf } from '../../src/ext/deploy/status.ts';
import { planDeployment } from '../../src/ext/deploy/target.ts';
import { verify } from '../../src/ext/deploy/verify.ts';
import {
  creating,
  openDeployments,
  plainly,
  surviveKill,
  whichRuns,
  type Deployments,
} from '../support/ext-deployments.ts';
import { extensionServerUnavailable } from '../support/extension-servers.ts';

const reason = await extensionServerUnavailable();

describe.skipIf(reason !== undefined)('a server', () => {
  let on: Deployments;
  beforeAll(async () => {
    on = await openDeployments(['1.0', '1.1', '1.2', '1.3']);
  });
  afterAll(() => on?.stop());

  test('takes a first release, an update with its catalogue, and both back, bit by bit', async () => {
    const none = on.files();
    await deploy(on.target, on.bundle('1.0'), creating);
    expect(await on.sql(whichRuns)).toEqual([{ sql: '1.0', library: '1.0' }]);
    await on.sql(`insert into counters values ('kept', 7)`);
    const first = on.files();

    const plan = await planDeployment(on.target, on.bundle('1.1'), plainly);
    expect(on.files()).toBe(first);
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

    const { state } = await deploy(on.target, on.bundle('1.1'), { ...plainly, rehearse: true });
    expect(state).toBe('deployed');
    expect(await on.sql(whichRuns)).toEqual([{ sql: '1.1', library: '1.1' }]);
    const again = await deploy(on.target, on.bundle('1.1'), plainly);
    expect(again.findings).toEqual([expect.objectContaining({ rule: 'already-live' })]);
    const [verified] = await verify(on.target);
    expect(verified?.findings.filter(({ level }) => level === 'refuse')).toEqual([]);

    await rollBack(on.target, { actor: 'test' });
    expect(on.files()).toBe(first);
    expect(await on.sql('select counter_version() as sql, value from counters')).toEqual([
      { sql: '1.0', value: '7' },
    ]);
    await on.sql('drop table if exists built_upon');
    await rollBack(on.target, { actor: 'test' });
    expect(on.files()).toBe(none);
    expect(await on.sql(`select from pg_extension where extname = 'centuria_counter'`)).toEqual([]);
  });

  test('records deployments where SQL finds them', async () => {
    const rows = await on.sql(
      `select bundle, version, state from centuria_ext.deployments order by started_at`,
    );
    expect(rows).toEqual([
      { bundle: 'centuria_counter', version: '1.0', state: 'rolled_back' },
      { bundle: 'centuria_counter', version: '1.1', state: 'rolled_back' },
    ]);
  });

  test('is as before when an update script fails, whatever had been switched', async () => {
    await deploy(on.target, on.bundle('1.1'), creating);
    const before = on.files();
    const failing = deploy(on.target, on.bundle('1.3'), { ...plainly, acceptOneWay: true });
    await expect(failing).rejects.toMatchObject({
      code: 'ext_failed',
      message: expect.stringMatching(/counter_missing.*all of it was taken back/s),
    });
    expect(on.files()).toBe(before);
    expect(await on.sql(whichRuns)).toEqual([{ sql: '1.1', library: '1.1' }]);
    const { deployments } = await statusOf(on.target);
    expect(deployments[0]?.state).toBe('rolled_back');
  });

  test('is rehearsed first: what would fail there never touches it', async () => {
    const before = on.files();
    await expect(
      deploy(on.target, on.bundle('1.3'), { ...plainly, acceptOneWay: true, rehearse: true }),
    ).rejects.toMatchObject({ code: 'ext_failed', message: expect.stringContaining('1.3') });
    expect(on.files()).toBe(before);
  });

  test('refuses an update without a way back unless that is accepted, and then says so', async () => {
    const before = on.files();
    await expect(deploy(on.target, on.bundle('1.2'), plainly)).rejects.toMatchObject({
      code: 'ext_refused',
      details: { findings: [expect.objectContaining({ rule: 'one-way' })] },
    });
    expect(on.files()).toBe(before);
    await deploy(on.target, on.bundle('1.2'), { ...plainly, acceptOneWay: true });
    await expect(rollBack(on.target, { actor: 'test' })).rejects.toMatchObject({
      code: 'ext_refused',
    });
    await on.sql('drop extension centuria_counter');
    await rollBack(on.target, { actor: 'test', filesOnly: true });
    expect(on.files()).toBe(before);
  });

  test('says whom a lock waits for, and takes all back', async () => {
    await on.sql('create extension centuria_counter');
    await on.undoAll();
    await deploy(on.target, on.bundle('1.0'), creating);
    const before = on.files();
    const blocker = new Client({ connectionString: on.server.url });
    await blocker.connect();
    await blocker.query('begin; select * from counters');
    try {
      await expect(deploy(on.target, on.bundle('1.1'), plainly)).rejects.toMatchObject({
        code: 'ext_failed',
        message: expect.stringMatching(/lock timeout.*waited for backend \d+/s),
      });
    } finally {
      await blocker.end();
    }
    expect(on.files()).toBe(before);
  });

  test('finds what something else has put in the place of a link', async () => {
    const control = join(on.server.paths.extensionFolder, 'centuria_counter.control');
    const link = readlinkSync(control);
    await rm(control);
    writeFileSync(control, `default_version = '9'\n`);
    const { bundles } = await statusOf(on.target);
    expect(bundles[0]?.drift).toEqual([
      expect.objectContaining({ path: 'extension/centuria_counter.control', kind: 'replaced' }),
    ]);
    await expect(deploy(on.target, on.bundle('1.1'), plainly)).rejects.toMatchObject({
      code: 'ext_refused',
      details: { findings: [expect.objectContaining({ rule: 'drift' })] },
    });
    await deploy(on.target, on.bundle('1.1'), { ...plainly, adopt: true });
    await rollBack(on.target, { actor: 'test' });
    expect(readFileSync(control, 'utf8')).toBe(`default_version = '9'\n`);
    expect(lstatSync(control).isSymbolicLink()).toBe(false);
    await rm(control);
    await on.target.host.check('ln -s "$1" "$2"', { args: [link, control] });
    expect((await statusOf(on.target)).bundles[0]?.drift).toEqual([]);
  });

  test.each(['switch begins', 'catalogue ends'])(
    'is resumed, or taken back, after kill -9 at “%s”; all lines are in npm run proofs',
    async (point) => {
      expect(await surviveKill(on, point)).toEqual([]);
    },
  );

  test('lets one deploy at a time', async () => {
    const other = await on.open();
    const lock = await other.server.lock(`deploy ${other.layout.folder}`);
    try {
      await expect(deploy(on.target, on.bundle('1.1'), plainly)).rejects.toMatchObject({
        code: 'ext_busy',
      });
    } finally {
      await lock.release();
      await other.close();
    }
  });

  test('lists the sessions that go on with the library of before, and crashes none', async () => {
    const session = new Client({ connectionString: on.server.url });
    await session.connect();
    const { rows } = await session.query(
      'select counter_library() as library, pg_backend_pid() as pid',
    );
    const { findings } = await deploy(on.target, on.bundle('1.1'), plainly);
    expect(findings).toContainEqual(
      expect.objectContaining({
        rule: 'stale-backend',
        message: expect.stringContaining(String(rows[0].pid)),
      }),
    );
    const again = await session.query('select counter_library() as library');
    expect(again.rows).toEqual([{ library: '1.0' }]);
    await session.end();
    const { bundles } = await statusOf(on.target);
    expect(bundles[0]?.stale).toEqual({ value: [] });
    await rollBack(on.target, { actor: 'test' });
  });

  test('keeps files that were there by hand, and gives them back', async () => {
    await on.undoAll();
    const { libraryFolder, extensionFolder } = on.server.paths;
    const { files: contents } = on.bundle('1.0');
    for (const [path, bytes] of contents) {
      const [kind, name = ''] = path.split('/');
      if (kind === 'lib') writeFileSync(join(libraryFolder, name), bytes, { mode: 0o755 });
      if (kind === 'extension') writeFileSync(join(extensionFolder, name), bytes, { mode: 0o640 });
    }
    for (const name of readdirSync(extensionFolder)) {
      if (name.startsWith('centuria_counter')) chmodSync(join(extensionFolder, name), 0o644);
    }
    await on.sql('create extension centuria_counter');
    const before = on.files();
    await expect(deploy(on.target, on.bundle('1.1'), plainly)).rejects.toMatchObject({
      code: 'ext_refused',
      details: {
        findings: expect.arrayContaining([expect.objectContaining({ rule: 'name-clash' })]),
      },
    });
    expect(on.files()).toBe(before);
    await deploy(on.target, on.bundle('1.1'), { ...plainly, adopt: true });
    expect(await on.sql(whichRuns)).toEqual([{ sql: '1.1', library: '1.1' }]);
    await rollBack(on.target, { actor: 'test' });
    expect(on.files()).toBe(before);
    expect(await on.sql(whichRuns)).toEqual([{ sql: '1.0', library: '1.0' }]);
  });
});
