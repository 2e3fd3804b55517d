import { array, assert, asyncProperty, integer } from 'fast-check';
import { expect, test } from 'vitest';
import { createOfflineEmbedder } from './offline.ts';
import { assertEmbedding } from './vectors.ts';

const embedder = await createOfflineEmbedder();

const embed = async (text: string): Promise<Float32Array> => {
  const [vector] = await embedder.embed([text]);
  if (vector === undefined) throw new Error('no vector');
  return vector;
};

/** Of 256 numbers in one look; comparing them one by one took seconds. */
const same = (a: Float32Array, b: Float32Array): boolean =>
  Buffer.from(a.buffer).equals(Buffer.from(b.buffer));

const likeness = async (a: string, b: string): Promise<number> => {
  const [one, other] = await Promise.all([embed(a), embed(b)]);
  return one.reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0);
};

/** Any code units, lone surrogates among them. */
const anyText = array(integer({ min: 0, max: 0xffff }), { maxLength: 60 }).map((units) =>
  String.fromCharCode(...units),
);

test('every text has a vector of length 1, the same one each time', async () => {
  await assert(
    asyncProperty(anyText, async (text) => {
      const vector = await embed(text);
      assertEmbedding(vector, 'it');
      expect(same(await embed(text), vector)).toBe(true);
    }),
  );
});

test('odd texts have one too: empty, long, of signs, of other scripts, with NUL and lone surrogates', async () => {
  const odd = [
    '',
    ' \n\t',
    '\0',
    '\ud800',
    'a\udc00b',
    '🦀',
    '👩‍👩‍👧‍👦',
    '!!! ---',
    '修复构建',
    'исправь сборку',
    'إصلاح البناء',
    'แก้ไข',
    'x'.repeat(100_000),
    'fix the build '.repeat(7_000),
  ];
  for (const text of odd) assertEmbedding(await embed(text), JSON.stringify(text.slice(0, 20)));
  expect(await likeness('🦀', '👩‍👩‍👧‍👦')).toBeLessThan(0.5);
  expect(await likeness('修复构建错误', '请修复构建')).toBeGreaterThan(0.3);
});

test('shared words count, and so do words that only look alike', async () => {
  const asked = 'zorblax the frobnicator';
  expect(await likeness(asked, 'frobnicator zorblax')).toBeGreaterThan(0.6);
  expect(await likeness(asked, 'frobnicators')).toBeGreaterThan(
    await likeness(asked, 'quuxmeister'),
  );
});

test('the case, the ending of a word and the way a name is written do not matter much', async () => {
  expect(await likeness('Tests crashed', 'test crashes')).toBeGreaterThan(0.99);
  expect(await likeness('parseConfigFile', 'parse config file')).toBeGreaterThan(0.99);
});

test('what comes after the text that is kept of a task is not read', async () => {
  const kept = 'word '.repeat(800);
  expect(same(await embed(`${kept}entirely different things`), await embed(kept))).toBe(true);
});

test('a signal that has aborted is heeded', async () => {
  await expect(embedder.embed(['x'], AbortSignal.abort(new Error('stopped')))).rejects.toThrow(
    'stopped',
  );
});

test('texts that mean the same in other words are more alike than those that share the field', async () => {
  const asked = 'the server crashed';
  const meant = await likeness(asked, 'the process ended with a segmentation fault');
  expect(meant).toBeGreaterThan((await likeness(asked, 'write a guide for the server')) + 0.1);
});
