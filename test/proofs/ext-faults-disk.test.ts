/** Folders that are full or read-only: in mount namespaces of their own, or for another user. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deploy } from '../../src/ext/deploy/deploy.ts';
import { rollBack } from '../../src/ext/deploy/rollback.ts';
import {
  creating,
  openDeployments,
  plainly,
  type Deployments,
} from '../support/ext-deployments.ts';
import { assertAsBefore, deployer, runJson, seen } from '../support/ext-faults.ts';
import type { FullDisk } from '../support/ext-full-disk.ts';
import { extensionServerUnavailable } from '../support/extension-servers.ts';

const reason = (await extensionServerUnavailable()) ?? mountsUnavailable();
if (reason !== undefined) process.stderr.write(`disks are not filled: ${reason}\n`);

describe.skipIf(reason !== undefined)('a deployment', () => {
  let on: Deployments;
  let first: string;
  beforeAll(async () => {
    on = await openDeployments(['1.0', '1.1']);
    await deploy(on.target, on.bundle('1.0'), creating);
    first = await seen(on);
  });
  afterAll(() => on?.stop());

  const staging = (): string => join(on.folder, 'staging');
  const deploysAndBack = async (): Promise<void> => {
    await deploy(on.target, on.bundle('1.1'), plainly);
    await rollBack(on.target, { actor: 'test' });
    await assertAsBefore(on, first);
  };

  test('to folders that are read-only is refused, each by name', async () => {
    const { libraryFolder, extensionFolder } = on.server.paths;
    for (const folder of [libraryFolder, extensionFolder, staging()]) {
      expect(await deployer(on, '1.1', withMount(folder, readOnly(folder)))).toMatchObject({
        code: 'ext_refused',
        message: expect.stringMatching(new RegExp(`not-writable: ${folder}.*read-only`)),
        remedy: expect.stringContaining('owner'),
      });
      await assertAsBefore(on, first);
    }
  });

  test('whose library folder turns read-only under it is taken back', async () => {
    const { extensionFolder } = on.server.paths;
    const end = await deployer(on, '1.1', {
      ...withMount(extensionFolder),
      at: { 'link begins': readOnly(extensionFolder) },
    });
    expect(end).toMatchObject({
      code: 'ext_failed',
      message: expect.stringMatching(/Read-only file system.*all of it was taken back/s),
      remedy: expect.stringContaining('writable'),
    });
    await assertAsBefore(on, first);
    await deploysAndBack();
  });

  test.each(['stage begins', 'switch begins', 'catalogue begins'])(
    'whose staging folder turns read-only at “%s” says that it could not be taken back, and is later',
    async (line) => {
      const folder = staging();
      const at = { [line]: readOnly(folder) };
      expect(await deployer(on, '1.1', { ...withMount(folder), at })).toMatchObject({
        code: 'ext_failed',
        message: expect.stringMatching(/Read-only file system.*taking it back failed too/s),
        remedy: expect.stringContaining('centuria ext rollback'),
      });
      await rollBack(on.target, { actor: 'test' });
      await assertAsBefore(on, first);
      await deploysAndBack();
    },
  );

  test('on a disk that runs full is taken back at once, wherever that happens', async () => {
    const program = join(import.meta.dirname, '../support/ext-full-disk.ts');
    const ends = (await runJson(['unshare', '-m', process.execPath, program])) as FullDisk[];
    expect(ends).toHaveLength(7);
    for (const end of ends) {
      expect(end).toMatchObject({ canGoOn: true });
      // Only what had no need of room any more is deployed.
      if (end.code === undefined) continue;
      expect(end).toMatchObject({
        code: 'ext_failed',
        isAsBefore: true,
        message: expect.stringMatching(/No space left on device.*all of it was taken back/s),
        remedy: expect.stringContaining('Make room'),
      });
    }
    const failed = ends.filter(({ code }) => code !== undefined).map((end) => end.at);
    expect(failed).toEqual(expect.arrayContaining(['stage begins', 'link begins']));
  });
});

/** Mounting is root's, and not even root's in some containers. */
function mountsUnavailable(): string | undefined {
  try {
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt'], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    return `file systems can not be mounted here: ${(error as Error).message}`;
  }
}

function readOnly(folder: string): string {
  return `mount -o remount,bind,ro '${folder}'`;
}

/** A namespace in which the folder is a mount of its own, and `then` what is done to it. */
function withMount(folder: string, then = ':'): { by: string[] } {
  const script = `mount --bind '${folder}' '${folder}'\n${then}\nexec "$@"`;
  return { by: ['unshare', '-m', 'sh', '-ec', script, 'sh'] };
}
