import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { AppError } from '../base/base.ts';
import { parseStrictJson } from './strict-json.ts';

const parse = (text: string | Uint8Array): unknown => parseStrictJson(Buffer.from(text), 'it');

/** Its value, or that it is refused. */
function outcome(read: () => unknown): { value: unknown } | 'refused' {
  try {
    return { value: read() };
  } catch (error) {
    if (error instanceof AppError) expect(error.code).toBe('token_invalid');
    return 'refused';
  }
}

test('what JSON.stringify writes is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 10 }), fc.nat(3), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent);
      expect(parse(text)).toEqual(JSON.parse(text));
    }),
  );
});

test('any text of pieces of JSON is read as JSON.parse reads it, or refused', () => {
  const pieces =
    '{ } [ ] , : "a" "b" "\\u0061" "\\"" "{" "a:" 1 -2.5e3 true null 0 1e9 " \\ é'.split(' ');
  let read = 0;
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...pieces, ' ', '\n'), { maxLength: 12 }).map((all) => all.join('')),
      (text) => {
        const ours = outcome(() => parse(text));
        if (ours === 'refused') return;
        read += 1;
        expect(ours).toEqual(outcome(() => JSON.parse(text)));
      },
    ),
    { numRuns: 3_000 },
  );
  expect(read).toBeGreaterThan(10);
});

test('of two members exactly those with one name are refused, however the names are spelled', () => {
  const name = fc.string({
    unit: fc.constantFrom('a', 'b', '"', '\\', ':', '{', 'é'),
    maxLength: 2,
  });
  fc.assert(
    fc.property(name, name, fc.boolean(), fc.nat(4), (one, other, escaped, depth) => {
      const pair = `{${spell(one, escaped)}: {"x": "${'a:'}"}, ${spell(other, false)} :1}`;
      const text = '[{"k":'.repeat(depth) + pair + '}]'.repeat(depth);
      expect(outcome(() => parse(text)) === 'refused').toBe(one === other);
    }),
  );
});

test('one name in two objects is not repeated', () => {
  const text = '{"a":{"a":[{"a":1},{"a":2}]},"b":{"a":3}}';
  expect(parse(text)).toEqual(JSON.parse(text));
});

test.each([
  ['a byte order mark', Buffer.from('\ufeff{}')],
  ['bytes that are no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
  ['UTF-8 of more bytes than needed', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
  ['half a surrogate pair in UTF-8', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
  ['UTF-16', Buffer.from('{}', 'utf16le')],
  ['nothing', Buffer.alloc(0)],
  ['a number out of range', '{"exp":1e400}'],
  ['a number out of range below', '[-1e400]'],
  ['two values', '{}{}'],
  ['a comment', '{}//'],
  ['17 levels', '['.repeat(17) + ']'.repeat(17)],
])('%s is refused', (_what, bytes) => {
  expect(outcome(() => parse(bytes))).toBe('refused');
});

test('sixteen levels are read', () => {
  expect(parse('['.repeat(16) + ']'.repeat(16))).toBeInstanceOf(Array);
});

test('no bytes throw anything but token_invalid, and no message shows them', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        parseStrictJson(bytes, 'it');
      } catch (error) {
        expect(error).toMatchObject({
          code: 'token_invalid',
          message: expect.stringMatching(/^it [\w -]+$/),
        });
      }
    }),
  );
});

function spell(name: string, escaped: boolean): string {
  if (!escaped) return JSON.stringify(name);
  const units = [...name].map((char) => char.charCodeAt(0).toString(16).padStart(4, '0'));
  return `"${units.map((unit) => `\\u${unit}`).join('')}"`;
}
