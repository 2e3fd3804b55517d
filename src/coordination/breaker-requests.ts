/** What several calls ask of several breakers at once: all that a call needs, or nothing of it. */
import { AppError } from '../base/base.ts';
import {
  admitCall,
  recordCall,
  renewPermits,
  type BreakerLimits,
  type BreakerOutcome,
  type BreakerState,
} from './breaker-state.ts';

export interface BreakerRequest {
  readonly keys: readonly string[];
  readonly callId: string;
  readonly act: 'admit' | 'renew' | BreakerOutcome;
  /** Of a failure: its error's. */
  readonly code?: string;
}

export type Admission =
  | { readonly admitted: true }
  | {
      readonly admitted: false;
      readonly key: string;
      /** When it may be asked again. */
      readonly until: Date;
      readonly message: string;
    };

/**
 * Carries requests out one after another on the states by key, which it changes. A key without a
 * state is closed. `failures` holds the error's code of each key that failed.
 */
export function actOn(
  states: Map<string, BreakerState>,
  requests: readonly BreakerRequest[],
  nowMs: number,
  limits: BreakerLimits,
): { readonly admissions: Admission[]; readonly failures: Map<string, string | undefined> } {
  const failures = new Map<string, string | undefined>();
  const admissions = requests.map((request): Admission => {
    const { keys, callId, act, code } = request;
    if (act === 'admit') return admitIn(states, request, nowMs, limits);
    for (const key of keys) {
      const state = states.get(key);
      if (state === undefined) continue;
      if (act === 'failure') failures.set(key, code);
      const next =
        act === 'renew'
          ? renewPermits(state, new Set([callId]), nowMs, limits)
          : recordCall(state, callId, act, nowMs, limits);
      states.set(key, next);
    }
    return { admitted: true };
  });
  return { admissions, failures };
}

function admitIn(
  states: Map<string, BreakerState>,
  { keys, callId }: BreakerRequest,
  nowMs: number,
  limits: BreakerLimits,
): Admission {
  const taken: [string, BreakerState][] = [];
  for (const key of keys) {
    const state = states.get(key);
    if (state === undefined) continue;
    const { admitted, untilMs = nowMs, state: next } = admitCall(state, callId, nowMs, limits);
    if (!admitted) return refusal(key, state.name, untilMs);
    taken.push([key, next]);
  }
  for (const [key, next] of taken) states.set(key, next);
  return { admitted: true };
}

export function refusal(
  key: string,
  state: BreakerState['name'],
  untilMs: number,
): Extract<Admission, { admitted: false }> {
  const until = new Date(untilMs);
  const named = key.replace(':', ' ');
  const message =
    state === 'open'
      ? `${named} failed too often and is left alone until ${until.toISOString()}`
      : `${named} failed too often and is tried with a few calls first`;
  return { admitted: false, key, until, message };
}

/** The error of a call that was refused, where a person or a program has to hear of it. */
export function breakerError(refused: Extract<Admission, { admitted: false }>): AppError {
  const { key, until, message } = refused;
  return new AppError('breaker_open', message, {
    details: { breaker: key, until: until.toISOString() },
    remedy: `Wait, or close it once the cause is gone: centuria breaker reset ${key}`,
  });
}
