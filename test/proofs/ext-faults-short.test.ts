/** Faults that need a server and no minutes; the rest of them is in `npm run proofs`. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { deploy } from '../../src/ext/deploy/deploy.ts';
import { rollBack } from '../../src/ext/deploy/rollback.ts';
import { statusOf } from '../../src/ext/deploy/status.ts';
import {
  creating,
  openDeployments,
  plainly,
  whichRuns,
  type Deployments,
} from '../support/ext-deployments.ts';
import { assertAsBefore, everything, libraryOf, seen, withFile } from '../support/ext-faults.ts';
import { extensionServerUnavailable } from '../support/extension-servers.ts';

const reason = await extensionServerUnavailable();
const actor = { actor: 'test' };

describe.skipIf(reason !== undefined)('with 1.0 live', () => {
  let on: Deployments;
  let first: string;
  beforeAll(async () => {
    on = await openDeployments(['1.0', '1.1']);
    await deploy(on.target, on.bundle('1.0'), creating);
    first = await seen(on);
  });
  afterAll(() => on?.stop());
  afterEach(() => assertAsBefore(on, first));

  test('a library that was cut short is refused before the first write', async () => {
    const before = everything(on);
    const { path, bytes } = libraryOf(on.bundle('1.1'));
    const cut = withFile(on.bundle('1.1'), path, bytes.subarray(0, bytes.length / 2));
    await expect(deploy(on.target, cut, plainly)).rejects.toMatchObject({ code: 'ext_refused' });
    expect(everything(on)).toBe(before);
  });

  test('a server that is ended between files and catalogue comes back to the old files', async () => {
    const failing = deploy(on.target, on.bundle('1.1'), {
      ...plainly,
      onStep(step, event) {
        if (`${step} ${event}` !== 'catalogue begins') return;
        process.kill(on.server.pid(), 'SIGQUIT');
        void on.server.restart();
      },
    });
    await expect(failing).rejects.toMatchObject({
      code: 'ext_failed',
      details: { state: 'rolled_back' },
    });
  });

  test('a rollback that others stand in the way of changes nothing, and can be had again', async () => {
    await deploy(on.target, on.bundle('1.1'), plainly);
    await on.sql('create view built_upon as select counter_add(1, 2)');
    await expect(rollBack(on.target, actor)).rejects.toMatchObject({
      code: 'ext_failed',
      message: expect.stringContaining('built_upon'),
    });
    expect(await on.sql(whichRuns)).toEqual([{ sql: '1.1', library: '1.1' }]);
    expect((await statusOf(on.target)).deployments[0]?.state).toBe('deployed');
    await on.sql('drop view built_upon');
    await rollBack(on.target, actor);
  });
});
