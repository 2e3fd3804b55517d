import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findPassword, lookUp } from './ext-password.ts';

const wanted = { host: 'db1', port: 5432, database: 'postgres', user: 'ada' };

test('the first line of a password file that fits is taken', () => {
  const text = [
    '# db1:5432:postgres:ada:a comment',
    'db2:*:*:*:another host',
    'db1:5433:*:*:another port',
    'db1:*:*:ada:with \\: and \\\\',
    '*:*:*:*:too late',
  ].join('\n');
  expect(lookUp(text, wanted)).toBe('with : and \\');
  expect(lookUp(text, { ...wanted, user: 'bob' })).toBe('too late');
  expect(lookUp('db2:*:*:*:x\nnonsense\n\n', wanted)).toBeUndefined();
});

test('a socket is found under its folder and under localhost', () => {
  const socket = { ...wanted, host: '/var/run/postgresql' };
  expect(lookUp('/var/run/postgresql:*:*:*:folder', socket)).toBe('folder');
  expect(lookUp('localhost:*:*:*:name', socket)).toBe('name');
  expect(lookUp('localhost:*:*:*:name', wanted)).toBeUndefined();
});

test('a setting comes before PGPASSWORD, and that before the file, which others must not read', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'centuria-pgpass-'));
  const path = join(folder, '.pgpass');
  const find = (env: Record<string, string>, setting = ''): Promise<string | undefined> =>
    findPassword({ HOME: folder, ...env }, setting, wanted);
  expect(await find({})).toBeUndefined();
  await writeFile(path, 'db1:*:*:*:of the file\n', { mode: 0o600 });
  expect(await find({ PGPASSWORD: 'of libpq' }, 'of the setting')).toBe('of the setting');
  expect(await find({ PGPASSWORD: 'of libpq' })).toBe('of libpq');
  expect(await find({})).toBe('of the file');
  await chmod(path, 0o644);
  await expect(find({})).rejects.toMatchObject({ code: 'denied', remedy: `chmod 600 ${path}` });
  await expect(find({ PGPASSFILE: join(folder, 'absent') })).rejects.toMatchObject({
    code: 'not_found',
  });
  await rm(folder, { recursive: true });
});
