import { createHash } from 'node:crypto';
import { array, assert, integer, property, record } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../base/base.ts';
import type { LimitPolicy } from './limit-window.ts';
import { createMemoryLimiter } from './limits-memory.ts';

const policy: LimitPolicy = {
  name: 'login',
  limit: 10,
  windowMs: 60_000,
  blockMs: 0,
  onStoreDown: 'refuse',
};
const blocking: LimitPolicy = { ...policy, name: 'blocking', blockMs: 90_000 };

/** A limiter whose time the test sets. */
function held(mostIds?: number) {
  const time = { ms: 1_000_000 };
  const limiter = createMemoryLimiter({
    clock: systemClock,
    nowMs: () => time.ms,
    ...(mostIds === undefined ? {} : { mostIds }),
  });
  const passes = (times: number, id = 'a', which = policy): number =>
    Array.from({ length: times }, () => limiter.takeNow(which, id)).filter((v) => v.allowed).length;
  return { time, limiter, passes };
}

describe('a sliding window', () => {
  test('lets exactly the limit through, within one second as well', () => {
    const { passes } = held();
    expect(passes(500)).toBe(10);
  });

  test('counts a request once', () => {
    const { limiter } = held();
    expect(limiter.takeNow(policy, 'a').remaining).toBe(9);
    expect(limiter.takeNow(policy, 'a').remaining).toBe(8);
  });

  test('keeps ids and policies apart', () => {
    const { passes } = held();
    expect(passes(11, 'a')).toBe(10);
    expect(passes(11, 'b')).toBe(10);
    expect(passes(11, 'a', blocking)).toBe(10);
  });

  test('weighs the window before by what of it still lies in the last 60 s, rounded up', () => {
    const { time, passes } = held();
    expect(passes(10)).toBe(10);
    time.ms += 60_000;
    expect(passes(1)).toBe(0);
    time.ms += 5_999;
    // Ten times 0.9 and a bit: rounded up it is still ten.
    expect(passes(1)).toBe(0);
    time.ms += 1;
    expect(passes(5)).toBe(1);
    time.ms += 30_000;
    expect(passes(20)).toBe(5);
  });

  test('forgets what is two windows old, and begins anew with the next request', () => {
    const { time, limiter, passes } = held();
    expect(passes(10)).toBe(10);
    time.ms += 120_000;
    expect(limiter.takeNow(policy, 'a')).toMatchObject({ remaining: 9, resetMs: 60_000 });
  });

  test('does not count what it refuses', () => {
    const { time, passes } = held();
    expect(passes(500)).toBe(10);
    time.ms += 60_000 + 30_000;
    expect(passes(500)).toBe(5);
  });

  test('says when the same cost passes, to the millisecond', () => {
    const cost = integer({ min: 1, max: 10 });
    const step = record({ ms: integer({ min: 0, max: 90_000 }), cost });
    assert(
      property(array(step, { maxLength: 30 }), cost, (steps, last) => {
        const { time, limiter } = held();
        for (const { ms, cost: some } of steps) {
          time.ms += ms;
          limiter.takeNow(policy, 'a', some);
        }
        const refused = limiter.takeNow(policy, 'a', last);
        if (refused.allowed) return;
        time.ms += refused.retryAfterMs - 1;
        expect(limiter.takeNow(policy, 'a', last).allowed).toBe(false);
        time.ms += 1;
        expect(limiter.takeNow(policy, 'a', last).allowed).toBe(true);
      }),
    );
  });

  test('never lets more than the limit through from the first request to the end of its window', () => {
    const step = record({
      ms: integer({ min: 0, max: 4_000 }),
      cost: integer({ min: 1, max: 10 }),
    });
    assert(
      property(array(step, { maxLength: 100 }), (steps) => {
        const { time, limiter } = held();
        let spent = 0;
        const startMs = time.ms;
        for (const { ms, cost } of steps) {
          if (time.ms + ms >= startMs + 60_000) break;
          if (spent > 0) time.ms += ms;
          if (limiter.takeNow(policy, 'a', cost).allowed) spent += cost;
        }
        expect(spent).toBeLessThanOrEqual(10);
      }),
    );
  });

  test('is not opened by a clock that goes back', () => {
    const { time, passes } = held();
    expect(passes(10)).toBe(10);
    time.ms -= 500_000;
    expect(passes(10)).toBe(0);
  });
});

describe('a block', () => {
  test('refuses everything until it ends, and is not prolonged by asking', () => {
    const { time, limiter, passes } = held();
    expect(passes(10, 'a', blocking)).toBe(10);
    const first = limiter.takeNow(blocking, 'a');
    expect(first).toMatchObject({ allowed: false, remaining: 0, blockBegan: true });
    time.ms += 89_999;
    const later = limiter.takeNow(blocking, 'a');
    expect(later).toMatchObject({ allowed: false, remaining: 0, blockBegan: false });
    time.ms += 1;
    expect(limiter.takeNow(blocking, 'a').allowed).toBe(true);
  });

  test('ends when the bucket is cleared', async () => {
    const { limiter, passes } = held();
    expect(passes(11, 'a', blocking)).toBe(10);
    await limiter.clear(blocking, 'a');
    expect(passes(11, 'a', blocking)).toBe(10);
  });
});

describe('the memory of a limiter', () => {
  test('is bounded: the bucket that was longest not used gives way', () => {
    const { limiter, passes } = held(3);
    for (const id of ['a', 'b', 'c']) expect(passes(10, id)).toBe(10);
    expect(passes(1, 'a')).toBe(0);
    expect(passes(1, 'd')).toBe(1);
    expect(limiter.size).toBe(3);
    expect(passes(1, 'a')).toBe(0);
    expect(passes(1, 'c')).toBe(0);
    expect(passes(1, 'b')).toBe(1);
  });

  test('gives up nobody who is blocked for a flood of new ids', () => {
    const { limiter, passes } = held(10);
    expect(passes(11, 'attacker', blocking)).toBe(10);
    for (let id = 0; id < 1_000; id += 1) limiter.takeNow(blocking, `id-${id}`);
    expect(limiter.size).toBe(10);
    expect(passes(1, 'attacker', blocking)).toBe(0);
  });

  test('gives up a block only when there is nothing else, and one that has ended first', () => {
    const { time, limiter, passes } = held(2);
    expect(passes(11, 'a', blocking)).toBe(10);
    time.ms += 1_000;
    expect(passes(11, 'b', blocking)).toBe(10);
    time.ms += 89_500;
    limiter.takeNow(blocking, 'c');
    expect(limiter.size).toBe(2);
    expect(passes(1, 'b', blocking)).toBe(0);
  });

  test('an id can not pass for the hash of a long one', () => {
    const { limiter, passes } = held();
    const long = 'x'.repeat(200);
    expect(passes(10, long)).toBe(10);
    expect(passes(1, `${long}y`)).toBe(1);
    expect(passes(1, 'a b')).toBe(1);
    const hash = createHash('sha256').update(long).digest('hex');
    expect([passes(10, hash), passes(10, `#${hash}`)]).toStrictEqual([10, 10]);
    expect(limiter.size).toBe(5);
  });
});

test('a policy that can not be kept is refused', async () => {
  const { limiter } = held();
  const wrong: Partial<LimitPolicy>[] = [
    { limit: 0 },
    { limit: 1.5 },
    { limit: Number.NaN },
    { windowMs: 0 },
    { windowMs: 86_400_001 },
    { windowMs: 86_400_000, limit: 2_000_000_000 },
    { blockMs: -1 },
    { name: 'Not A Name' },
    { name: 'a:b' },
  ];
  for (const part of wrong) {
    expect(() => limiter.takeNow({ ...policy, ...part }, 'a')).toThrow(RangeError);
  }
  for (const cost of [0, -1, 11, 0.5, Number.NaN]) {
    await expect(limiter.take(policy, 'a', cost)).rejects.toThrow(RangeError);
  }
});
