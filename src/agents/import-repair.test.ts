import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { repairYaml } from './import-repair.ts';

/** What the repaired text says, and the repairs as `line:column severity`. */
function repaired(yaml: string): { value: unknown; repairs: string[] } | undefined {
  const found = repairYaml(yaml);
  if (found === undefined) return undefined;
  expect(found.yaml.split('\n')).toHaveLength(yaml.split('\n').length);
  return {
    value: parse(found.yaml) as unknown,
    repairs: found.repairs.map(({ line, column, severity }) => `${line}:${column} ${severity}`),
  };
}

describe('a repair of YAML', () => {
  test.each([
    ['a colon in a text', 'a: 1\nd: Use: it', { a: 1, d: 'Use: it' }, ['2:4 note']],
    ['an apostrophe beside it', "d: it's: so", { d: "it's: so" }, ['1:4 note']],
    ['a colon at the end', 'd: Either of:\nx: 1', { d: 'Either of:', x: 1 }, ['1:4 note']],
    ['a comment behind it', 'd: a: b # why', { d: 'a: b' }, ['1:4 note']],
    ['Windows line ends', 'd: a: b\r\nx: 1\r\n', { d: 'a: b', x: 1 }, ['1:4 note']],
    [
      'a description over lines',
      'description: Use: it\n  Context: so\n\n  And: more\nx: 1',
      { description: 'Use: it Context: so\nAnd: more', x: 1 },
      ['1:14 note'],
    ],
    [
      'reserved characters',
      'a: @x\nb: `y`\nc: %z',
      { a: '@x', b: '`y`', c: '%z' },
      ['1:4 note', '2:4 note', '3:4 note'],
    ],
    [
      'asterisks',
      'p:\n  - *.py\n  - b\nd: *bold* x',
      { p: ['*.py', 'b'], d: '*bold* x' },
      ['2:5 note', '4:4 note'],
    ],
    ['tabs', 'm:\n\tname: x\n\tlist:\n\t\t- a', { m: { name: 'x', list: ['a'] } }, ['2:1 note']],
    ['a field that stands twice', 'a: 1\nb: 2\na:\n  - 3', { b: 2, a: [3] }, ['1:1 warning']],
    [
      'one of several lines that stands twice',
      'm:\n  a:\n    - 1\n    - 2\n  b: x\n  a: 3',
      { m: { b: 'x', a: 3 } },
      ['2:3 warning'],
    ],
    [
      'a field that stands three times',
      'a: 1\na: 2\na: 3',
      { a: 3 },
      ['1:1 warning', '2:1 warning'],
    ],
    [
      'faults in layers',
      'm:\n\ta: x: y\n\ta: 2',
      { m: { a: 2 } },
      ['2:1 note', '2:5 note', '2:2 warning'],
    ],
  ])('of %s', (_what, yaml, value, repairs) => {
    expect(repaired(yaml)).toEqual({ value, repairs });
  });

  test('is none for YAML that is right', () => {
    expect(repaired('a: &x [1]\nb: *x\n')).toEqual({ value: { a: [1], b: [1] }, repairs: [] });
  });

  test.each([
    ['a quote that is not closed', 'a: "b\nc: d'],
    ['a list item that could be a map', 'p:\n- a: b: c'],
    ['a text with fields below it', 'a: b: c\n  d: e'],
    ['an alias in the middle of a list', 'a: [x, *nope]'],
    ['tabs and blanks that say several things', 'm:\n  a:\n\tb: 1'],
    ['a list at two depths', 'm:\n  tools:\n   - a\n  - b'],
    ['a field twice in braces', 'm: {a: 1, a: 2}'],
    ['a field twice behind a dash', 'm:\n  - a: 1\n    a: 2'],
    ['brackets without an end', 'a: [b, c\nd: e'],
    ['a description that ends in a comment', 'description: a: b\n  c # d'],
  ])('is not tried on %s', (_what, yaml) => {
    expect(repaired(yaml)).toBeUndefined();
  });

  test('ends for whatever text, and what it gives is YAML', () => {
    const piece = fc.constantFrom(
      'a',
      'b',
      ':',
      ' ',
      '\n',
      '- ',
      '\t',
      "'",
      '"',
      '*',
      '&',
      '@',
      '#',
      '[',
      '{',
      '|',
      '!',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const found = repairYaml(pieces.join(''));
        expect(found === undefined ? [] : repairYaml(found.yaml)?.repairs).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });
});
