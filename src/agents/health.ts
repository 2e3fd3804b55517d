import type { CheckResult } from './runtime.ts';

/** Consecutive failed checks that take an agent down, and good ones that bring it up again. */
export const failuresDown = 3;
export const successesUp = 2;

/** The health of one agent as a value; `observe` gives the next one. */
export interface Health {
  readonly state: 'initializing' | 'active' | 'degraded' | 'unavailable' | 'failed';
  /** Why it is not active. */
  readonly reason?: string;
  /** Checks that failed, or went well, one after the other up to now. */
  readonly failures: number;
  readonly successes: number;
}

export const initialHealth: Health = { state: 'initializing', failures: 0, successes: 0 };

/**
 * The health after one more check. A single failure of an active agent makes it `degraded`, the
 * third in a row `unavailable` or `failed`; two good checks in a row make it active again. A new
 * agent has nothing to lose: its first check decides.
 */
export function observe(health: Health, result: CheckResult): Health {
  if (result.ok) {
    const successes = health.successes + 1;
    const up = health.state === 'initializing' || health.state === 'active';
    if (up || successes >= successesUp) return { state: 'active', failures: 0, successes };
    return { ...health, failures: 0, successes };
  }
  const failures = health.failures + 1;
  const wasUp = health.state === 'active' || health.state === 'degraded';
  const state = wasUp && failures < failuresDown ? 'degraded' : result.state;
  return { state, reason: result.reason, failures, successes: 0 };
}
