import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { GitRepository, reportOf, runTool } from '../support/git-repository.ts';

/** Those that read a repository; review-report reads other tools' results. */
const tools = [
  'code-ownership',
  'git-history',
  'hot-spots',
  'link-check',
  'markdown-lint',
  'merge-conflicts',
  'secret-scan',
  'shell-check',
  'size-scan',
  'spelling',
  'todo-scan',
];

const needCommits = ['code-ownership', 'git-history', 'hot-spots'];

/** Every file below a folder with its content and time, so that any write shows. */
function snapshot(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => {
      const path = join(folder, name);
      const stat = lstatSync(path);
      const content = stat.isFile() ? readFileSync(path, 'base64') : '';
      return `${name} ${stat.mode} ${stat.mtimeMs} ${content}`;
    })
    .toSorted();
}

/** A repository whose every door leads to a program that leaves a mark. */
function boobyTrap(repository: GitRepository): string {
  const mark = join(repository.around, 'sprung');
  const trap = join(repository.around, 'trap.sh');
  writeFileSync(trap, `#!/bin/sh\necho "$0 $*" >> '${mark}'\ncat 2>/dev/null\nexit 0\n`);
  chmodSync(trap, 0o755);
  repository.commit('Add files with attributes', {
    '.gitattributes': '* filter=trap diff=trap merge=trap\n',
    'a.sh': '#!/bin/sh\n# TODO: one\necho a\n',
    'a.md': '# A\n\n[b](b.md)\n',
    '.shellcheckrc': 'external-sources=true\n',
    '.secretlintrc.js': `require('child_process').execFileSync('${trap}')\n`,
    '.secretlintrc.json': '{"rules": [{"id": "./evil.js"}]}',
    '.markdownlint.json': '{"extends": "./evil.js"}',
    '.markdownlint.cjs': `require('child_process').execFileSync('${trap}')\n`,
    'cspell.config.js': `require('child_process').execFileSync('${trap}')\n`,
    'evil.js': `require('child_process').execFileSync('${trap}')\n`,
    'b.md': '<!-- cspell:import ./cspell.config.js -->\n# B\n',
  });
  repository.commit('fix it', { 'a.sh': '#!/bin/sh\n# TODO: one\necho b\n' });
  // A signed commit, so that showing signatures would start gpg.program.
  const commit = repository.git('cat-file', 'commit', 'HEAD');
  const signed = commit.replace(
    '\n\n',
    '\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ\n -----END PGP SIGNATURE-----\n\n',
  );
  writeFileSync(join(repository.around, 'signed'), signed);
  const hash = repository
    .git('hash-object', '-t', 'commit', '-w', join(repository.around, 'signed'))
    .trim();
  repository.git('reset', '-q', '--soft', hash);
  const config = join(repository.path, '.git/config');
  writeFileSync(
    config,
    `${readFileSync(config, 'utf8')}
[core]
\tfsmonitor = ${trap}
\thooksPath = ${repository.around}/hooks
\tpager = ${trap}
\teditor = ${trap}
\tsshCommand = ${trap}
\talternateRefsCommand = ${trap}
[diff]
\texternal = ${trap}
[diff "trap"]
\ttextconv = ${trap}
\tcommand = ${trap}
[filter "trap"]
\tclean = ${trap}
\tsmudge = ${trap}
\trequired = true
[merge "trap"]
\tdriver = ${trap}
[gpg]
\tprogram = ${trap}
[log]
\tshowSignature = true
[alias]
\tlog = !${trap}
\tls-files = !${trap}
[include]
\tpath = ${repository.around}/more
[protocol "ext"]
\tallow = always
[remote "origin"]
\turl = ext::${trap}
\tpromisor = true
\tpartialCloneFilter = blob:none
[extensions]
\tpartialClone = origin
`,
  );
  writeFileSync(join(repository.around, 'more'), `[core]\n\tfsmonitor = ${trap}\n`);
  mkdirSync(join(repository.around, 'hooks'));
  for (const hook of ['post-index-change', 'reference-transaction', 'post-checkout']) {
    symlinkSync(trap, join(repository.around, 'hooks', hook));
  }
  // Newer than the index says, so that git would compare contents, through the filter.
  writeFileSync(join(repository.path, 'a.sh'), '#!/bin/sh\n# TODO: one\necho c\n');
  return mark;
}

test('no tool runs a program that a repository names, or writes into it', async () => {
  using repository = new GitRepository();
  const mark = boobyTrap(repository);
  const before = snapshot(repository.path);
  for (const tool of tools) {
    await reportOf(tool, repository.path);
    expect(existsSync(mark) ? `${tool} sprang ${readFileSync(mark, 'utf8')}` : '').toBe('');
  }
  expect(snapshot(repository.path)).toEqual(before);

  // The trap works: git itself, asked without care, springs it.
  repository.git('status');
  expect(existsSync(mark)).toBe(true);
});

test('a repository that names another working tree is read where it lies', async () => {
  using repository = new GitRepository({ 'key.txt': 'harmless\n' });
  using other = new GitRepository({
    'key.txt': `-----BEGIN RSA ${'PRIVATE'} KEY-----\n${'abcd1234'.repeat(20)}\n`,
  });
  repository.git('config', 'core.worktree', other.path);
  const report = await reportOf('secret-scan', repository.path);
  expect(report.findings).toEqual([]);
});

test('no symbolic link leads a tool out of the repository', async () => {
  using repository = new GitRepository({ 'inside/notes.md': '# Notes\n', 'plain.md': '# Plain\n' });
  const secret = join(repository.around, 'outside');
  mkdirSync(secret);
  writeFileSync(join(secret, 'notes.md'), `${'ghp_'}${'A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8'}\n`);
  symlinkSync(join(secret, 'notes.md'), join(repository.path, 'link.md'));
  repository.commit('Add a link', { 'z.md': '# Z\n' });
  repository.git('add', 'link.md');
  // The folder is replaced by a link after the commit.
  renameSync(join(repository.path, 'inside'), join(repository.around, 'moved'));
  symlinkSync(secret, join(repository.path, 'inside'));
  const report = await reportOf('secret-scan', repository.path);
  expect(report.findings).toEqual([]);
  expect(report.notes.join('\n')).toMatch(/symbolic link, not followed: link\.md/);
  expect(report.notes.join('\n')).toMatch(
    /behind a symbolic link, not followed: inside\/notes\.md/,
  );
});

test.for(needCommits)('%s refuses an empty repository', async (tool) => {
  using repository = new GitRepository();
  const run = await runTool([tool, '--repo', repository.path]);
  expect(run).toMatchObject({ exitCode: 66, stdout: '' });
  expect(run.reason).toMatch(/has no commit yet\. Commit something first/);
});

test('the other tools have nothing to say of an empty repository', async () => {
  using repository = new GitRepository();
  for (const tool of tools.filter((name) => !needCommits.includes(name))) {
    const report = await reportOf(tool, repository.path);
    expect(report).toMatchObject({ tool, findings: [], total: 0, truncated: false });
  }
});

test('what is no repository, is bare or is not there is refused with its name and a remedy', async () => {
  using repository = new GitRepository({ 'a.txt': 'a\n' });
  const bare = join(repository.around, 'bare.git');
  repository.git('clone', '-q', '--bare', repository.path, bare);
  const missing = await runTool(['git-history', '--repo', join(repository.around, 'nowhere')]);
  expect(missing).toMatchObject({ exitCode: 66, stdout: '' });
  expect(missing.reason).toMatch(
    /nowhere does not exist\. Give --repo the folder of a git repository/,
  );
  const outside = await runTool(['git-history', '--repo', repository.around]);
  expect(outside.exitCode).toBe(66);
  expect(outside.reason).toMatch(/is not in a git repository/);
  const inBare = await runTool(['git-history', '--repo', bare]);
  expect(inBare.exitCode).toBe(66);
  expect(inBare.reason).toMatch(/without a working tree.*clone/);
});

test('a folder inside, a linked worktree, a detached head and a shallow clone are all read', async () => {
  using repository = new GitRepository({ 'deep/er/a.sh': '#!/bin/sh\nif true; then\n' });
  repository.commit('Go on', { 'b.txt': 'b\n' });
  const found = 'deep/er/a.sh';
  const inside = await reportOf('shell-check', join(repository.path, 'deep/er'));
  expect(inside.findings[0]?.file).toBe(found);

  const worktree = join(repository.around, 'worktree');
  repository.git('worktree', 'add', '-q', '--detach', worktree, 'HEAD');
  expect((await reportOf('shell-check', worktree)).findings[0]?.file).toBe(found);
  const history = await reportOf('git-history', worktree);
  expect(history.metrics['commits']).toBe(2);
  expect(history.notes.join()).toMatch(/HEAD is detached/);

  const shallow = join(repository.around, 'shallow');
  repository.git('clone', '-q', '--depth=1', `file://${repository.path}`, shallow);
  const cut = await reportOf('git-history', shallow);
  expect(cut.metrics['commits']).toBe(1);
  expect(cut.notes.join()).toMatch(/shallow/);
});

test('a repository with SHA-256 names is opened', async () => {
  using repository = new GitRepository();
  const path = join(repository.around, 'sha256');
  execFileSync('git', ['init', '-q', '--object-format=sha256', path], { stdio: 'ignore' });
  writeFileSync(join(path, 'a.md'), '# A\n\n[b](b.md)\n');
  execFileSync('git', ['-C', path, 'add', 'a.md']);
  execFileSync('git', [
    '-C',
    path,
    '-c',
    'user.name=a',
    '-c',
    'user.email=a@example.org',
    'commit',
    '-qm',
    'Add a',
  ]);
  expect((await reportOf('git-history', path)).metrics['commits']).toBe(1);
  expect((await reportOf('link-check', path)).findings[0]?.rule).toBe('broken-link');
});

test.runIf(process.getuid?.() === 0)('a repository of another user is read', async () => {
  using repository = new GitRepository({ 'a.md': '# A\n\n[b](b.md)\n' });
  for (const name of ['', ...readdirSync(repository.path, { recursive: true, encoding: 'utf8' })]) {
    chownSync(join(repository.path, name), 12_345, 12_345);
  }
  expect((await reportOf('git-history', repository.path)).metrics['commits']).toBe(1);
  expect((await reportOf('link-check', repository.path)).total).toBe(1);
});

test('names with spaces, line ends, other scripts and leading dashes are read and reported as they are', async () => {
  const names = [
    'with space.sh',
    'line\nend.sh',
    '-leading.sh',
    'füß—日本.sh',
    '"quoted".sh',
    'tab\there.sh',
  ];
  using repository = new GitRepository(
    Object.fromEntries(names.map((name) => [name, '#!/bin/sh\nif\n# TODO: here\n'])),
  );
  const shell = await reportOf('shell-check', repository.path);
  expect(shell.findings.map(({ file }) => file).toSorted()).toEqual(names.toSorted());
  const todo = await reportOf('todo-scan', repository.path);
  expect(todo.findings.map(({ file }) => file).toSorted()).toEqual(names.toSorted());
  expect(todo.findings.every(({ message }) => /0 days old, by Ada/.test(message))).toBe(true);
  // No line end of a name may break a line of the report.
  expect(
    [...shell.findings, ...todo.findings].every(({ message }) => !/\p{Cc}/u.test(message)),
  ).toBe(true);
  await reportOf('git-history', repository.path);
});

test('broken, binary and huge files are left out and said', async () => {
  using repository = new GitRepository({
    'latin.md': Buffer.from([0x23, 0x20, 0xe9, 0x0a]),
    'zero.md': Buffer.alloc(2_000),
    'huge.md': 'word '.repeat(600_000),
    'gone.md': '# Gone\n',
  });
  repository.git('rm', '-q', '--cached', 'gone.md');
  repository.git(
    'update-index',
    '--add',
    '--cacheinfo',
    `100644,${repository.git('rev-parse', 'HEAD:gone.md').trim()},absent.md`,
  );
  const report = await reportOf('link-check', repository.path);
  const notes = report.notes.join('\n');
  expect(notes).toMatch(/not valid UTF-8, read with replacements: latin\.md/);
  expect(notes).toMatch(/larger than 2048 KiB, not read: huge\.md/);
  expect(notes).toMatch(/tracked but not in the working tree: absent\.md/);
  expect(notes).not.toMatch(/zero\.md/);
});

test('five thousand files are read', async () => {
  const files = Object.fromEntries(
    Array.from({ length: 5_000 }, (_none, index) => [
      `part-${index % 50}/file-${index}.${['ts', 'md', 'sh', 'py', 'json'][index % 5]}`,
      index % 5 === 4 ? `{"value": ${index}}\n` : `# Part ${index}\n`,
    ]),
  );
  using repository = new GitRepository(files);
  // One that asks git, one that reads a part, one that reads all: the others take the same ways.
  expect((await reportOf('git-history', repository.path)).metrics['filesChanged90Days']).toBe(
    5_000,
  );
  expect((await reportOf('link-check', repository.path)).metrics['documents']).toBe(1_000);
  expect((await reportOf('secret-scan', repository.path)).metrics['filesScanned']).toBe(5_000);
});

test('the limit keeps the worst and says what it left out', async () => {
  const files = Object.fromEntries(
    Array.from({ length: 30 }, (_none, index) => [`${index}.sh`, '#!/bin/bash\nchmod 777 x\n']),
  );
  using repository = new GitRepository({ ...files, 'broken.sh': '#!/bin/bash\nif true; then\n' });
  const report = await reportOf('shell-check', repository.path, '--limit', '3');
  expect(report).toMatchObject({ total: 31, truncated: true });
  expect(report.findings).toHaveLength(3);
  expect(report.findings[0]).toMatchObject({ file: 'broken.sh', severity: 'high' });
});

test('wrong calls end with status 2 and say what would be right', async () => {
  expect(await runTool(['secret-scna'])).toMatchObject({
    exitCode: 2,
    reason: 'there is no tool secret-scna. Did you mean secret-scan?',
  });
  expect((await runTool([])).exitCode).toBe(2);
  expect((await runTool(['git-history', '--limit', '0'])).reason).toMatch(
    /--limit must be a number from 1/,
  );
  expect((await runTool(['git-history', '--nonsense'])).exitCode).toBe(2);
  const list = await runTool(['--list']);
  expect(list.exitCode).toBe(0);
  for (const tool of tools) expect(list.stdout).toContain(tool);
});
