import { assert, integer, property } from 'fast-check';
import { expect, test } from 'vitest';
import {
  concurrencyLimit,
  shortCount,
  shortUsd,
  timeLimit,
  tokenLimit,
  usdLimit,
} from './amounts.ts';

test.each([
  [usdLimit, '50', 50_000_000],
  [usdLimit, '$12.75', 12_750_000],
  [usdLimit, '0.000001', 1],
  [usdLimit, '0', 0],
  [tokenLimit, '2000000', 2_000_000],
  [tokenLimit, '2M', 2_000_000],
  [tokenLimit, '1.5k', 1_500],
  [timeLimit, '36000', 36_000_000],
  [timeLimit, '10h', 36_000_000],
  [concurrencyLimit, '8', 8],
  [usdLimit, 'none', 'none'],
  [tokenLimit, 'none', 'none'],
  [timeLimit, 'none', 'none'],
  [concurrencyLimit, 'none', 'none'],
])('%o reads %s', (read, text, expected) => {
  expect(read(text)).toBe(expected);
});

test.each([
  [usdLimit, ['', '-1', '1e3', '1.0000001', '50 EUR', '1,50', '9999999999']],
  [tokenLimit, ['', '-1', '1.5', '2MB', '1.0001k', '2 M', '999999999999999G']],
  [timeLimit, ['', '-1', '1.5', '10x', 'forever']],
  [concurrencyLimit, ['', '-1', '1.5', '1000001', 'all']],
] as const)(
  '%o refuses what has no single meaning, and says what would be right',
  (read, texts) => {
    for (const text of texts)
      expect(() => read(text)).toThrow(/^It takes .*none takes the limit away/);
  },
);

test('no millionth of a dollar is lost on the way', () => {
  assert(
    property(integer({ min: 0, max: 999_999_999_999_999 }), (microUsd) => {
      const text = `${Math.floor(microUsd / 1e6)}.${String(microUsd % 1e6).padStart(6, '0')}`;
      expect(usdLimit(text)).toBe(microUsd);
    }),
  );
});

test('amounts are short where they are read side by side', () => {
  expect([0, 50_000_000, 1_234_567, 12_500, 4].map(shortUsd)).toEqual([
    '$0.00',
    '$50.00',
    '$1.23',
    '$0.012500',
    '$0.000004',
  ]);
  expect([0, 950, 12_345, 2_000_000, 3.2e9].map(shortCount)).toEqual([
    '0',
    '950',
    '12.3k',
    '2M',
    '3.2G',
  ]);
});
