/**
 * What processes share through Redis so that each need not ask PostgreSQL by itself. A cache and
 * never a truth: values are sealed, so that whoever can write to Redis can make none, and one that
 * was read before a change can not be put back after it.
 */
import { randomBytes } from 'node:crypto';
import type { Clock, Log } from '../base/base.ts';
import { redisScript, type Redis } from './redis.ts';
import type { Sealer } from './seal.ts';

/** As in Redis: `session:{id}`, `user_perms:{uid}`. */
export type CachePrefix = 'session:' | 'user_perms:';
export type CacheKey = `${CachePrefix}${string}`;

/** A value, and how long it may be taken for true. */
export interface Cached<Value> {
  readonly value: Value;
  readonly forMs: number;
}

export interface CacheStats {
  readonly hits: number;
  readonly misses: number;
  /** Values that were there and were not ours. */
  readonly invalid: number;
  /** Questions that Redis did not answer; PostgreSQL did. */
  readonly errors: number;
}

export interface SharedCache {
  /** From Redis, or as `load` reads it, which is then kept for the others for as long as it may be taken for true. */
  through<Value>(
    key: CacheKey,
    load: () => Promise<Cached<Value> | undefined>,
  ): Promise<Cached<Value> | undefined>;
  /** Deletes in the background; until that is done this process does not read the key. */
  forget(key: CacheKey): void;
  /** The same for every key that begins so. */
  forgetEvery(prefix: CachePrefix): void;
  /** Leaves word of a revocation for processes that NOTIFY does not reach. */
  revoke(jti: string, forMs: number): void;
  /** Whether such word was left; false where Redis does not answer, since it is a hint and no more. */
  isRevoked(jti: string): Promise<boolean>;
  readonly stats: CacheStats;
}

/** A reading that takes longer is not kept. */
const leaseMs = 10_000;
/** No value lives longer, whatever it may be taken for true. */
const longestMs = 900_000;
/** More deletions that Redis did not carry out are not remembered; then nothing is read until every value is over. */
const mostOwed = 10_000;

/** The value with the time it has left, or nothing and, for the first who asks, a lease to fill the place. */
const getScript = redisScript(`
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, 1) ~= '?' then return {held, redis.call('PTTL', KEYS[1])} end
redis.call('SET', KEYS[1], '?' .. ARGV[1], 'PX', ARGV[2], 'NX')
return false`);

/** Fills the place for whoever still holds the lease: a deletion has taken it away, or its time. */
const setScript = redisScript(`
if redis.call('GET', KEYS[1]) ~= '?' .. ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`);

export function createSharedCache(parts: {
  readonly redis: Redis;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly log: Log;
}): SharedCache {
  const { redis, sealer, clock, log } = parts;
  const counts = { hits: 0, misses: 0, invalid: 0, errors: 0 };
  /** Deletions that Redis has not confirmed, each with the number of its latest order. */
  const owed = new Map<CacheKey, number>();
  let orders = 0;
  let blindUntilMs = 0;

  const failed = (error: unknown): undefined => {
    counts.errors += 1;
    // A Redis that is down says so once, by its connection; here it would be a line a request.
    log.debug({ err: error }, 'the shared cache was not asked');
    return undefined;
  };

  async function pay(): Promise<void> {
    const ordered = [...owed];
    const keys = ordered.map(([key]) => key).filter((key) => !key.endsWith(':'));
    try {
      if (keys.length > 0) await redis.command('DEL', ...keys);
      for (const [key] of ordered) if (key.endsWith(':')) await deleteEvery(key);
      for (const [key, order] of ordered) if (owed.get(key) === order) owed.delete(key);
    } catch (error) {
      failed(error);
    }
  }

  /** Keys that are there all the time are all found (SCAN), and what comes later was read after the change. */
  async function deleteEvery(prefix: string): Promise<void> {
    let cursor = '0';
    do {
      const [next, keys] = (await redis.command(
        'SCAN',
        cursor,
        'MATCH',
        `${prefix}*`,
        'COUNT',
        '500',
      )) as [string, string[]];
      if (keys.length > 0) await redis.command('DEL', ...keys);
      cursor = next;
    } while (cursor !== '0');
  }

  function owe(key: CacheKey): void {
    if (redis.state.state === 'absent') return;
    if (owed.size >= mostOwed) {
      blindUntilMs = clock.monotonicMs() + longestMs;
      return;
    }
    owed.set(key, (orders += 1));
    void pay();
  }
  redis.onReady(() => void pay());

  async function read<Value>(key: CacheKey, lease: string): Promise<Cached<Value> | undefined> {
    const answer = await redis.run(getScript, [key], [lease, String(leaseMs)]);
    if (!Array.isArray(answer)) return undefined;
    const [sealed, forMs] = answer as [string, number];
    try {
      const plain = sealer.open(Buffer.from(sealed, 'base64'), context(key));
      return { value: JSON.parse(Buffer.from(plain).toString()) as Value, forMs };
    } catch {
      counts.invalid += 1;
      return undefined;
    }
  }

  /** Fills the place, or leaves it to the next who asks when there is nothing to fill it with. */
  async function keep<Value>(
    key: CacheKey,
    lease: string,
    found: Cached<Value> | undefined,
  ): Promise<void> {
    const forMs = Math.floor(Math.min(found?.forMs ?? 0, longestMs));
    if (found === undefined || forMs < 1 || owed.has(key)) {
      await redis.run(setScript, [key], [lease, '?', '1']);
      return;
    }
    const sealed = sealer.seal(Buffer.from(JSON.stringify(found.value)), context(key));
    const text = Buffer.from(sealed).toString('base64');
    await redis.run(setScript, [key], [lease, text, String(forMs)]);
  }

  return {
    async through<Value>(key: CacheKey, load: () => Promise<Cached<Value> | undefined>) {
      const isReadable = redis.state.state === 'ready' && owed.size === 0;
      if (!isReadable || clock.monotonicMs() < blindUntilMs) return load();
      const lease = randomBytes(12).toString('base64url');
      const shared = await read<Value>(key, lease).catch(failed);
      // It may have been deleted while it was on its way.
      if (shared !== undefined && !owed.has(key)) {
        counts.hits += 1;
        return shared;
      }
      counts.misses += 1;
      const found = await load();
      keep(key, lease, found).catch(failed);
      return found;
    },

    forget: owe,
    forgetEvery: owe,

    revoke(jti, forMs) {
      if (redis.state.state === 'absent' || forMs < 1) return;
      redis.command('SET', `blacklist:${jti}`, '1', 'PX', String(Math.ceil(forMs))).catch(failed);
    },

    async isRevoked(jti) {
      if (redis.state.state !== 'ready') return false;
      const word = await redis.command('GET', `blacklist:${jti}`).catch(failed);
      return word === '1';
    },

    get stats() {
      return counts;
    },
  };
}

/** The version is part of it: a process of another one can not misread a value. */
function context(key: CacheKey): string {
  return `shared cache 1 ${key}`;
}
