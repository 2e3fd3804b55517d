import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bundlePath, readInstalled } from './installed.ts';

const paths = { libraryFolder: '/usr/lib/pg/lib', extensionFolder: '/usr/share/pg/extension' };

const inBundle = (path: string): string | undefined => bundlePath(path, paths);

test('libraries and what lies among the extensions belong to a bundle, nothing else does', () => {
  expect(inBundle('/usr/lib/pg/lib/vector.so')).toBe('lib/vector.so');
  expect(inBundle('/usr/lib/pg/lib/libgeos.so.3.11')).toBe('lib/libgeos.so.3.11');
  expect(inBundle('/usr/share/pg/extension/v--1.0.sql')).toBe('extension/v--1.0.sql');
  expect(inBundle('/usr/share/pg/extension/data/v.csv')).toBe('extension/data/v.csv');
  expect(inBundle('/usr/lib/pg/lib/bitcode/vector.bc')).toBeUndefined();
  expect(inBundle('/usr/lib/pg/lib/pgxs/x.so')).toBeUndefined();
  expect(inBundle('/usr/lib/pg/library/x.so')).toBeUndefined();
  expect(inBundle('/usr/include/vector.h')).toBeUndefined();
});

test('links that stay inside are read through, the others and an empty install are refused', async () => {
  const root = await mkdtemp(join(tmpdir(), 'centuria-installed-'));
  try {
    await mkdir(join(root, 'usr/include'), { recursive: true });
    await writeFile(join(root, 'usr/include/v.h'), '');
    await expect(readInstalled(root, paths)).rejects.toMatchObject({
      code: 'ext_build_failed',
      message: expect.stringContaining('/usr/include/v.h'),
    });
    const library = join(root, paths.libraryFolder);
    await mkdir(library, { recursive: true });
    await writeFile(join(library, 'libv.so.1'), 'one');
    await symlink('libv.so.1', join(library, 'libv.so'));
    const { files, leftOut } = await readInstalled(root, paths);
    expect([...files]).toEqual([
      ['lib/libv.so', Buffer.from('one')],
      ['lib/libv.so.1', Buffer.from('one')],
    ]);
    expect(leftOut).toEqual(['/usr/include/v.h']);
    await symlink('/etc/passwd', join(library, 'p.so'));
    await expect(readInstalled(root, paths)).rejects.toThrow('leads outside');
  } finally {
    await rm(root, { recursive: true });
  }
});
