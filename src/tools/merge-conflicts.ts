import type { ToolReport } from '../base/base.ts';
import { extensionOf, isCode, isGenerated, isTest, isVendored } from './paths.ts';
import { compareText, count, ReportBuilder } from './report.ts';
import { decode, openRepository, type Repository, type TrackedFile } from './repository.ts';
import type { ToolContext } from './tools.ts';

/**
 * Severities: critical for conflict markers in code, which does not run, and for invisible
 * characters that make code read differently from what it does (CVE-2021-42574); medium for names
 * that can not be checked out everywhere; low for what breaks tools and diffs; info for style.
 */
const oneByteOfText = 2 * 1024 * 1024;

/** What merges and editors leave behind: conflict markers, invisible characters, mixed line ends, names that clash. */
export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('merge-conflicts', context.limit);
  const style = { trailing: [] as string[], crlf: [] as string[], lf: 0 };
  for (const file of repository.files) {
    if (isVendored(file.path)) continue;
    const bytes = repository.read(file, oneByteOfText);
    const text = bytes === undefined ? undefined : decode(bytes);
    if (bytes === undefined || text === undefined) continue;
    reportConflicts(report, file, text);
    reportInvisible(report, file, text);
    reportMark(report, file, bytes);
    reportLineEnds(report, file, text, style);
  }
  reportStyle(
    report,
    style,
    repository.files.some(({ path }) => path === '.gitattributes'),
  );
  await reportUnmerged(report, repository);
  reportNames(report, repository.files);
  await reportIgnored(report, repository);
  report.metric('files', repository.files.length);
  report.metric('filesWithTrailingSpace', style.trailing.length);
  report.metric('filesWithCrlf', style.crlf.length);
  report.notes(repository.notes());
  return report.build(
    report.total === 0
      ? `${count(repository.files.length, 'file')} without leftovers of merges or editors.`
      : `${count(report.total, 'leftover')} of merges or editors.`,
  );
}

/** The lines of the opening markers that are followed by a middle and a closing one; a lone row of equals signs is a heading. */
export function findConflicts(text: string): number[] {
  if (!text.includes('<<<<<<<')) return [];
  const found: number[] = [];
  let open = 0;
  let hasMiddle = false;
  for (const [index, line] of text.split('\n').entries()) {
    if (/^<{7}( |\r?$)/.test(line)) {
      open = index + 1;
      hasMiddle = false;
    } else if (open > 0 && /^={7}\r?$/.test(line)) hasMiddle = true;
    else if (open > 0 && hasMiddle && /^>{7}( |\r?$)/.test(line)) {
      found.push(open);
      open = 0;
    }
  }
  return found;
}

function reportConflicts(report: ReportBuilder, { path }: TrackedFile, text: string): void {
  for (const line of findConflicts(text)) {
    report.add({
      severity:
        isCode(path) || /^(json|ya?ml|toml|xml|lock)$/.test(extensionOf(path))
          ? 'critical'
          : 'high',
      rule: 'conflict-marker',
      file: path,
      line,
      message: 'A merge conflict was committed unresolved.',
      fix: 'Choose between the two sides and remove the markers.',
    });
  }
}

const direction = /[\u202a-\u202e\u2066-\u2069]/u;
const zeroWidth = /[\u200b\u2060\u00ad]|\ufeff/u;

function reportInvisible(report: ReportBuilder, { path }: TrackedFile, text: string): void {
  const isSource = isCode(path) || /^(json|ya?ml|toml|xml)$/.test(extensionOf(path));
  if (!isSource || isGenerated(path, text) || !(direction.test(text) || zeroWidth.test(text)))
    return;
  for (const [index, line] of text.split('\n').entries()) {
    const turned = direction.exec(line);
    const hidden = zeroWidth.exec(line);
    const match = turned ?? hidden;
    if (match === null) continue;
    const code = match[0].codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0');
    report.add({
      severity: turned === null ? 'low' : isTest(path) ? 'medium' : 'critical',
      rule: turned === null ? 'invisible-character' : 'bidirectional-control',
      file: path,
      line: index + 1,
      column: match.index + 1,
      message:
        turned === null
          ? `U+${code}, which no editor shows, stands in the code.`
          : `U+${code} turns the direction of the text: the code does something else than a reader sees.`,
      fix: 'Remove it; where it is meant, write it as an escape.',
    });
  }
}

function reportMark(report: ReportBuilder, { path }: TrackedFile, bytes: Uint8Array): void {
  const start = Buffer.from(bytes.subarray(0, 5)).toString('latin1');
  if (!start.startsWith('\u00ef\u00bb\u00bf')) return;
  const breaks = start.endsWith('#!') || /^(json|sh|bash|py)$/.test(extensionOf(path));
  // Windows' own tools want it in their files.
  if (/^(ps1|psm1|cs|csproj|sln|vcxproj|resx|rc|csv)$/.test(extensionOf(path))) return;
  report.add({
    severity: breaks ? 'medium' : 'info',
    rule: 'byte-order-mark',
    file: path,
    line: 1,
    message: breaks
      ? 'A byte order mark at the start, which parsers and the kernel stumble over.'
      : 'A byte order mark at the start.',
    fix: 'Save it as UTF-8 without a mark.',
  });
}

function reportLineEnds(
  report: ReportBuilder,
  file: TrackedFile,
  text: string,
  style: { trailing: string[]; crlf: string[]; lf: number },
): void {
  const crlf = text.split('\r\n').length - 1;
  const lf = text.split('\n').length - 1 - crlf;
  if (crlf > 0 && lf > 0) {
    report.add({
      severity: 'low',
      rule: 'mixed-line-ends',
      file: file.path,
      line: text
        .slice(0, crlf < lf ? text.indexOf('\r\n') : /(?<!\r)\n/.exec(text)?.index)
        .split('\n').length,
      message: `${count(crlf, 'line')} end with CRLF and ${lf} with LF.`,
      fix: 'Save the file with one kind; add "* text=auto" to .gitattributes.',
    });
  } else if (crlf > 0) {
    if (file.isExecutable && text.startsWith('#!')) {
      report.add({
        severity: 'high',
        rule: 'crlf-in-script',
        file: file.path,
        line: 1,
        message:
          'The first line ends with CRLF, so the kernel looks for an interpreter whose name ends with a carriage return.',
        fix: 'Save it with LF, and pin that in .gitattributes: *.sh text eol=lf.',
      });
    }
    if (!/^(bat|cmd|ps1|sln|csv)$/.test(extensionOf(file.path))) style.crlf.push(file.path);
  } else if (lf > 0) style.lf += 1;
  // Two spaces at the end of a line of Markdown are a line break; snapshots hold what they hold.
  if (
    isCode(file.path) &&
    !isTest(file.path) &&
    !isGenerated(file.path, text) &&
    /[ \t]\r?$/m.test(text)
  ) {
    style.trailing.push(file.path);
  }
}

function reportStyle(
  report: ReportBuilder,
  style: { trailing: readonly string[]; crlf: readonly string[]; lf: number },
  hasAttributes: boolean,
): void {
  const [crlf] = style.crlf;
  if (crlf !== undefined && style.lf > style.crlf.length) {
    report.add({
      severity: hasAttributes ? 'info' : 'low',
      rule: 'crlf-files',
      file: crlf,
      message: `${count(style.crlf.length, 'file')} with CRLF line ends among ${style.lf} with LF.`,
      evidence: style.crlf.slice(0, 5).join(', '),
      fix: 'Add "* text=auto" to .gitattributes and run git add --renormalize .',
    });
  }
  const [trailing] = style.trailing;
  if (trailing !== undefined) {
    report.add({
      severity: 'info',
      rule: 'trailing-whitespace',
      file: trailing,
      message: `${count(style.trailing.length, 'source file')} with white space at line ends.`,
      evidence: style.trailing.slice(0, 5).join(', '),
      fix: 'Let the formatter or the editor remove it, in a commit of its own.',
    });
  }
}

async function reportUnmerged(report: ReportBuilder, { git, files }: Repository): Promise<void> {
  const present = new Set(files.map((file) => file.path));
  const paths = new Set<string>();
  for await (const record of git.records(['ls-files', '-u', '-z']))
    paths.add(record.toString().split('\t').slice(1).join('\t'));
  for (const path of paths) {
    report.add({
      severity: 'high',
      rule: 'unmerged',
      // One side may have deleted it; a finding names no file that is not there.
      ...(present.has(path) ? { file: path } : {}),
      message: `A merge is under way and ${path} is not resolved.`,
      fix: 'Resolve it and git add it, or git merge --abort.',
    });
  }
}

const reserved = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

function reportNames(report: ReportBuilder, files: readonly TrackedFile[]): void {
  const folded = Map.groupBy(files, ({ path }) => path.normalize('NFC').toLowerCase());
  for (const group of folded.values()) {
    const [first, ...others] = group;
    if (first === undefined || others.length === 0) continue;
    report.add({
      severity: 'medium',
      rule: 'colliding-names',
      file: first.path,
      message: `On file systems that fold case (macOS, Windows) it is the same file as ${others.map((f) => f.path).join(' and ')}: one overwrites the other.`,
      fix: 'Rename one of them.',
    });
  }
  for (const { path } of files.toSorted((a, b) => compareText(a.path, b.path))) {
    const part = path
      .split('/')
      .find((name) => /[. ]$|^ |[<>:"|?*\\]|\p{Cc}/u.test(name) || reserved.test(name));
    if (part === undefined) continue;
    report.add({
      severity: /\p{Cc}/u.test(part) ? 'medium' : 'low',
      rule: 'unportable-name',
      file: path,
      message: `Windows can not check out a name like ${JSON.stringify(part)}, and scripts trip over it.`,
      fix: 'Rename it.',
    });
  }
}

async function reportIgnored(report: ReportBuilder, { git, files }: Repository): Promise<void> {
  const present = new Set(files.map((file) => file.path));
  const paths: string[] = [];
  // Only the ignore files of the project: what one person ignores at home is not its concern.
  const args = ['ls-files', '-i', '-c', '-z', '--exclude-per-directory=.gitignore'];
  for await (const record of git.records(args)) {
    const path = record.toString();
    // A folder is kept by tracking one file that the pattern of the folder names too.
    if (present.has(path) && !/(^|\/)\.(gitignore|gitkeep|keep)$/.test(path)) paths.push(path);
  }
  report.metric('ignoredButTracked', paths.length);
  const [first] = paths;
  if (first === undefined) return;
  report.add({
    severity: 'low',
    rule: 'ignored-but-tracked',
    file: first,
    message: `${count(paths.length, 'file')} tracked though .gitignore names ${paths.length === 1 ? 'it' : 'them'}: changes are committed by surprise, and new files beside ${paths.length === 1 ? 'it' : 'them'} are not.`,
    evidence: paths.slice(0, 5).join(', '),
    fix: 'Remove them (git rm --cached), or narrow the pattern.',
  });
}
