import { execFile } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLog } from '../../base/base.ts';
import { newestOf, npmServer, unpackPacked } from './npm-server.ts';

const run = promisify(execFile);
const log = createLog({ level: 'error' });

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'centuria-npm-server-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** An archive as npm makes it, with the list of links that it could not hold. */
async function pack(links: unknown): Promise<void> {
  const native = join(folder, 'package/native');
  await mkdir(join(native, 'lib'), { recursive: true });
  await writeFile(join(native, 'lib/libpq.so.5.17'), 'the library');
  await writeFile(join(native, 'pg-symlinks.json'), JSON.stringify(links));
  await run('tar', ['-czf', join(folder, 'server.tgz'), '-C', folder, 'package']);
}

test('the newest version is the one with the highest numbers, also behind the dash', () => {
  const versions = ['17.9.0-beta.17', '17.10.0-beta.9', '17.10.0-beta.17', '18.4.0-beta.1'];
  expect(newestOf(versions, 17)).toBe('17.10.0-beta.17');
  expect(newestOf(versions, 18)).toBe('18.4.0-beta.1');
  expect(newestOf(versions, 1)).toBeUndefined();
});

test('links that the archive could not hold are made, relative so that the folder can move', async () => {
  await pack([{ source: 'native/lib/libpq.so.5.17', target: 'native/lib/libpq.so.5' }]);
  const install = await unpackPacked(folder);
  const link = join(install, 'native/lib/libpq.so.5');
  expect(await readlink(link)).toBe('libpq.so.5.17');
  expect(await readFile(link, 'utf8')).toBe('the library');
  expect((await lstat(install)).mode & 0o777).toBe(0o755);
});

test('a link that leads out of the package is refused', async () => {
  await pack([{ source: 'native/lib/libpq.so.5.17', target: 'native/../../outside' }]);
  await expect(unpackPacked(folder)).rejects.toMatchObject({ code: 'unavailable' });
  await expect(lstat(join(folder, 'outside'))).rejects.toThrow('ENOENT');
});

test('a server that is in the cache is found without asking npm, the newest first', async () => {
  for (const version of ['17.9.0-beta.16', '17.10.0-beta.17', '18.0.0-beta.1']) {
    await mkdir(join(folder, 'servers', `npm-x86_64-${version}`), { recursive: true });
  }
  const server = await npmServer({ major: 17, architecture: 'x86_64', cacheFolder: folder, log });
  expect(server.version).toBe('17.10.0-beta.17');
  expect(server.paths.libraryFolder).toBe(
    join(folder, 'servers/npm-x86_64-17.10.0-beta.17/native/lib/postgresql'),
  );
});

test('a machine whose npm reaches nothing hears why there is no server, without an address', async () => {
  const before = process.env['npm_config_registry'];
  process.env['npm_config_registry'] = 'http://127.0.0.1:1/';
  try {
    const asked = npmServer({ major: 17, architecture: 'aarch64', cacheFolder: folder, log });
    const error = await asked.catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: 'unavailable', message: 'npm view failed: ECONNREFUSED' });
    expect(JSON.stringify(error)).not.toContain('127.0.0.1');
  } finally {
    if (before === undefined) delete process.env['npm_config_registry'];
    else process.env['npm_config_registry'] = before;
  }
});
