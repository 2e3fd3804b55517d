import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { failuresDown, initialHealth, observe, successesUp, type Health } from './health.ts';
import type { CheckResult } from './runtime.ts';

const good: CheckResult = { ok: true };
const missing: CheckResult = { ok: false, state: 'unavailable', reason: 'no git' };
const broken: CheckResult = { ok: false, state: 'failed', reason: 'exit 1' };
const after = (...results: CheckResult[]): Health => results.reduce(observe, initialHealth);
const states = (...results: CheckResult[]): string[] =>
  results.map((_, index) => after(...results.slice(0, index + 1)).state);

const down = (health: Health) => health.state === 'unavailable' || health.state === 'failed';

describe('the health of an agent', () => {
  test('is decided by the first check of a new one', () => {
    expect(states(good)).toEqual(['active']);
    expect(states(missing)).toEqual(['unavailable']);
    expect(states(broken)).toEqual(['failed']);
  });

  test('goes down with the third failure in a row, degraded before', () => {
    expect(states(good, broken, broken, broken)).toEqual([
      'active',
      'degraded',
      'degraded',
      'failed',
    ]);
    expect(states(good, missing, missing, missing).at(-1)).toBe('unavailable');
  });

  test('comes up with the second good check in a row', () => {
    expect(states(missing, good, good)).toEqual(['unavailable', 'unavailable', 'active']);
    expect(states(missing, good, missing, good, good).slice(1)).toEqual([
      'unavailable',
      'unavailable',
      'unavailable',
      'active',
    ]);
    expect(states(good, broken, good, good)).toEqual(['active', 'degraded', 'degraded', 'active']);
  });

  test('counts failures anew after a good check', () => {
    expect(states(good, broken, broken, good, broken, broken).at(-1)).toBe('degraded');
  });

  test('tells the newest reason and what is wrong now', () => {
    expect(after(missing, broken)).toMatchObject({ state: 'failed', reason: 'exit 1' });
    expect(after(missing, good)).toMatchObject({ state: 'unavailable', reason: 'no git' });
  });
});

describe('whatever checks come', () => {
  const result = fc.constantFrom(good, missing, broken);
  const some = fc.array(result, { maxLength: 40 });

  test('three failures in a row take any agent down, two good checks bring any up', () => {
    fc.assert(
      fc.property(some, fc.array(fc.constantFrom(missing, broken), { minLength: 3 }), (a, bad) => {
        const last = bad.at(-1);
        expect(after(...a, ...bad)).toMatchObject({ state: last?.ok === false ? last.state : '' });
      }),
    );
    fc.assert(
      fc.property(some, (a) => {
        expect(after(...a, good, good).state).toBe('active');
      }),
    );
  });

  test('an agent that is up never goes down sooner, one that is down never comes up sooner', () => {
    fc.assert(
      fc.property(some, (results) => {
        let run = 0;
        results.reduce((before, next, index) => {
          const now = observe(before, next);
          run = index > 0 && results[index - 1]?.ok === next.ok ? run + 1 : 1;
          const wasUp = before.state === 'active' || before.state === 'degraded';
          expect(wasUp && down(now) && run < failuresDown).toBe(false);
          expect(down(before) && now.state === 'active' && run < successesUp).toBe(false);
          return now;
        }, initialHealth);
      }),
    );
  });

  test('there is a reason exactly when it is not active', () => {
    fc.assert(
      fc.property(fc.array(result, { minLength: 1, maxLength: 40 }), (results) => {
        const health = after(...results);
        expect(health.reason === undefined).toBe(health.state === 'active');
        expect(health.failures === 0 || health.successes === 0).toBe(true);
      }),
    );
  });
});
