import { expect, test } from 'vitest';
import {
  formatAge,
  formatBytes,
  formatDuration,
  oneLine,
  renderTable,
  textWidth,
  truncate,
  type Column,
} from './output.ts';

interface Row {
  readonly name: string;
  readonly size: number;
}
const columns: readonly Column<Row>[] = [
  { title: 'NAME', cell: (row) => row.name, cut: true },
  { title: 'SIZE', cell: (row) => String(row.size), align: 'right' },
];
const rows = [
  { name: 'a', size: 7 },
  { name: 'a name of some length', size: 1_200 },
];

test('columns are aligned, numbers to the right', () => {
  expect(renderTable(rows, columns)).toBe(
    [
      'NAME                   SIZE',
      'a                         7',
      'a name of some length  1200',
      '',
    ].join('\n'),
  );
});

test('a table is cut to the terminal, and only where cutting is allowed', () => {
  const lines = renderTable(rows, columns, 16).split('\n');
  expect(lines).toEqual(['NAME        SIZE', 'a              7', 'a name of…  1200', '']);
});

test('wide characters count twice', () => {
  expect(textWidth('日本')).toBe(4);
  expect(truncate('日本語', 5)).toBe('日本…');
  expect(truncate('日本語', 4)).toBe('日…');
});

test('escape sequences and line breaks of a value never reach the terminal', () => {
  expect(oneLine('a\u001B[2J\u001B]0;title\u0007b\nc\td')).toBe('ab c d');
  const table = renderTable([{ name: 'x\u001B[31m\ny', size: 1 }], columns);
  expect(table).toBe('NAME  SIZE\nx y      1\n');
});

test.each([
  [0, '0 ms'],
  [999, '999 ms'],
  [1_000, '1.0 s'],
  [59_940, '59.9 s'],
  [59_960, '1 m 00 s'],
  [245_000, '4 m 05 s'],
  [3_600_000, '1 h 00 m'],
  [273_600_000, '3 d 4 h'],
])('%i ms is %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});

test('ages use one unit', () => {
  const now = Date.parse('2026-11-21T12:00:00Z');
  expect(formatAge('2026-11-21T11:59:59.500Z', now)).toBe('just now');
  expect(formatAge('2026-11-21T11:59:20Z', now)).toBe('40 s ago');
  expect(formatAge('2026-11-21T09:10:00Z', now)).toBe('2 h ago');
  expect(formatAge('2026-11-01T12:00:00Z', now)).toBe('20 d ago');
  expect(formatAge(undefined, now)).toBe('–');
});

test('bytes come in powers of a thousand', () => {
  expect(formatBytes(999)).toBe('999 B');
  expect(formatBytes(14_200)).toBe('14.2 KB');
});
