import { expect, test } from 'vitest';
import { describeDifference, distinctInstalls, inOrderOfNeed, smokeFor } from './versions.ts';

const a = { name: 'a', version: '1' };
const b = { name: 'b', version: '2' };
const needs = (requires: string[], version = '1') => ({ name: 'a', version, requires });

test('databases with the same versions are one set, and other extensions are none', () => {
  const installed = [
    { database: 'one', ...a },
    { database: 'one', ...b },
    { database: 'two', ...b },
    { database: 'three', ...b },
    { database: 'three', ...a },
    { database: 'four', name: 'other', version: '1' },
  ];
  expect(distinctInstalls([a, b], installed)).toEqual([
    { versions: [a, b], databases: ['one', 'three'] },
    { versions: [b], databases: ['two'] },
  ]);
});

test('what is required comes first, by what the very version requires; circles end', () => {
  expect(inOrderOfNeed([a, b], [needs(['b'])])).toEqual([b, a]);
  expect(inOrderOfNeed([a, b], [needs(['b'], '9')])).toEqual([a, b]);
  expect(inOrderOfNeed([a, b], [needs(['b']), { ...b, requires: ['a'] }])).toEqual([b, a]);
  expect(inOrderOfNeed([a], [needs(['elsewhere'])])).toEqual([a]);
});

test('smoke runs where its extension is, and a common one where all are', () => {
  const smoke = new Map([
    ['smoke/a.sql', ''],
    ['smoke/b.sql', ''],
    ['smoke/all.sql', ''],
  ]);
  const paths = (present: string[]) => smokeFor(smoke, [a, b], present).map(([path]) => path);
  expect(paths(['a'])).toEqual(['smoke/a.sql']);
  expect(paths(['a', 'b'])).toEqual(['smoke/a.sql', 'smoke/b.sql', 'smoke/all.sql']);
  expect(paths([])).toEqual([]);
});

test('a difference names what is missing, other and too much, five at most', () => {
  const expected = new Map([
    ['f()', 'x'],
    ['g()', 'x'],
  ]);
  expect(describeDifference(new Map(expected), expected)).toBeUndefined();
  const found = new Map([
    ['g()', 'y'],
    ['h()', ''],
  ]);
  expect(describeDifference(found, expected)).toBe(
    'it lacks f(); g() is defined otherwise; it has h() as well',
  );
  const many = new Map(Array.from({ length: 7 }, (_, at) => [`f${at}()`, '']));
  expect(describeDifference(new Map(), many)).toMatch(/f4\(\); and 2 more$/);
});
