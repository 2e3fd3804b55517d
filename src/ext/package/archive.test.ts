import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { packTar, type TarHeader } from 'modern-tar';
import { afterAll, expect, test } from 'vitest';
import { packArchive, readArchive } from './archive.ts';

const scratch = mkdtempSync(join(tmpdir(), 'centuria-archive-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const files = new Map([
  ['lib/vector.so', { data: Buffer.from('\x7fELF'), mode: 0o755 }],
  ['extension/vector.control', { data: Buffer.from("default_version = '1'\n") }],
  ['extension/umlaut-ä.sql', { data: Buffer.from('select 1;\n'), mode: 0o600 }],
  [`extension/${'long'.repeat(60)}/${'name'.repeat(40)}.sql`, { data: Buffer.alloc(700, 'x') }],
  ['empty', { data: new Uint8Array() }],
]);

async function made(...headers: Partial<TarHeader>[]): Promise<Uint8Array> {
  return await packTar(
    headers.map((header) => ({
      header: { name: 'x', size: 1, mtime: new Date(0), ...header },
      body: header.size === 0 ? undefined : 'x',
    })),
  );
}

test('what was packed is read again, with modes of two kinds only', async () => {
  const read = await readArchive(await packArchive(files), 'a.tar.gz');
  expect([...read.keys()]).toEqual([...files.keys()].toSorted());
  for (const [name, { data, mode = 0 }] of files) {
    expect(Buffer.from(read.get(name)?.data ?? [])).toEqual(Buffer.from(data));
    expect(read.get(name)?.mode).toBe((mode & 0o111) === 0 ? 0o644 : 0o755);
  }
});

test('any files come back as they were', async () => {
  const segment = fc.stringMatching(/^[a-zA-Zäß0-9_][\w. -]{0,40}$/);
  const path = fc.array(segment, { minLength: 1, maxLength: 8 }).map((parts) => parts.join('/'));
  const entry = fc.tuple(path, fc.uint8Array({ maxLength: 2_000 }));
  const some = fc.uniqueArray(entry, {
    maxLength: 12,
    // A file below a file is another test's.
    comparator: ([a], [b]) => a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`),
  });
  await fc.assert(
    fc.asyncProperty(some, async (pairs) => {
      const packed = await packArchive(new Map(pairs.map(([name, data]) => [name, { data }])));
      const read = await readArchive(packed, 'a');
      expect(new Map([...read].map(([name, { data }]) => [name, [...data]]))).toEqual(
        new Map(pairs.map(([name, data]) => [name, [...data]])),
      );
    }),
    { numRuns: 50 },
  );
});

test('the same files give the same bytes whatever their order, without time, owner or system', async () => {
  const packed = await packArchive(files);
  expect(await packArchive(new Map([...files].toReversed()))).toEqual(packed);
  expect([...packed.subarray(0, 10)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
  const header = gunzipSync(packed).subarray(0, 512).toString('latin1');
  expect(header.slice(108, 124)).toBe('0000000\x000000000\x00');
  expect(header.slice(136, 148)).toBe('00000000000\x00');
});

test('GNU tar unpacks what we pack', async () => {
  writeFileSync(join(scratch, 'ours.tar.gz'), await packArchive(files));
  mkdirSync(join(scratch, 'out'));
  execFileSync('tar', ['-xzf', 'ours.tar.gz', '-C', 'out'], { cwd: scratch });
  for (const [name, { data }] of files) {
    expect(readFileSync(join(scratch, 'out', name))).toEqual(Buffer.from(data));
  }
  expect(statSync(join(scratch, 'out/lib/vector.so')).mode & 0o777).toBe(0o755);
  expect(statSync(join(scratch, 'out/empty')).mode & 0o777).toBe(0o644);
});

test.each(['gnu', 'pax', 'ustar'])('what GNU tar packs as %s is read', async (format) => {
  const folder = join(scratch, `in-${format}`);
  const long = `${'d'.repeat(90)}/${'e'.repeat(60)}/${'f'.repeat(80)}`;
  mkdirSync(join(folder, long, '..'), { recursive: true });
  writeFileSync(join(folder, long), 'deep');
  writeFileSync(join(folder, 'ä'), 'here');
  const packed = execFileSync('tar', ['-czf', '-', `--format=${format}`, '-C', folder, '.']);
  const read = await readArchive(packed, 'theirs.tar.gz');
  expect([...read.keys()].toSorted()).toEqual([long, 'ä']);
  expect(Buffer.from(read.get(long)?.data ?? []).toString()).toBe('deep');
});

test.each<[string, Partial<TarHeader>[], string]>([
  ['an absolute path', [{ name: '/etc/passwd' }], 'a: /etc/passwd: the path is absolute'],
  ['a way out', [{ name: 'a/../../b' }], 'a: a/../../b: the path leaves the folder'],
  ['an empty part', [{ name: 'a//b' }], 'empty part'],
  [
    'a symbolic link',
    [{ name: 'l', type: 'symlink', linkname: '/etc', size: 0 }],
    'a: l: it is a symlink',
  ],
  ['a hard link', [{ name: 'l', type: 'link', linkname: 'x', size: 0 }], 'a: l: it is a link'],
  ['a device', [{ name: 'd', type: 'block-device', size: 0 }], 'a: d: it is a block-device'],
  ['a pipe', [{ name: 'p', type: 'fifo', size: 0 }], 'a: p: it is a fifo'],
  ['a name twice', [{ name: 'x' }, { name: './x' }], 'a: ./x: the name is there twice'],
  ['a file below a file', [{ name: 'x' }, { name: 'x/y' }], 'x is a file'],
  ['a file in the place of a folder', [{ name: 'x/y' }, { name: 'x' }], 'the name is there twice'],
  ['a NUL', [{ name: 'y', pax: { path: 'a\0b' } }], 'a: a\\u0000b: the name has a NUL'],
  ['a sparse file', [{ name: 'y', pax: { 'GNU.sparse.major': '1' } }], 'a: y: it is a sparse file'],
])('%s is refused, naming the archive and the entry', async (_what, headers, message) => {
  await expect(readArchive(await made(...headers), 'a')).rejects.toMatchObject({
    code: 'invalid_input',
    message: expect.stringContaining(message),
  });
});

test('a name that is no UTF-8 is refused', async () => {
  writeFileSync(Buffer.concat([Buffer.from(`${scratch}/`), Buffer.from([0x61, 0xff])]), 'x');
  const packed = execFileSync('sh', ['-c', 'cd "$1" && tar -cf - a?', 'sh', scratch]);
  await expect(readArchive(packed, 'a')).rejects.toThrow('the name is no UTF-8');
});

test('a link that GNU tar packed is refused too', async () => {
  symlinkSync('/etc', join(scratch, 'link'));
  const packed = execFileSync('tar', ['-cf', '-', '-C', scratch, 'link']);
  await expect(readArchive(packed, 'b.tar')).rejects.toThrow('b.tar: link: it is a symlink');
});

test('limits hold before a body is read, also for a header that lies about its size', async () => {
  const three = await made({ name: 'a' }, { name: 'b' }, { name: 'c' });
  await expect(readArchive(three, 'a', { mostEntries: 2 })).rejects.toMatchObject({
    code: 'too_large',
  });
  await expect(readArchive(three, 'a', { mostBytes: 2 })).rejects.toMatchObject({
    code: 'too_large',
  });
  const lie = Buffer.from(await made({ name: 'a' }));
  lie.write('77777777777', 124);
  lie.write('        ', 148);
  let sum = 0;
  for (const byte of lie.subarray(0, 512)) sum += byte;
  lie.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  await expect(readArchive(lie, 'a')).rejects.toMatchObject({ code: 'too_large' });
  const bomb = gzipSync(Buffer.alloc(1024 * 1024));
  await expect(readArchive(bomb, 'a', { mostEntries: 1, mostBytes: 1 })).rejects.toMatchObject({
    code: 'too_large',
  });
});

test('bytes after the end, a cut and a flipped bit are refused', async () => {
  const packed = await packArchive(files);
  const tar = gunzipSync(packed);
  const flipped = Buffer.from(tar);
  flipped.writeUInt8(flipped.readUInt8(3) ^ 1, 3);
  for (const wrong of [
    Buffer.concat([packed, Buffer.from('rubbish')]),
    Buffer.concat([packed, Buffer.alloc(512)]),
    Buffer.concat([tar, Buffer.from('rubbish')]),
    gzipSync(Buffer.concat([tar, Buffer.from('rubbish')])),
    packed.subarray(0, -3),
    tar.subarray(0, 700),
    tar.subarray(0, -1024),
    flipped,
    Buffer.from('no archive at all'),
    Buffer.alloc(0),
  ]) {
    await expect(readArchive(wrong, 'broken.tar.gz')).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining('broken.tar.gz'),
    });
  }
});

test('a name that could not be read is not packed either', async () => {
  for (const name of ['/x', '../x', 'a//b', 'a\0b', '\ud800', '', './']) {
    const wrong = new Map([[name, { data: Buffer.from('x') }]]);
    await expect(packArchive(wrong)).rejects.toMatchObject({ code: 'invalid_input' });
  }
  const data = Buffer.from('x');
  const both = new Map([
    ['a', { data }],
    ['a/b', { data }],
  ]);
  await expect(packArchive(both)).rejects.toThrow('a is a file');
});
