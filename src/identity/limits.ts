/** Who may do how much in which time: one interface over memory, PostgreSQL and Redis. */
import type { LimitPolicy, LimitVerdict } from './limit-window.ts';

export type { LimitPolicy, LimitVerdict } from './limit-window.ts';

export interface RateLimiter {
  readonly store: 'memory' | 'postgresql' | 'redis';
  /**
   * Takes `cost` (1 by default) from the bucket of the policy and id. Allowed when the estimate of
   * the sliding window plus the cost is within the limit, and counted only then; a refusal begins
   * the policy's block. Throws when the store can not count: a limit never fails open.
   */
  take(policy: LimitPolicy, id: string, cost?: number): Promise<LimitVerdict>;
  /** Forgets what was counted, and the block. */
  clear(policy: LimitPolicy, id: string): Promise<void>;
}
