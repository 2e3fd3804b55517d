import type { Clock } from './clock.ts';
import { toAppError, type AppError } from './errors.ts';

export interface RetryPolicy {
  /** How many tries in all, the first one included. At least 1. */
  readonly attempts: number;
  /** Upper bound of the first pause, milliseconds. */
  readonly baseMs: number;
  /** No pause is longer, milliseconds. */
  readonly maxMs: number;
}

export const defaultRetry: RetryPolicy = { attempts: 3, baseMs: 1_000, maxMs: 30_000 };

/**
 * The pause before try number `attempt + 1` after `attempt` (≥ 1) failed: half of
 * `base × 2^(attempt−1)`, capped, plus up to the same again by `random` in [0, 1). Half is kept so
 * that a crowd spreads out and nobody retries at once.
 */
export function backoffMs(policy: RetryPolicy, attempt: number, random: number): number {
  // Past 2^40 every ceiling is `maxMs`, and nought times infinity would be no number.
  const ceiling = Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(attempt - 1, 40));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}

export interface RetryOptions {
  readonly policy?: RetryPolicy;
  readonly clock: Clock;
  readonly random?: () => number;
  readonly signal?: AbortSignal;
  /** Called before each pause. */
  readonly onRetry?: (error: AppError, attempt: number, pauseMs: number) => void;
}

/**
 * Runs `work` until it succeeds, fails for good (`retryable` is false) or the tries are used up.
 * When the signal aborts, no further try begins and its reason is thrown.
 */
export async function retry<T>(
  work: (attempt: number) => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  const policy = options.policy ?? defaultRetry;
  const random = options.random ?? Math.random;
  for (let attempt = 1; ; attempt += 1) {
    options.signal?.throwIfAborted();
    try {
      return await work(attempt);
    } catch (thrown) {
      const error = toAppError(thrown);
      if (!error.retryable || attempt >= policy.attempts) throw error;
      const pauseMs = backoffMs(policy, attempt, random());
      options.onRetry?.(error, attempt, pauseMs);
      await options.clock.sleep(pauseMs, options.signal);
    }
  }
}
