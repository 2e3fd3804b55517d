import * as fc from 'fast-check';
import { Type } from 'typebox';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { parseCheckedYaml } from './base.ts';

const schema = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    retries: Type.Optional(Type.Integer({ minimum: 0 })),
    mode: Type.Optional(Type.Union([Type.Literal('sequential'), Type.Literal('parallel')])),
    tasks: Type.Optional(
      Type.Array(
        Type.Object({ id: Type.String(), agent: Type.String() }, { additionalProperties: false }),
      ),
    ),
  },
  { additionalProperties: false },
);

test('a right document comes back as it was written', () => {
  const documents = fc.record(
    {
      name: fc.string({ minLength: 1 }),
      retries: fc.nat(),
      mode: fc.constantFrom('sequential' as const, 'parallel' as const),
      tasks: fc.array(
        fc.record({ id: fc.string(), agent: fc.string() }, { noNullPrototype: true }),
      ),
    },
    { requiredKeys: ['name'], noNullPrototype: true },
  );
  fc.assert(
    fc.property(documents, (document) => {
      const { value, complaints } = parseCheckedYaml(stringify(document), schema);
      expect(complaints).toEqual([]);
      expect(value).toEqual(document);
    }),
  );
});

test('every fault is told with its line, column and what would be right', () => {
  const text = 'name: ""\nretrys: 1\nmode: paralel\ntasks:\n  - id: a\n    agnt: b\n';
  const { value, complaints } = parseCheckedYaml(text, schema, { lineOffset: 10 });
  expect(value).toBeUndefined();
  expect(complaints).toEqual([
    { line: 11, column: 1, message: 'name must not have fewer than 1 characters' },
    { line: 12, column: 1, message: 'unknown field retrys', suggestion: 'did you mean retries?' },
    { line: 13, column: 1, message: 'mode must be one of sequential, parallel' },
    { line: 15, column: 5, message: 'tasks.0 lacks agent' },
    {
      line: 16,
      column: 5,
      message: 'unknown field tasks.0.agnt',
      suggestion: 'did you mean agent?',
    },
  ]);
});

test.each([
  ['name: [1', 1],
  ['name: a\nname: b', 2],
  ['name: a\n\tretries: 1', 2],
])('%j is told as broken on line %i', (text, line) => {
  expect(parseCheckedYaml(text, schema).complaints[0]).toMatchObject({ line });
});

test('a document of aliases that would unfold without end is refused', () => {
  const levels = Array.from({ length: 12 }, (_, i) => {
    const items = Array.from({ length: 9 }, () => (i === 0 ? 'x' : `*a${i - 1}`));
    return `a${i}: &a${i} [${items.join(', ')}]`;
  });
  const { value, complaints } = parseCheckedYaml(levels.join('\n'), schema);
  expect(value).toBeUndefined();
  expect(complaints).toHaveLength(1);
});

test('no text makes it throw', () => {
  const pieces = fc.constantFrom(
    'name',
    ': ',
    '\n',
    '- ',
    '{',
    '}',
    '&a',
    '*a',
    '!x ',
    '"',
    '|',
    ' ',
  );
  const texts = fc.array(pieces, { maxLength: 30 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(texts, fc.string()), (text) => {
      const { value, complaints } = parseCheckedYaml(text, schema);
      expect(value === undefined).toBe(complaints.length > 0);
      expect(complaints.every(({ line, column }) => line >= 1 && column >= 1)).toBe(true);
    }),
  );
});
