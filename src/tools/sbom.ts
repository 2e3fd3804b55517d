/** What a repository is built from, by its lock files, and which of it is not pinned to one content. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { Finding, ToolReport } from '../base/base.ts';
import { cycloneDx } from './cyclonedx.ts';
import { ToolError } from './errors.ts';
import type { LockedPackage } from './locked-package.ts';
import { readLockFiles, type LockFile } from './lockfiles.ts';
import {
  declared,
  folderOf,
  foldersUp,
  lineOfKey,
  readPackages,
  type Package,
} from './packages.ts';
import { isTest, isVendored } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type Repository, type TrackedFile } from './repository.ts';
import type { ToolContext } from './tools.ts';

/** Manifests and the lock files that pin what they ask for. */
const manifests: readonly {
  readonly name: RegExp;
  readonly locks: RegExp;
  readonly asks: RegExp;
}[] = [
  {
    name: /^pyproject\.toml$/,
    locks: /^((poetry|uv|pdm)\.lock|[\w.-]*requirements[\w.-]*\.txt)$/,
    asks: /^\s*dependencies\s*=\s*\[\s*["'\n]|^\[tool\.poetry\.dependencies\]/m,
  },
  { name: /^Pipfile$/, locks: /^Pipfile\.lock$/, asks: /^\[(dev-)?packages\]\s*\n\s*\w/m },
  { name: /^Gemfile$/, locks: /^Gemfile\.lock$/, asks: /^\s*gem\s/m },
  { name: /^composer\.json$/, locks: /^composer\.lock$/, asks: /"require"\s*:\s*\{\s*"[^"]+\// },
  { name: /^go\.mod$/, locks: /^go\.sum$/, asks: /^\s*require\b/m },
];

export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('sbom', context.limit);
  const locks = readLockFiles(repository, (text) => report.note(text)).filter(
    (lock) => !isTest(lock.path),
  );
  const packages = locks.flatMap((lock) => lock.packages);
  for (const lock of locks) judgeLock(lock, report);
  const asking = addUnlocked(repository, locks, report);
  addMetrics(packages, locks, report);
  if (context.folder !== undefined) {
    const file = writeDocument(context.folder, repository, packages, context.nowMs);
    report.note(`The bill of materials is in ${file}.`);
  }
  report.notes(repository.notes());
  if (locks.length === 0 && asking === 0)
    return report.build('Nothing to examine: no lock file and no manifest that asks for packages.');
  return report.build(
    `${count(new Set(packages.map(keyOf)).size, 'package')} pinned by ${count(locks.length, 'lock file')}; ${report.total === 0 ? 'all to one content' : count(report.total, 'finding')}.`,
  );
}

function keyOf(item: LockedPackage): string {
  return `${item.ecosystem} ${item.name}@${item.version}`;
}

function addMetrics(
  packages: readonly LockedPackage[],
  locks: readonly LockFile[],
  report: ReportBuilder,
): void {
  report.metric('lockFiles', locks.length);
  report.metric('packages', new Set(packages.map(keyOf)).size);
  for (const ecosystem of new Set(packages.map((item) => item.ecosystem)))
    report.metric(
      ecosystem,
      new Set(packages.filter((item) => item.ecosystem === ecosystem).map(keyOf)).size,
    );
  report.metric('unpinned', packages.filter((item) => item.version === undefined).length);
  report.metric(
    'withoutHash',
    packages.filter((item) => item.source === 'registry' && item.hashes.length === 0).length,
  );
}

function judgeLock(lock: LockFile, report: ReportBuilder): void {
  for (const item of lock.packages) {
    const judged = judgePackage(item);
    if (judged !== undefined) report.add({ ...judged, file: lock.path, line: item.line });
  }
  const bare = lock.packages.filter(
    (item) => item.source === 'registry' && item.version !== undefined && item.hashes.length === 0,
  );
  const first = bare[0];
  if (first === undefined || !lock.keepsHashes) return;
  const names = bare.slice(0, 6).map((item) => `${item.name}@${item.version}`);
  report.add({
    severity: bare.length === lock.packages.length ? 'low' : 'medium',
    rule: 'no-integrity',
    message: `${count(bare.length, 'package')} of ${lock.packages.length} ${bare.length === 1 ? 'has' : 'have'} no hash, so a changed download would not be noticed.`,
    file: lock.path,
    line: first.line,
    evidence: names.join(', '),
    fix: 'Write the lock file anew with a current version of its tool.',
  });
}

type Judged = Pick<Finding, 'severity' | 'rule' | 'message' | 'evidence' | 'fix'>;

/** What could make the same lock file bring something else; undefined where nothing could. */
function judgePackage(item: LockedPackage): Judged | undefined {
  const name = item.version === undefined ? item.name : `${item.name}@${item.version}`;
  if (item.source === 'git') return judgeGit(name, item);
  if (item.source === 'url') return judgeAddress(name, item.address ?? '');
  if (item.source === 'path' || item.version !== undefined) return undefined;
  return {
    severity: item.isDev === true ? 'low' : 'medium',
    rule: 'unpinned',
    message: `${item.name} is not pinned to a version: two installations can differ.`,
    fix: `Pin it (${item.name}==…), best with hashes: pip-compile --generate-hashes.`,
  };
}

function judgeGit(name: string, item: LockedPackage): Judged {
  const evidence = item.address ?? '';
  const isPinned =
    /[#@][0-9a-f]{40}\b/.test(evidence) || /\b[0-9a-f]{40}$/.test(item.version ?? '');
  return isPinned
    ? {
        severity: 'low',
        rule: 'git-source',
        message: `${name} comes from a git repository.`,
        evidence,
        fix: 'Publish it to a registry, where what was released stays.',
      }
    : {
        severity: 'medium',
        rule: 'git-source',
        message: `${name} comes from a git repository, by a name that can move.`,
        evidence,
        fix: 'Pin a full commit hash.',
      };
}

function judgeAddress(name: string, evidence: string): Judged {
  return evidence.startsWith('http:')
    ? {
        severity: 'high',
        rule: 'insecure-source',
        message: `${name} is downloaded without encryption.`,
        evidence,
        fix: 'Use https and a hash.',
      }
    : {
        severity: 'low',
        rule: 'url-source',
        message: `${name} is downloaded from an address, past any registry.`,
        evidence,
        fix: 'Take it from a registry.',
      };
}

/** Manifests that ask for packages with no lock file in their folder or above. */
function addUnlocked(
  repository: Repository,
  locks: readonly LockFile[],
  report: ReportBuilder,
): number {
  let asking = 0;
  const npmFolders = new Set(
    locks.filter((lock) => lock.ecosystem === 'npm').map((lock) => folderOf(lock.path)),
  );
  const binary = repository.files.filter((file) => file.path.endsWith('bun.lockb'));
  for (const file of binary) npmFolders.add(folderOf(file.path));
  for (const item of readPackages(repository)) {
    const names = [
      ...declared(item, 'dependencies').keys(),
      ...declared(item, 'devDependencies').keys(),
    ];
    if (names.length === 0 || isTest(item.file)) continue;
    asking += 1;
    addLoose(item, report);
    if ([...foldersUp(item.folder)].some((folder) => npmFolders.has(folder))) continue;
    addNoLock(item.file, `${count(names.length, 'package')}`, report);
  }
  const paths = new Map<string, string[]>();
  for (const { path } of repository.files)
    paths.set(folderOf(path), [...(paths.get(folderOf(path)) ?? []), posix.basename(path)]);
  for (const { path, text } of repository.texts(isManifest)) {
    const kind = manifests.find((item) => item.name.test(posix.basename(path)));
    if (kind === undefined || !kind.asks.test(text)) continue;
    asking += 1;
    const locked = [...foldersUp(folderOf(path))].some((folder) =>
      paths.get(folder)?.some((name) => kind.locks.test(name)),
    );
    if (!locked) addNoLock(path, 'packages', report);
  }
  return asking;
}

function isManifest({ path }: TrackedFile): boolean {
  return (
    manifests.some((item) => item.name.test(posix.basename(path))) &&
    !isVendored(path) &&
    !isTest(path)
  );
}

function addNoLock(file: string, what: string, report: ReportBuilder): void {
  report.add({
    severity: 'medium',
    rule: 'no-lock-file',
    message: `${file} asks for ${what}, and no lock file says which versions were tested.`,
    file,
    line: 1,
    fix: 'Commit the lock file that the package manager writes.',
  });
}

function addLoose(item: Package, report: ReportBuilder): void {
  for (const field of ['dependencies', 'devDependencies'] as const)
    for (const [name, range] of declared(item, field)) {
      const place = { file: item.file, line: lineOfKey(item.text, field, name) };
      if (range.startsWith('http:'))
        report.add({
          ...place,
          severity: 'high',
          rule: 'insecure-source',
          message: `${name} is downloaded without encryption.`,
          evidence: range,
          fix: 'Use https, or a registry.',
        });
      else if (/^(\*|latest|x|)$/.test(range.trim()))
        report.add({
          ...place,
          severity: 'low',
          rule: 'any-version',
          message: `${name} may be any version: the next release that breaks is taken too.`,
          evidence: `${name}: ${range}`,
          fix: 'Give the range that was tested, like ^2.1.0.',
        });
    }
}

function writeDocument(
  folder: string,
  repository: Repository,
  packages: readonly LockedPackage[],
  nowMs: number,
): string {
  const top = readPackages(repository).find((item) => item.folder === '');
  const version =
    typeof top?.json['version'] === 'string' ? top.json['version'] : (repository.head ?? '0');
  const subject = { name: top?.name ?? posix.basename(repository.top), version };
  const file = join(folder, 'sbom.cdx.json');
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, `${JSON.stringify(cycloneDx(subject, packages, nowMs), undefined, 2)}\n`);
  } catch (error) {
    throw new ToolError(
      'usage',
      `${file} can not be written: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  return file;
}
