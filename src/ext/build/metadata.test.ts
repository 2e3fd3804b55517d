import { expect, test } from 'vitest';
import type { ElfFacts, ServerFacts } from '../types.ts';
import { describeBundle, requiredGlibc, sharedLibrary } from './metadata.ts';
import { provenanceOf } from './provenance.ts';

const elf = (facts: Partial<ElfFacts>): ElfFacts => ({
  architecture: 'x86_64',
  needed: [],
  searchPaths: [],
  defined: new Set(),
  undefined: new Set(),
  versioned: new Map(),
  versions: new Map(),
  ...facts,
});

const facts: ServerFacts = {
  format: 1,
  versionNumber: 170006,
  version: '17.6',
  major: 17,
  architecture: 'x86_64',
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
    binFolder: '/b',
    libraryFolder: '/l',
    extensionFolder: '/s/extension',
    shareFolder: '/s',
  },
  serverSha256: '0'.repeat(64),
  exportedSymbols: [],
  libraries: [],
  libraryFiles: [],
  extensionFiles: [],
  config: {},
  origin: 'local',
};
const control = (version: string): Buffer => Buffer.from(`default_version = '${version}'\n`);
const rest = { facts, date: 1_700_000_000, compiler: 'gcc 12' };

test('the glibc that a bundle needs is the highest that any library of it demands, by number', () => {
  const libraries = new Map([
    ['lib/a.so', elf({ versions: new Map([['libc.so.6', ['GLIBC_2.9', 'GLIBC_PRIVATE']]]) })],
    ['lib/b.so', elf({ versions: new Map([['libm.so.6', ['GLIBC_2.29']]]) })],
    [
      'lib/c.so',
      elf({ versions: new Map([['libstdc++.so.6', ['GLIBCXX_3.4.30', 'CXXABI_1.3']]]) }),
    ],
  ]);
  expect(requiredGlibc(libraries)).toBe('2.29');
  expect(requiredGlibc(new Map())).toBeUndefined();
});

test('a shared library counts as one when others need it and its SONAME has a hash', () => {
  const core = 'libcore-0a1b2c3d.so';
  const module = elf({ needed: [core, 'libc.so.6'] });
  const path = `lib/${core}`;
  const both = new Map([
    [path, elf({ soname: core })],
    ['lib/m.so', module],
  ]);
  expect(sharedLibrary(both)).toBe(path);
  expect(sharedLibrary(new Map([[path, elf({ soname: core })]]))).toBeUndefined();
  const unnamed = new Map([
    ['lib/libcore.so', elf({ soname: 'libcore.so' })],
    ['lib/m.so', elf({ needed: ['libcore.so'] })],
  ]);
  expect(sharedLibrary(unnamed)).toBeUndefined();
});

test('metadata tell name, version and time of the sources, and list the files in order', () => {
  const files = new Map([
    ['smoke/x.sql', Buffer.from('SELECT 1;')],
    ['extension/x.control', control('1.2')],
    ['extension/x--1.2.control', Buffer.from("comment = 'of one version'\n")],
  ]);
  const metadata = describeBundle({ ...rest, files });
  expect(metadata).toMatchObject({
    name: 'x',
    version: '1.2',
    builtAt: '2023-11-14T22:13:20.000Z',
    extensions: [{ name: 'x', version: '1.2' }],
    smoke: ['smoke/x.sql'],
    target: { major: 17, version: '17.6', architecture: 'x86_64' },
  });
  expect(metadata.files.map(({ path }) => path)).toEqual([...files.keys()].toSorted());
  expect(metadata.target).not.toHaveProperty('glibc');
});

test('several extensions need a name, and the one of that name tells the version', () => {
  const files = new Map([
    ['extension/a.control', control('1')],
    ['extension/b.control', control('2')],
  ]);
  expect(() => describeBundle({ ...rest, files })).toThrow('several extensions (a, b)');
  expect(describeBundle({ ...rest, files, name: 'b' })).toMatchObject({ name: 'b', version: '2' });
  expect(describeBundle({ ...rest, files, name: 'both' })).toMatchObject({ version: '1' });
  const none = new Map([['extension/a.control', Buffer.from('relocatable = true\n')]]);
  expect(() => describeBundle({ ...rest, files: none })).toThrow('no default_version');
  expect(() => describeBundle({ ...rest, files: new Map() })).toThrow('no control file');
});

test('a provenance names what went in, and no time but that of the sources', () => {
  const files = new Map([['extension/x.control', control('1.2')]]);
  const metadata = describeBundle({ ...rest, files });
  const predicate = provenanceOf(metadata, {
    kind: 'pgxs',
    sourceDigest: 'a'.repeat(64),
    packageDigest: 'b'.repeat(64),
    packageOrigin: 'local',
    settings: { OPTFLAGS: '' },
    dropped: [],
  });
  expect(predicate).toMatchObject({
    buildDefinition: {
      buildType: 'urn:centuria:build:pgxs@1',
      externalParameters: { settings: { OPTFLAGS: '' } },
      resolvedDependencies: [
        { name: 'source', digest: { sha256: 'a'.repeat(64) } },
        { name: 'package', digest: { sha256: 'b'.repeat(64) } },
        { name: 'compiler', annotations: { version: 'gcc 12' } },
      ],
    },
    runDetails: { metadata: { finishedOn: '2023-11-14T22:13:20.000Z' } },
  });
});
