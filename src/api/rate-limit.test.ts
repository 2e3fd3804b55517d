import { expect, test } from 'vitest';
import { systemClock } from '../base/base.ts';
import { createRateLimiter } from './rate-limit.ts';

function limiterAt(limit = { requests: 2, windowSeconds: 10 }) {
  const time = { nowMs: 0 };
  const clock = { ...systemClock, monotonicMs: () => time.nowMs };
  return { limiter: createRateLimiter(limit, clock), time };
}

test('an address that used its share is told when to come back', () => {
  const { limiter, time } = limiterAt();
  expect(limiter.count('10.0.0.1')).toEqual({ remaining: 1, resetSeconds: 10 });
  time.nowMs = 4_000;
  expect(limiter.count('10.0.0.1')).toEqual({ remaining: 0, resetSeconds: 6 });
  expect(() => limiter.count('10.0.0.1')).toThrow(
    expect.objectContaining({ code: 'limit_exceeded', remedy: 'Wait 6 s.' }),
  );
  expect(limiter.count('10.0.0.2').remaining).toBe(1);
  time.nowMs = 10_000;
  expect(limiter.count('10.0.0.1').remaining).toBe(1);
});

test('a crowd of addresses pushes out only the oldest', () => {
  const { limiter } = limiterAt();
  limiter.count('first');
  limiter.count('second');
  for (let index = 0; index < 9_999; index += 1) limiter.count(`address ${index}`);
  expect(limiter.count('second').remaining).toBe(0);
  expect(limiter.count('first').remaining).toBe(1);
});
