import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { readEvents, type StreamEvent } from './event-lines.ts';
import { atPointer } from './json-pointer.ts';
import { retryAfterMs } from './http-status.ts';

async function read(chunks: readonly Uint8Array[], format: 'sse' | 'lines') {
  const found: StreamEvent[] = [];
  for await (const event of readEvents(
    (async function* () {
      yield* chunks;
    })(),
    format,
  )) {
    found.push(event);
  }
  return found;
}
/** Bytes in pieces that end anywhere, inside characters and between CR and LF, too. */
function pieces(text: string, sizes: readonly number[]): Uint8Array[] {
  const bytes = Buffer.from(text);
  const found: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? bytes.length;
    found.push(bytes.subarray(at, at + size));
    at += size;
  }
  return found;
}
const sizes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 8 });
const line = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => !/[\r\n]/.test(text));
const ending = fc.constantFrom('\n', '\r\n', '\r');

test('server-sent events are the same however their bytes are cut', async () => {
  const event = fc.record({
    name: fc.constantFrom('message', 'step'),
    data: fc.array(line, { minLength: 1, maxLength: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 5 }), sizes, ending, async (given, cut, end) => {
      const text = given
        .flatMap(({ name, data }) => [
          ': note',
          `event: ${name}`,
          ...data.map((each) => `data: ${each}`),
          '',
        ])
        .map((each) => each + end)
        .join('');
      expect(await read(pieces(text, cut), 'sse')).toEqual(
        given.map(({ name, data }) => ({ event: name, data: data.join('\n') })),
      );
    }),
  );
});

test('so are lines, and a last one without its end counts', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(line), sizes, ending, async (given, cut, end) => {
      const found = await read(pieces(given.join(end), cut), 'lines');
      expect(found.map(({ data }) => data)).toEqual(given.filter((each) => each.trim() !== ''));
    }),
  );
});

test('a pointer finds what RFC 6901 says', () => {
  // The examples of its section 5.
  const document = { foo: ['bar', 'baz'], '': 0, 'a/b': 1, 'm~n': 8, ' ': 7 };
  const found = ['', '/foo', '/foo/0', '/', '/a~1b', '/m~0n', '/ '].map((pointer) =>
    atPointer(document, pointer),
  );
  expect(found).toEqual([document, ['bar', 'baz'], 'bar', 0, 1, 8, 7]);
  for (const pointer of ['/foo/00', '/foo/-', '/foo/2', '/foo/length', '/toString', '/foo/0/0']) {
    expect(atPointer(document, pointer)).toBeUndefined();
  }
});

test('a time to come back is one between a second and a day', () => {
  const nowMs = Date.parse('2026-01-01T00:00:00Z');
  expect(retryAfterMs('120', nowMs)).toBe(120_000);
  expect(retryAfterMs(' 0 ', nowMs)).toBe(1_000);
  expect(retryAfterMs('Thu, 01 Jan 2026 00:01:00 GMT', nowMs)).toBe(60_000);
  expect(retryAfterMs('Thu, 01 Jan 1970 00:00:00 GMT', nowMs)).toBe(1_000);
  for (const text of [null, '', 'soon', '-5', '1.5', '2027']) {
    expect(retryAfterMs(text, nowMs)).toBe(text === '2027' ? 2_027_000 : undefined);
  }
});
