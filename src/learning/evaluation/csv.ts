/** Comma-separated values as RFC 4180 has them, with the place of every value for complaints. */
import { AppError } from '../../base/base.ts';

export interface CsvValue {
  readonly text: string;
  /** From 1; the column counts characters. */
  readonly line: number;
  readonly column: number;
}

/**
 * Rows of values. Quoted values may hold commas, line ends and doubled quotes; a line ends with LF or
 * CRLF; a byte order mark and empty lines are skipped. Throws `invalid_input` with file, line and column.
 */
export function parseCsv(text: string, file: string): CsvValue[][] {
  const rows: CsvValue[][] = [];
  let row: CsvValue[] = [];
  let at = text.startsWith('\uFEFF') ? 1 : 0;
  let line = 1;
  let lineStart = at;
  const endRow = (): void => {
    const isEmpty = row.length === 1 && row[0]?.text === '';
    if (row.length > 0 && !isEmpty) rows.push(row);
    row = [];
  };
  while (at < text.length) {
    const place = { line, column: at - lineStart + 1 };
    const [value, end] = text[at] === '"' ? readQuoted(text, at, place, file) : readPlain(text, at);
    if (value.includes('"') && text[at] !== '"') {
      throw wrong(file, place, 'a quote within a value that does not begin with one');
    }
    row.push({ text: value, ...place });
    // Line ends within quotes count for the places of what follows.
    for (
      let next = text.indexOf('\n', at);
      next !== -1 && next < end;
      next = text.indexOf('\n', next + 1)
    ) {
      line += 1;
      lineStart = next + 1;
    }
    at = end;
    if (text[at] === ',') {
      at += 1;
      // A comma at the very end has an empty value behind it.
      if (at === text.length) row.push({ text: '', line, column: at - lineStart + 1 });
      continue;
    }
    if (text[at] === '\r' && text[at + 1] === '\n') at += 1;
    if (at < text.length && text[at] !== '\n') {
      const after = { line, column: at - lineStart + 1 };
      throw wrong(file, after, 'a comma or the end of the line must follow a closing quote');
    }
    at += 1;
    line += 1;
    lineStart = at;
    endRow();
  }
  endRow();
  return rows;
}

/** An error at a place in a file. */
export function wrong(
  file: string,
  { line, column }: { readonly line: number; readonly column?: number },
  what: string,
): AppError {
  const place = column === undefined ? `${file}:${line}` : `${file}:${line}:${column}`;
  return new AppError('invalid_input', `${place}: ${what}`, {
    details: { file, line, ...(column === undefined ? {} : { column }) },
  });
}

function readPlain(text: string, from: number): [string, number] {
  let end = from;
  while (end < text.length && text[end] !== ',' && text[end] !== '\n') end += 1;
  if (text[end] === '\n' && text[end - 1] === '\r' && end > from) end -= 1;
  return [text.slice(from, end), end];
}

function readQuoted(
  text: string,
  from: number,
  place: { readonly line: number; readonly column: number },
  file: string,
): [string, number] {
  for (let at = from + 1; ; at += 2) {
    at = text.indexOf('"', at);
    if (at === -1) throw wrong(file, place, 'the quote that begins here is never closed');
    if (text[at + 1] !== '"') return [text.slice(from + 1, at).replaceAll('""', '"'), at + 1];
  }
}
