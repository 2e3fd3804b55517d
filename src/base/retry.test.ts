import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { AppError, backoffMs, retry, toAppError, type Clock } from './base.ts';

/** A clock that notes how long it was asked to sleep, and does not. */
function noteClock(): Clock & { readonly pauses: number[] } {
  const pauses: number[] = [];
  return {
    pauses,
    nowMs: () => 0,
    monotonicMs: () => 0,
    after: () => () => undefined,
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      pauses.push(ms);
    },
  };
}

const policies = fc.record({
  attempts: fc.integer({ min: 1, max: 20 }),
  baseMs: fc.nat(60_000),
  maxMs: fc.nat(600_000),
});
const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test('a pause lies between half of its ceiling and its ceiling', () => {
  fc.assert(
    fc.property(
      policies,
      fc.integer({ min: 1, max: 5_000 }),
      fraction,
      (policy, attempt, random) => {
        const ceiling = Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(attempt - 1, 40));
        const pause = backoffMs(policy, attempt, random);
        expect(Number.isInteger(pause)).toBe(true);
        expect(pause).toBeGreaterThanOrEqual(Math.floor(ceiling / 2));
        expect(pause).toBeLessThanOrEqual(ceiling);
      },
    ),
  );
});

test('with the same luck a later pause is never shorter', () => {
  fc.assert(
    fc.property(
      policies,
      fc.integer({ min: 1, max: 2_000 }),
      fraction,
      (policy, attempt, random) => {
        expect(backoffMs(policy, attempt + 1, random)).toBeGreaterThanOrEqual(
          backoffMs(policy, attempt, random),
        );
      },
    ),
  );
});

test('work is tried until it succeeds or the tries are used up, with a pause between two', async () => {
  await fc.assert(
    fc.asyncProperty(policies, fc.nat(25), async (policy, failures) => {
      const clock = noteClock();
      const calls: number[] = [];
      const result = await retry(
        async (attempt) => {
          calls.push(attempt);
          if (attempt <= failures) throw new AppError('unavailable', 'not yet');
          return 'done';
        },
        { policy, clock, random: () => 0.5 },
      ).catch((error: unknown) => toAppError(error).code);
      const tries = Math.min(failures + 1, policy.attempts);
      expect(calls).toEqual(Array.from({ length: tries }, (_, index) => index + 1));
      expect(clock.pauses).toHaveLength(tries - 1);
      expect(result).toBe(failures < policy.attempts ? 'done' : 'unavailable');
    }),
  );
});

test('what will not succeed later is not tried again', async () => {
  const clock = noteClock();
  let calls = 0;
  const work = async (): Promise<never> => {
    calls += 1;
    throw new AppError('invalid_input', 'wrong');
  };
  await expect(retry(work, { clock })).rejects.toMatchObject({ code: 'invalid_input' });
  expect(calls).toBe(1);
});

test('no try begins after the signal, and its reason comes back', async () => {
  const controller = new AbortController();
  const reason = new AppError('cancelled', 'enough');
  let calls = 0;
  const work = async (): Promise<never> => {
    calls += 1;
    controller.abort(reason);
    throw new AppError('unavailable', 'not yet');
  };
  const options = { clock: noteClock(), signal: controller.signal };
  await expect(retry(work, options)).rejects.toBe(reason);
  await expect(retry(work, options)).rejects.toBe(reason);
  expect(calls).toBe(1);
});

test('each pause is told before it begins', async () => {
  const told: [string, number, number][] = [];
  const clock = noteClock();
  await retry(
    async (attempt) => {
      if (attempt < 3) throw new AppError('unavailable', `try ${attempt}`);
    },
    {
      clock,
      random: () => 0,
      onRetry: (error, attempt, pauseMs) => told.push([error.message, attempt, pauseMs]),
    },
  );
  expect(told).toEqual([
    ['try 1', 1, 500],
    ['try 2', 2, 1_000],
  ]);
  expect(clock.pauses).toEqual([500, 1_000]);
});
