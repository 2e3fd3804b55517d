import { expect, test } from 'vitest';
import { brief, GitRepository, reportOf, type Files } from '../support/git-repository.ts';

// Put together here, so that no scan of this repository takes them for real ones.
const token = ['ghp', 'A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8'].join('_');
const privateKey = `-----BEGIN RSA ${'PRIVATE'} KEY-----\n${'MIIEpAIBAAKCAQEA7bq0x9Z'.repeat(8)}\n-----END RSA ${'PRIVATE'} KEY-----\n`;
const codeLines = (amount: number, seed = ''): string =>
  Array.from({ length: amount }, (_none, n) => `${' '.repeat((n % 4) * 2)}call${seed}(${n});`).join(
    '\n',
  );

const clean: Files = {
  'README.md': '# Project\n\nIt does one thing. See [the guide](docs/guide.md#how-to-use-it).\n',
  'docs/guide.md': '# Guide\n\n## How to use it\n\nRun it:\n\n```sh\n./run.sh\n```\n',
  'run.sh': '#!/bin/sh\nset -eu\n# Says hello to whoever runs it.\necho "hello"\n',
  'src/main.ts':
    '// Adds two numbers.\nexport const add = (a: number, b: number): number => a + b;\n',
};

/** A defect, and what the tool must say of it. */
interface Planted {
  readonly tool: string;
  readonly files: Files;
  readonly found: readonly string[];
}

const planted: readonly Planted[] = [
  {
    tool: 'merge-conflicts',
    files: {
      'src/a.ts': 'let a;\n<<<<<<< HEAD\na = 1;\n=======\na = 2;\n>>>>>>> other\n',
      'src/b.ts': 'const admin = false; /*\u202e } if (admin) { */\n',
      'Readme.md': '# Other\n',
      'c.sh': '\ufeff#!/bin/sh\necho c\n',
      'd.txt': 'one\r\ntwo\nthree\n',
      '.gitignore': 'e.cfg\n',
      'e.cfg': 'e\n',
      'aux.txt': 'f\n',
    },
    found: [
      'critical conflict-marker src/a.ts:2',
      'critical bidirectional-control src/b.ts:1',
      'medium colliding-names README.md',
      'medium byte-order-mark c.sh:1',
      'low mixed-line-ends d.txt:1',
      'low unportable-name aux.txt',
      'low ignored-but-tracked e.cfg',
    ],
  },
  {
    tool: 'secret-scan',
    files: {
      'src/a.ts': `// A note.\nconst token = '${token}';\n`,
      'deploy/key.pem': privateKey,
      'config.yaml': `service:\n  api_key: "9f8A7b6C5d4E3f2G1h0J"\n`,
      '.env': 'DEBUG=true\nSESSION_SECRET=kJ8s7dHf6gA5\n',
      id_rsa: 'x\n',
      'test/b.ts': `const token = '${token}';\n`,
      'src/c.ts': `const password = 'your-password-here-please';\nconst api_key = process.env.API_KEY;\n`,
    },
    found: [
      'critical github/GITHUB_TOKEN src/a.ts:2',
      'critical privatekey/PrivateKey deploy/key.pem:1',
      'high environment-file .env:2',
      'high key-file id_rsa',
      'medium random-value config.yaml:2',
      'medium github/GITHUB_TOKEN test/b.ts:1',
    ],
  },
  {
    tool: 'link-check',
    files: {
      'README.md':
        '# A\n\n[gone](docs/gone.md) and [no heading](docs/guide.md#nowhere)\n\n`[code](not-a-link.md)`\n\n[x][nothing]\n',
      'notes.md':
        '# N\n\n![picture](Docs/guide.md)\n\n```\n[in code](no.md)\n```\n<!-- [in a comment](no.md) -->\n[out](../../issues) [mail](mailto:a@b.c) [self](#n)\n',
    },
    found: [
      'medium broken-link README.md:3',
      'low broken-anchor README.md:3',
      'low undefined-label README.md:7',
      'low link-case notes.md:3',
    ],
  },
  {
    tool: 'markdown-lint',
    files: {
      'a.md': '# A\n\n(text)[https://example.org]\n\n| a | b |\n| --- | --- |\n| 1 | 2 | 3 |\n',
    },
    found: ['medium MD011/no-reversed-links a.md:3', 'medium MD056/table-column-count a.md:7'],
  },
  {
    tool: 'shell-check',
    files: {
      'broken.sh': '#!/bin/bash\nif true; then\n  echo a\n',
      dialect: '#!/bin/sh\nlist=(a b)\n',
      'danger.sh':
        '#!/bin/bash\ncurl -s https://example.org/x | sudo bash\nrm -rf "$TARGET"/*\n# curl https://example.org | sh\n',
    },
    found: [
      'high syntax-error broken.sh:2',
      'medium not-in-this-shell dialect:2',
      'medium pipe-to-shell danger.sh:2',
      'medium unguarded-delete danger.sh:3',
    ],
  },
  {
    tool: 'size-scan',
    files: {
      'big.bin': Buffer.alloc(1_500_000, 1),
      'node_modules/x/index.js': 'x\n',
      'lib/a.pyc': Buffer.from([0, 1]),
      tool: Buffer.from('7f454c4602010100', 'hex'),
      'src/long.ts': 'a();\n'.repeat(1_200),
    },
    found: [
      'high dependencies-checked-in node_modules/x/index.js',
      'medium build-product lib/a.pyc',
      'medium executable-binary tool',
      'low large-file big.bin',
      'low long-source src/long.ts:1',
    ],
  },
  {
    tool: 'spelling',
    files: {
      'a.md': '# Title\n\nWe recieve the mesages of `recieveAll` from the enviroment.\n',
      'src/a.ts': '// Definately not a numstat of parseHunk.\nexport const numstat = 1;\n',
    },
    found: [
      'low misspelling a.md:3',
      'low misspelling a.md:3',
      'low misspelling a.md:3',
      'info misspelling src/a.ts:1',
    ],
  },
  {
    tool: 'todo-scan',
    files: {
      'src/a.ts':
        'const a = "TODO: not this";\n// FIXME: breaks on Mondays\n// TODO(ada): see #12\n/* a todo list */\n',
      'b.py': '"""\nTODO: say what\n"""\n',
    },
    found: ['low fixme src/a.ts:2', 'info todo b.py:2', 'info todo src/a.ts:3'],
  },
];

test.for(planted)('$tool finds what was planted, and only that', async ({ tool, files, found }) => {
  using repository = new GitRepository({ ...clean, ...files });
  const report = await reportOf(tool, repository.path);
  expect(report.findings.map(brief).toSorted()).toEqual([...found].toSorted());
  expect(report.total).toBe(found.length);
});

test.for([...planted.map(({ tool }) => tool), 'code-ownership', 'git-history', 'hot-spots'])(
  '%s is silent on a clean repository',
  async (tool) => {
    using repository = new GitRepository(clean);
    expect((await reportOf(tool, repository.path)).findings).toEqual([]);
  },
);

test('no secret is printed', async () => {
  using repository = new GitRepository({
    'a.ts': `const token = '${token}';\nconst other_secret = "9f8A7b6C5d4E3f2G1h0J";\n`,
    'key.pem': privateKey,
    '.env': 'SESSION_SECRET=kJ8s7dHf6gA5\n',
    'db.ts': `connect('postgres://admin:zX9${'qLw4Vt'}@db.internal.net/x');\n`,
  });
  const text = JSON.stringify(await reportOf('secret-scan', repository.path));
  for (const secret of [token.slice(4, 12), '9f8A7b', 'MIIEpA', 'kJ8s7d', 'qLw4Vt'])
    expect(text).not.toContain(secret);
  expect((JSON.parse(text) as { total: number }).total).toBeGreaterThanOrEqual(5);
});

test('a mark in a file can not switch the search for secrets off', async () => {
  using repository = new GitRepository({
    'a.ts': `// secretlint-disable\nconst token = '${token}';\n`,
  });
  expect((await reportOf('secret-scan', repository.path)).findings.map(brief)).toEqual([
    'critical github/GITHUB_TOKEN a.ts:2',
  ]);
});

test('todo-scan says how old a marker is and who left it, and takes an old defect more seriously', async () => {
  using repository = new GitRepository();
  repository.commit('Begin', { 'a.ts': '// FIXME: old\n' }, { author: 'Grace', daysAgo: 500 });
  repository.commit('Go on', { 'a.ts': '// FIXME: old\n// FIXME: new\n' });
  repository.write({ 'a.ts': '// FIXME: old\n// FIXME: new\n// FIXME: not committed\n' });
  const { findings } = await reportOf('todo-scan', repository.path);
  expect(findings.map((finding) => `${brief(finding)} ${finding.message}`)).toEqual([
    'medium fixme a.ts:1 FIXME, 500 days old, by Grace.',
    'low fixme a.ts:2 FIXME, 0 days old, by Ada.',
    'low fixme a.ts:3 FIXME.',
  ]);
});

test('git-history sees huge commits, unfinished ones, silent subjects and stale branches', async () => {
  using repository = new GitRepository();
  repository.commit('Begin', { 'a.ts': 'a\n' }, { daysAgo: 300 });
  repository.git('branch', 'idea');
  repository.commit('Import everything', { 'big.ts': codeLines(2_000) }, { daysAgo: 200 });
  const lock = Object.fromEntries([['package-lock.json', codeLines(3_000)]]);
  repository.commit('Lock the dependencies', lock, { daysAgo: 190 });
  for (const subject of ['fix', 'update', '.', 'fixup! Begin'])
    repository.commit(subject, { 'a.ts': `${subject}\n` }, { daysAgo: 10 });
  repository.git('checkout', '-q', 'idea');
  repository.commit('Try an idea', { 'b.ts': 'b\n' }, { daysAgo: 250 });
  repository.git('checkout', '-q', 'main');
  const report = await reportOf('git-history', repository.path);
  expect(report.findings.map(({ rule }) => rule)).toEqual([
    'empty-subject',
    'huge-commit',
    'stale-branch',
    'unfinished-commit',
  ]);
  expect(report.findings.find(({ rule }) => rule === 'huge-commit')?.evidence).toMatch(
    /Ada: Import everything/,
  );
  expect(report.findings.find(({ rule }) => rule === 'stale-branch')?.message).toMatch(
    /idea .* 250 days/,
  );
  expect(report.metrics).toMatchObject({
    commits: 7,
    authors: 1,
    commits90Days: 4,
    hugeCommits: 1,
    staleBranches: 1,
  });
});

test('code-ownership sees what only people who left know, and what CODEOWNERS gets wrong', async () => {
  using repository = new GitRepository();
  repository.commit('Begin', { 'src/old.ts': codeLines(300) }, { author: 'Grace', daysAgo: 400 });
  repository.commit('Add mine', { 'src/mine.ts': codeLines(300) }, { author: 'Ada', daysAgo: 20 });
  repository.commit(
    'Add shared',
    { 'src/shared.ts': codeLines(300) },
    { author: 'Alan', daysAgo: 10 },
  );
  repository.commit('Work on shared', {
    'src/shared.ts': codeLines(301, 'x'),
    CODEOWNERS: '# Who\n/src/mine.ts @ada\n/src/ @org/core\n!/docs/ @ada\n/lib/ ada\n/gone/ @ada\n',
  });
  const report = await reportOf('code-ownership', repository.path);
  expect(report.findings.map(brief)).toEqual([
    'medium owner-rule-shadowed CODEOWNERS:2',
    'medium owner-pattern-invalid CODEOWNERS:4',
    'medium owner-invalid CODEOWNERS:5',
    'medium orphaned-file src/old.ts',
    'low bus-factor -',
    'low owner-rule-unmatched CODEOWNERS:6',
    'low one-author-file src/mine.ts',
  ]);
  expect(report.findings.find(({ rule }) => rule === 'orphaned-file')?.evidence).toMatch(/Grace/);
});

const changeBoth = (n: number): Files => ({
  'src/api/a.ts': codeLines(200, `${n}`),
  'src/web/b.ts': `${n}\n`,
});

test('hot-spots ranks what is complex and often changed, through a rename, and sees coupled files', async () => {
  using repository = new GitRepository();
  for (let n = 0; n < 10; n += 1)
    repository.commit(`Fix number ${n}`, changeBoth(n), { daysAgo: 50 - n });
  repository.git('mv', 'src/api/a.ts', 'src/api/renamed.ts');
  repository.commit('Rename it', {});
  const report = await reportOf('hot-spots', repository.path);
  expect(report.findings.map(brief)).toEqual([
    'medium hot-spot src/api/renamed.ts:1',
    'info change-coupling src/api/renamed.ts',
  ]);
  expect(report.findings[0]?.message).toMatch(/changed 11 times in a year, 10 of them repairs/);
});
