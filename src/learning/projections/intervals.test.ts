import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { difference, meanOf, normalShare, wilson } from './intervals.ts';

test.each([
  [81, 263, 0.2553, 0.3662],
  [15, 148, 0.0624, 0.1605],
  [0, 20, 0, 0.1611],
  [1, 29, 0.0061, 0.1718],
])('the score interval of %i of %i is the published one', (succeeded, tried, low, high) => {
  // Newcombe 1998, Two-sided confidence intervals for the single proportion, table I, method 3.
  const interval = wilson(succeeded, tried);
  expect(interval.low).toBeCloseTo(low, 4);
  expect(interval.high).toBeCloseTo(high, 4);
});

test.each([
  [56, 70, 48, 80, 0.0524, 0.3339],
  [9, 10, 3, 10, 0.1705, 0.809],
])('the interval of %i/%i - %i/%i is the published one', (a, m, b, n, low, high) => {
  // Newcombe 1998, Interval estimation for the difference between independent proportions, table II.
  const interval = difference({ succeeded: a, tried: m }, { succeeded: b, tried: n });
  expect(interval.mean).toBeCloseTo(a / m - b / n, 12);
  expect(interval.low).toBeCloseTo(low, 4);
  expect(interval.high).toBeCloseTo(high, 4);
});

test('an interval lies within 0 and 1, holds the rate, and narrows with every outcome of the same rate', () => {
  const tally = fc.tuple(fc.nat(500), fc.nat(500));
  fc.assert(
    fc.property(tally, ([succeeded, failed]) => {
      const tried = succeeded + failed;
      const { low, high } = wilson(succeeded, tried);
      expect(low).toBeGreaterThanOrEqual(0);
      expect(high).toBeLessThanOrEqual(1);
      if (tried === 0) return;
      expect(low).toBeLessThanOrEqual(succeeded / tried);
      expect(high).toBeGreaterThanOrEqual(succeeded / tried);
      const more = wilson(2 * succeeded, 2 * tried);
      expect(more.high - more.low).toBeLessThan(high - low);
    }),
  );
});

test('a mean of one is not known, and of two has the deviation of a sample', () => {
  expect(meanOf({ n: 1, sum: 5, squares: 25 })).toBeUndefined();
  expect(meanOf({ n: 2, sum: 6, squares: 20 }, 1)).toEqual({ mean: 3, error: 1, low: 2, high: 4 });
});

test('the normal distribution has its known shares', () => {
  expect(normalShare(0)).toBeCloseTo(0.5, 6);
  expect(normalShare(1.959964)).toBeCloseTo(0.975, 6);
  expect(normalShare(-1.644854)).toBeCloseTo(0.05, 6);
});
