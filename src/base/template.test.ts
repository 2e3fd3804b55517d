import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { expand, references } from './base.ts';

const name = fc.stringMatching(/^[a-z_][a-z0-9_-]{0,8}$/);
const names = fc.array(name, { minLength: 1, maxLength: 4 });

/** A scope in which the path leads to the value. */
const scopeOf = (path: readonly string[], value: unknown): Record<string, unknown> =>
  path
    .toReversed()
    .reduce<unknown>((inner, key) => Object.fromEntries([[key, inner]]), value) as Record<
    string,
    unknown
  >;
const escape = (text: string): string => text.replaceAll('${', () => '$${');

test('a text that is one expression takes the value with its type', () => {
  fc.assert(
    fc.property(names, fc.jsonValue(), (path, value) => {
      expect(expand(`\${${path.join('.')}}`, scopeOf(path, value))).toEqual(value);
    }),
  );
});

test('inside a longer text a string stands as it is and anything else as JSON', () => {
  fc.assert(
    fc.property(names, fc.jsonValue(), (path, value) => {
      const shown = typeof value === 'string' ? value : JSON.stringify(value);
      expect(expand(`a \${ ${path.join('.')} } b`, scopeOf(path, value))).toBe(`a ${shown} b`);
    }),
  );
});

test('a value is never read as a template again', () => {
  expect(expand('${a} and ${a}', { a: '${b} $& $1 $${' })).toBe(
    '${b} $& $1 $${ and ${b} $& $1 $${',
  );
});

test('any text comes back when it is escaped', () => {
  const pieces = fc.constantFrom('$', '{', '}', '${', '}', 'a', '.', ' ', '$${');
  const texts = fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(texts, fc.string()), (text) => {
      expect(expand(escape(text), {})).toBe(text);
      expect(references(escape(text))).toEqual([]);
    }),
  );
});

test('expansion reaches everything in lists and maps, and no key', () => {
  const value = { '${a}': ['${a}', { deep: 'x${a}' }, 1, null, true] };
  expect(expand(value, { a: 7 })).toEqual({ '${a}': [7, { deep: 'x7' }, 1, null, true] });
});

test('what can be expanded names exactly its references', () => {
  fc.assert(
    fc.property(fc.array(names, { maxLength: 5 }), (paths) => {
      const texts = paths.map((path) => `<\${${path.join('.')}}>`);
      const found = references({ list: texts, inner: { again: texts.join('') } });
      const expected = paths.map((path) => path.join('.'));
      expect(found).toEqual([...expected, ...expected]);
    }),
  );
});

test.each([
  '${}',
  '${ }',
  '${a b}',
  '${a..b}',
  '${.a}',
  '${1a}',
  '${a.}',
  '${a',
  'x ${',
  '${a{b}}',
  '${a()}',
])('the malformed expression %s is an error, in expansion and in references', (text) => {
  const wanted = expect.objectContaining({ code: 'invalid_input', remedy: expect.any(String) });
  expect(() => expand(text, { a: 1 })).toThrow(wanted);
  expect(() => expand(`${text} more`, { a: 1 })).toThrow(wanted);
  expect(() => references({ in: [text] })).toThrow(wanted);
});

test('a path that names nothing says which name is missing', () => {
  const scope = { tasks: { lint: { output: { count: 2 } } } };
  expect(() => expand('${tasks.lnt.output}', scope)).toThrow('there is no lnt');
  expect(() => expand('${tasks.lint.output.count.more}', scope)).toThrow('there is no more');
});

test('what an object only inherits is not reached', () => {
  for (const path of ['constructor', 'a.__proto__', 'a.toString', 'a.constructor.prototype']) {
    expect(() => expand(`\${${path}}`, { a: {} })).toThrow('names nothing');
  }
});

test('a big integer stands in a text as its digits, and an absent value is an error there', () => {
  expect(expand('n ${a}', { a: 2n ** 64n })).toBe('n 18446744073709551616');
  expect(() => expand('n ${a}', { a: undefined })).toThrow('no value that can stand in a text');
});

test('an input that was not given is asked for', () => {
  expect(() => expand('${input.repo}', { input: {} })).toThrow(
    expect.objectContaining({ remedy: 'Give the agent the input repo: by hand, --input repo=…' }),
  );
  expect(() => expand('${tasks.repo}', { tasks: {} })).toThrow(
    expect.objectContaining({ remedy: undefined }),
  );
});
