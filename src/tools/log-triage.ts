/** What is wrong in logs: failures by kind, when they began and rose, what stopped, where nothing was written. */
import type { ToolReport } from '../base/base.ts';
import { ToolError } from './errors.ts';
import { addFindings, at, span } from './log-findings.ts';
import { formats, furtherWords, type Format, type LogRecord } from './log-formats.ts';
import { openLines } from './log-lines.ts';
import { Pauses } from './log-pauses.ts';
import { LogStatistics, type TemplateStatistics } from './log-statistics.ts';
import { readIsoTime } from './log-times.ts';
import { listPlainFiles, matchesPattern, type PlainFile } from './plain-files.ts';
import { count, ReportBuilder } from './report.ts';
import { readOptions } from './tool-input.ts';
import type { ToolContext } from './tools.ts';

const logName =
  /(\.(log|jsonl|ndjson|err|out)|(^|\/)(syslog|messages|kern|auth|daemon|user|mail|debug|secure|cron)|[._-]log)([._-][\w-]+)*(\.gz)?$/i;
const maxFiles = 200;
/** After so many lines it is known who writes a file. */
const trialLines = 50;

interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

export async function run(context: ToolContext): Promise<ToolReport> {
  const options = readOptions(context.input, { files: 'text', from: 'text', to: 'text' });
  const window = {
    fromMs: readLimit('from', options.from) ?? -Infinity,
    toMs: readLimit('to', options.to) ?? Infinity,
  };
  const report = new ReportBuilder('log-triage', context.limit);
  const files = choose(context.repo, options.files, report);
  const log = new LogStatistics();
  let bytes = 0;
  let read = 0;
  for (const file of files) {
    context.progress(`reading ${file.path}`);
    const size = await readFile(file, log, window, context.nowMs, report);
    if (size === undefined) continue;
    read += 1;
    bytes += size;
  }
  if (log.lines > 0) addFindings(log, report);
  say(log, report, options.from !== undefined || options.to !== undefined);
  report.metric('files', read);
  report.metric('bytes', bytes);
  report.metric('lines', log.lines);
  report.metric('templates', log.drain.templates.length);
  for (const [level, amount] of Object.entries(log.byLevel)) report.metric(level, amount);
  if (log.fromMs !== undefined && log.toMs !== undefined)
    report.metric('spanSeconds', Math.round((log.toMs - log.fromMs) / 1_000));
  return report.build(summaryOf(log, read));
}

function summaryOf(log: LogStatistics, files: number): string {
  if (log.lines === 0) return 'Nothing to examine: no line of a log here.';
  const { fatal, error, warning } = log.byLevel;
  const when =
    log.fromMs === undefined || log.toMs === undefined
      ? ''
      : `, ${at(log.fromMs)} to ${at(log.toMs)} (${span(log.toMs - log.fromMs)})`;
  return `${count(log.lines, 'line')} in ${count(files, 'file')}${when}: ${fatal} fatal, ${count(error, 'error')}, ${count(warning, 'warning')}; ${count(log.drain.templates.length, 'kind')} of message.`;
}

function readLimit(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const found = readIsoTime(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00Z` : text);
  if (found === undefined)
    throw new ToolError(
      'usage',
      `${name} must be a time such as 2026-11-21T18:00:00Z, got ${text}`,
    );
  return found.ms;
}

function choose(repo: string, pattern: string | undefined, report: ReportBuilder): PlainFile[] {
  const wanted = (path: string): boolean =>
    pattern === undefined ? logName.test(path) : matchesPattern(path, pattern);
  const { files, cut } = listPlainFiles(repo, wanted);
  if (cut) report.note('The folder holds more files than are listed; some were left out.');
  if (files.length > maxFiles)
    report.note(`${files.length} logs; the first ${maxFiles} by name were read.`);
  if (files.length === 0)
    throw new ToolError(
      'noInput',
      pattern === undefined
        ? `no file in ${repo} has the name of a log`
        : `no file in ${repo} is named ${pattern}`,
      'Say which by the input files, such as app*.log.',
    );
  return files.slice(0, maxFiles);
}

/** Streams one file; its size, or undefined where it could not be read. */
async function readFile(
  file: PlainFile,
  log: LogStatistics,
  window: Window,
  nowMs: number,
  report: ReportBuilder,
): Promise<number | undefined> {
  const opened = openLines(file.absolute);
  if (opened === undefined) {
    report.note(`${file.path} is not a readable text file; it was not examined.`);
    return undefined;
  }
  const { reading, lines } = opened;
  const reader = new Reader(nowMs);
  const pauses = new Pauses(file.path);
  let number = 0;
  let last: { record: LogRecord; entry: TemplateStatistics | undefined } | undefined;
  try {
    for await (const piece of lines)
      for (const text of piece) {
        number += 1;
        if (text === '') continue;
        const record = furtherWords.test(text) ? undefined : reader.read(text);
        if (record === undefined && last !== undefined) {
          log.follow(last.entry, text);
          continue;
        }
        const kept = record ?? untimed(text);
        const timeMs = kept.timeMs ?? last?.record.timeMs;
        if (timeMs !== undefined && (timeMs < window.fromMs || timeMs > window.toMs)) continue;
        const line = reading.isCompressed ? undefined : number;
        const place = { file: file.path, line, timeMs };
        if (last !== undefined) pauses.add(last.record, kept, line);
        log.lines += 1;
        last = { record: kept, entry: log.add(kept, place) };
        // Without any time in the file, each line stands for itself.
        if (record === undefined) last = undefined;
      }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    report.note(`${file.path} could be read to line ${number} only: ${reason}`);
  }
  log.gaps.push(...pauses.unusual());
  if (reading.cutLines > 0)
    report.note(
      `${file.path}: of ${count(reading.cutLines, 'very long line')} the start was read.`,
    );
  return reading.sizeBytes;
}

function untimed(text: string): LogRecord {
  const level = /\b(fatal|panic)\b/i.test(text)
    ? 'fatal'
    : /\b(error|exception|traceback|fail(ed|ure))\b/i.test(text)
      ? 'error'
      : /\bwarn(ing)?\b/i.test(text)
        ? 'warning'
        : 'info';
  return {
    format: 'lines without a time',
    timeMs: undefined,
    hasZone: true,
    level,
    message: text,
    ids: [],
  };
}

/** Tries the format that read the lines before first; a file is mostly written by one program. */
class Reader {
  readonly #nowMs: number;
  readonly #hits = new Map<Format, number>();
  #usual: Format | undefined;
  #tried = 0;

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  read(line: string): LogRecord | undefined {
    const usual = this.#usual?.read(line, this.#nowMs);
    if (usual !== undefined) return usual;
    for (const format of formats) {
      if (format === this.#usual) continue;
      const found = format.read(line, this.#nowMs);
      if (found === undefined) continue;
      this.#count(format);
      return found;
    }
    return undefined;
  }

  #count(format: Format): void {
    this.#hits.set(format, (this.#hits.get(format) ?? 0) + 1);
    this.#tried += 1;
    if (this.#usual !== undefined || this.#tried < trialLines) return;
    this.#usual = [...this.#hits].toSorted(([, a], [, b]) => b - a)[0]?.[0];
  }
}

function say(log: LogStatistics, report: ReportBuilder, isPart: boolean): void {
  if (log.lines === 0) return;
  const written = [...log.formats]
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, amount]) => `${name} (${amount})`);
  report.note(`Read as: ${written.join(', ')}.`);
  if (isPart) report.note('Only lines of the time asked for were examined.');
  if (log.withoutZone > 0) report.note('Times without a zone were taken as UTC.');
  if (log.withoutTime > 0)
    report.note(
      `${count(log.withoutTime, 'line')} without a time: they are in no rate and no order.`,
    );
  if (log.unclustered > 0)
    report.note(
      `${count(log.unclustered, 'line')} beyond the ${log.drain.templates.length} kinds of message that are kept were counted by level alone.`,
    );
  if (log.idsDropped)
    report.note('There are more correlating ids than are kept; relations may be missing.');
  report.note(
    'What looks like a secret was struck out of the excerpts; what the program did not log is not here.',
  );
}
