import type { Severity, ToolReport } from '../base/base.ts';
import { findComments, LineIndex } from './comments.ts';
import { ToolError } from './errors.ts';
import type { Git } from './git.ts';
import { dayMs } from './history.ts';
import { extensionOf, isGenerated, isVendored } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository } from './repository.ts';
import type { ToolContext } from './tools.ts';

/**
 * Severities: low for a FIXME or BUG (somebody knew of a defect) and medium when it is older than a
 * year; info for TODO, HACK and XXX, low when older than two years. One that names a ticket is
 * being looked after and stays info.
 */
const marker = /\b(TODO|FIXME|HACK|XXX|BUG)\b(?=\s*[:(!\-–—]|\s+[A-Za-z`'"]|\s*(\*\/|-->)?\s*$)/gm;
const ticket = /#\d+|https?:\/\/|\b[A-Z][A-Z0-9]+-\d+\b/;
const blamedFiles = 300;
const blameMs = 60_000;
const prose = new Set(['md', 'markdown', 'txt', 'rst', 'adoc', 'org']);

interface Mark {
  readonly path: string;
  readonly line: number;
  readonly column: number;
  readonly word: string;
  /** The line that it stands in. */
  readonly text: string;
}

interface Blame {
  readonly author: string;
  readonly atMs: number;
}

/** TODO, FIXME, HACK, XXX and BUG in comments, with who left them and when. */
export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('todo-scan', context.limit);
  const marks = new Map<string, Mark[]>();
  for (const { path, text } of repository.texts(
    (file) => !isVendored(file.path) && !isGenerated(file.path),
  )) {
    if (isGenerated(path, text)) continue;
    const found = findMarks(path, text);
    if (found.length > 0) marks.set(path, found);
  }
  const total = [...marks.values()].reduce((sum, found) => sum + found.length, 0);
  context.progress(`asking for the age of ${count(total, 'marker')}`);
  const ages =
    repository.head === undefined ? new Map() : await blameAll(repository.git, marks, report);
  const words: Record<string, number> = {};
  let oldestDays = 0;
  for (const mark of [...marks.values()].flat()) {
    const blame = ages.get(keyOf(mark));
    const days =
      blame === undefined
        ? undefined
        : Math.max(0, Math.floor((context.nowMs - blame.atMs) / dayMs));
    oldestDays = Math.max(oldestDays, days ?? 0);
    words[mark.word] = (words[mark.word] ?? 0) + 1;
    const age = days === undefined ? '' : `, ${days} days old, by ${blame?.author}`;
    report.add({
      severity: severityOf(mark, days),
      rule: mark.word.toLowerCase(),
      file: mark.path,
      line: mark.line,
      column: mark.column,
      message: `${mark.word}${age}.`,
      evidence: mark.text.trim(),
      fix: ticket.test(mark.text)
        ? 'Do it, or close the ticket and remove the marker.'
        : 'Do it, file a ticket and name it here, or remove it.',
    });
  }
  for (const [word, amount] of Object.entries(words)) report.metric(word.toLowerCase(), amount);
  report.metric('oldestDays', oldestDays);
  report.notes(repository.notes());
  return report.build(
    total === 0
      ? 'No markers of unfinished work.'
      : `${count(total, 'marker')} of unfinished work in ${count(marks.size, 'file')}, the oldest ${oldestDays} days old.`,
  );
}

/** Markers in comments; in prose, those that start a line. */
export function findMarks(path: string, text: string): Mark[] {
  if (text.search(marker) < 0) return [];
  const lines = text.split('\n');
  const index = new LineIndex(text);
  const ranges = prose.has(extensionOf(path)) ? startsOfLines(text) : findComments(path, text);
  const found: Mark[] = [];
  for (const { start, end } of ranges ?? []) {
    const part = text.slice(start, end);
    for (const match of part.matchAll(marker)) {
      if (!isMarker(part, match.index, match[0])) continue;
      const { line, column } = index.at(start + match.index);
      found.push({ path, line, column, word: match[0], text: lines[line - 1] ?? '' });
    }
  }
  return found;
}

/** It begins its line or has its colon or bracket; in the middle of a sentence it is a word about markers. */
function isMarker(comment: string, at: number, word: string): boolean {
  if (/[:(]/.test(comment.charAt(at + word.length))) return true;
  const before = comment.slice(comment.lastIndexOf('\n', at - 1) + 1, at);
  return !/[\p{L}\p{N}]/u.test(before);
}

function startsOfLines(text: string): { start: number; end: number }[] {
  const start =
    /^[ \t]*(?:[-*+>]|<!--|\.\.|\[ \])?[ \t]*(?:\[ \][ \t]*)?(?=(?:TODO|FIXME|HACK|XXX|BUG)\s*[:(])/gm;
  return [...text.matchAll(start)].map((match) => {
    const from = match.index + match[0].length;
    const end = text.indexOf('\n', from);
    return { start: from, end: end < 0 ? text.length : end };
  });
}

function severityOf(mark: Mark, days: number | undefined): Severity {
  if (ticket.test(mark.text)) return 'info';
  const isDefect = mark.word === 'FIXME' || mark.word === 'BUG';
  if (isDefect) return days !== undefined && days > 365 ? 'medium' : 'low';
  return days !== undefined && days > 730 ? 'low' : 'info';
}

function keyOf({ path, line }: { path: string; line: number }): string {
  return `${path}\0${line}`;
}

async function blameAll(
  git: Git,
  marks: ReadonlyMap<string, readonly Mark[]>,
  report: ReportBuilder,
): Promise<Map<string, Blame>> {
  const ages = new Map<string, Blame>();
  const deadlineMs = performance.now() + blameMs;
  let files = 0;
  for (const [path, found] of marks) {
    if (files >= blamedFiles || performance.now() > deadlineMs) {
      report.note(
        `The age was looked up in ${files} of ${marks.size} files; the others have none.`,
      );
      break;
    }
    files += 1;
    for (const [line, blame] of await blameLines(git, path, found))
      ages.set(keyOf({ path, line }), blame);
  }
  return ages;
}

/** Of the commit that is checked out, since blaming the working tree would run the repository's filters. A line that moved since has no age. */
async function blameLines(
  git: Git,
  path: string,
  marks: readonly Mark[],
): Promise<Map<number, Blame>> {
  const ages = new Map<number, Blame>();
  const texts = new Map(marks.map((mark) => [mark.line, mark.text.replace(/\r$/, '')]));
  const output = await askBlame(git, path, [...texts.keys()].slice(0, 200));
  let line = 0;
  let author = '';
  let atMs = 0;
  for (const row of output.split('\n')) {
    const header = /^[0-9a-f]{40,64} \d+ (\d+)/.exec(row);
    if (header !== null) line = Number(header[1]);
    else if (row.startsWith('author ')) author = row.slice(7);
    else if (row.startsWith('author-time ')) atMs = Number(row.slice(12)) * 1_000;
    else if (row.startsWith('\t') && row.slice(1).replace(/\r$/, '') === texts.get(line)) {
      ages.set(line, { author, atMs });
    }
  }
  return ages;
}

/** Empty for what is not in the commit: a new file, or lines beyond its old end. */
async function askBlame(git: Git, path: string, lines: readonly number[]): Promise<string> {
  if (lines.length === 0) return '';
  const ranges = lines.flatMap((line) => ['-L', `${line},${line}`]);
  const args = ['blame', '--line-porcelain', ...ranges, 'HEAD', '--', path];
  try {
    return await git.text(args, { timeoutMs: 20_000 });
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    const last = Number(/has only (\d+) lines?/.exec(error.message)?.[1] ?? 0);
    const inside = lines.filter((line) => line <= last);
    return inside.length < lines.length ? askBlame(git, path, inside) : '';
  }
}
