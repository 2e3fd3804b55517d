import {
  array,
  assert,
  boolean,
  constantFrom,
  integer,
  oneof,
  property,
  tuple,
  type Arbitrary,
} from 'fast-check';
import { expect, test } from 'vitest';
import { errorCodes, type ErrorCode, type ErrorRecord } from '../../src/base/base.ts';
import {
  breakerKey,
  breakerOutcome,
  isBreakerKey,
} from '../../src/coordination/breaker-outcome.ts';
import { actOn } from '../../src/coordination/breaker-requests.ts';
import {
  admitCall,
  closedBreaker,
  defaultBreakerLimits as limits,
  recordCall,
  renewPermits,
  type BreakerOutcome,
  type BreakerState,
} from '../../src/coordination/breaker-state.ts';

type Step =
  | { readonly act: 'admit' | 'renew' | BreakerOutcome; readonly callId: string }
  | { readonly act: 'wait'; readonly ms: number };

interface Trial {
  untilMs: number;
  ended: 'no' | 'success' | 'none';
}

/** A breaker by counting what happened, call by call, without the states' own data. */
class Model {
  nowMs = 1_000;
  name: BreakerState['name'] = 'closed';
  /** Since it last became closed. */
  readonly #failures = new Map<string, number>();
  #openUntilMs = 0;
  /** Calls let through since it became half-open. */
  #trials: (Trial & { readonly callId: string })[] = [];

  /** Calls that take one of the three places. */
  get inTrial(): number {
    return this.#trials.filter((trial) => trial.ended === 'success' || this.#isUnderWay(trial))
      .length;
  }

  /** Whether an admission is granted; true for every other step. */
  take(step: Step): boolean {
    if (step.act === 'wait') this.nowMs += step.ms;
    else if (step.act === 'admit') return this.#admit(step.callId);
    else if (step.act === 'renew') {
      const own = this.#underWay(step.callId);
      if (own !== undefined) own.untilMs = this.nowMs + limits.permitMs;
    } else this.#end(step.callId, step.act);
    return true;
  }

  #isUnderWay({ ended, untilMs }: Trial): boolean {
    return ended === 'no' && untilMs > this.nowMs;
  }

  #underWay(callId: string): Trial | undefined {
    return this.#trials.find((trial) => trial.callId === callId && this.#isUnderWay(trial));
  }

  #admit(callId: string): boolean {
    if (this.name === 'closed') return true;
    if (this.name === 'open') {
      if (this.nowMs < this.#openUntilMs) return false;
      this.name = 'half_open';
      this.#trials = [];
    }
    if (this.#underWay(callId) !== undefined) return true;
    if (this.inTrial >= limits.trials) return false;
    this.#trials.push({ callId, untilMs: this.nowMs + limits.permitMs, ended: 'no' });
    return true;
  }

  #end(callId: string, outcome: BreakerOutcome): void {
    if (this.name === 'open') return;
    if (this.name === 'closed') {
      if (outcome !== 'failure') return;
      this.#failures.set(callId, this.nowMs);
      const recent = [...this.#failures.values()].filter(
        (atMs) => atMs > this.nowMs - limits.windowMs,
      );
      if (recent.length >= limits.failures) this.#open();
      return;
    }
    const own = this.#underWay(callId);
    if (own === undefined) return;
    if (outcome === 'failure') {
      this.#open();
      return;
    }
    own.ended = outcome;
    if (this.#trials.filter(({ ended }) => ended === 'success').length < limits.trials) return;
    this.name = 'closed';
  }

  #open(): void {
    this.name = 'open';
    this.#openUntilMs = this.nowMs + limits.openMs;
    this.#failures.clear();
  }
}

const step: Arbitrary<Step> = oneof(
  tuple(
    constantFrom<Exclude<Step['act'], 'wait'>[]>(
      'admit',
      'admit',
      'renew',
      'success',
      'failure',
      'failure',
      'none',
    ),
    integer({ min: 1, max: 8 }),
  ).map(([act, number]): Step => ({ act, callId: `call-${number}` })),
  constantFrom(1, 1_000, 29_999, 30_000, 60_000, 299_999).map((ms): Step => ({ act: 'wait', ms })),
);

test('a breaker does as one would that counts all that ever happened', () => {
  const seen = new Set<string>();
  assert(
    property(array(step, { maxLength: 150, size: 'max' }), (steps) => {
      const model = new Model();
      let state: BreakerState = closedBreaker;
      for (const each of steps) {
        const isGranted = model.take(each);
        if (each.act === 'admit') {
          const asked = admitCall(state, each.callId, model.nowMs, limits);
          expect(asked.admitted).toBe(isGranted);
          if (!asked.admitted) expect(asked.untilMs).toBeGreaterThan(model.nowMs);
          state = asked.state;
        } else if (each.act === 'renew') {
          state = renewPermits(state, new Set([each.callId]), model.nowMs, limits);
        } else if (each.act !== 'wait') {
          state = recordCall(state, each.callId, each.act, model.nowMs, limits);
        }
        expect(state.name).toBe(model.name);
        seen.add(model.name);
        if (state.name === 'half_open') {
          expect(model.inTrial).toBeLessThanOrEqual(limits.trials);
          expect(state.permits.length).toBeLessThanOrEqual(limits.trials);
        }
        if (state.name === 'closed') expect(state.failures.length).toBeLessThan(limits.failures);
      }
    }),
    { numRuns: 400 },
  );
  expect([...seen].toSorted()).toEqual(['closed', 'half_open', 'open']);
});

test('a breaker opens at the fifth failure of 300 seconds and not before', () => {
  let state: BreakerState = closedBreaker;
  for (const [index, atMs] of [0, 299_999, 300_000, 300_001, 300_002].entries()) {
    state = recordCall(state, `call-${index}`, 'failure', atMs, limits);
  }
  expect(state.name).toBe('closed');
  expect(recordCall(state, 'call-9', 'failure', 300_003, limits)).toEqual({
    name: 'open',
    untilMs: 360_003,
  });
});

test('a failure that is told twice counts once', () => {
  let state: BreakerState = closedBreaker;
  for (let told = 0; told < 20; told += 1) {
    state = recordCall(state, 'the same', 'failure', told, limits);
  }
  expect(state).toEqual({ name: 'closed', failures: [{ callId: 'the same', atMs: 19 }] });
});

test('a call that one of its breakers refuses takes no place in the others', () => {
  const trying: BreakerState = { name: 'half_open', permits: [], successes: 0 };
  const open: BreakerState = { name: 'open', untilMs: 500 };
  const keys = ['agent:a', 'model:m', 'tool:t'];
  const scene = array(constantFrom(trying, open), { minLength: 3, maxLength: 3 });
  assert(
    property(scene, boolean(), (found, isAgain) => {
      const states = new Map(keys.map((key, index) => [key, found[index] ?? trying]));
      const before = new Map(states);
      const ask = { keys, callId: 'one', act: 'admit' } as const;
      const { admissions } = actOn(states, isAgain ? [ask, ask] : [ask], 100, limits);
      const isAdmitted = admissions.every(({ admitted }) => admitted);
      expect(isAdmitted).toBe(!found.includes(open));
      if (!isAdmitted) expect(states).toEqual(before);
      for (const state of states.values()) {
        if (isAdmitted) expect(state).toMatchObject({ permits: [{ callId: 'one' }] });
      }
    }),
  );
});

function failure(code: ErrorCode, more: Partial<ErrorRecord> = {}): ErrorRecord {
  const { retryable } = errorCodes[code];
  return { code, message: 'it went wrong', retryable, ...more };
}

test('a failure counts where the callee is at fault, and nowhere else', () => {
  const all = Object.keys(errorCodes) as ErrorCode[];
  expect(breakerOutcome(undefined)).toBe('success');
  expect(all.filter((code) => breakerOutcome(failure(code)) === 'success')).toEqual([]);
  expect(all.filter((code) => breakerOutcome(failure(code)) === 'failure').toSorted()).toEqual([
    'agent_crashed',
    'agent_failed',
    'agent_memory_exceeded',
    'agent_output_invalid',
    'agent_output_too_large',
    'agent_stalled',
    'timeout',
    'unavailable',
  ]);
  expect(breakerOutcome(failure('agent_failed', { retryable: false }))).toBe('none');
  for (const status of [429, '429']) {
    expect(breakerOutcome(failure('unavailable', { details: { status } }))).toBe('none');
  }
  expect(breakerOutcome(failure('unavailable', { details: { status: 503 } }))).toBe('failure');
});

test('a key names its kind, and no name that a log or a table could not show', () => {
  expect(breakerKey('tool', 'files/read:now')).toBe('tool:files/read:now');
  for (const name of ['', 'a\nb', 'x'.repeat(201), '\ud800']) {
    expect(() => breakerKey('agent', name)).toThrow(/can name no agent/);
  }
  expect(['agent:a', 'agent:', 'person:a', 'agent'].map(isBreakerKey)).toEqual([
    true,
    false,
    false,
    false,
  ]);
});
