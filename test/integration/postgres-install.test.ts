/** What an install refuses at once; installs that are killed, or changed on the way, are in `npm run proofs`. */
import { mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createLog } from '../../src/base/base.ts';
import {
  installPostgres,
  type InstallOptions,
  type PostgresInstall,
} from '../../src/database/database.ts';
import { testFolder } from '../support/processes.ts';

describe('installing PostgreSQL', () => {
  let folder: string;
  let cache: string;

  beforeEach(async () => {
    folder = await testFolder();
    cache = join(folder, 'cache');
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true, force: true });
  });

  const install = async (options: Partial<InstallOptions> = {}): Promise<PostgresInstall> =>
    await installPostgres({
      major: 17,
      cacheFolder: cache,
      log: createLog({ level: 'silent' }),
      ...options,
    });

  test('a machine without apt-get is told what is missing, before anything is made', async () => {
    const programs = join(folder, 'programs');
    await mkdir(programs);
    for (const name of ['apt-cache', 'dpkg', 'dpkg-deb', 'flock', 'setpriv', 'sync']) {
      await symlink('/bin/true', join(programs, name));
    }
    vi.stubEnv('PATH', programs);
    await expect(install()).rejects.toMatchObject({
      code: 'postgres_install_failed',
      message: 'not found: apt-get',
      retryable: false,
      details: { reason: 'missing_tool', tool: 'apt-get' },
    });
    await expect(readdir(cache)).rejects.toThrow('ENOENT');
  });

  test('a version that no Debian release carries is refused with those that can be had', async () => {
    await expect(install({ major: 16 })).rejects.toMatchObject({
      code: 'postgres_install_failed',
      remedy: 'These can be installed: 13, 15, 17, 18.',
    });
  });
});
