import { expect, test } from 'vitest';
import { isDeclaration, parseSource, positions, walk, whyUnparsed } from './syntax.ts';

test('lines and columns count from one, and the start of a line belongs to it', () => {
  const at = positions('ab\n\ncd');
  expect([0, 2, 3, 4, 6].map(at)).toEqual([
    { line: 1, column: 1 },
    { line: 1, column: 3 },
    { line: 2, column: 1 },
    { line: 3, column: 1 },
    { line: 3, column: 3 },
  ]);
});

test.each([
  ['a.js', 'const a = <div/>;'],
  ['a.js', 'const x = require("x"); if (x) return;'],
  ['a.cjs', 'return 1;'],
  ['a.mjs', 'await x;'],
  ['a.ts', 'const a = <string>b; enum E { A } @d class C {}'],
  ['a.tsx', 'const a = <b/>;'],
  ['a.d.ts', 'export declare const a: number;'],
])('%s may hold %s', (path, text) => {
  expect(parseSource(path, text).faults).toEqual([]);
});

test('a fault has the place where the parser stopped, counted in characters', () => {
  expect(parseSource('a.ts', 'const s = "é𝒳";\nconst = 3;').faults).toMatchObject([
    { line: 2, column: 7 },
  ]);
});

test('a tree as deep as it is long is visited without running out of stack', () => {
  const text = Array.from({ length: 20_000 }, () => '1').join('+');
  let numbers = 0;
  walk(parseSource('a.js', text).program, {
    enter(node) {
      if (node.type === 'Literal') numbers += 1;
    },
  });
  expect(numbers).toBe(20_000);
});

test('brackets so deep that they would end the parser are left out, and so is Flow', () => {
  expect(whyUnparsed('('.repeat(50_000) + ')'.repeat(50_000))).toContain('nested deeper');
  expect(whyUnparsed('// @flow\ntype A = {| a: 1 |};')).toContain('Flow');
  expect(whyUnparsed('f({ a: [1] });')).toBeUndefined();
});

test('every name of a declaration file is known', () => {
  expect(['a.d.ts', 'a.d.mts', 'a.d.css.ts', 'a.ts', 'd.ts'].map(isDeclaration)).toEqual([
    true,
    true,
    true,
    false,
    false,
  ]);
});
