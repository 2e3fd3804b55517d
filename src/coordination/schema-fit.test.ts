import * as fc from 'fast-check';
import type { TSchema } from 'typebox';
import Schema from 'typebox/schema';
import { expect, test } from 'vitest';
import { misfit } from './schema-fit.ts';
import { readable, stepInto } from './schema-read.ts';

const text = { type: 'string' };
const whole = { type: 'integer' };
const map = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more });
const message = (source: unknown, target: unknown): string | undefined => {
  const found = misfit(readable(source), readable(target));
  return found && [...found.path, found.message].join(': ');
};

test.each([
  ['a text', 'a number', text, { type: 'number' }, 'a text comes, a number is wanted'],
  [
    'a text of 3',
    'one of 5',
    { const: 'abc' },
    { type: 'string', minLength: 5 },
    '"abc" must not have fewer than 5 characters',
  ],
  [
    'some words',
    'others',
    { enum: ['a', 'b'] },
    { enum: ['c'] },
    '"a" or "b" comes, "c" is wanted',
  ],
  [
    'numbers up to 5',
    'from 6',
    { ...whole, maximum: 5 },
    { type: 'number', minimum: 6 },
    'the number that comes is never in the range that is wanted',
  ],
  [
    'a list of numbers',
    'of texts',
    { type: 'array', items: whole },
    { type: 'array', items: text },
    '0: a whole number comes, a text is wanted',
  ],
  [
    'one of two',
    'a third',
    { anyOf: [text, whole] },
    { type: 'boolean' },
    'a text or a whole number comes, true or false is wanted',
  ],
  [
    'a closed map',
    'what it lacks',
    map({ a: text }, { additionalProperties: false }),
    map({}, { required: ['b'] }),
    'b is missing',
  ],
  [
    'a map',
    'another deep inside',
    map({ a: map({ b: text }, { required: ['b'] }) }, { required: ['a'] }),
    map({ a: map({ b: whole }) }),
    'a: b: a text comes, a whole number is wanted',
  ],
  [
    'what a reference says',
    'another',
    { $ref: '#/$defs/x', $defs: { x: text } },
    whole,
    'a text comes, a whole number is wanted',
  ],
  [
    'all of two',
    'what one of them is not',
    { allOf: [true, text] },
    whole,
    'a text comes, a whole number is wanted',
  ],
])('%s is not %s', (_given, _wanted, source, target, expected) => {
  expect(message(source, target)).toBe(expected);
});

test.each([
  ['anything', {}, whole],
  ['a number that may be whole', { type: 'number' }, whole],
  ['a text or nothing', { type: ['string', 'null'] }, text],
  ['a map that may have it', map({ a: text }), map({}, { required: ['b'] })],
  ['a field that may be absent', map({ a: text }), map({ a: whole })],
  ['what refers to itself', { $ref: '#' }, text],
  ['what refers to elsewhere', { $ref: 'https://example.test/x' }, text],
  ['what is only told by `not`', { not: text }, text],
])('%s might fit', (_given, source, target) => {
  expect(message(source, target)).toBeUndefined();
});

test('a step leads nowhere only where that is sure', () => {
  const open = readable(map({ a: text }));
  const closed = readable(map({ a: text }, { additionalProperties: false }));
  expect(stepInto(open, 'b')).toBe(true);
  expect(stepInto(closed, 'b')).toBeUndefined();
  expect(stepInto(readable({ anyOf: [closed, map({ b: whole })] }), 'b')).toEqual(whole);
  expect(stepInto(readable({ type: 'array', items: text }), '3')).toEqual(text);
  expect(stepInto(readable({ type: 'array', items: text }), 'length')).toEqual(whole);
  expect(stepInto(readable(text), 'length')).toBeUndefined();
});

const leaf = fc.constantFrom(true, false, null, 0, 1, 2.5, 7, '', 'a', 'long text');
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 2 },
    leaf,
    fc.array(tie('value'), { minLength: 1, maxLength: 2 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value'), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
  ),
}));
const optional = (fields: Record<string, fc.Arbitrary<unknown>>) =>
  fc.record(fields, { requiredKeys: [], noNullPrototype: true });
const { schema } = fc.letrec<{ schema: object | boolean }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom({}, true, { type: 'string' }, { type: 'integer' }, { type: 'number' }),
    fc.constantFrom(
      { type: 'null' },
      { type: ['string', 'integer'] },
      { const: 7 },
      { enum: ['a', 1] },
    ),
    optional({
      minimum: fc.nat(3),
      maximum: fc.nat(8),
      minLength: fc.nat(2),
      maxLength: fc.nat(9),
    }),
    optional({
      type: fc.constantFrom('object', ['object', 'null']),
      properties: optional({ a: tie('schema'), b: tie('schema') }),
      required: fc.subarray(['a', 'b', 'c']),
      additionalProperties: fc.oneof(fc.boolean(), tie('schema')),
      patternProperties: fc.constantFrom({ '^c': { type: 'integer' } }, {}),
    }),
    optional({
      type: fc.constant('array'),
      items: tie('schema'),
      prefixItems: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }),
      minItems: fc.nat(2),
      maxItems: fc.integer({ min: 1, max: 3 }),
    }),
    fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ oneOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }) }),
    fc.record({ allOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }) }),
    fc.record({ not: tie('schema') }),
  ),
}));
const fits = (one: unknown, each: unknown): boolean => Schema.Check(one as TSchema, each);

test('no value that fits both is ever complained of', () => {
  let refused = 0;
  fc.assert(
    fc.property(
      schema,
      schema,
      fc.array(value, { minLength: 5, maxLength: 20 }),
      (source, target, values) => {
        if (misfit(readable(source), readable(target)) === undefined) return;
        refused += 1;
        const both = values.filter((each) => fits(source, each) && fits(target, each));
        expect(both).toEqual([]);
      },
    ),
    { numRuns: 5_000 },
  );
  expect(refused).toBeGreaterThan(100);
});
test('what a step leads to is what the value has there', () => {
  fc.assert(
    fc.property(
      schema,
      value,
      fc.constantFrom('a', 'b', 'c', '0', 'length'),
      (each, whole_, name) => {
        if (whole_ === null || typeof whole_ !== 'object' || !Object.hasOwn(whole_, name)) return;
        if (!fits(each, whole_)) return;
        const inner = stepInto(readable(each), name);
        expect(inner).toBeDefined();
        expect(fits(inner, Reflect.get(whole_, name))).toBe(true);
      },
    ),
    { numRuns: 5_000 },
  );
});
