import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { suggest } from './base.ts';

const known = ['timeoutSeconds', 'retries', 'runtime', 'requires', 'description'];

test.each([
  ['timeoutSecond', 'timeoutSeconds'],
  ['timeoutseconds', 'timeoutSeconds'],
  ['retires', 'retries'],
  ['descripton', 'description'],
  ['runtme', 'runtime'],
])('%s was meant to be %s', (word, meant) => {
  expect(suggest(word, known)).toBe(meant);
});

test.each(['colour', 'x', 'zzzzzzzzzz', 'permissions'])('%s is near to nothing', (word) => {
  expect(suggest(word, known)).toBeUndefined();
});

const word = fc.stringMatching(/^[a-z]{3,15}$/);

test('a known word is its own suggestion', () => {
  fc.assert(
    fc.property(fc.array(word, { minLength: 1 }), fc.nat(), (words, pick) => {
      const chosen = words[pick % words.length] ?? '';
      expect(suggest(chosen, words)).toBe(chosen);
    }),
  );
});

test('one slip of the fingers is found again', () => {
  fc.assert(
    fc.property(word, fc.nat(), fc.constantFrom('drop', 'double', 'swap'), (meant, at, slip) => {
      const i = at % (meant.length - 1);
      const [a, b] = [meant[i] ?? '', meant[i + 1] ?? ''];
      const middle = { drop: b, double: a + a + b, swap: b + a }[slip];
      expect(suggest(meant.slice(0, i) + middle + meant.slice(i + 2), [meant])).toBe(meant);
    }),
  );
});

test('a suggestion is always one of the known words', () => {
  fc.assert(
    fc.property(fc.string(), fc.array(fc.string()), (typed, words) => {
      expect([undefined, ...words]).toContain(suggest(typed, words));
    }),
  );
});
