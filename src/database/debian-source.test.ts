import { expect, test } from 'vitest';
import { upstreamArchive } from './debian-source.ts';

test("the archive of a source package is its authors', without Debian's changes", () => {
  const names = ['x_1.dsc', 'x_1-1.debian.tar.xz', 'x_1.orig-docs.tar.gz', 'x_1.orig.tar.gz'];
  expect(upstreamArchive(names)).toBe('x_1.orig.tar.gz');
});

test('where Debian is the author there is one archive, and a signature beside it is none', () => {
  expect(upstreamArchive(['x_1.dsc', 'x_1.tar.xz'])).toBe('x_1.tar.xz');
  expect(
    upstreamArchive(['x_1.dsc', 'x_1-1.debian.tar.xz', 'x_1.orig.tar.gz.asc']),
  ).toBeUndefined();
});
