import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLog } from '../../src/base/base.ts';
import { buildExtension, type BuildOptions, type Built } from '../../src/ext/build/build.ts';
import { readSources } from '../../src/ext/build/sources.ts';
import { checkBundle } from '../../src/ext/check/check.ts';
import { openLocalHost } from '../../src/ext/host/local.ts';
import { readBundle } from '../../src/ext/package/bundle.ts';
import { openPackage, type OpenedPackage } from '../../src/ext/package/open-package.ts';
import { packageServer, type PackageOptions } from '../../src/ext/package/package.ts';
import { openSigningKey, readTrustedKeys, readUnverified } from '../../src/ext/package/signing.ts';
import { testFolder } from '../support/processes.ts';
import { findHeaders, writePgConfig } from '../support/server-package.ts';

const samples = join(import.meta.dirname, '../fixtures/extensions');
const headers = await findHeaders();
const missing = ['gcc', 'make'].filter((name) => !existsSync(`/usr/bin/${name}`));
const why = typeof headers === 'string' ? headers : missing.map((name) => `no ${name}`).join(', ');

describe.skipIf(why !== '')(`builds${why === '' ? '' : ` (skipped: ${why})`}`, () => {
  let folder: string;
  let bytes: Buffer;

  beforeAll(async () => {
    if (typeof headers === 'string') return;
    folder = await testFolder();
    const pgConfig = await writePgConfig(folder, headers.install, headers.root);
    const options: PackageOptions = { cacheFolder: join(folder, 'cache') };
    ({ bytes } = await packageServer(openLocalHost(), { pgConfig }, options));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  /** As on a machine of its own: copied sources with new times, own cache, own copy of the package. */
  async function machine(
    name: string,
    sample: string,
  ): Promise<{ source: string; opened: OpenedPackage; cacheFolder: string }> {
    const place = join(folder, name);
    const source = join(place, 'sources');
    await cp(join(samples, sample), source, { recursive: true });
    const into = join(place, 'packages');
    await mkdir(into, { recursive: true });
    const opened = await openPackage(bytes, { into, trusted: [], requireSignature: false });
    return { source, opened, cacheFolder: join(place, 'cache') };
  }

  async function build(
    { source, opened, cacheFolder }: Awaited<ReturnType<typeof machine>>,
    options: Partial<BuildOptions> = {},
  ): Promise<Built> {
    return await buildExtension({
      source,
      package: opened,
      settings: {},
      cacheFolder,
      jobs: 2,
      signal: new AbortController().signal,
      log: createLog({ level: 'warn' }),
      ...options,
    });
  }

  test('two machines make the same bytes of the same sources, signed, and fit for the server', async () => {
    const signer = await openSigningKey(join(folder, 'keys'));
    const one = await machine('one', 'counter');
    const other = await machine('another-one/elsewhere', 'counter');
    await expect(build(one, { cacheFolder: join(folder, 'a b') })).rejects.toThrow('can not read');
    await utimes(join(other.source, 'counter.c'), 1_500_000_000, 1_500_000_000);
    const options = { signer, date: 1_700_000_000, settings: { RELEASE: '1.0' } };
    const built = await build(one, options);
    const again = await build(other, { ...options, jobs: 1 });
    expect(again.bundle.equals(built.bundle)).toBe(true);
    expect(built.fileName).toMatch(/^centuria_counter-1\.0-pg17-\w+\.tar\.gz$/);

    const trusted = await readTrustedKeys(join(folder, 'keys'));
    const bundle = await readBundle(built.bundle, 'it', { trusted, requireSignature: true });
    expect(bundle).toMatchObject({ digest: built.digest, signedBy: signer.keyId });
    expect([...bundle.files.keys()].toSorted()).toEqual([
      'extension/centuria_counter--1.0.sql',
      'extension/centuria_counter.control',
      'lib/centuria_counter.so',
      'metadata.json',
      'provenance.dsse.json',
      'smoke/centuria_counter.sql',
    ]);
    const refused = checkBundle(bundle, one.opened.facts).filter(({ level }) => level === 'refuse');
    expect(refused).toEqual([]);
    const envelope = JSON.parse(String(bundle.files.get('provenance.dsse.json'))) as unknown;
    expect(readUnverified(envelope)).toMatchObject({
      predicate: {
        buildDefinition: {
          externalParameters: { settings: { RELEASE: '1.0' } },
          resolvedDependencies: expect.arrayContaining([
            { name: 'source', digest: { sha256: (await readSources(one.source)).digest } },
            expect.objectContaining({ digest: { sha256: one.opened.digest } }),
          ]),
        },
      },
    });
  });

  test('a build that fails says the first complaint and keeps its log, and nothing else', async () => {
    const place = await machine('failing', 'counter');
    const code = join(place.source, 'counter.c');
    const text = await readFile(code, 'utf8');
    await writeFile(code, text.replace('value + 1', 'valu + 1'));
    const before = await readdir(place.source, { recursive: true });
    const lines: string[] = [];
    const failure = await build(place, { onLine: (line) => lines.push(line) }).catch(
      (thrown: unknown) => thrown,
    );
    expect(failure).toMatchObject({
      code: 'ext_build_failed',
      message: expect.stringMatching(/^counter\.c:\d+: 'valu' undeclared/),
      remedy: expect.stringContaining('The full log: '),
    });
    const { log } = (failure as { details: { log: string } }).details;
    expect(await readFile(log, 'utf8')).toBe(`${lines.join('\n')}\n`);
    expect(await readdir(place.source, { recursive: true })).toEqual(before);
    // No work folder stays.
    expect(await readdir(join(place.cacheFolder, 'builds'))).toHaveLength(1);
  });

  test('code for the processor of this machine alone is refused, with the setting that helps', async () => {
    const place = await machine('native', 'counter');
    const makefile = join(place.source, 'Makefile');
    // Silenced as some are: the command is not in the log.
    const native = `OPTFLAGS = -march=native\nPG_CFLAGS += $(OPTFLAGS)\n.SILENT:\n`;
    await writeFile(makefile, native + (await readFile(makefile, 'utf8')));
    await expect(build(place)).rejects.toMatchObject({
      code: 'ext_build_failed',
      remedy: expect.stringContaining('--set OPTFLAGS='),
    });
    expect((await build(place, { settings: { OPTFLAGS: '' } })).metadata.version).toBe('1.1');
  });

  test.skipIf(!existsSync('/usr/bin/cmake') || !existsSync('/usr/bin/g++'))(
    'an extension in C++ is built by CMake, and names no folder of the machine (skipped without cmake, g++)',
    async () => {
      const place = await machine('cmake', 'words');
      const { bundle, metadata, notes } = await build(place);
      expect(metadata).toMatchObject({
        name: 'centuria_words',
        target: { glibc: expect.any(String) },
      });
      expect(notes).toEqual(['lib/centuria_words.so needs libstdc++.so.6 of the target']);
      const { files } = await readBundle(bundle, 'it', { trusted: [], requireSignature: false });
      const library = files.get('lib/centuria_words.so');
      expect(library?.includes('/source/src/core.cpp')).toBe(true);
      expect(library?.includes(folder)).toBe(false);
    },
  );
});
