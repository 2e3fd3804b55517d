/** Who may do how much in which time: one interface over memory, PostgreSQL and Redis. */
import { AppError, toAppError } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import type { LimitPolicy, LimitVerdict } from './limit-window.ts';
import { createRedisLimiter } from './limits-redis.ts';
import { createSqlLimiter } from './limits-sql.ts';
import type { Redis } from './redis.ts';

export type { LimitPolicy, LimitVerdict } from './limit-window.ts';

export interface RateLimiter {
  /** Where the next take is counted. */
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

export interface LimitsOptions {
  readonly redis: Redis;
  readonly database: Database;
}

/**
 * Limits that all processes share: in Redis where one is configured, otherwise in PostgreSQL. While a
 * configured Redis does not answer, policies marked `refuse` throw `unavailable`, and those marked
 * `fallback` are counted in PostgreSQL, from nothing at first.
 */
export function limitsFor({ redis, database }: LimitsOptions): RateLimiter {
  const inDatabase = createSqlLimiter({ database });
  if (redis.state.state === 'absent') return inDatabase;
  const inRedis = createRedisLimiter({ redis });

  return {
    get store() {
      return redis.state.state === 'ready' ? 'redis' : 'postgresql';
    },

    async take(policy, id, cost) {
      try {
        return await inRedis.take(policy, id, cost);
      } catch (thrown) {
        const error = toAppError(thrown);
        if (error.code !== 'unavailable') throw thrown;
        if (policy.onStoreDown === 'fallback') return await inDatabase.take(policy, id, cost);
        throw unchecked(policy, error);
      }
    },

    async clear(policy, id) {
      // A bucket may have been begun there while Redis was down.
      if (policy.onStoreDown === 'fallback') await inDatabase.clear(policy, id);
      try {
        await inRedis.clear(policy, id);
      } catch (thrown) {
        throw unchecked(policy, toAppError(thrown));
      }
    },
  };
}

function unchecked(policy: LimitPolicy, cause: AppError): AppError {
  return new AppError(
    'unavailable',
    `the limit ${policy.name} can not be checked: ${cause.message}`,
    {
      details: { limit: policy.name },
      remedy: 'Try again when Redis answers, or unset CENTURIA_REDIS_URL and start again.',
      cause,
    },
  );
}
