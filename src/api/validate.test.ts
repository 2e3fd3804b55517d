import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { AppError } from '../base/base.ts';
import { parseJsonBody } from './validate.ts';

const parse = (text: string) => parseJsonBody(text, JSON.parse);

test('a body that is JSON comes back as its value', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 20, stringUnit: 'grapheme' }), (value) => {
      const text = JSON.stringify(value);
      if (text.includes(String.raw`\u0000`)) return;
      expect(parse(text)).toEqual(JSON.parse(text));
    }),
  );
});

test('whatever is no JSON is refused with an AppError', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect([undefined, AppError]).toContain((refusal(text) as Error | undefined)?.constructor);
    }),
  );
});

test('a mistake in the text is named by line and column', () => {
  expect(() => parse('{\n  "workflow": nonsense\n}')).toThrow('line 2, column 15');
  expect(() => parse('{"a":1,}')).toThrow('line 1, column 8');
  expect(() => parse('{"a":')).toThrow('line 1, column 6');
});

test('nesting deeper than 64 levels is refused before it is parsed', () => {
  expect(parse('['.repeat(64) + ']'.repeat(64))).toBeInstanceOf(Array);
  expect(() => parse('['.repeat(65) + ']'.repeat(65))).toThrow('nests deeper than 64 levels');
  expect(() => parse('[{"a":'.repeat(500_000))).toThrow('nests deeper');
  // Brackets in a text are no nesting.
  expect(parse(JSON.stringify({ a: '['.repeat(1000), b: '\\"[[' }))).toBeTypeOf('object');
});

test('what PostgreSQL can not store is refused by the name of its field', () => {
  expect(() => parse(String.raw`{"input":{"repo":"a\u0000b"}}`)).toThrow(
    'body input.repo must not hold a NUL character',
  );
  expect(() => parse(String.raw`{"input":{"repo":["\ud800"]}}`)).toThrow('body input.repo.0');
  expect(() => parse(String.raw`{"a\u0000":1}`)).toThrow('NUL');
  expect(parse(String.raw`{"a":"\ud83d\ude00"}`)).toEqual({ a: '😀' });
});

function refusal(text: string): unknown {
  try {
    parse(text);
    return undefined;
  } catch (error) {
    return error;
  }
}
