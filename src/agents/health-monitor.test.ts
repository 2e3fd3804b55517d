import { expect, onTestFinished, test } from 'vitest';
import type { Clock } from '../base/base.ts';
import { checkIntervalMs, checkTimeoutMs, openHealthMonitor } from './health-monitor.ts';
import type { CheckResult } from './runtime.ts';

/** A clock that the test moves: sleepers wake in the order of their time. */
function handClock(): Clock & { advance(ms: number): Promise<void> } {
  let nowMs = 0;
  let sleepers: { at: number; wake: () => void }[] = [];
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const sleeper = { at: nowMs + ms, wake: resolve };
        sleepers.push(sleeper);
        signal?.addEventListener('abort', () => {
          sleepers = sleepers.filter((other) => other !== sleeper);
          reject(new Error('aborted'));
        });
      }),
    after(ms, wake) {
      const sleeper = { at: nowMs + ms, wake };
      sleepers.push(sleeper);
      return () => {
        sleepers = sleepers.filter((other) => other !== sleeper);
      };
    },
    async advance(ms) {
      nowMs += ms;
      const due = sleepers.filter((sleeper) => sleeper.at <= nowMs);
      sleepers = sleepers.filter((sleeper) => sleeper.at > nowMs);
      for (const sleeper of due.toSorted((a, b) => a.at - b.at)) sleeper.wake();
      // What follows a sleep runs in microtasks; a macrotask comes after all of them.
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

function opened(check: (name: string, signal: AbortSignal) => Promise<CheckResult>) {
  const clock = handClock();
  const changes: string[] = [];
  const monitor = openHealthMonitor({
    clock,
    check,
    onChange: (name, before, now) => void changes.push(`${name} ${before.state} ${now.state}`),
  });
  onTestFinished(() => monitor.close());
  return { clock, changes, monitor, state: (name: string) => monitor.get(name)?.health.state };
}

test('agents are checked when they come and every 30 seconds', async () => {
  let ok = true;
  const { clock, changes, monitor, state } = opened(async () =>
    ok ? { ok } : { ok, state: 'failed', reason: 'broken' },
  );
  await monitor.reset(['a', 'b']);
  expect([state('a'), state('b')]).toEqual(['active', 'active']);
  ok = false;
  await clock.advance(checkIntervalMs - 1);
  expect(state('a')).toBe('active');
  await clock.advance(1);
  expect(state('a')).toBe('degraded');
  await clock.advance(checkIntervalMs);
  await clock.advance(checkIntervalMs);
  expect(state('b')).toBe('failed');
  expect(monitor.get('a')?.checkedAtMs).toBe(3 * checkIntervalMs);
  expect(changes.filter((change) => change.startsWith('a'))).toEqual([
    'a initializing active',
    'a active degraded',
    'a degraded failed',
  ]);
});

test('a check that takes more than 5 seconds is ended and has failed', async () => {
  const ended: boolean[] = [];
  const { clock, monitor } = opened(
    (_name, signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          ended.push(true);
          resolve({ ok: true });
        });
      }),
  );
  const reset = monitor.reset(['a']);
  await clock.advance(checkTimeoutMs);
  await reset;
  expect(ended).toEqual([true]);
  expect(monitor.get('a')?.health).toMatchObject({
    state: 'failed',
    reason: 'its check took longer than 5 s',
  });
});

test('an answer about what an agent was before is not counted', async () => {
  const answers: ((result: CheckResult) => void)[] = [];
  const { monitor, state } = opened(() => new Promise((resolve) => void answers.push(resolve)));
  const first = monitor.reset(['a']);
  const second = monitor.reset(['a']);
  answers[1]?.({ ok: true });
  await second;
  answers[0]?.({ ok: false, state: 'failed', reason: 'old' });
  await first;
  expect(state('a')).toBe('active');
  const third = monitor.check('a');
  monitor.forget(['a']);
  answers[2]?.({ ok: false, state: 'failed', reason: 'gone' });
  await third;
  expect(state('a')).toBeUndefined();
});
