import { expect, test } from 'vitest';
import { measure } from './complexity.ts';
import { parseSource } from './syntax.ts';

const facts = (text: string) => measure(parseSource('a.ts', text));

test('the example of the paper on cognitive complexity scores what the paper says', () => {
  // sumOfPrimes, "Cognitive Complexity", page 3: 1 + 2 + 3 + 1 for the labelled continue.
  const [sum] = facts(`function sumOfPrimes(max) {
    let total = 0;
    OUT: for (let i = 1; i <= max; ++i) {
      for (let j = 2; j < i; ++j) {
        if (i % j === 0) { continue OUT; }
      }
      total += i;
    }
    return total;
  }`);
  expect(sum).toMatchObject({ name: 'sumOfPrimes', cognitive: 7, cyclomatic: 4, depth: 3 });
});

test('a switch costs one, however many cases it has', () => {
  const [words] = facts(`function getWords(n) {
    switch (n) { case 1: return 'one'; case 2: return 'a couple'; case 3: return 'a few'; default: return 'lots'; }
  }`);
  expect(words).toMatchObject({ cognitive: 1, cyclomatic: 4 });
});

test('a chain of else if is as deep as its first if', () => {
  const [chain] = facts(
    `function f(a) { if (a === 1) x(); else if (a === 2) y(); else if (a === 3) z(); else w(); }`,
  );
  expect(chain).toMatchObject({ cognitive: 4, depth: 1 });
});

test('a run of one logical operator is one thought, a change of operator another', () => {
  expect(facts('const f = (a, b, c, d) => a && b && c && d;')[0]?.cognitive).toBe(1);
  expect(facts('const f = (a, b, c, d) => (a && b) || (c && d);')[0]?.cognitive).toBe(3);
  expect(facts('const f = (a, b) => a ?? b ?? 1;')[0]?.cognitive).toBe(0);
});

test('a function inside is measured on its own, and its lines are its own', () => {
  const found = facts(`function outer() {
    const inner = () => {
      if (a) b();
    };
    return inner;
  }`);
  expect(found.map(({ name, lines, cognitive }) => [name, lines, cognitive])).toEqual([
    ['outer', 4, 0],
    ['inner', 3, 1],
  ]);
});

test('functions are named after what they are kept in', () => {
  const names = facts(`
    class A { #secret() {} static of() {} field = () => 1; get x() { return 1; } }
    const o = { m() {}, 'a-b': function () {} };
    module.exports.load = function () {};
    list.map(() => 1);
    export default () => 2;
  `).map(({ name }) => name);
  expect(names).toEqual([
    '#secret',
    'of',
    'field',
    'x',
    'm',
    'a-b',
    'module.exports.load',
    'the callback of list.map',
    'the default export',
  ]);
});
