import type { Database } from '../database/database.ts';
import { clearLimit, deleteIdleLimitsOf, takeLimit } from './limit-queries.ts';
import { bucketId, checkTake, verdictOf, type LimitPolicy } from './limit-window.ts';
import type { RateLimiter } from './limits.ts';

export interface SqlLimiter extends RateLimiter {
  readonly store: 'postgresql';
  /**
   * Deletes the buckets of a policy that count for nothing any more, 1,000 a statement, and returns
   * how many.
   */
  deleteIdle(policy: LimitPolicy): Promise<number>;
}

export interface SqlLimiterOptions {
  readonly database: Database;
  /** For tests: the time of a take, whole milliseconds; otherwise the database's own. */
  readonly nowMs?: () => number;
}

/** One row; a take that waits longer for it than this fails with `timeout`. */
const takeMs = 5_000;
const batch = 1_000;

/** Limits in PostgreSQL: one row a bucket, one statement a take, the same for every process. */
export function createSqlLimiter({ database, nowMs }: SqlLimiterOptions): SqlLimiter {
  return {
    store: 'postgresql',

    async take(policy, id, cost = 1) {
      checkTake(policy, cost);
      const now = nowMs?.() ?? null;
      const statement = takeLimit(policy, bucketId(id), cost, now);
      const [row] = await database.query(statement, { timeoutMs: takeMs });
      if (row === undefined) throw new Error(`the take from ${policy.name} returned no row`);
      const blocked = row.blocked_until_ms;
      const window = {
        startMs: Number(row.start_ms),
        count: row.count,
        previous: row.previous,
        blockedUntilMs: blocked === null ? 0 : Number(blocked),
      };
      return verdictOf(window, policy, Number(row.now_ms), cost, blocked === null);
    },

    async clear(policy, id) {
      await database.query(clearLimit(policy.name, bucketId(id)));
    },

    async deleteIdle(policy) {
      let deleted = 0;
      for (;;) {
        const rows = await database.query(deleteIdleLimitsOf(policy, batch));
        deleted += rows.length;
        if (rows.length < batch) return deleted;
      }
    },
  };
}
