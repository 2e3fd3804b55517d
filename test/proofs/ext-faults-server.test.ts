/** Faults of the server in the middle of a deployment: crashes, restarts, libraries that it preloads. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from 'pg';
import { deploy, type DeployOptions } from '../../src/ext/deploy/deploy.ts';
import { rollBack } from '../../src/ext/deploy/rollback.ts';
import { statusOf } from '../../src/ext/deploy/status.ts';
import { until } from '../support/databases.ts';
import {
  creating,
  openDeployments,
  plainly,
  whichRuns,
  type Deployments,
} from '../support/ext-deployments.ts';
import { assertAsBefore, seen } from '../support/ext-faults.ts';
import { extensionServerUnavailable } from '../support/extension-servers.ts';

const reason = await extensionServerUnavailable();
const actor = { actor: 'test' };

describe.skipIf(reason !== undefined)('a server that', () => {
  let on: Deployments;
  let first: string;
  beforeAll(async () => {
    on = await openDeployments(['1.0', '1.1'], {
      builds: { crashing: ['counter', { RELEASE: '1.1', CRASH: 'yes' }] },
    });
    await deploy(on.target, on.bundle('1.0'), creating);
    first = await seen(on);
  });
  afterAll(() => on?.stop());

  const deployAndBack = async (): Promise<void> => {
    await deploy(on.target, on.bundle('1.1'), plainly);
    expect(await on.sql(whichRuns)).toEqual([{ sql: '1.1', library: '1.1' }]);
    await rollBack(on.target, actor);
  };
  /** As a crash of one backend does it: all sessions end, and nobody is let in at first. */
  const endAtOnce = (): boolean => process.kill(on.server.pid(), 'SIGQUIT');

  test('a library crashes is taken back to the old one; a rehearsal lets it not come so far', async () => {
    await expect(
      deploy(on.target, on.bundle('crashing'), { ...plainly, rehearse: true }),
    ).rejects.toMatchObject({ message: expect.stringContaining('crashes-server') });
    await assertAsBefore(on, first);
    await expect(deploy(on.target, on.bundle('crashing'), plainly)).rejects.toMatchObject({
      code: 'ext_failed',
      message: expect.stringMatching(/smoke test.*was lost.*taken back/s),
    });
    await assertAsBefore(on, first);
    await deployAndBack();
  });

  test('is ended between the files and the catalogue and comes back gets the old files back', async () => {
    const failing = deploy(on.target, on.bundle('1.1'), {
      ...plainly,
      ...atLine('catalogue begins', () => {
        endAtOnce();
        void on.server.restart();
      }),
    });
    await expect(failing).rejects.toMatchObject({
      code: 'ext_failed',
      details: { state: 'rolled_back' },
    });
    await assertAsBefore(on, first);
    await deployAndBack();
  });

  test.each(['resumed', 'taken back'])('stays away leaves a journal: %s', async (how) => {
    const failing = deploy(on.target, on.bundle('1.1'), {
      ...plainly,
      serverBackMs: 1,
      ...atLine('catalogue begins', endAtOnce),
    });
    await expect(failing).rejects.toMatchObject({
      code: 'target_unreachable',
      details: { state: 'unfinished' },
      remedy: expect.stringContaining('--resume'),
    });
    await on.server.restart();
    expect(await on.sql(whichRuns)).toEqual([{ sql: '1.0', library: '1.1' }]);
    expect((await statusOf(on.target)).findings).toMatchObject([{ rule: 'unfinished' }]);
    if (how === 'resumed') {
      const { wasResumed } = await deploy(on.target, undefined, plainly);
      expect(wasResumed).toBe(true);
      expect(await on.sql(whichRuns)).toEqual([{ sql: '1.1', library: '1.1' }]);
    }
    await rollBack(on.target, actor);
    await assertAsBefore(on, first);
  });

  test('is ended while its catalogue is updated has the old catalogue and gets the old files', async () => {
    const blocker = new Client({ connectionString: on.server.url });
    blocker.on('error', () => undefined);
    await blocker.connect();
    await blocker.query('begin; select * from counters');
    const failing = deploy(on.target, on.bundle('1.1'), { ...plainly, lockTimeoutMs: 60_000 });
    const ended = failing.catch((error: unknown) => error);
    await until(async () => {
      const rows = await on.sql(`select from pg_stat_activity where wait_event_type = 'Lock'`);
      return rows.length > 0;
    });
    endAtOnce();
    await on.server.restart();
    expect(await ended).toMatchObject({ code: 'ext_failed', details: { state: 'rolled_back' } });
    await assertAsBefore(on, first);
    await deployAndBack();
  });
});

describe.skipIf(reason !== undefined)('a library that is preloaded', () => {
  let on: Deployments;
  let first: string;
  beforeAll(async () => {
    on = await openDeployments([], {
      builds: {
        '1.0': ['preloaded', { RELEASE: '1.0' }],
        '1.1': ['preloaded', { RELEASE: '1.1' }],
        failing: ['preloaded', { RELEASE: '1.1', FAIL: 'yes' }],
      },
    });
    // Its smoke test asks for what is there only when it is preloaded, so the extension is made later.
    await deploy(on.target, on.bundle('1.0'), plainly);
    await on.sql('create extension centuria_preloaded');
    await on.server.restart({ shared_preload_libraries: 'centuria_preloaded' });
    first = await seen(on);
  });
  afterAll(() => on?.stop());

  const runs = 'select preloaded_version() as sql, preloaded_library() as library';
  const restart = { mayRestart: true, restart: () => on.server.restart() };

  test('waits for a restart, and goes on after it', async () => {
    const { state } = await deploy(on.target, on.bundle('1.1'), plainly);
    expect(state).toBe('waiting_for_restart');
    expect((await statusOf(on.target)).deployments[0]?.state).toBe('waiting_for_restart');
    // Without one it waits on, whoever asks.
    expect(await deploy(on.target, undefined, plainly)).toMatchObject({
      state: 'waiting_for_restart',
    });
    expect(await on.sql(runs)).toEqual([{ sql: '1.0', library: '1.0' }]);
    await on.server.restart();
    expect((await deploy(on.target, undefined, plainly)).state).toBe('deployed');
    expect(await on.sql(runs)).toEqual([{ sql: '1.1', library: '1.1' }]);
    const { needsRestart } = await rollBack(on.target, { ...actor, ...restart });
    expect(needsRestart).toEqual(['centuria_preloaded']);
    expect(await on.sql(runs)).toEqual([{ sql: '1.0', library: '1.0' }]);
    await assertAsBefore(on, first);
  });

  test('is live at once where the server may be restarted, and others may deploy after it', async () => {
    const { state } = await deploy(on.target, on.bundle('1.1'), { ...plainly, ...restart });
    expect(state).toBe('deployed');
    expect(await on.sql(runs)).toEqual([{ sql: '1.1', library: '1.1' }]);
    await rollBack(on.target, { ...actor, ...restart });
    expect(await on.sql(runs)).toEqual([{ sql: '1.0', library: '1.0' }]);
    await assertAsBefore(on, first);
  });

  test('keeps the server from starting: the files go back, and it starts with the old one', async () => {
    await expect(
      deploy(on.target, on.bundle('failing'), { ...plainly, ...restart, rehearse: true }),
    ).rejects.toMatchObject({ message: expect.stringContaining('preload-fails') });
    await assertAsBefore(on, first);
    await expect(
      deploy(on.target, on.bundle('failing'), { ...plainly, ...restart }),
    ).rejects.toMatchObject({
      code: 'ext_failed',
      message: expect.stringMatching(/refuses to be loaded.*taken back/s),
    });
    expect(await on.sql(runs)).toEqual([{ sql: '1.0', library: '1.0' }]);
    await assertAsBefore(on, first);
  });

  test('keeps a server from starting that somebody else restarts: the files go back without it', async () => {
    const waiting = await deploy(on.target, on.bundle('failing'), plainly);
    expect(waiting.state).toBe('waiting_for_restart');
    await expect(on.server.restart()).rejects.toThrow('refuses to be loaded');
    await expect(on.open()).rejects.toMatchObject({ code: 'target_unreachable' });
    const target = await on.open({ mayBeDown: true });
    await expect(rollBack(target, actor)).rejects.toMatchObject({ code: 'target_unreachable' });
    await rollBack(target, { ...actor, filesOnly: true });
    await target.close();
    await on.server.restart();
    expect(await on.sql(runs)).toEqual([{ sql: '1.0', library: '1.0' }]);
    await assertAsBefore(on, first);
  });
});

function atLine(line: string, work: () => unknown): Pick<DeployOptions, 'onStep'> {
  return {
    onStep(step, event) {
      if (`${step} ${event}` === line) work();
    },
  };
}
