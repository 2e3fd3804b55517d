/**
 * What identity keeps near at hand: sessions, verified tokens, permissions. A cache and never a
 * truth: whatever is not here is asked of PostgreSQL, and nothing that it can not do is an error to
 * the caller.
 */
import { errorRecord, type Clock, type Log } from '../base/base.ts';
import {
  invalid,
  type CacheKey,
  type CacheKind,
  type ExpiringKey,
  type FixedKey,
} from './cache-keys.ts';
import { createMemoryStore } from './cache-memory.ts';
import { createRedisStore } from './cache-redis.ts';
import type { Redis } from './redis.ts';

export {
  cacheKeys,
  type CachedRolePermissions,
  type CachedSession,
  type CachedToken,
  type CachedUserPermissions,
  type CacheKey,
  type CacheKind,
  type ExpiringKey,
  type FixedKey,
} from './cache-keys.ts';

export interface CacheEntry {
  readonly key: CacheKey<unknown>;
  readonly value: unknown;
  readonly expiresAtMs?: number;
}

export interface CacheStats {
  readonly store: 'memory' | 'redis';
  /** Values held; undefined where only the server knows. */
  readonly entries: number | undefined;
  readonly hits: number;
  readonly misses: number;
  /** Values that were there and not what they should be; they count as misses, too. */
  readonly invalid: number;
  /** Reads and writes that the store could not do. */
  readonly errors: number;
  /** Values that gave way to others before their time. */
  readonly evictions: number;
  /** Revocations that found no room. */
  readonly refused: number;
  readonly kinds: Readonly<Partial<Record<CacheKind, { hits: number; misses: number }>>>;
}

export interface Cache {
  /** The value, or undefined: not there, too old, not readable, or the store is down. */
  get<T>(key: CacheKey<T>): Promise<T | undefined>;
  /**
   * Keeps the value for the key's life, or until `expiresAtMs` if that is sooner; whether it did.
   */
  set<T>(key: ExpiringKey<T>, value: T, expiresAtMs: number): Promise<boolean>;
  set<T>(key: FixedKey<T>, value: T, expiresAtMs?: number): Promise<boolean>;
  /**
   * Forgets the value; whether the store did. Where it could not, this process takes the value for
   * missing until it could.
   */
  delete(...keys: readonly CacheKey<unknown>[]): Promise<boolean>;
  /** Sets many, a hundred at a time; how many were kept. */
  warm(entries: Iterable<CacheEntry>): Promise<number>;
  stats(): CacheStats;
}

/** What holds the values. It may throw `unavailable`. */
export interface CacheStore {
  readonly store: 'memory' | 'redis';
  readonly entries: number | undefined;
  readonly evictions: number;
  get<T>(key: CacheKey<T>): Promise<T | typeof invalid | undefined>;
  /** False when there is no room for what must not push anything out. */
  set<T>(key: CacheKey<T>, value: T, ttlMs: number): Promise<boolean>;
  delete(keys: readonly CacheKey<unknown>[]): Promise<void>;
}

export interface CacheOptions {
  readonly redis: Redis;
  readonly clock: Clock;
  readonly log: Log;
  /** Values in memory at most, 10,000 by default; the least recently used gives way. */
  readonly mostEntries?: number;
  /** Revocations in memory at most, 100,000 by default; none ever gives way. */
  readonly mostRevoked?: number;
}

const warmBatch = 100;

/** In Redis where one is configured, otherwise in this process. */
export function createCache(options: CacheOptions): Cache {
  const { redis, clock, log } = options;
  const store: CacheStore =
    redis.state.state === 'absent' ? createMemoryStore(options) : createRedisStore(redis);
  const total = { hits: 0, misses: 0, invalid: 0, errors: 0, refused: 0 };
  const kinds: Partial<Record<CacheKind, { hits: number; misses: number }>> = {};

  const failed = (error: unknown, what: string): void => {
    total.errors += 1;
    // A Redis that is down says so once, by its connection; here it would be a line a request.
    log.debug({ error: errorRecord(error) }, `The cache could not ${what}`);
  };

  const read = async <T>(key: CacheKey<T>): Promise<T | undefined> => {
    try {
      const value = await store.get(key);
      if (value !== invalid) return value;
      total.invalid += 1;
    } catch (error) {
      failed(error, 'read');
    }
    return undefined;
  };

  const set = async <T>(key: CacheKey<T>, value: T, expiresAtMs = Infinity): Promise<boolean> => {
    const ttlMs = Math.floor(Math.min(key.ttlMs ?? Infinity, expiresAtMs - clock.nowMs()));
    if (!Number.isFinite(ttlMs) || ttlMs < 1) return false;
    try {
      const stored = await store.set(key, value, ttlMs);
      if (!stored) total.refused += 1;
      return stored;
    } catch (error) {
      failed(error, 'write');
      return false;
    }
  };

  return {
    async get(key) {
      const value = await read(key);
      const kind = (kinds[key.kind] ??= { hits: 0, misses: 0 });
      const counter = value === undefined ? 'misses' : 'hits';
      kind[counter] += 1;
      total[counter] += 1;
      return value;
    },

    set,

    async delete(...keys) {
      try {
        await store.delete(keys);
        return true;
      } catch (error) {
        failed(error, 'forget');
        return false;
      }
    },

    async warm(entries) {
      let stored = 0;
      let batch: Promise<boolean>[] = [];
      const finish = async (): Promise<void> => {
        stored += (await Promise.all(batch)).filter(Boolean).length;
        batch = [];
      };
      for (const { key, value, expiresAtMs } of entries) {
        batch.push(set(key, value, expiresAtMs));
        if (batch.length === warmBatch) await finish();
      }
      await finish();
      return stored;
    },

    stats: () => ({
      store: store.store,
      entries: store.entries,
      evictions: store.evictions,
      ...total,
      kinds: structuredClone(kinds),
    }),
  };
}
