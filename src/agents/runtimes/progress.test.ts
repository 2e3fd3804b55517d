import { expect, test } from 'vitest';
import { systemClock } from '../../base/base.ts';
import { createProgress } from './progress.ts';

/** A clock that stands still, so that no token comes back. */
const still = { ...systemClock, monotonicMs: () => 0 };

function written(write: (text: (part: string) => void) => void): string[] {
  const lines: string[] = [];
  const progress = createProgress(still, (line) => void lines.push(line));
  write((part) => progress.write(part));
  progress.end();
  return lines;
}

test('lines are put together from pieces, and blank ones left out', () => {
  expect(
    written((write) => {
      write('on');
      write('e\r\n\ntwo\nthr');
      write('ee');
    }),
  ).toEqual(['one', 'two', 'three']);
});

test('a burst passes twenty lines and then the newest', () => {
  const lines = written((write) => {
    for (let line = 1; line <= 1_000; line += 1) write(`${line}\n`);
  });
  expect(lines).toEqual([...Array.from({ length: 20 }, (_, index) => String(index + 1)), '1000']);
});

test('a line is cut, even one that never ends, and its secrets are redacted', () => {
  expect(written((write) => write(`${'x'.repeat(600)}\n`))).toEqual([`${'x'.repeat(500)}…`]);
  expect(
    written((write) => {
      for (let piece = 0; piece < 1_000; piece += 1) write('y'.repeat(1_000));
    }),
  ).toEqual(['y'.repeat(500)]);
  expect(written((write) => write('Bearer abcdefgh12345\n'))).toEqual(['Bearer [redacted]']);
});
