import { expect, test } from 'vitest';
import { isServersMath } from './math-symbols.ts';

test('a function of the math library is found in the server where its machine has that library', () => {
  const glibc = { libraries: ['libc.so.6', 'libm.so.6'] };
  expect(['acos', 'sqrtf', 'logl'].filter((name) => isServersMath(name, glibc))).toHaveLength(3);
  expect(isServersMath('errstart_cold', glibc)).toBe(false);
  expect(isServersMath('sqrt', { libraries: ['libc.so.6'] })).toBe(false);
});
