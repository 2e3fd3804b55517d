/** kill -9 at every line of a deployment's journal. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deploy } from '../../src/ext/deploy/deploy.ts';
import {
  creating,
  killPoints,
  openDeployments,
  surviveKill,
  type Deployments,
} from '../support/ext-deployments.ts';
import { extensionServerUnavailable } from '../support/extension-servers.ts';

const reason = await extensionServerUnavailable();

describe.skipIf(reason !== undefined)('a deployment', () => {
  let on: Deployments;
  beforeAll(async () => {
    on = await openDeployments(['1.0', '1.1', '1.2']);
    await deploy(on.target, on.bundle('1.0'), creating);
  });
  afterAll(() => on?.stop());

  test.each(killPoints)('is resumed, or taken back, after kill -9 at “%s”', async (point) => {
    expect(await surviveKill(on, point)).toEqual([]);
  });
});
