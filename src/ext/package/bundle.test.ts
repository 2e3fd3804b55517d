import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FileEntry, Metadata } from '../types.ts';
import { packArchive, readArchive } from './archive.ts';
import { digestOf, isBundlePath, packBundle, readBundle } from './bundle.ts';
import { openSigningKey, readTrustedKeys, type Signer, type TrustedKey } from './signing.ts';

const folder = mkdtempSync(join(tmpdir(), 'centuria-bundle-'));
afterAll(() => rmSync(folder, { recursive: true }));

const files = new Map([
  ['extension/vector--0.8.0.sql', Buffer.from('select 1;\n')],
  ['extension/vector.control', Buffer.from("default_version = '0.8.0'\n")],
  ['lib/vector.so', Buffer.from('\x7fELF', 'latin1')],
  ['smoke/vector.sql', Buffer.from('select 2;\n')],
]);

function entriesOf(content: ReadonlyMap<string, Uint8Array>): FileEntry[] {
  return [...content].map(([path, data]) => ({
    path,
    sha256: createHash('sha256').update(data).digest('hex'),
    sizeBytes: data.length,
  }));
}

const metadata: Metadata = {
  format: 1,
  name: 'vector',
  version: '0.8.0',
  builtAt: '2026-01-02T03:04:05Z',
  compiler: 'gcc 12.2.0',
  target: { major: 17, version: '17.6', architecture: 'x86_64', glibc: '2.34' },
  extensions: [{ name: 'vector', version: '0.8.0' }],
  files: entriesOf(files),
  smoke: ['smoke/vector.sql'],
};

let signer: Signer;
let trusted: readonly TrustedKey[];
beforeAll(async () => {
  signer = await openSigningKey(folder);
  trusted = await readTrustedKeys(folder);
});

const lenient = { trusted: [], requireSignature: false };

/** The archive with some of its files as they are not in the bundle that was packed. */
async function tampered(
  bytes: Uint8Array,
  change: (content: Map<string, { data: Uint8Array }>) => void,
): Promise<Buffer> {
  const content = new Map<string, { data: Uint8Array }>(await readArchive(bytes, 'x'));
  change(content);
  return await packArchive(content);
}

test('a bundle is read as it was packed, and says who signed it', async () => {
  const bytes = await packBundle({ metadata, files, signer });
  const bundle = await readBundle(bytes, 'vector', { trusted, requireSignature: true });
  expect(bundle.metadata).toEqual(metadata);
  expect(bundle.digest).toBe(digestOf(metadata));
  expect(bundle.signedBy).toBe(signer.keyId);
  expect(bundle.files.get('lib/vector.so')).toEqual(files.get('lib/vector.so'));
});

test('the same content gives the same bytes, and the order of its fields does not matter', async () => {
  const bytes = await packBundle({ metadata, files, signer });
  const turned = Object.fromEntries(Object.entries(metadata).toReversed()) as unknown as Metadata;
  expect(await packBundle({ metadata: turned, files, signer })).toEqual(bytes);
});

test('an unsigned bundle is read only where that is allowed', async () => {
  const bytes = await packBundle({ metadata, files });
  expect((await readBundle(bytes, 'v', lenient)).signedBy).toBeUndefined();
  await expect(readBundle(bytes, 'v', { trusted, requireSignature: true })).rejects.toMatchObject({
    code: 'signature_invalid',
    details: { reason: 'unsigned' },
  });
});

test('a signature of someone unknown is none', async () => {
  const bytes = await packBundle({ metadata, files, signer });
  expect((await readBundle(bytes, 'v', lenient)).signedBy).toBeUndefined();
  await expect(
    readBundle(bytes, 'v', { trusted: [], requireSignature: true }),
  ).rejects.toMatchObject({ details: { reason: 'unknown_key' } });
});

test('a changed file is found by its hash, and a changed list by the signature', async () => {
  const bytes = await packBundle({ metadata, files, signer });
  const evil = Buffer.from('\x7fFLE', 'latin1');
  const changed = await tampered(bytes, (content) => content.set('lib/vector.so', { data: evil }));
  await expect(readBundle(changed, 'v', lenient)).rejects.toThrow(
    'v: lib/vector.so: it has SHA-256',
  );
  const list = { ...metadata, files: entriesOf(new Map([...files, ['lib/vector.so', evil]])) };
  const text = Buffer.from(JSON.stringify(list));
  const relisted = await tampered(changed, (content) =>
    content.set('metadata.json', { data: text }),
  );
  // Even where signatures are not asked for: what contradicts its own provenance was tampered with.
  await expect(readBundle(relisted, 'v', lenient)).rejects.toThrow('is about something else');
});

test.each<[string, Partial<Metadata>, string]>([
  [
    'a file that is not there',
    { files: [...metadata.files, ...entriesOf(new Map([['smoke/z.sql', Buffer.of(1)]]))] },
    'smoke/z.sql: it is listed, but not there',
  ],
  [
    'a file that is not listed',
    { files: metadata.files.slice(0, -1), smoke: [] },
    'smoke/vector.sql: it is there, but not listed',
  ],
  ['a list out of order', { files: metadata.files.toReversed() }, 'not in order'],
  ['a file twice', { files: [metadata.files[0] as FileEntry, ...metadata.files] }, 'has it twice'],
  ['no control file', { extensions: [{ name: 'other', version: '1' }] }, 'other.control'],
  ['a smoke test that is none', { smoke: ['lib/vector.so'] }, 'named as a smoke test'],
  ['a shared library that is none', { wrapper: 'lib/none.so' }, 'named as the shared library'],
  ['another format', { format: 2 as 1 }, '/format'],
  ['a name that leaves a folder', { name: '../x' }, '/name'],
  ['a version that leaves a folder', { version: 'a/b' }, '/version'],
  ['an unknown field', { extra: 1 } as Partial<Metadata>, 'metadata.json'],
])('metadata with %s is refused, when packed and when read', async (_what, change, message) => {
  const wrong = { ...metadata, ...change };
  const failure = { code: 'invalid_input', message: expect.stringContaining(message) };
  await expect(packBundle({ metadata: wrong, files })).rejects.toMatchObject(failure);
  const content = new Map([...files].map(([path, data]) => [path, { data }]));
  content.set('metadata.json', { data: Buffer.from(JSON.stringify(wrong)) });
  const bytes = await packArchive(content);
  await expect(readBundle(bytes, 'v', lenient)).rejects.toMatchObject(failure);
});

test('an archive without metadata is no bundle', async () => {
  const bytes = await packArchive(new Map([['lib/a.so', { data: Buffer.of(1) }]]));
  await expect(readBundle(bytes, 'v', lenient)).rejects.toThrow('v: metadata.json is not there');
});

test('files lie in their places', () => {
  for (const path of [
    'lib/a.so',
    'lib/libhc-1f2e.so.3',
    'extension/a--1.0--1.1.sql',
    'extension/d/e.txt',
  ]) {
    expect(isBundlePath(path)).toBe(true);
  }
  for (const path of [
    'lib/a.txt',
    'lib/d/a.so',
    'bin/sh',
    'smoke/a.sh',
    'extension/.a',
    'extension/../a',
    'lib/a.so\n',
    'lib/-a.so',
    'a',
  ]) {
    expect(isBundlePath(path)).toBe(false);
  }
});
