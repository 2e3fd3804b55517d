import { AppError, type Clock } from '../base/base.ts';

/** How often one address may ask. */
export interface RateLimit {
  readonly requests: number;
  readonly windowSeconds: number;
}

/** 200 a second on average: far above the console and a fleet on one machine, below what starves the process. */
export const defaultRateLimit: RateLimit = { requests: 12_000, windowSeconds: 60 };

/** More addresses than this in one window push the oldest out, so that a scan can not fill the memory. */
const mostAddresses = 10_000;

export interface RateState {
  readonly remaining: number;
  readonly resetSeconds: number;
}

/**
 * Counts requests by remote address in fixed windows, in this process. The header fields follow
 * draft-ietf-httpapi-ratelimit-headers-10.
 */
export function createRateLimiter(limit: RateLimit, clock: Clock) {
  const windows = new Map<string, { startMs: number; count: number }>();
  const windowMs = limit.windowSeconds * 1_000;

  return {
    policy: `"address";q=${limit.requests};w=${limit.windowSeconds}`,

    /** Counts one request; throws `limit_exceeded` with `retryAfterSeconds` when the address has used its share. */
    count(address: string): RateState {
      const now = clock.monotonicMs();
      let window = windows.get(address);
      if (window === undefined || now - window.startMs >= windowMs) {
        window = { startMs: now, count: 0 };
        // Deleting first moves the address to the end: the map stays in the order of window starts.
        windows.delete(address);
        windows.set(address, window);
        const oldest = windows.keys().next();
        if (windows.size > mostAddresses && oldest.value !== undefined) {
          windows.delete(oldest.value);
        }
      }
      window.count += 1;
      const resetSeconds = Math.max(1, Math.ceil((window.startMs + windowMs - now) / 1_000));
      if (window.count > limit.requests) {
        throw new AppError('limit_exceeded', `more than ${limit.requests} requests a window`, {
          details: { limit: limit.requests, windowSeconds: limit.windowSeconds, resetSeconds },
          remedy: `Wait ${resetSeconds} s.`,
        });
      }
      return { remaining: limit.requests - window.count, resetSeconds };
    },
  };
}
