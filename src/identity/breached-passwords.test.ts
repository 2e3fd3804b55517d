import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { openBreachedList } from './password-policy.ts';

const folder = mkdtempSync(join(tmpdir(), 'centuria-breached-'));
afterAll(() => rmSync(folder, { recursive: true }));

const hashOf = (password: string): string =>
  createHash('sha1').update(password).digest('hex').toUpperCase();

let files = 0;
function write(text: string): string {
  files += 1;
  const path = join(folder, `list-${files}.txt`);
  writeFileSync(path, text);
  return path;
}

async function isIn(path: string, password: string): Promise<boolean> {
  const list = await openBreachedList(path);
  try {
    return await list.has(password);
  } finally {
    await list.close();
  }
}

const words = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 300 });
const shapes = fc.record({
  counts: fc.constantFrom(
    () => '',
    (hash: string) => `:${Number.parseInt(hash.slice(0, 7), 16) + 1}`,
  ),
  lineEnd: fc.constantFrom('\n', '\r\n'),
  isEnded: fc.boolean(),
});

test('a password is in the file exactly when its hash is, whatever the size and the line ends', async () => {
  await fc.assert(
    fc.asyncProperty(words, shapes, async (passwords, { counts, lineEnd, isEnded }) => {
      const lines = passwords
        .filter((_password, index) => index % 2 === 0)
        .map(hashOf)
        .toSorted()
        .map((hash) => hash + counts(hash));
      const list = await openBreachedList(write(lines.join(lineEnd) + (isEnded ? lineEnd : '')));
      const found = await Promise.all(passwords.map((password) => list.has(password)));
      await list.close();
      expect(found).toEqual(passwords.map((_password, index) => index % 2 === 0));
    }),
    { numRuns: 60 },
  );
});

test('a password is in the folder exactly when its range holds it', async () => {
  for (const suffix of ['', '.txt']) {
    const ranges = join(folder, `ranges${suffix}`);
    mkdirSync(ranges);
    const [leaked, neighbour] = [hashOf('leaked'), hashOf('neighbour')];
    const others = `${'0'.repeat(35)}:3\r\n${'F'.repeat(35)}:0\r\n`;
    writeFileSync(join(ranges, `${leaked.slice(0, 5)}${suffix}`), `${leaked.slice(5)}:12\r\n`);
    writeFileSync(join(ranges, `${neighbour.slice(0, 5)}${suffix}`), others);
    expect(await isIn(ranges, 'leaked')).toBe(true);
    expect(await isIn(ranges, 'neighbour')).toBe(false);
    // A range that was not downloaded is no proof that a password never leaked.
    await expect(isIn(ranges, 'elsewhere')).rejects.toMatchObject({ code: 'config_invalid' });
  }
});

test('a hash that was seen no time at all is padding', async () => {
  const hash = hashOf('padding');
  expect(await isIn(write(`${hash}:0\n`), 'padding')).toBe(false);
  expect(await isIn(write(`${hash}:10\n`), 'padding')).toBe(true);
  const ranges = join(folder, 'padded');
  mkdirSync(ranges);
  writeFileSync(join(ranges, hash.slice(0, 5)), `${hash.slice(5)}:0\n`);
  expect(await isIn(ranges, 'padding')).toBe(false);
});

const hashes = Array.from({ length: 2_000 }, (_, index) => hashOf(`password ${index}`)).toSorted();

test.each([
  ['nothing', '', /is empty/],
  ['no line end', 'A'.repeat(1_000), /is not .* in line 1/],
  ['hashes of another kind', `${'0'.repeat(32)}:1\n`, /is not an upper-case SHA-1 hash in line 1/],
  ['lower case', hashes.join('\n').toLowerCase(), /is not an upper-case SHA-1 hash in line 1/],
  ['an order of its own', hashes.toReversed().join('\n'), /is not sorted by hash in line \d+/],
  ['words', 'password\n123456\n', /is not an upper-case SHA-1 hash in line 1/],
])('a file of %s is complained about with its name and line', async (_what, text, complaint) => {
  const path = write(text);
  const opened = openBreachedList(path);
  await expect(opened).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringMatching(complaint),
    details: { path },
    remedy: expect.any(String),
  });
});

test('one line out of order where it is looked at is complained about with its number', async () => {
  // Sampling takes every seventh or eighth line; the search itself passes this one.
  const wanted = hashOf('password 1000');
  const at = hashes.indexOf(wanted);
  const lines = hashes.with(at, `${'0'.repeat(39)}1`);
  await expect(isIn(write(`${lines.join('\n')}\n`), 'password 1000')).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining(`is not sorted by hash in line ${at + 1}`),
  });
});

test('a line of a range that is no hash is complained about with its number', async () => {
  const ranges = join(folder, 'broken');
  mkdirSync(ranges);
  const hash = hashOf('leaked');
  writeFileSync(join(ranges, hash.slice(0, 5)), `${hash.slice(5)}:1\n${hash}:1\n`);
  await expect(isIn(ranges, 'leaked')).rejects.toThrow(/is not a range of hashes in line 2$/);
});

test('what is not there, and a folder without ranges, can not be opened', async () => {
  await expect(openBreachedList(join(folder, 'nowhere'))).rejects.toMatchObject({
    code: 'config_invalid',
  });
  const empty = join(folder, 'empty');
  mkdirSync(empty);
  writeFileSync(join(empty, 'README'), 'not a range');
  await expect(openBreachedList(empty)).rejects.toMatchObject({ code: 'config_invalid' });
});
