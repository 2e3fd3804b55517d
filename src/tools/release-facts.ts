/** Whether a repository is in the state that a release needs: version, tag, changelog, tree, what changed. */
import type { ToolReport } from '../base/base.ts';
import { changelogName, readChangelog, type ChangelogSection } from './changelog.ts';
import { ToolError } from './errors.ts';
import { declared, lineOfKey } from './packages.ts';
import { judgeBranch, judgeTree } from './release-tree.ts';
import { judgeVersion, type Changes, type Tag } from './release-version.ts';
import { readDeclaredVersions, type DeclaredVersion } from './release-manifests.ts';
import { count, ReportBuilder, shorten } from './report.ts';
import { openRepository, type Repository } from './repository.ts';
import { readOptions } from './tool-input.ts';
import type { ToolContext } from './tools.ts';
import { parseVersion } from './versions.ts';

/** What a commit may touch without a user noticing. */
const unseen =
  /(^|\/)(tests?|__tests__|spec|e2e|bench|\.github|\.ci|\.circleci|\.vscode)\/|\.(test|spec)\.\w+$|^\.[\w.-]+$|^(CHANGELOG|CHANGES|HISTORY|NEWS|CONTRIBUTING|README)\b/i;
const maxNamed = 5;

export async function run(context: ToolContext): Promise<ToolReport> {
  const { since } = readOptions(context.input, { since: 'text' });
  const repository = await openRepository(context.repo);
  repository.requireCommit();
  const report = new ReportBuilder('release-facts', context.limit);
  const changes = await readChanges(repository, since);
  const versions = readDeclaredVersions(repository);
  const changelog = readLog(repository);
  const version = judgeVersion(versions, changes, await tagsOf(repository), report);
  judgeChangelog(changelog, version, changes, report);
  await judgeTree(repository, report);
  await judgeBranch(repository, report);
  judgeDependencies(versions, changes, report);
  report.metric('commits', changes.subjects.length);
  report.metric('changedFiles', changes.files.length);
  report.metric('breakingCommits', changes.breaking.length);
  report.metric('features', changes.features);
  report.notes(repository.notes());
  if (changes.tag === undefined)
    report.note('There is no tag before HEAD: all commits were taken as new.');
  const from = changes.tag === undefined ? '' : ` since ${changes.tag}`;
  return report.build(
    `${version === undefined ? 'No version declared' : `Version ${version.version}`}; ${count(changes.subjects.length, 'commit')} in ${count(changes.files.length, 'file')}${from}; ${report.total === 0 ? 'nothing stands against a release' : count(report.total, 'remark')}.`,
  );
}

/** Reachable from HEAD by the commit graph; HEAD's own tag is what is being released, not what was before. */
async function readChanges(repository: Repository, since: string | undefined): Promise<Changes> {
  if (since !== undefined && (!/^[\w./@^~+-]+$/.test(since) || since.startsWith('-')))
    throw new ToolError('usage', `since must name a tag or a commit, not ${since}`);
  const tag = since ?? (await lastTag(repository));
  const range = tag === undefined ? 'HEAD' : `${tag}..HEAD`;
  const log = await repository.git.text([
    'log',
    '--max-count=5000',
    '-z',
    '--format=%s%x02%b',
    range,
  ]);
  const commits = log.split('\0').filter((text) => text !== '');
  const subjects = commits.map((text) => text.split('\u0002')[0]?.trim() ?? '');
  const breaking = commits
    .filter((text) => /^\w+(\([^)]*\))?!:/.test(text) || /^BREAKING[ -]CHANGE:/m.test(text))
    .map((text) => text.split('\u0002')[0]?.trim() ?? '');
  const base =
    tag ?? (await repository.git.text(['hash-object', '-t', 'tree', '/dev/null'])).trim();
  const diff = await repository.git.text([
    'diff',
    '--name-only',
    '-z',
    '--no-ext-diff',
    base,
    'HEAD',
  ]);
  return {
    tag,
    subjects,
    files: diff.split('\0').filter((path) => path !== ''),
    breaking,
    features: subjects.filter((subject) => /^feat(\(|!|:)/i.test(subject)).length,
  };
}

async function lastTag(repository: Repository): Promise<string | undefined> {
  const merged = await repository.git.text(['tag', '--merged', 'HEAD', '--sort=-version:refname']);
  const here = new Set((await repository.git.text(['tag', '--points-at', 'HEAD'])).split('\n'));
  const tags = merged.split('\n').filter((tag) => tag !== '' && !here.has(tag));
  return tags.find((tag) => parseVersion(tag) !== undefined) ?? tags[0];
}

async function tagsOf(repository: Repository): Promise<Tag[]> {
  const text = await repository.git.text([
    'for-each-ref',
    'refs/tags',
    '--count=5000',
    '--format=%(refname:short) %(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end) %(objecttype)',
  ]);
  return text.split('\n').flatMap((line) => {
    const [name, commit, type] = line.split(' ');
    if (name === undefined || commit === undefined) return [];
    return [{ name, isLightweight: type === 'commit', isHead: commit === repository.head }];
  });
}

interface Changelog {
  readonly path: string;
  readonly sections: readonly ChangelogSection[];
}

function readLog(repository: Repository): Changelog | undefined {
  for (const { path, text } of repository.texts((file) => changelogName.test(file.path)))
    return { path, sections: readChangelog(text) };
  return undefined;
}

function judgeChangelog(
  changelog: Changelog | undefined,
  version: DeclaredVersion | undefined,
  changes: Changes,
  report: ReportBuilder,
): void {
  const seen = changes.files.filter((path) => !unseen.test(path));
  if (changelog === undefined) {
    report.add({
      severity: 'medium',
      rule: 'no-changelog',
      message: 'There is no changelog: who updates can not know what changes for him.',
      fix: 'Begin one (keepachangelog.com), with a section for this version.',
    });
    return;
  }
  const { path, sections } = changelog;
  const next = sections.find((section) => section.version === undefined);
  const own = sections.find((section) => section.version === version?.version);
  const isNew = version !== undefined && version.version !== changes.tag?.replace(/^v/, '');
  const entries = (next?.entries ?? 0) + (isNew ? (own?.entries ?? 0) : 0);
  if (seen.length > 0 && entries === 0)
    report.add({
      severity: 'high',
      rule: 'changelog-empty',
      message: `${count(seen.length, 'file')} that users may notice changed${changes.tag === undefined ? '' : ` since ${changes.tag}`}, and the changelog says nothing of it.`,
      file: path,
      line: next?.line ?? own?.line ?? 1,
      evidence: seen.slice(0, maxNamed).join(', '),
      fix: 'Write what changes for a user, by commits and issues.',
    });
  if (!isNew) return;
  if (own === undefined)
    report.add({
      severity: 'high',
      rule: 'changelog-lacks-version',
      message: `The changelog has no section ${version.version}.`,
      file: path,
      line: next?.line ?? 1,
      fix: `Rename the section of what is unreleased to ${version.version}, with the date.`,
    });
  else if (!own.hasDate)
    report.add({
      severity: 'low',
      rule: 'changelog-without-date',
      message: `The section ${version.version} has no date.`,
      file: path,
      line: own.line,
    });
  if (own !== undefined && (next?.entries ?? 0) > 0)
    report.add({
      severity: 'medium',
      rule: 'changelog-left-over',
      message: `Beside the section ${version.version}, something still stands as unreleased.`,
      file: path,
      line: next?.line ?? 1,
      fix: 'Move it into the section of the version that contains it.',
    });
}

function judgeDependencies(
  versions: readonly DeclaredVersion[],
  changes: Changes,
  report: ReportBuilder,
): void {
  for (const { item } of versions)
    for (const [name, range] of item === undefined ? [] : declared(item, 'dependencies'))
      if (
        item !== undefined &&
        (/^(git|github:|https?:|file:|link:)/.test(range) || /\d-[a-z]/i.test(range))
      )
        report.add({
          severity: /^(file|link):/.test(range) ? 'high' : 'medium',
          rule: 'unreleased-dependency',
          message: `${name} is taken from ${/\d-[a-z]/i.test(range) ? 'a version before its release' : 'no release'}.`,
          file: item.file,
          line: lineOfKey(item.text, 'dependencies', name),
          evidence: shorten(range.replace(/\/\/[^/@]*@/, '//'), 120),
          fix: 'Release that first, or take its last release.',
        });
  const migrations = changes.files.filter((path) =>
    /(^|\/)(migrations?|migrate)\/.*\.sql$/i.test(path),
  );
  if (migrations.length > 0 && changes.tag !== undefined)
    report.add({
      severity: 'info',
      rule: 'ships-migrations',
      message: `${count(migrations.length, 'migration')} come with this release; migration-check says what they lock.`,
      evidence: migrations.slice(0, maxNamed).join(', '),
    });
}
