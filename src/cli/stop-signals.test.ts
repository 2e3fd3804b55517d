import { expect, test } from 'vitest';
import { countWishes, sameSignalMs } from './stop-signals.ts';

test('one key press that arrives three times is one wish', () => {
  const count = countWishes();
  expect([0, 3, 3 + sameSignalMs - 1].map(count)).toEqual([1, undefined, undefined]);
});

test('two presses are two wishes', () => {
  const count = countWishes();
  expect([10, 10 + sameSignalMs, 5_000].map(count)).toEqual([1, 2, 3]);
});
