import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Bundle, ExtFinding, Metadata, ServerFacts } from '../types.ts';
import { checkBundle, type CheckOptions } from './check.ts';

const folder = join(import.meta.dirname, '../../../test/fixtures/elf');
const fixture = (name: string): Buffer => readFileSync(join(folder, `${name}.so`));

const control = "default_version = '2'\nmodule_pathname = '$libdir/sample'\n";
const declares =
  "CREATE FUNCTION sort(bytea) RETURNS bytea\n  AS 'MODULE_PATHNAME', 'sample_sort' LANGUAGE C;\n";
const sound: Readonly<Record<string, string | Buffer>> = {
  'lib/sample.so': fixture('x86_64-17'),
  'extension/sample.control': control,
  'extension/sample--1.sql': declares,
  'extension/sample--1--2.sql': 'SELECT 1;\n',
  'extension/sample--2--1.sql': 'SELECT 1;\n',
  'smoke/sample.sql': 'SELECT 1;\n',
};

const server: ServerFacts = {
  format: 1,
  versionNumber: 170_006,
  version: '17.6',
  major: 17,
  architecture: 'x86_64',
  glibc: '2.36',
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
    binFolder: '/opt/pg/bin',
    libraryFolder: '/opt/pg/lib',
    extensionFolder: '/opt/pg/share/extension',
    shareFolder: '/opt/pg/share',
  },
  serverSha256: '0'.repeat(64),
  exportedSymbols: ['InitResultRelInfo', 'errstart_cold', 'palloc'],
  libraries: ['libc.so.6', 'libm.so.6'],
  libraryFiles: ['plpgsql.so'],
  extensionFiles: ['plpgsql--1.0.sql', 'plpgsql.control'],
  config: {},
  origin: 'local',
};

/** A bundle with these files and a true list of them; undefined takes a file away. */
function bundle(
  changes: Readonly<Record<string, string | Buffer | undefined>> = {},
  target: Partial<Metadata['target']> = {},
): Bundle {
  const files = new Map<string, Buffer>();
  for (const [path, content] of Object.entries({ ...sound, ...changes })) {
    if (content !== undefined) files.set(path, Buffer.from(content));
  }
  const metadata: Metadata = {
    format: 1,
    name: 'sample',
    version: '2',
    builtAt: '2026-01-01T00:00:00Z',
    compiler: 'gcc 12',
    target: { major: 17, version: '17.6', architecture: 'x86_64', ...target },
    extensions: [{ name: 'sample', version: '2' }],
    files: [...files].map(([path, bytes]) => ({
      path,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      sizeBytes: bytes.length,
    })),
    smoke: ['smoke/sample.sql'],
  };
  files.set('metadata.json', Buffer.from(JSON.stringify(metadata)));
  return { metadata, digest: '0'.repeat(64), files };
}

function check(
  files: Bundle,
  facts: Partial<ServerFacts> = {},
  options: CheckOptions = {},
): readonly ExtFinding[] {
  return checkBundle(files, { ...server, ...facts }, options);
}

/** `refuse wrong-major` and so on, each once. */
function rules(findings: readonly ExtFinding[]): readonly string[] {
  return [...new Set(findings.map(({ level, rule }) => `${level} ${rule}`))];
}

test('a bundle that fits its server has nothing to be said about it', () => {
  expect(check(bundle())).toEqual([]);
  expect(
    check(bundle(), {}, { installed: [{ database: 'db', name: 'sample', version: '1' }] }),
  ).toEqual([]);
});

test('a library for another major version is refused', () => {
  const findings = check(bundle({ 'lib/sample.so': fixture('x86_64-15') }));
  expect(rules(findings)).toEqual(['refuse wrong-major']);
  expect(findings[0]).toMatchObject({ file: 'lib/sample.so' });
  expect(findings[0]?.message).toBe('lib/sample.so is for PostgreSQL 15, the server is 17.');
  const said = check(bundle({ 'lib/sample.so': undefined }, { major: 16, version: '16.4' }));
  expect(rules(said)).toContain('refuse wrong-major');
});

test('a library for another processor is refused, and for nothing else', () => {
  const wrong = bundle({ 'lib/sample.so': fixture('aarch64-17') }, { architecture: 'aarch64' });
  const findings = check(wrong);
  expect(rules(findings)).toEqual(['refuse wrong-architecture']);
  expect(findings.map(({ file }) => file)).toEqual(['metadata.json', 'lib/sample.so']);
});

test('each field of the magic is compared with the server’s', () => {
  const other = {
    sizeBytes: 72,
    funcMaxArgs: 200,
    indexMaxKeys: 64,
    nameDataLength: 128,
    float8ByValue: false,
    abiExtra: 'EnterpriseDB',
  };
  const findings = check(bundle(), { magic: { ...server.magic, ...other } });
  expect(rules(findings)).toEqual([
    'refuse magic-abi-extra',
    'refuse magic-func-max-args',
    'refuse magic-index-max-keys',
    'refuse magic-name-data-length',
    'refuse magic-float8-by-value',
    'refuse magic-size',
  ]);
  expect(findings[0]?.message).toBe(
    'lib/sample.so was built with the ABI of PostgreSQL, the server with EnterpriseDB.',
  );
});

test('a module without magic is refused, a helper without it is not', () => {
  const shared = { 'lib/libshared.so': fixture('libshared') };
  expect(check(bundle(shared))).toEqual([]);
  const asModule = {
    ...shared,
    'extension/sample.control': control.replace('sample', 'libshared'),
  };
  expect(rules(check(bundle(asModule)))).toEqual(['refuse no-magic', 'refuse function-missing']);
});

test('a library that is cut off or has strange code is refused', () => {
  const whole = fixture('x86_64-17');
  expect(rules(check(bundle({ 'lib/sample.so': whole.subarray(0, 700) })))).toEqual([
    'refuse corrupt-library',
  ]);
  whole[whole.indexOf(Buffer.from('488d05', 'hex')) + 2] = 0x0d;
  expect(rules(check(bundle({ 'lib/sample.so': whole })))).toEqual(['refuse magic-unknown']);
});

test('a C library that is older than the demanded one, or another one, is refused', () => {
  const [old] = check(bundle(), { glibc: '2.2' });
  expect(old).toMatchObject({ level: 'refuse', rule: 'glibc-too-new', file: 'lib/sample.so' });
  expect(old?.message).toBe(
    "lib/sample.so demands GLIBC_2.2.5 of libc.so.6, and the server's machine has glibc 2.2.",
  );
  const { glibc: _, ...musl } = server;
  expect(rules(checkBundle(bundle(), musl))).toEqual(['refuse glibc-too-new']);
});

test('symbols that nobody offers are refused by their names', () => {
  const [finding] = check(bundle(), { exportedSymbols: ['palloc'] });
  expect(finding).toMatchObject({ level: 'refuse', rule: 'missing-symbol' });
  expect(finding?.message).toContain('uses errstart_cold, which neither PostgreSQL 17.6');
  expect(rules(check(bundle(), { exportedSymbols: [] }))).toEqual(['warn symbols-unknown']);
  // A library that forgot -lm finds what postgres has loaded.
  const bytes = fixture('x86_64-17');
  bytes.write('nexttowardf\0', bytes.indexOf('errstart_cold\0'), 'latin1');
  expect(check(bundle({ 'lib/sample.so': bytes }))).toEqual([]);
});

test('libraries that are not there, or that the loader would not find, are refused', () => {
  expect(rules(check(bundle(), { libraries: [] }))).toEqual(['refuse missing-library']);
  const needing = fixture('x86_64-17-shared');
  const alone = check(bundle({ 'lib/sample.so': needing }));
  expect(rules(alone)).toEqual([
    'refuse missing-library',
    'warn symbol-unproven',
    'warn search-path',
  ]);
  const both = { 'lib/sample.so': needing, 'lib/libshared.so': fixture('libshared') };
  const hidden = check(bundle(both));
  expect(rules(hidden)).toEqual(['refuse missing-library', 'warn search-path']);
  expect(hidden[0]?.message).toContain('tells the loader no folder to find it in');
  const beside = Buffer.from(needing);
  beside.write('$ORIGIN\0', beside.indexOf('/build/sample\0'), 'latin1');
  expect(check(bundle({ ...both, 'lib/sample.so': beside }))).toEqual([]);
});

test('what the control file and the scripts lack is refused before a server says it', () => {
  const cases: readonly [Record<string, string | undefined>, readonly string[]][] = [
    [{ 'extension/sample.control': undefined }, ['refuse control-missing']],
    [{ 'extension/sample.control': `${control}requires = 'cube'\n` }, ['refuse requires-missing']],
    [{ 'extension/sample.control': `${control}oops\n` }, ['refuse control-invalid']],
    [{ 'extension/sample.control': control.replace("'2'", "'1'") }, ['refuse control-invalid']],
    [{ 'extension/sample.control': `${control}directory = 'x'` }, ['refuse control-directory']],
    [{ 'extension/sample--1--2.sql': undefined }, ['refuse sql-missing']],
    [{ 'lib/sample.so': undefined }, ['refuse module-missing']],
    [{ 'lib/sample.so': undefined, 'extension/sample--1.sql': '' }, ['warn module-missing']],
    [
      { 'extension/sample--1--2.sql': declares.replace('_sort', '_new') },
      ['refuse function-missing'],
    ],
  ];
  for (const [changes, said] of cases) expect(rules(check(bundle(changes)))).toEqual(said);
  const [invalid] = check(bundle({ 'extension/sample.control': `${control}oops\n` }));
  expect(invalid).toMatchObject({ file: 'extension/sample.control', line: 3 });
  const onServer = { libraryFiles: ['sample.so'] };
  expect(check(bundle({ 'lib/sample.so': undefined }), onServer)).toEqual([]);
});

test('an installed version needs a way to the new one; a way back is asked for', () => {
  const installed = [
    { database: 'a', name: 'sample', version: '0.9' },
    { database: 'b', name: 'sample', version: '1' },
    { database: 'b', name: 'other', version: '7' },
  ];
  const findings = check(bundle({ 'extension/sample--2--1.sql': undefined }), {}, { installed });
  expect(findings.map(({ rule }) => rule)).toEqual(['update-path-missing', 'one-way']);
  expect(findings[0]?.message).toBe('Database a has sample 0.9, from which no scripts lead to 2.');
  expect(findings[0]?.remedy).toContain('extension/sample--0.9--2.sql');
});

test('functions of an old catalogue that the new library lacks are refused', () => {
  const installed = [{ database: 'a', name: 'sample', version: '1' }];
  const old = { 'extension/sample--1.sql': '', 'extension/sample--2.sql': '' };
  const gone = bundle({ ...old, 'extension/sample--1.sql': declares.replace('_sort', '_old') });
  const [finding] = check(gone, {}, { installed });
  expect(finding).toMatchObject({ level: 'refuse', rule: 'symbol-gone', file: 'lib/sample.so' });
  expect(finding?.message).toContain('sample 1 has functions for which lib/sample.so has no code');
  const dropped = `${declares.replace('_sort', '_old')}DROP FUNCTION sort(bytea);\n${declares}`;
  expect(check(bundle({ ...old, 'extension/sample--1.sql': dropped }), {}, { installed })).toEqual(
    [],
  );
  // The live catalogue is asked where it can be: there the function is gone already, or is not.
  const catalogueFunctions = [{ library: '$libdir/sample', symbol: 'sample_sort' }];
  expect(check(gone, {}, { installed, catalogueFunctions })).toEqual([]);
  const more = [...catalogueFunctions, { library: '$libdir/sample', symbol: 'sample_older' }];
  expect(check(bundle(), {}, { catalogueFunctions: more })[0]?.message).toContain('sample_older');
});

test('a name that is taken on the server is refused, unless it is known to be replaced', () => {
  const taken = { libraryFiles: ['sample.so'], extensionFiles: ['sample.control'] };
  const findings = check(bundle(), taken);
  expect(rules(findings)).toEqual(['refuse name-clash']);
  expect(findings.map(({ file }) => file)).toEqual(['lib/sample.so', 'extension/sample.control']);
  expect(rules(check(bundle(), taken, { replaced: ['lib/sample.so'] }))).toEqual([
    'refuse name-clash',
  ]);
  const replaced = ['lib/sample.so', 'extension/sample.control'];
  expect(check(bundle(), taken, { replaced })).toEqual([]);
});

test('a minor version that is newer is warned of, and one that is laid out otherwise more', () => {
  expect(rules(check(bundle({}, { version: '17.7' })))).toEqual(['warn newer-minor']);
  expect(check(bundle({}, { version: '17.2' }))).toEqual([]);
  expect(rules(check(bundle({}, { version: '17.1' })))).toEqual(['warn minor-layout']);
  expect(rules(check(bundle({}, { version: '17.0' }), { version: '17.1' }))).toEqual([
    'warn minor-layout',
  ]);
  expect(check(bundle({}, { version: '17.1' }), { version: '17.1' })).toEqual([]);
  expect(rules(check(bundle({}, { version: '17beta1' })))).toEqual(['note minor-unknown']);
});

test('a file that was changed, added or lost after the build is refused', () => {
  const changed = bundle();
  const files = new Map(changed.files);
  files.set('extension/sample--1.sql', Buffer.from(`${declares} `));
  files.set('lib/extra.so', fixture('libshared'));
  files.delete('smoke/sample.sql');
  const findings = check({ ...changed, files });
  expect(rules(findings)).toEqual(['refuse hash-mismatch']);
  expect([...new Set(findings.map(({ file }) => file))]).toEqual([
    'extension/sample--1.sql',
    'smoke/sample.sql',
    'lib/extra.so',
  ]);
});

test('a library in C++ says what it demands of the server’s libstdc++', ({ skip }) => {
  if (spawnSync('g++', ['--version']).status !== 0) skip('g++ is not installed');
  const scratch = mkdtempSync(join(tmpdir(), 'centuria-check-'));
  try {
    const file = join(scratch, 'cpp.so');
    const words = ['-shared', '-fPIC', '-x', 'c++', '-o', file, '-'];
    const input = 'extern "C" void f() { throw 1; }\n';
    expect(spawnSync('g++', words, { input }).status).toBe(0);
    const files = bundle({ 'lib/cpp.so': readFileSync(file) });
    const libraries = ['libc.so.6', 'libm.so.6', 'libgcc_s.so.1', 'libstdc++.so.6'];
    const there = check(files, { libraries, glibc: '2.99' });
    expect(rules(there)).toEqual(['note libstdcxx']);
    expect(there[0]?.message).toContain('CXXABI_1.3');
    const absent = check(files, { libraries: libraries.slice(0, 3), glibc: '2.99' });
    expect(rules(absent)).toEqual(['refuse missing-library']);
  } finally {
    rmSync(scratch, { recursive: true });
  }
});

test('a library that hands over a ResultRelInfo of another size is refused', ({ skip }) => {
  if (spawnSync('gcc', ['--version']).status !== 0) skip('gcc is not installed');
  const scratch = mkdtempSync(join(tmpdir(), 'centuria-check-'));
  try {
    const file = join(scratch, 'executor.so');
    const words = ['-shared', '-fPIC', '-x', 'c', '-o', file, '-'];
    const input = 'void InitResultRelInfo(void *); void f(void) { InitResultRelInfo(0); }\n';
    expect(spawnSync('gcc', words, { input }).status).toBe(0);
    const files = bundle({ 'lib/executor.so': readFileSync(file) }, { version: '17.0' });
    const [finding] = check(files, { version: '17.1', glibc: '2.99' });
    expect(finding).toMatchObject({
      level: 'refuse',
      rule: 'minor-layout',
      file: 'lib/executor.so',
    });
    expect(check(files, { version: '17.2', glibc: '2.99' })).toEqual([]);
  } finally {
    rmSync(scratch, { recursive: true });
  }
});
