import { AppError, type Clock } from '../base/base.ts';
import type { SecurityEvents } from './administration.ts';
import { createAddressGuard } from './address-guard.ts';
import type { RequestLimits } from './doors.ts';
import type { IdentitySettings } from './identity.ts';
import { createMemoryLimiter } from './limits-memory.ts';
import type { LimitPolicy, LimitVerdict, RateLimiter } from './limits.ts';
import type { Redis } from './redis.ts';

export interface RequestLimitOptions {
  /** Counts for all processes. */
  readonly shared: RateLimiter;
  readonly redis: Pick<Redis, 'state'>;
  readonly clock: Clock;
  readonly events: Pick<SecurityEvents, 'limited' | 'flood'>;
  readonly settings: Pick<IdentitySettings, 'requestsPerMinute' | 'usualRequests'>;
}

/**
 * Limits on the way of every request. Addresses are counted in this process, since a request that
 * had to ask another one first would be worth attacking with. Callers are counted in Redis where
 * there is one, so that several processes give one key one allowance, and here otherwise.
 */
export function createRequestLimits(options: RequestLimitOptions): RequestLimits {
  const { shared, redis, clock, events, settings } = options;
  const guard = createAddressGuard({ baseline: settings.usualRequests, clock });
  const memory = createMemoryLimiter({ clock });
  const addressPolicy: LimitPolicy = {
    name: 'requests',
    limit: settings.requestsPerMinute,
    windowMs: 60_000,
    blockMs: 0,
    onStoreDown: 'fallback',
  };

  return {
    addressPolicy,

    address(address) {
      const flood = guard.check(address);
      if (!flood.allowed) {
        if (flood.first) events.flood(address);
        throw tooMany('this address floods the server', flood.retryAfterMs, 'blocked');
      }
      const verdict = memory.takeNow(addressPolicy, address);
      if (!verdict.allowed) {
        if (verdict.blockBegan) {
          events.limited(addressPolicy.name, { address, userAgent: '' }, undefined);
        }
        throw tooMany(
          `more than ${addressPolicy.limit} requests a minute`,
          verdict.retryAfterMs,
          addressPolicy.name,
        );
      }
      return verdict;
    },

    caller(caller, origin) {
      const { limit } = caller;
      if (limit === undefined) return undefined;
      const judge = (verdict: LimitVerdict): undefined => {
        if (verdict.allowed) return undefined;
        events.limited(limit.policy.name, origin, caller);
        throw tooMany(
          `${caller.access.username} asks more than ${limit.policy.limit} times a minute`,
          verdict.retryAfterMs,
          limit.policy.name,
        );
      };
      if (redis.state.state === 'ready') return shared.take(limit.policy, limit.id).then(judge);
      return judge(memory.takeNow(limit.policy, limit.id));
    },
  };
}

function tooMany(message: string, forMs: number, limit: string): AppError {
  const retryAfterSeconds = Math.max(1, Math.ceil(forMs / 1_000));
  return new AppError('limit_exceeded', message, {
    details: { limit, retryAfterSeconds },
    remedy: `Wait ${retryAfterSeconds} s.`,
  });
}
