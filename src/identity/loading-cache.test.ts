import { expect, test } from 'vitest';
import { LoadingCache } from './loading-cache.ts';

interface Value {
  readonly text: string;
  isCurrent: boolean;
}

/** A reader whose answers are given by hand. */
function heldReader() {
  const waiting: ((text: string | undefined) => void)[] = [];
  const read = () =>
    new Promise<Value | undefined>((resolve) => {
      waiting.push((text) => resolve(text === undefined ? undefined : { text, isCurrent: true }));
    });
  const answer = async (text: string | undefined) => {
    while (waiting.length === 0) await new Promise(setImmediate);
    waiting.shift()?.(text);
  };
  return { read, answer, waiting };
}

test('those who ask at the same time share one reading', async () => {
  const { read, answer, waiting } = heldReader();
  const cache = new LoadingCache(10, read);
  const both = Promise.all([cache.get('a'), cache.get('a')]);
  await answer('first');
  const [one, other] = await both;
  expect(one).toBe(other);
  expect(waiting).toHaveLength(0);
  expect(await cache.get('a')).toBe(one);
});

test('a value that is forgotten is told so, and read again', async () => {
  const { read, answer } = heldReader();
  const cache = new LoadingCache(10, read);
  const asked = cache.get('a');
  await answer('old');
  const old = await asked;
  cache.forget('a');
  expect(old?.isCurrent).toBe(false);
  expect(cache.peek('a')).toBeUndefined();
  const again = cache.get('a');
  await answer('new');
  expect((await again)?.text).toBe('new');
});

test('what changed while it was read is read again before anybody gets it', async () => {
  const { read, answer, waiting } = heldReader();
  const cache = new LoadingCache(10, read);
  const asked = cache.get('a');
  while (waiting.length === 0) await new Promise(setImmediate);
  cache.forget('a');
  await answer('from before the change');
  await answer('from after the change');
  expect(await asked).toEqual({ text: 'from after the change', isCurrent: true });
});

test('who asks after a change does not get the reading that began before it', async () => {
  const { read, answer, waiting } = heldReader();
  const cache = new LoadingCache(10, read);
  const before = cache.get('a');
  while (waiting.length === 0) await new Promise(setImmediate);
  cache.readAgain();
  const after = cache.get('a');
  await answer('stale');
  await answer('fresh');
  await answer('fresh');
  expect((await after)?.text).toBe('fresh');
  expect((await before)?.text).toBe('fresh');
});

test('what is not there is not kept', async () => {
  const { read, answer } = heldReader();
  const cache = new LoadingCache(10, read);
  const asked = cache.get('a');
  await answer(undefined);
  expect(await asked).toBeUndefined();
  expect(cache.size).toBe(0);
});

test('the oldest gives way, and whoever holds it knows', async () => {
  const cache = new LoadingCache<Value>(2, async (key) => ({ text: key, isCurrent: true }));
  const first = await cache.get('a');
  await cache.get('b');
  await cache.get('c');
  expect(cache.size).toBe(2);
  expect(cache.peek('a')).toBeUndefined();
  expect(first?.isCurrent).toBe(false);
});

test('a reading that fails is forgotten with its failure', async () => {
  let fails = true;
  const cache = new LoadingCache<Value>(2, async (key) => {
    if (fails) throw new Error('no answer');
    return { text: key, isCurrent: true };
  });
  await expect(cache.get('a')).rejects.toThrow('no answer');
  fails = false;
  expect((await cache.get('a'))?.text).toBe('a');
});
