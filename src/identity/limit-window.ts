/**
 * The sliding window that all stores keep: the requests of the present window, those of the window
 * right before it, and the end of a block. Times are whole milliseconds of the store's own clock.
 */
import { createHash } from 'node:crypto';

export interface LimitPolicy {
  /** Names the bucket beside the id: lower-case letters, digits, `_`, `-` and `.`, at most 64. */
  readonly name: string;
  /** Cost that a window lets through. */
  readonly limit: number;
  readonly windowMs: number;
  /** How long a refusal blocks everything; 0: not at all. */
  readonly blockMs: number;
  /**
   * When the store that should count does not answer: `refuse` throws `unavailable` (writes,
   * logins), `fallback` counts in PostgreSQL (reads).
   */
  readonly onStoreDown: 'refuse' | 'fallback';
}

export interface LimitVerdict {
  readonly allowed: boolean;
  /** Cost that would still pass now. */
  readonly remaining: number;
  /** Until the window has room for the same cost again and no block is left; 0 when allowed. */
  readonly retryAfterMs: number;
  /** Until the present window ends. */
  readonly resetMs: number;
}

/** What a store keeps of one bucket. */
export interface LimitWindow {
  startMs: number;
  count: number;
  previous: number;
  /** The latest refusal plus its block; 0 after an allowed take. Blocks only while it lies ahead. */
  blockedUntilMs: number;
}

/**
 * Throws a RangeError for a policy or cost that no store could keep: limit times window must be an
 * exact double, and a cost above the limit would never pass.
 */
export function checkTake(policy: LimitPolicy, cost: number): void {
  const { name, limit, windowMs, blockMs } = policy;
  if (!/^[a-z][a-z0-9_.-]{0,63}$/.test(name)) throw new RangeError(`${name}: no name of a limit`);
  if (!isCount(limit, 2 ** 31 - 1)) throw new RangeError(`${name}: a limit of ${limit}`);
  if (!isCount(windowMs, dayMs)) throw new RangeError(`${name}: a window of ${windowMs} ms`);
  if (limit * windowMs > Number.MAX_SAFE_INTEGER) {
    throw new RangeError(`${name}: a limit of ${limit} in ${windowMs} ms is too large to count`);
  }
  if (blockMs !== 0 && !isCount(blockMs, 30 * dayMs)) {
    throw new RangeError(`${name}: a block of ${blockMs} ms`);
  }
  if (!isCount(cost, limit)) throw new RangeError(`${name}: a cost of ${cost} of ${limit}`);
}

/** The longest window; what the clean-up of idle buckets relies on. */
const dayMs = 86_400_000;

const isCount = (value: number, most: number): boolean =>
  Number.isSafeInteger(value) && value >= 1 && value <= most;

/**
 * Takes `cost` from the window at `nowMs` and says whether it was allowed; changes the window either
 * way. A clock that went back counts as standing still.
 */
export function takeFrom(
  window: LimitWindow,
  { limit, windowMs, blockMs }: LimitPolicy,
  nowMs: number,
  cost: number,
): boolean {
  const age = nowMs - window.startMs;
  if (age >= 2 * windowMs) {
    window.startMs = nowMs;
    window.previous = 0;
    window.count = 0;
  } else if (age >= windowMs) {
    window.startMs += windowMs;
    window.previous = window.count;
    window.count = 0;
  }
  if (nowMs < window.blockedUntilMs) return false;
  if (estimate(window, windowMs, nowMs) + cost > limit) {
    window.blockedUntilMs = nowMs + blockMs;
    return false;
  }
  window.count += cost;
  window.blockedUntilMs = 0;
  return true;
}

/**
 * previous × (1 − elapsed ÷ window), rounded up, plus count: rounded down, a limit of 10 would let an
 * eleventh through in the last tenth of a window.
 */
function estimate(window: LimitWindow, windowMs: number, nowMs: number): number {
  // Exact, since the product is: a quotient of such integers never rounds onto another integer.
  const left = windowMs - elapsedMs(window, windowMs, nowMs);
  return Math.ceil((window.previous * left) / windowMs) + window.count;
}

function elapsedMs(window: LimitWindow, windowMs: number, nowMs: number): number {
  return Math.min(windowMs, Math.max(0, nowMs - window.startMs));
}

/** The verdict on a take, from the window as the take left it. */
export function verdictOf(
  window: LimitWindow,
  policy: LimitPolicy,
  nowMs: number,
  cost: number,
  allowed: boolean,
): LimitVerdict {
  const blockMs = Math.max(0, window.blockedUntilMs - nowMs);
  const free = policy.limit - estimate(window, policy.windowMs, nowMs);
  return {
    allowed,
    remaining: blockMs > 0 ? 0 : Math.max(0, free),
    retryAfterMs: allowed ? 0 : Math.max(1, blockMs, roomAfterMs(window, policy, nowMs, cost)),
    resetMs: policy.windowMs - elapsedMs(window, policy.windowMs, nowMs),
  };
}

/** When `cost` fits, if nothing else is taken meanwhile: in this window, or in the next. */
function roomAfterMs(
  window: LimitWindow,
  { limit, windowMs }: LimitPolicy,
  nowMs: number,
  cost: number,
): number {
  const elapsed = elapsedMs(window, windowMs, nowMs);
  const room = limit - cost - window.count;
  if (room >= 0) return fitsAt(window.previous, room, windowMs) - elapsed;
  return windowMs - elapsed + fitsAt(window.count, limit - cost, windowMs);
}

/** How much of a window must have passed until what the one before left weighs at most `room`. */
function fitsAt(previous: number, room: number, windowMs: number): number {
  if (previous <= room) return 0;
  return windowMs - Math.floor((room * windowMs) / previous);
}

/**
 * The id as it is stored: itself, or its SHA-256 when it is long or holds anything that a key should
 * not. `#` marks a hash and is itself not a plain character, so no id can pass for another's hash.
 */
export function bucketId(id: string): string {
  if (/^[A-Za-z0-9._:@-]{1,128}$/.test(id)) return id;
  return `#${createHash('sha256').update(id).digest('hex')}`;
}
