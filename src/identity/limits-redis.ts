import { AppError } from '../base/base.ts';
import { bucketId, checkTake, verdictOf, type LimitPolicy } from './limit-window.ts';
import type { RateLimiter } from './limits.ts';
import { redisScript, type Redis } from './redis.ts';

/**
 * `takeFrom` on a hash of start, count, previous and blocked-until. Lua's numbers are doubles, and
 * `checkTake` keeps every product exact. The key lives until the bucket counts for nothing any more.
 */
const takeScript = redisScript(`
local window, limit, block, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = tonumber(ARGV[5])
if now == nil then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local held = redis.call('HMGET', KEYS[1], 's', 'c', 'p', 'b')
local start = tonumber(held[1]) or now
local count, previous, blocked = tonumber(held[2]) or 0, tonumber(held[3]) or 0, tonumber(held[4]) or 0
local age = now - start
if age >= 2 * window then
  start, previous, count = now, 0, 0
elseif age >= window then
  start, previous, count = start + window, count, 0
end
local allowed = 0
if now >= blocked then
  local left = window - math.max(0, now - start)
  if math.ceil(previous * left / window) + count + cost <= limit then
    allowed, count, blocked = 1, count + cost, 0
  else
    blocked = now + block
  end
end
local text = function(number) return string.format('%.0f', number) end
redis.call('HSET', KEYS[1], 's', text(start), 'c', text(count), 'p', text(previous), 'b', text(blocked))
redis.call('PEXPIRE', KEYS[1], text(math.max(start + 2 * window, blocked) - now))
return {allowed, start, count, previous, blocked, now}
`);

export interface RedisLimiterOptions {
  readonly redis: Redis;
  /** For tests: the time of a take, whole milliseconds; otherwise the server's own. */
  readonly nowMs?: () => number;
}

/** Limits in Redis: one key a bucket, one script a take. Throws `unavailable` while it is down. */
export function createRedisLimiter({
  redis,
  nowMs,
}: RedisLimiterOptions): RateLimiter & { readonly store: 'redis' } {
  return {
    store: 'redis',

    async take(policy, id, cost = 1) {
      checkTake(policy, cost);
      const { windowMs, limit, blockMs } = policy;
      const args = [windowMs, limit, blockMs, cost, nowMs?.() ?? ''].map(String);
      const reply = await redis.run(takeScript, [limitKey(policy, id)], args);
      const [allowed, startMs, count, previous, blockedUntilMs, now] = readNumbers(reply);
      const window = { startMs, count, previous, blockedUntilMs };
      return verdictOf(window, policy, now, cost, allowed === 1);
    },

    async clear(policy, id) {
      await redis.command('DEL', limitKey(policy, id));
    },
  };
}

function limitKey(policy: LimitPolicy, id: string): string {
  return `rate_limit:${policy.name}:${bucketId(id)}`;
}

type Six = readonly [number, number, number, number, number, number];

/** What is not the script's answer is no permission. */
function readNumbers(reply: unknown): Six {
  if (Array.isArray(reply) && reply.length === 6 && reply.every(Number.isSafeInteger)) {
    return reply as unknown as Six;
  }
  throw new AppError('unavailable', 'Redis: the answer to a take can not be read');
}
