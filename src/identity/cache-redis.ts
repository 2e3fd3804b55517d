import { AppError } from '../base/base.ts';
import { invalid, type CacheKey } from './cache-keys.ts';
import type { CacheStore } from './cache.ts';
import type { Redis } from './redis.ts';

/** More than so many deletions that are owed, and everything cached is forgotten instead. */
const mostOwed = 10_000;
const batch = 500;
/** What is forgotten then. A revocation is never: it can only be too much. */
const forgotten = ['session', 'user_sessions', 'token_valid', 'user_perms', 'role_perms'];

/**
 * Values in Redis. A deletion that Redis did not carry out is owed: until it is made up for, the
 * value counts as missing here, since a right that was taken away must not come back with Redis.
 */
export function createRedisStore(redis: Redis): CacheStore {
  const debts = createDebts(redis);
  redis.onReady(() => void debts.pay());

  return {
    store: 'redis',
    entries: undefined,
    evictions: 0,

    async get<T>(key: CacheKey<T>) {
      if (debts.has(key)) return undefined;
      const written = await redis.command('GET', key.text);
      // It may have been deleted meanwhile, in vain.
      if (written === null || debts.has(key)) return undefined;
      return (typeof written === 'string' ? key.decode(written) : undefined) ?? invalid;
    },

    async set(key, value, ttlMs) {
      if (debts.has(key)) throw new AppError('unavailable', `${key.kind}: a deletion is owed`);
      const mayArrive = redis.state.state === 'ready';
      try {
        await redis.command('SET', key.text, key.encode(value), 'PX', String(ttlMs));
        return true;
      } catch (error) {
        // Without an answer it may still be carried out, after what is set or deleted next.
        if (mayArrive) debts.add([key]);
        throw error;
      }
    },

    async delete(keys) {
      if (keys.length === 0) return;
      // Owed first, so that no reader takes the old value while the deletion is under way.
      debts.add(keys);
      try {
        await redis.command('DEL', ...keys.map(({ text }) => text));
      } catch (error) {
        // Another deletion of the same key may have paid for it before this one was sent.
        debts.add(keys);
        throw error;
      }
      debts.remove(keys);
      void debts.pay();
    },
  };
}

/** Deletions that Redis has not confirmed. A revocation is never owed one: it says yes or nothing. */
function createDebts(redis: Redis) {
  const owed = new Set<string>();
  /** How often there were too many; and how many of those times have been made up for. */
  let overflows = 0;
  let forgiven = 0;
  let paying = false;

  return {
    has: ({ kind, text }: CacheKey<unknown>): boolean =>
      kind !== 'blacklist' && (overflows > forgiven || owed.has(text)),

    add(keys: readonly CacheKey<unknown>[]): void {
      for (const { kind, text } of keys) if (kind !== 'blacklist') owed.add(text);
      if (owed.size <= mostOwed) return;
      overflows += 1;
      owed.clear();
    },

    remove(keys: readonly CacheKey<unknown>[]): void {
      for (const { text } of keys) owed.delete(text);
    },

    async pay(): Promise<void> {
      if (paying) return;
      paying = true;
      try {
        while (overflows > forgiven) {
          const before = overflows;
          await forgetAll(redis);
          forgiven = before;
        }
        while (owed.size > 0) {
          const texts = [...owed].slice(0, batch);
          await redis.command('DEL', ...texts);
          for (const text of texts) owed.delete(text);
        }
      } catch {
        // Down again: what is owed stays so until the next time that it is ready.
      } finally {
        paying = false;
      }
    },
  };
}

async function forgetAll(redis: Redis): Promise<void> {
  for (const kind of forgotten) {
    let cursor = '0';
    do {
      const reply = await redis.command('SCAN', cursor, 'MATCH', `${kind}:*`, 'COUNT', '1000');
      if (!Array.isArray(reply) || !Array.isArray(reply[1])) {
        throw new AppError('unavailable', 'Redis: the answer to a SCAN can not be read');
      }
      cursor = String(reply[0]);
      const texts = reply[1].map(String);
      if (texts.length > 0) await redis.command('DEL', ...texts);
    } while (cursor !== '0');
  }
}
