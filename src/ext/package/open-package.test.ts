import { mkdtempSync, rmSync } from 'node:fs';
import { appendFile, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { ServerFacts } from '../types.ts';
import { packArchive, readArchive, type ArchiveFile } from './archive.ts';
import { assemble } from './content.ts';
import { openPackage, readPackageFacts } from './open-package.ts';
import { packageFolder } from './package.ts';
import { openSigningKey, readTrustedKeys } from './signing.ts';

const folder = mkdtempSync(join(tmpdir(), 'centuria-package-'));
afterAll(() => rmSync(folder, { recursive: true }));
const into = join(folder, 'open');
const lenient = { trusted: [], requireSignature: false };

/** As read from Debian's PostgreSQL 17, with fewer names. */
const facts: ServerFacts = {
  format: 1,
  versionNumber: 170_006,
  version: '17.6',
  major: 17,
  architecture: 'x86_64',
  glibc: '2.41',
  magic: {
    sizeBytes: 56,
    major: 17,
    funcMaxArgs: 100,
    indexMaxKeys: 32,
    nameDataLength: 64,
    float8ByValue: true,
    abiExtra: 'PostgreSQL',
  },
  paths: {
    binFolder: '/usr/lib/postgresql/17/bin',
    libraryFolder: '/usr/lib/postgresql/17/lib',
    extensionFolder: '/usr/share/postgresql/17/extension',
    shareFolder: '/usr/share/postgresql/17',
  },
  serverSha256: 'ab'.repeat(32),
  exportedSymbols: ['errstart_cold', 'palloc'],
  libraries: ['libc.so.6', 'libm.so.6'],
  libraryFiles: ['plpgsql.so'],
  extensionFiles: ['plpgsql.control'],
  config: { VERSION: 'PostgreSQL 17.6', PKGLIBDIR: '/usr/lib/postgresql/17/lib' },
  origin: 'local',
};

const file = (text: string): ArchiveFile => ({ data: Buffer.from(text) });

function contentWith(versionNumber: number): Parameters<typeof assemble>[0] {
  return {
    facts,
    layout: { serverHeaders: 'include/server' },
    headers: new Map([
      ['server/postgres.h', file('#include "c.h"\n')],
      // As Fedora has it, where one folder serves several architectures.
      ['server/pg_config.h', file('#include "pg_config_x86_64.h"\n')],
      ['server/pg_config_x86_64.h', file(`#define PG_VERSION_NUM ${versionNumber}\n`)],
    ]),
    makefiles: new Map([
      ['src/makefiles/pgxs.mk', file('all:\n')],
      ['config/install-sh', { data: Buffer.from('#!/bin/sh\n'), mode: 0o755 }],
    ]),
  };
}

test('a package is opened as it was made', async () => {
  const made = await assemble(contentWith(170_006));
  expect((await assemble(contentWith(170_006))).bytes).toEqual(made.bytes);
  const opened = await openPackage(made.bytes, { ...lenient, into });
  expect(opened).toEqual({
    facts,
    digest: made.digest,
    folder: join(into, made.digest.slice(0, 16)),
    pgConfig: join(into, made.digest.slice(0, 16), 'bin/pg_config'),
  });
  expect((await stat(opened.pgConfig)).mode & 0o111).not.toBe(0);
  expect((await stat(join(opened.folder, 'pgxs/config/install-sh'))).mode & 0o111).not.toBe(0);
  expect(await readPackageFacts(made.bytes, lenient)).toEqual(facts);
});

test('one that was laid out is used again, and put right where someone wrote into it', async () => {
  const { bytes } = await assemble(contentWith(170_006));
  const options = { ...lenient, into };
  const opened = await openPackage(bytes, options);
  const { ino } = await stat(opened.folder);
  await openPackage(bytes, options);
  expect((await stat(opened.folder)).ino).toBe(ino);
  await appendFile(opened.pgConfig, '\n# changed');
  await openPackage(bytes, options);
  expect(await readFile(opened.pgConfig, 'utf8')).not.toContain('# changed');
  await writeFile(join(opened.folder, 'include/extra.h'), '');
  await openPackage(bytes, options);
  await expect(stat(join(opened.folder, 'include/extra.h'))).rejects.toThrow('ENOENT');
});

test('it says who signed it, and one that nobody trusted signed is refused where that is asked', async () => {
  const keys = join(folder, 'keys');
  const signer = await openSigningKey(keys);
  const { bytes } = await assemble({ ...contentWith(170_006), signer });
  const strict = { trusted: await readTrustedKeys(keys), requireSignature: true, into };
  const path = join(folder, 'server.tar.gz');
  await writeFile(path, bytes);
  expect((await openPackage(path, strict)).signedBy).toBe(signer.keyId);
  const unsigned = await assemble(contentWith(170_006));
  await expect(openPackage(unsigned.bytes, strict)).rejects.toMatchObject({
    code: 'signature_invalid',
    details: { reason: 'unsigned' },
  });
  await expect(openPackage(bytes, { ...strict, trusted: [] })).rejects.toMatchObject({
    details: { reason: 'unknown_key' },
  });
  await expect(openPackage(join(folder, 'none'), strict)).rejects.toMatchObject({
    code: 'not_found',
  });
});

test.each([
  ['bin/pg_config', '#!/bin/sh\nid\n', 'it is not as the list says'],
  ['etc/profile', 'id\n', 'it is there, but not listed'],
  ['include/server/postgres.h', undefined, 'it is listed, but not there'],
  ['manifest.json', '{"format":1}', 'must have required properties files'],
  ['manifest.json', undefined, 'manifest.json is not there'],
])('a package with another %s (%j) is refused', async (path, text, complaint) => {
  const { bytes } = await assemble(contentWith(170_006));
  const files = new Map<string, ArchiveFile>(await readArchive(bytes, 'x'));
  if (text === undefined) files.delete(path);
  else files.set(path, { data: Buffer.from(text), mode: 0o755 });
  const wrong = openPackage(await packArchive(files), { ...lenient, into });
  await expect(wrong).rejects.toMatchObject({
    code: 'invalid_input',
    message: expect.stringContaining(complaint),
  });
});

test('no package is made of headers of another major version', async () => {
  await expect(assemble(contentWith(150_004))).rejects.toMatchObject({
    code: 'invalid_input',
    message: expect.stringContaining('the headers are of PostgreSQL 15, and the server is of 17'),
    remedy: expect.stringContaining('--pg-config'),
  });
});

test('a folder that holds nothing of a server makes no package, and it is said what would', async () => {
  await expect(packageFolder(folder)).rejects.toMatchObject({
    code: 'not_found',
    remedy: expect.stringContaining('dpkg-deb -x'),
  });
});
