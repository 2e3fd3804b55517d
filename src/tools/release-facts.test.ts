import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GitRepository } from '../../test/support/git-repository.ts';
import { readChangelog } from './changelog.ts';
import { run } from './release-facts.ts';
import { compareVersions, parseVersion, stepBetween } from './versions.ts';

let repository: GitRepository;

beforeAll(() => {
  repository = new GitRepository();
  repository.commit('Release 1.2.0', {
    'package.json': manifest('1.2.0'),
    'package-lock.json': manifest('1.2.0'),
    'CHANGELOG.md': '# Changelog\n\n## [Unreleased]\n\n## 1.2.0 - 2026-01-01\n\n- First.\n',
    'index.js': 'export {};\n',
  });
  repository.git('tag', '-a', 'v1.2.0', '-m', 'v1.2.0');
});
afterAll(() => repository.dispose());

function manifest(version: string, dependencies: Readonly<Record<string, string>> = {}): string {
  return JSON.stringify({ name: 'shop', version, dependencies }, undefined, 2);
}

async function facts(): Promise<string[]> {
  const context = {
    repo: repository.path,
    limit: 100,
    folder: undefined,
    nowMs: 0,
    progress: () => undefined,
  };
  const { findings } = await run({ ...context, input: {} });
  return findings
    .map(({ severity, rule, file, line }) => `${severity} ${rule} ${file ?? '-'}:${line ?? ''}`)
    .toSorted();
}

test('release-facts finds what stands against a release, one thing after another, and nothing when it is ready', async () => {
  expect(await facts()).toEqual([]);
  repository.commit('feat!: take another argument', { 'index.js': 'export const a = 1;\n' });
  expect(await facts()).toEqual([
    'high changelog-empty CHANGELOG.md:3',
    'high version-not-raised package.json:3',
  ]);
  repository.commit('Raise it by too little', {
    'package.json': manifest('1.2.1', { left: 'file:../left', right: '^2.0.0-rc.1' }),
  });
  repository.write({ 'index.js': 'changed\n', 'new.js': '' });
  expect(await facts()).toEqual([
    'high breaking-in-small-step package.json:3',
    'high changelog-empty CHANGELOG.md:3',
    'high changelog-lacks-version CHANGELOG.md:3',
    'high uncommitted -:',
    'high unreleased-dependency package.json:5',
    'high versions-disagree package-lock.json:3',
    'low untracked -:',
    'medium unreleased-dependency package.json:6',
  ]);
  repository.commit('Make it ready', {
    'package.json': manifest('2.0.0'),
    'package-lock.json': manifest('2.0.0'),
    'CHANGELOG.md':
      '# Changelog\n\n## [Unreleased]\n\n## 2.0.0 - 2026-02-02\n\n- Another argument.\n\n## 1.2.0 - 2026-01-01\n\n- First.\n',
    'new.js': '',
    'index.js': 'export const a = 1;\n',
  });
  expect(await facts()).toEqual([]);
  repository.git('tag', 'v2.0.1');
  expect(await facts()).toEqual(['high tag-disagrees package.json:3']);
});

test('no file with a version and no changelog is said, not passed over', async () => {
  using other = new GitRepository({ 'a.txt': 'a\n' });
  mkdirSync(join(other.path, '.git/info'), { recursive: true });
  writeFileSync(join(other.path, '.git/info/attributes'), '* filter=evil\n');
  const context = {
    repo: other.path,
    limit: 100,
    folder: undefined,
    nowMs: 0,
    progress: () => undefined,
  };
  const report = await run({ ...context, input: {} });
  expect(report.findings.map(({ rule }) => rule)).toEqual(['no-changelog']);
  expect(report.notes.join(' ')).toMatch(/declares a version.*no tag before HEAD/);
  await expect(run({ ...context, input: { since: '--all' } })).rejects.toThrow('since must name');
});

test('a changelog is read by its headings, whatever marks them', () => {
  const text =
    '# Changelog\n\n## Unreleased\n\n### Added\n\n## [v1.1.0] - 2026-01-01\n- a\n- b\n\n## 1.0.0\ntext\n[1.0.0]: https://x\n';
  expect(readChangelog(text)).toEqual([
    { version: undefined, line: 3, hasDate: false, entries: 0 },
    { version: '1.1.0', line: 7, hasDate: true, entries: 2 },
    { version: '1.0.0', line: 11, hasDate: false, entries: 1 },
  ]);
});

function step(a: string, b: string): string | undefined {
  const [from, to] = [parseVersion(a), parseVersion(b)];
  return from && to && stepBetween(from, to);
}

test('versions are ordered as the specification does', () => {
  const order =
    '1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0'.split(
      ' ',
    );
  const versions = order.map((text) => parseVersion(text)).filter((item) => item !== undefined);
  for (const [at, version] of versions.slice(1).entries())
    expect(compareVersions(version, versions[at] ?? version)).toBeGreaterThan(0);
  expect(step('0.1.0', '0.2.0')).toBe('major');
  expect(step('1.1.0', '1.2.0')).toBe('minor');
  expect(step('1.1.0-rc.1', '1.1.0')).toBe('pre');
});
