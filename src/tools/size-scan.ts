import type { ToolReport } from '../base/base.ts';
import { extensionOf, isCode, isGenerated, isTest, isVendored } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { isBinary, openRepository, type Repository, type TrackedFile } from './repository.ts';
import type { ToolContext } from './tools.ts';

/**
 * Severities follow what a file does to others: from 100 MB on hosts refuse the push (high), from
 * 10 MB every clone is slow for ever (medium), below it is worth a question (low). Dependencies in
 * the tree are high: their holes stay unseen. A long source file is a matter of reading (low, medium
 * from 3,000 lines on).
 */
const mb = 1_000_000;
const limits = [
  { bytes: 100 * mb, severity: 'high', why: 'hosts such as GitHub refuse it' },
  {
    bytes: 10 * mb,
    severity: 'medium',
    why: 'every clone carries it, and each version of it, for ever',
  },
  {
    bytes: 1 * mb,
    severity: 'low',
    why: 'it can not be reviewed as text and every clone carries it',
  },
] as const;
const longLines = 1_000;
const veryLongLines = 3_000;
const historyBytes = 5 * mb;

/** Files that do not belong in a repository: large ones, build products, dependencies, blobs left in history; and sources too long to read. */
export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('size-scan', context.limit);
  const { files } = repository;
  reportLarge(report, files);
  reportStrays(report, files);
  reportExecutables(report, repository);
  reportLongSources(report, repository);
  if (repository.head !== undefined) {
    context.progress('listing the objects of the history');
    await reportHistory(report, repository);
  }
  const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  report.metric('files', files.length);
  report.metric('sizeBytes', sizeBytes);
  report.notes(repository.notes());
  return report.build(
    `${count(files.length, 'file')}, ${megabytes(sizeBytes)}; ${count(report.total, 'remark')} on size.`,
  );
}

function reportLarge(report: ReportBuilder, files: readonly TrackedFile[]): void {
  for (const { path, sizeBytes } of files) {
    const limit = limits.find(({ bytes }) => sizeBytes >= bytes);
    if (limit === undefined) continue;
    report.add({
      severity: limit.severity,
      rule: 'large-file',
      file: path,
      message: `${megabytes(sizeBytes)}: ${limit.why}.`,
      fix: 'Keep it in Git LFS or in a release, or produce it in the build.',
    });
  }
}

interface Stray {
  readonly rule: string;
  readonly severity: 'high' | 'medium' | 'low';
  readonly test: RegExp;
  readonly what: string;
  readonly fix: string;
}

/** The first that fits a path counts. */
const strays: readonly Stray[] = [
  {
    rule: 'dependencies-checked-in',
    severity: 'high',
    test: /^(.*\/)?(node_modules|bower_components|site-packages|\.venv|venv)\//,
    what: 'installed dependencies',
    fix: 'Remove them (git rm -r --cached), ignore the folder, and rely on the lock file.',
  },
  {
    rule: 'build-product',
    severity: 'medium',
    test: /\.(pyc|pyo|class|o|obj|a|lib|so|dylib|dll|exe|pdb|ilk|gcda|gcno|wasm\.map)$|^(.*\/)?(__pycache__|\.gradle|\.next|\.nuxt|\.pytest_cache|\.mypy_cache)\//,
    what: 'products of a build',
    fix: 'Remove them (git rm --cached) and ignore them; publish binaries as releases.',
  },
  {
    rule: 'local-file',
    severity: 'low',
    test: /(^|\/)(\.DS_Store|Thumbs\.db|desktop\.ini|npm-debug\.log|yarn-error\.log|core\.\d+|[^/]*\.sw[op]|[^/]*~|[^/]*\.(orig|rej|bak|tmp|log))$/,
    what: 'files of one machine or one moment',
    fix: 'Remove them (git rm --cached) and ignore them.',
  },
  {
    rule: 'database-file',
    severity: 'medium',
    test: /\.(sqlite3?|db|mdb|dump|rdb)$/,
    what: 'database files, which may hold data of people',
    fix: 'Check what is in them; keep a script that makes them instead.',
  },
  {
    rule: 'archive',
    severity: 'low',
    test: /\.(zip|tar|tgz|tar\.(gz|xz|bz2|zst)|7z|rar|jar|war|whl|egg|deb|rpm)$/,
    what: 'archives, whose content no review sees',
    fix: 'Check in the content, or fetch it by a version and a hash.',
  },
];

function reportStrays(report: ReportBuilder, files: readonly TrackedFile[]): void {
  const groups = new Map<string, { stray: Stray; files: TrackedFile[] }>();
  for (const file of files) {
    if (isTest(file.path)) continue;
    const stray = strays.find(({ test }) => test.test(file.path));
    if (stray === undefined) continue;
    const key = `${stray.rule}\0${groupOf(stray, file.path)}`;
    const group = groups.get(key) ?? { stray, files: [] };
    group.files.push(file);
    groups.set(key, group);
  }
  report.metric(
    'strayFiles',
    [...groups.values()].reduce((sum, group) => sum + group.files.length, 0),
  );
  for (const { stray, files: members } of groups.values()) {
    const [first] = members;
    if (first === undefined) continue;
    const sizeBytes = members.reduce((sum, file) => sum + file.sizeBytes, 0);
    report.add({
      severity: stray.severity,
      rule: stray.rule,
      file: first.path,
      message: `${count(members.length, 'tracked file')} (${megabytes(sizeBytes)}): ${stray.what}.`,
      evidence: members
        .slice(0, 3)
        .map((file) => file.path)
        .join(', '),
      fix: stray.fix,
    });
  }
}

/** One finding for a folder of dependencies, for a kind of product in a folder. */
function groupOf(stray: Stray, path: string): string {
  const folder = stray.test.exec(path)?.[0];
  if (folder?.endsWith('/') === true) return folder;
  return `${path.split('/').slice(0, -1).join('/')}\0${extensionOf(path)}`;
}

const magics: readonly (readonly [string, string])[] = [
  ['7f454c46', 'ELF'],
  ['4d5a', 'Windows'],
  ['cffaedfe', 'Mach-O'],
  ['cafebabe', 'Mach-O or Java'],
];

/** Compiled programs without a name that tells. */
function reportExecutables(report: ReportBuilder, repository: Repository): void {
  for (const file of repository.files) {
    if (isTest(file.path) || isCode(file.path) || strays.some(({ test }) => test.test(file.path)))
      continue;
    if (!file.isExecutable && extensionOf(file.path) !== '' && extensionOf(file.path) !== 'bin')
      continue;
    const bytes = repository.readStart(file);
    if (bytes === undefined || !isBinary(bytes)) continue;
    const head = bytes.subarray(0, 4).toString('hex');
    const kind = magics.find(([magic]) => head.startsWith(magic))?.[1];
    if (kind === undefined) continue;
    report.add({
      severity: 'medium',
      rule: 'executable-binary',
      file: file.path,
      message: `A compiled program (${kind}): no review can say what it does.`,
      evidence: megabytes(file.sizeBytes),
      fix: 'Build it from source, or fetch it by a version and a hash.',
    });
  }
}

function isOwnSource({ path }: TrackedFile): boolean {
  return isCode(path) && !isVendored(path) && !isGenerated(path);
}

function reportLongSources(report: ReportBuilder, repository: Repository): void {
  let sources = 0;
  for (const { path, text } of repository.texts(isOwnSource)) {
    sources += 1;
    if (isGenerated(path, text)) continue;
    const lines = text.split('\n').length;
    if (lines <= longLines) continue;
    report.add({
      severity: lines > veryLongLines && !isTest(path) ? 'medium' : 'low',
      rule: 'long-source',
      file: path,
      line: 1,
      message: `${lines} lines: more than a reader holds in mind at once.`,
      fix: 'Split it where its parts change for different reasons.',
    });
  }
  report.metric('sources', sources);
}

/** Blobs that no present file has: removed, but still fetched by every clone. */
async function reportHistory(report: ReportBuilder, { git }: Repository): Promise<void> {
  const present = new Set<string>();
  for await (const record of git.records(['ls-tree', '-r', '-z', 'HEAD'])) {
    present.add(record.toString('latin1').split(/[ \t]/, 3)[2] ?? '');
  }
  const blobs: { hash: string; sizeBytes: number }[] = [];
  const format = '--batch-check=%(objecttype) %(objectname) %(objectsize)';
  let objects = 0;
  for await (const record of git.records(
    ['cat-file', '--batch-all-objects', '--unordered', format],
    '\n',
  )) {
    objects += 1;
    const [type, hash = '', size] = record.toString('latin1').split(' ');
    if (type === 'blob' && Number(size) >= historyBytes && !present.has(hash))
      blobs.push({ hash, sizeBytes: Number(size) });
  }
  report.metric('objects', objects);
  blobs.sort((a, b) => b.sizeBytes - a.sizeBytes || (a.hash < b.hash ? -1 : 1));
  for (const { hash, sizeBytes } of blobs.slice(0, 10)) {
    const found = await git.text([
      'log',
      '--all',
      '-1',
      '--no-ext-diff',
      '--no-textconv',
      '--no-renames',
      `--find-object=${hash}`,
      '--name-only',
      '--format=%h %as',
      '-z',
    ]);
    const [commit, name] = found.split('\0').map((part) => part.trim());
    if (commit === undefined || commit === '' || name === undefined) continue;
    report.add({
      severity: sizeBytes >= 50 * mb ? 'medium' : 'low',
      rule: 'large-blob-in-history',
      message: `${name} was ${megabytes(sizeBytes)} once and is gone from the tree, but every clone still fetches it.`,
      evidence: `last touched by ${commit}; object ${hash.slice(0, 12)}`,
      fix: 'Where the history may be rewritten: git filter-repo --strip-blobs-bigger-than 5M.',
    });
  }
}

function megabytes(bytes: number): string {
  return bytes < 100_000 ? `${Math.ceil(bytes / 1_000)} kB` : `${(bytes / mb).toFixed(1)} MB`;
}
