import { stripVTControlCharacters } from 'node:util';
import type { CliContext } from './context.ts';

/** A column of a table: what it is called and what it shows of a row. */
export interface Column<Row> {
  readonly title: string;
  cell(row: Row): string;
  readonly align?: 'right';
  /** The widest column that may be cut gives way when a terminal is too narrow. */
  readonly cut?: true;
  /** Colours the text when it has its final width. */
  style?(text: string, row: Row): string;
}

/**
 * Prints rows: an aligned table, one JSON document `{items, …more}`, or one JSON line a row. When
 * there are none, a table is replaced by `empty` on standard error: what to do next.
 */
export function printRows<Row>(
  context: CliContext,
  rows: readonly Row[],
  options: {
    readonly columns: readonly Column<Row>[];
    readonly empty: string;
    readonly more?: Readonly<Record<string, unknown>>;
  },
): void {
  if (context.format === 'json') {
    context.stdout.write(`${JSON.stringify({ items: rows, ...options.more }, undefined, 2)}\n`);
  } else if (context.format === 'jsonl') {
    context.stdout.write(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  } else if (rows.length === 0) {
    context.stderr.write(`${options.empty}\n`);
  } else {
    const { bold } = context.stdout.colours;
    context.stdout.write(renderTable(rows, options.columns, context.stdout.columns, bold));
  }
}

/** Prints one thing: as text for people, as a JSON document, or as one JSON line. */
export function printDocument<Value>(
  context: CliContext,
  value: Value,
  forPeople: (value: Value) => string,
): void {
  if (context.format === 'json') context.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
  else if (context.format === 'jsonl') context.stdout.write(`${JSON.stringify(value)}\n`);
  else context.stdout.write(withNewline(forPeople(value)));
}

/** Says something to the person at the terminal that is no result. */
export function note(context: CliContext, text: string): void {
  context.stderr.write(withNewline(text));
}

const gap = '  ';

/** The rows under their titles; `width` columns at most where it is given. */
export function renderTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  width?: number,
  styleTitle: (title: string) => string = (title) => title,
): string {
  const cells = rows.map((row) => columns.map((column) => oneLine(column.cell(row))));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((row) => textWidth(row[index] ?? ''))),
  );
  if (width !== undefined) shrink(widths, columns, width);
  const line = (texts: readonly string[], style: (text: string, index: number) => string): string =>
    columns
      .map((column, index) => {
        const size = widths[index] ?? 0;
        const text = truncate(texts[index] ?? '', size);
        const padding = ' '.repeat(size - textWidth(text));
        const styled = text === '' ? '' : style(text, index);
        if (column.align === 'right') return padding + styled;
        return index === columns.length - 1 ? styled : styled + padding;
      })
      .join(gap)
      .trimEnd();
  const titles = columns.map((column) => column.title);
  const lines = rows.map((row, index) =>
    line(cells[index] ?? [], (text, column) => columns[column]?.style?.(text, row) ?? text),
  );
  return `${[line(titles, styleTitle), ...lines].join('\n')}\n`;
}

/** Takes from the widest column that may be cut until the line fits or every such column is small. */
function shrink<Row>(widths: number[], columns: readonly Column<Row>[], width: number): void {
  const smallest = 8;
  const total = (): number =>
    widths.reduce((sum, size) => sum + size, gap.length * (widths.length - 1));
  while (total() > width) {
    let widest = -1;
    for (const [index, column] of columns.entries()) {
      const size = widths[index] ?? 0;
      if (column.cut === true && size > smallest && size > (widths[widest] ?? 0)) widest = index;
    }
    if (widest === -1) return;
    widths[widest] = Math.max(smallest, (widths[widest] ?? 0) - (total() - width));
  }
}

/** Columns that a text takes on a terminal: without escape sequences, wide characters counted twice. */
export function textWidth(text: string): number {
  let width = 0;
  for (const segment of graphemes(stripVTControlCharacters(text))) {
    width += isWide.test(segment) ? 2 : 1;
  }
  return width;
}

const isPlain = /^[\u0020-\u007E]*$/;

/** What a reader takes for one character. Plain text, which is nearly all, needs no segmenter. */
function graphemes(text: string): string[] {
  if (isPlain.test(text)) return [...text];
  const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

const isWide =
  /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{1F300}-\u{1FAFF}\u{20000}-\u{3FFFD}]|\p{Emoji_Presentation}/u;

/** Cuts a text to a number of columns, with `…` where something is missing. */
export function truncate(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  if (width <= 0) return '';
  let cut = '';
  let used = 0;
  for (const segment of graphemes(text)) {
    const size = isWide.test(segment) ? 2 : 1;
    if (used + size > width - 1) break;
    cut += segment;
    used += size;
  }
  return `${cut}…`;
}

/** A text from outside as one line that can not move the cursor, colour what follows or break a table. */
export function oneLine(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/\p{Cc}+/gu, ' ')
    .trim();
}

/** `840 ms`, `12.3 s`, `4 m 05 s`, `2 h 10 m`, `3 d 4 h`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3_600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} m`;
  return `${Math.floor(minutes / 1_440)} d ${Math.floor((minutes % 1_440) / 60)} h`;
}

/** How long ago a moment was, in one unit: `just now`, `40 s ago`, `3 d ago`. */
export function formatAge(iso: string | undefined, nowMs: number): string {
  if (iso === undefined) return '–';
  const seconds = Math.floor((nowMs - Date.parse(iso)) / 1_000);
  if (seconds < 2) return 'just now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} m ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** `512 B`, `14.2 KB`, `3.1 GB`, in powers of 1,000. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** A count with its word: `1 run`, `2 runs`. */
export function plural(count: number, word: string, several = `${word}s`): string {
  return `${count} ${count === 1 ? word : several}`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

function withNewline(text: string): string {
  return text.endsWith('\n') || text === '' ? text : `${text}\n`;
}
