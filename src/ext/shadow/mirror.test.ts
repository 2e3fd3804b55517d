import { expect, test } from 'vitest';
import { commonAncestor, foldersBelow } from './mirror.ts';

test('the common ancestor is a folder, never a part of a name', () => {
  expect(commonAncestor(['/usr/lib/postgresql/17/bin', '/usr/share/postgresql/17'])).toBe('/usr');
  expect(commonAncestor(['/usr/pgsql-17/lib', '/usr/pgsql-16/lib'])).toBe('/usr');
  expect(commonAncestor(['/opt/pg', '/opt/pg/lib/'])).toBe('/opt/pg');
  expect(commonAncestor(['/a/b', '/c/d'])).toBe('/');
});

test('folders are opened from the ancestor down, each once', () => {
  expect(foldersBelow('/usr', ['/usr/lib/pg/bin', '/usr/lib/pg/lib', '/usr'])).toEqual([
    '.',
    'lib',
    'lib/pg',
    'lib/pg/bin',
    'lib/pg/lib',
  ]);
  expect(foldersBelow('/', ['/a/b'])).toEqual(['.', 'a', 'a/b']);
});
