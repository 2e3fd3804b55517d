import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { brief, GitRepository, reportOf, type Files } from '../support/git-repository.ts';

const licence =
  'MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\nof this software\n';
const manifest = (more: object = {}) =>
  `${JSON.stringify({ name: 'shop', private: true, type: 'module', license: 'MIT', main: 'src/index.ts', ...more }, undefined, 2)}\n`;
const tsconfig =
  '{ "compilerOptions": { "strict": true, "module": "nodenext", "target": "es2022", "types": [] }, "include": ["src"] }\n';

/** A small project in good order: no tool has anything to say of it. */
const clean: Files = {
  LICENSE: licence,
  'package.json': manifest({ dependencies: { left: '^1.0.0' } }),
  'package-lock.json': `${JSON.stringify({ name: 'shop', lockfileVersion: 3, packages: { '': { name: 'shop' }, 'node_modules/left': { version: '1.0.0', license: 'ISC', integrity: 'sha512-AA==' } } }, undefined, 2)}\n`,
  'tsconfig.json': tsconfig,
  'src/index.ts':
    "import { total } from './total.ts';\nimport left from 'left';\n\nexport const run = (items: number[]): string => left(String(total(items)));\n",
  'src/total.ts':
    'export function total(items: readonly number[]): number {\n  return items.reduce((sum, item) => sum + item, 0);\n}\n',
  'src/left.d.ts':
    "declare module 'left' {\n  export default function left(text: string): string;\n}\n",
  'test/total.test.ts':
    "import { expect, test } from 'vitest';\nimport { total } from '../src/total.ts';\n\ntest('adds', () => {\n  expect(total([1, 2])).toBe(3);\n});\n",
  'ci.yaml': 'on: push\njobs:\n  test:\n    runs-on: linux\n',
  'settings.toml': 'a = 1\n',
  'migrations/001_first.sql': 'create table t (id int primary key);\ncreate index on t (id);\n',
};

async function findings(tool: string, files: Files, options: string[] = []): Promise<string[]> {
  using repository = new GitRepository(files);
  const report = await reportOf(tool, repository.path, ...options);
  expect(report.tool).toBe(tool);
  expect(report.total).toBe(report.findings.length);
  return report.findings.map(brief);
}

const offline = [
  'complexity',
  'dead-code',
  'dependency-graph',
  'duplicate-code',
  'licences',
  'lint-scan',
  'sbom',
  'sql-check',
  'syntax-check',
  'test-inventory',
  'type-check',
];

describe('on a project in good order', () => {
  test.each(offline)('%s finds nothing', async (tool) => {
    // vitest is used by a test and not declared: that is the one thing to say of it, and it is low.
    const files = {
      ...clean,
      'package.json': manifest({
        dependencies: { left: '^1.0.0' },
        devDependencies: { vitest: '^5.0.0' },
      }),
    };
    expect(await findings(tool, files)).toEqual([]);
  });
});

describe('where there is nothing to examine', () => {
  test.each(offline)('%s says so instead of calling it clean', async (tool) => {
    using repository = new GitRepository({ 'README.md': '# Hello\n' });
    const report = await reportOf(tool, repository.path);
    const said = [report.summary, ...report.notes].join(' ');
    expect(said).toMatch(/nothing to examine|nothing examined|no lock file/i);
  });
});

test('complexity: a function that is hard to follow, at the line where it begins', async () => {
  const loops =
    '{ for (const x of y) { if (x) { while (z) { if (a && b || c) { switch (d) { case 1: e(); } } else if (f) { g(); } } } } }';
  expect(
    await findings('complexity', { 'src/a.js': `const ok = 1;\nfunction hard(y, z) ${loops}\n` }),
  ).toEqual(['low cognitive-complexity src/a.js:2']);
  const many = 'export function many(a, b, c, d, e, f, g) {}\n';
  expect(await findings('complexity', { 'src/a.js': many })).toEqual([
    'low many-parameters src/a.js:1',
  ]);
  expect(await findings('complexity', { 'dist/a.js': many, 'vendor/b.js': many })).toEqual([]);
});

test('syntax-check: every language, at the place where it breaks', async () => {
  const found = await findings('syntax-check', {
    'a.ts': 'export const n = 1;\nconst = 2;\n',
    'b.json': '{\n  "a": 1,\n  "b": 2,\n}\n',
    'tsconfig.json': '{\n  // said\n  "files": [],\n}\n',
    'c.yaml': 'a: 1\nb: [1, 2\nc: 3\n',
    'd.yml': 'a: 1\na: 2\n',
    'e.toml': 'a = 1\nb = \n',
    'f.jsonl': '{}\n{\n',
    'chart/templates/x.yaml': 'a: {{ .Values.a }}\n  b: {{- c }}\n',
    'test/fixtures/broken.json': '{',
  });
  expect(found).toEqual([
    'high javascript-syntax a.ts:2',
    'high json-syntax b.json:4',
    'high yaml-syntax c.yaml:3',
    'high yaml-syntax d.yml:2',
    'high toml-syntax e.toml:2',
    'high jsonl-syntax f.jsonl:2',
    'low json-syntax test/fixtures/broken.json:1',
  ]);
});

test('dependency-graph: a cycle, a missing file, an undeclared and an unused package', async () => {
  const found = await findings('dependency-graph', {
    'package.json': '{\n  "dependencies": {\n    "used": "1",\n    "idle": "1"\n  }\n}\n',
    'src/a.ts': "import 'used';\nimport { b } from './b.js';\nexport const a = () => b;\n",
    'src/b.ts':
      "import type { T } from './a.js';\nimport { c } from './c';\nexport const b: T = c;\n",
    'src/c.ts': "export { a } from './a';\n",
    'src/d.ts':
      "import { x } from './nowhere';\nimport stray from 'stray/sub';\nexport default [x, stray];\n",
    'src/lazy.ts': "export const load = () => import('./late.ts');\n",
    'src/late.ts': "import { load } from './lazy.ts';\nexport default load;\n",
  });
  expect(found).toEqual([
    'high unresolved-import src/d.ts:1',
    'high undeclared-package src/d.ts:2',
    'medium import-cycle src/a.ts:2',
    'low unused-dependency package.json:4',
  ]);
});

test('dead-code: what no entry reaches, and what nobody takes', async () => {
  const found = await findings('dead-code', {
    'package.json': manifest({ main: 'dist/index.js', scripts: { seed: 'node tools/seed.js' } }),
    'src/index.ts':
      "export * from './public.ts';\nimport { used } from './inner.ts';\nused();\nconst load = (n: string) => import(`./plug/${n}.ts`);\nload('a');\n",
    'src/public.ts': 'export const anybody = 1;\n',
    'src/inner.ts':
      'export const used = () => helper();\nexport function helper() {}\nexport const idle = 2;\nexport type Idle = 1;\n',
    'src/plug/a.ts': 'export default 1;\n',
    'src/old.ts': "import './older.ts';\n",
    'src/older.ts': 'export {};\n',
    'src/named.ts': 'export {};\n',
    'deploy.yaml': 'run: node src/named.ts\n',
    'src/x.test.ts': "import './only-tested.ts';\n",
    'src/only-tested.ts': 'export {};\n',
    'tools/seed.js': 'seed();\n',
  });
  expect(found).toEqual([
    'medium unused-file src/old.ts:1',
    'medium unused-file src/older.ts:1',
    'low unused-export src/inner.ts:3',
    'low unused-type src/inner.ts:4',
  ]);
});

test('lint-scan: a certain defect is high, an unused variable low, and a disabled rule is honoured', async () => {
  const text =
    'export const o = { a: 1, a: 2 };\nconst idle = 1;\nif (o === NaN) o.a = 3;\n// oxlint-disable-next-line use-isnan\nif (o === NaN) o.a = 4;\n';
  expect(await findings('lint-scan', { 'src/a.js': text })).toEqual([
    'high no-dupe-keys src/a.js:1',
    'high use-isnan src/a.js:3',
    'low no-unused-vars src/a.js:2',
  ]);
});

test('duplicate-code: both places of a copy', async () => {
  const body = Array.from(
    { length: 14 },
    (_, at) => `  total += input.items[${at}] * factor + offset${at};`,
  ).join('\n');
  const copy = (name: string) =>
    `function ${name}(input, factor) {\n  let total = 0;\n${body}\n  return total;\n}\n`;
  using repository = new GitRepository({
    'src/a.js': copy('one'),
    'src/b.js': `// other\n\n${copy('one')}`,
  });
  const report = await reportOf('duplicate-code', repository.path);
  expect(report.findings.map(brief)).toEqual(['low duplicate src/a.js:1']);
  expect(report.findings[0]?.message).toContain('src/b.js from line 3');
});

test('type-check: an error at its place, by the settings of the project, and nothing written', async () => {
  using repository = new GitRepository({
    'tsconfig.json':
      '{ "compilerOptions": { "strict": true, "composite": true, "outDir": "out", "baseUrl": ".", "moduleResolution": "node" }, "include": ["src"] }',
    'src/a.ts': "import { b } from 'src/b';\nexport const n: number = b;\n",
    'src/b.ts': "export const b = 'text';\n",
  });
  const report = await reportOf('type-check', repository.path);
  expect(report.findings.map(brief)).toEqual(['high TS2322 src/a.ts:2']);
  expect(report.notes.join(' ')).toContain('baseUrl, moduleResolution');
  expect(repository.git('status', '--porcelain', '--ignored')).toBe('');
});

test('type-check: without the packages, only what stands on its own is judged, and the notes say so', async () => {
  using repository = new GitRepository({
    'package.json': '{"dependencies": {"gone": "1"}, "devDependencies": {"typescript": "^6.0.0"}}',
    'tsconfig.json': tsconfig,
    'src/alone.ts': "export const n: number = 'text';\n",
    'src/needs.ts':
      "import { g } from 'gone';\nexport const use = g((x) => x.y);\nexport const bad: number = 'text';\n",
    'src/after.ts': "import { use } from './needs.js';\nexport const s: number = 'text' + use;\n",
    'src/lost.ts': "import './nowhere.js';\n",
  });
  const report = await reportOf('type-check', repository.path);
  expect(report.findings.map(brief)).toEqual([
    'medium TS2322 src/alone.ts:1',
    'medium TS2882 src/lost.ts:1',
  ]);
  expect(report.notes.join(' ')).toContain('Types of 3 files that need them were not judged');
});

test('type-check: installed packages are used', async () => {
  using repository = new GitRepository({
    'package.json': '{"dependencies": {"here": "1"}, "devDependencies": {}}',
    'tsconfig.json': tsconfig,
    'src/a.ts': "import { h } from 'here';\nexport const n: number = h;\n",
  });
  const place = join(repository.path, 'node_modules/here');
  mkdirSync(place, { recursive: true });
  writeFileSync(
    join(place, 'package.json'),
    '{"name": "here", "version": "1.0.0", "types": "i.d.ts"}',
  );
  writeFileSync(join(place, 'i.d.ts'), 'export const h: string;\n');
  const report = await reportOf('type-check', repository.path);
  expect(report.findings.map(brief)).toEqual(['high TS2322 src/a.ts:2']);
});

function lockedUnder(licences: Readonly<Record<string, string>>): string {
  const packages = Object.entries(licences).map(([name, license]) => [
    `node_modules/${name}`,
    { version: '1.0.0', license, ...(name === 'tool' ? { dev: true } : {}) },
  ]);
  const lock = { lockfileVersion: 3, packages: Object.fromEntries(packages) };
  return JSON.stringify(lock, undefined, 2);
}

test('licences: a mismatch, copyleft, what is restricted and what is nothing', async () => {
  const found = await findings('licences', {
    LICENSE: licence,
    'package.json': '{\n  "license": "ISC"\n}\n',
    'package-lock.json': lockedUnder({
      a: 'MIT',
      b: 'GPL-3.0-only',
      c: 'BUSL-1.1',
      d: 'MPL-2.0',
      tool: 'GPL-3.0-only',
      e: 'Own Terms',
    }),
  });
  expect(found).toEqual([
    'high copyleft-licence package-lock.json:8',
    'high restricted-licence package-lock.json:12',
    'medium unknown-licence package-lock.json:25',
    'medium licence-mismatch package.json:2',
    'info weak-copyleft-licence package-lock.json:16',
    'info copyleft-licence package-lock.json:20',
  ]);
});

test('sbom: what is not fixed to one content', async () => {
  const found = await findings('sbom', {
    'app/package.json':
      '{\n  "dependencies": {\n    "a": "*",\n    "b": "http://example.org/b.tgz"\n  }\n}\n',
    'requirements.txt': 'django==4.2\nrequests>=2\n',
    'web/yarn.lock':
      '# yarn lockfile v1\n\nx@^1:\n  version "1.0.0"\n  resolved "http://example.org/x-1.0.0.zip"\n\ny@^1:\n  version "1.0.0"\n  resolved "git+https://example.org/y.git#main"\n\nz@^1:\n  version "1.0.0"\n',
  });
  expect(found).toEqual([
    'high insecure-source app/package.json:4',
    'high insecure-source web/yarn.lock:3',
    'medium no-lock-file app/package.json:1',
    'medium unpinned requirements.txt:2',
    'medium git-source web/yarn.lock:7',
    'medium no-integrity web/yarn.lock:11',
    'low any-version app/package.json:3',
  ]);
});

test('sbom --folder writes a CycloneDX document', async () => {
  using repository = new GitRepository(clean);
  const folder = join(repository.around, 'out');
  await reportOf('sbom', repository.path, '--folder', folder);
  const { default: document } = (await import(join(folder, 'sbom.cdx.json'), {
    with: { type: 'json' },
  })) as { default: unknown };
  expect(document).toMatchObject({
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    components: [
      {
        name: 'left',
        version: '1.0.0',
        purl: 'pkg:npm/left@1.0.0',
        hashes: [{ alg: 'SHA-512', content: '00' }],
        licenses: [{ license: { id: 'ISC' } }],
      },
    ],
  });
});

test('test-inventory: what is focused, skipped, empty, and what has no tests', async () => {
  const found = await findings('test-inventory', {
    'src/pay/a.ts': 'export const a = 1;\n',
    'src/pay/b.ts': 'export const b = 1;\n',
    'src/pay/c.ts': 'export const c = 1;\n',
    'src/x.test.ts':
      "import { test, describe, expect } from 'vitest';\ntest.only('one', () => { expect(1).toBe(1); });\ntest.skip('two', () => {});\ntest('three', () => { run(); });\ntest('four', ({ same }) => { same(1, 1); });\nfunction holds(x) { expect(x).toBe(1); }\ntest.each([1])('five %s', (x) => { holds(x); });\ndescribe.only('six', () => {});\ntest.todo('seven');\n",
    'pkg/y_test.go': 'package y\nfunc TestY(t *testing.T) {\n\tt.Skip("later")\n}\n',
  });
  expect(found).toEqual([
    'high focused-test src/x.test.ts:2',
    'high focused-test src/x.test.ts:8',
    'medium no-assertion src/x.test.ts:4',
    'low skipped-test pkg/y_test.go:3',
    'low folder-without-tests src/pay/a.ts',
    'low skipped-test src/x.test.ts:3',
    'info todo-test src/x.test.ts:9',
  ]);
});

test('sql-check: what does not parse, and what is dangerous in a migration', async () => {
  const found = await findings('sql-check', {
    'query.sql': 'select 1;\n\nselec é;\n',
    'seed.sql': 'delete from users;\n',
    'view.sql': 'select * from {{ table }};\n',
    'my.sql': 'create table t (a int) engine=InnoDB;\n',
    'migrations/002_more.sql':
      '-- é\ncreate table fresh (id int);\ncreate index on fresh (id);\n\nalter table users\n  add column age int not null;\ncreate index on users (age);\ncreate index concurrently on users (id);\n/* all */ delete from users;\nupdate users set age = 1 where id = 1;\ndrop table fresh; drop table old;\ncopy users from stdin;\n1\t2\n\\.\nalter table users add column id uuid default gen_random_uuid();\n',
    'migrations/002_more.down.sql': 'drop table users;\n',
  });
  expect(found).toEqual([
    'high add-not-null-column migrations/002_more.sql:5',
    'high delete-all migrations/002_more.sql:9',
    'high drop-table migrations/002_more.sql:11',
    'high sql-syntax query.sql:3',
    'medium index-not-concurrent migrations/002_more.sql:7',
    'medium table-rewrite migrations/002_more.sql:15',
  ]);
});

describe('where a file can not be parsed', () => {
  test.each(['complexity', 'dead-code', 'dependency-graph'])(
    '%s says that it was not examined',
    async (tool) => {
      using repository = new GitRepository({
        ...clean,
        'src/broken.ts': 'const = 1;\n',
        'src/deep.js': `${'('.repeat(60_000)}${')'.repeat(60_000)}`,
      });
      const report = await reportOf(tool, repository.path);
      expect(report.notes.join(' ')).toContain('src/broken.ts');
      expect(report.notes.join(' ')).toContain('src/deep.js');
    },
  );
});

/** The program as the fleet starts it, with npm set to an address where nobody listens. */
function runOffline(args: readonly string[]) {
  const launcher = join(import.meta.dirname, '../../bin/centuria-tool.mjs');
  const env = { ...process.env, npm_config_registry: 'http://127.0.0.1:9' };
  const run = spawnSync(process.execPath, [launcher, ...args], { env, encoding: 'utf8' });
  return { exitCode: run.status, stdout: run.stdout, reason: run.stderr.trim().split('\n').at(-1) };
}

describe('without a registry', () => {
  test.each(['dependency-audit', 'dependency-outdated'])(
    '%s ends as unavailable and says why',
    (tool) => {
      using repository = new GitRepository(clean);
      const run = runOffline([tool, '--repo', repository.path]);
      expect(run).toMatchObject({ exitCode: 69, stdout: '' });
      expect(run.reason).toMatch(/could not ask the registry: .*ECONNREFUSED/);
    },
  );

  test.each(['dependency-audit', 'dependency-outdated'])(
    '%s does not ask where there is nothing to ask about',
    async (tool) => {
      using repository = new GitRepository({ 'a.txt': 'a' });
      const report = await reportOf(tool, repository.path);
      expect(report.summary).toContain('Nothing to examine');
    },
  );
});
