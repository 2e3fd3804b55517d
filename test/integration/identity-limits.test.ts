import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { array, assert, asyncProperty, constantFrom, integer, record } from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/base.ts';
import { migrate, sql, type Database } from '../../src/database/database.ts';
import type { LimitPolicy, LimitVerdict } from '../../src/identity/limit-window.ts';
import { createMemoryLimiter } from '../../src/identity/limits-memory.ts';
import { createRedisLimiter } from '../../src/identity/limits-redis.ts';
import { createSqlLimiter } from '../../src/identity/limits-sql.ts';
import { deleteIdleLimits } from '../../src/identity/limit-queries.ts';
import { limitsFor, type RateLimiter } from '../../src/identity/limits.ts';
import { createRedis, type Redis } from '../../src/identity/redis.ts';
import { silentLog, testDatabase, unavailable, until } from '../support/databases.ts';
import { redisUnavailable, startRedis, type TestRedis } from '../support/redis.ts';

const plain: LimitPolicy = {
  name: 'plain',
  limit: 10,
  windowMs: 60_000,
  blockMs: 0,
  onStoreDown: 'refuse',
};
const blocking: LimitPolicy = { ...plain, name: 'blocking', blockMs: 45_000 };
/** Blocks for longer than a key would live for its windows alone. */
const strict: LimitPolicy = { ...plain, name: 'strict', limit: 3, blockMs: 300_000 };
const odd: LimitPolicy = { ...plain, name: 'odd', limit: 7, windowMs: 12_345, blockMs: 1_000 };
const policies = [plain, blocking, strict, odd];

interface Store {
  readonly limiter: (nowMs?: () => number) => RateLimiter;
  /** Where a second process can take from it. */
  readonly url: string;
  readonly database?: Database;
  close(): Promise<void>;
}

const stores = ['embedded', 'server', 'redis'] as const;
const missing = (name: (typeof stores)[number]): string | undefined =>
  name === 'redis' ? redisUnavailable : unavailable(name);

async function openStore(name: (typeof stores)[number]): Promise<Store> {
  if (name === 'redis') {
    const server = await startRedis();
    const redis = await readyRedis(server.url);
    return {
      limiter: (nowMs) => createRedisLimiter({ redis, ...(nowMs === undefined ? {} : { nowMs }) }),
      url: server.url,
      async close() {
        redis.close();
        await server.remove();
      },
    };
  }
  const place = await testDatabase(name);
  const database = await place.open({ poolSize: 8 });
  const folder = join(import.meta.dirname, '../../migrations');
  await migrate(database, { folder, log: silentLog, clock: systemClock });
  return {
    limiter: (nowMs) => createSqlLimiter({ database, ...(nowMs === undefined ? {} : { nowMs }) }),
    url: place.url,
    database,
    async close() {
      await database.close();
      await place.drop();
    },
  };
}

async function readyRedis(url: string): Promise<Redis> {
  const redis = createRedis({ url, log: silentLog, clock: systemClock });
  await until(() => redis.state.state === 'ready');
  return redis;
}

async function passed(takes: readonly Promise<LimitVerdict>[]): Promise<number> {
  return (await Promise.all(takes)).filter(({ allowed }) => allowed).length;
}

const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);

for (const name of stores) {
  describe.skipIf(missing(name))(`limits in ${name}`, () => {
    let store: Store;
    beforeAll(async () => {
      store = await openStore(name);
    });
    afterAll(async () => {
      await store.close();
    });

    test('give the same verdicts as those in memory, whatever is asked', async () => {
      const time = { ms: 1_700_000_000_000 };
      const nowMs = () => time.ms;
      const memory = createMemoryLimiter({ clock: systemClock, nowMs });
      const limiter = store.limiter(nowMs);
      const step = record({
        ms: integer({ min: -2_000, max: 70_000 }),
        id: constantFrom('a', 'b', 'x'.repeat(300), 'ünïcode {}:*'),
        policy: constantFrom(...policies),
        cost: constantFrom(1, 1, 1, 2, 3),
        again: integer({ min: 1, max: 6 }),
      });
      let round = 0;
      await assert(
        asyncProperty(array(step, { maxLength: 25 }), async (steps) => {
          round += 1;
          for (const { ms, id, policy, cost, again } of steps) {
            time.ms += ms;
            for (let take = 0; take < again; take += 1) {
              const { blockBegan: _, ...expected } = memory.takeNow(policy, `${round}${id}`, cost);
              const verdict = await limiter.take(policy, `${round}${id}`, cost);
              expect(verdict).toStrictEqual(expected);
            }
          }
        }),
        { numRuns: 60 },
      );
    });

    test('let exactly ten of 500 parallel takes through', async () => {
      const limiter = store.limiter();
      expect(await passed(times(500, () => limiter.take(plain, 'race')))).toBe(10);
      expect(await passed(times(500, () => limiter.take(blocking, 'race')))).toBe(10);
    });

    test('let exactly ten through one after the other within a second', async () => {
      const limiter = store.limiter();
      let count = 0;
      for (let take = 0; take < 30; take += 1) {
        if ((await limiter.take(plain, 'seconds')).allowed) count += 1;
      }
      expect(count).toBe(10);
    });

    test('count a request once, and two ids apart', async () => {
      const limiter = store.limiter();
      for (const id of ['agent-1', 'agent-2', 'agent 1', 'agent:1']) {
        expect(await limiter.take(plain, id)).toMatchObject({ allowed: true, remaining: 9 });
      }
    });

    test('tell the time by themselves', async () => {
      const limiter = store.limiter();
      const quick: LimitPolicy = { ...plain, name: 'quick', limit: 2, windowMs: 1_000 };
      expect(await passed(times(5, () => limiter.take(quick, 'a')))).toBe(2);
      const { retryAfterMs, resetMs } = await limiter.take(quick, 'a');
      expect(retryAfterMs).toBeGreaterThan(0);
      expect(resetMs).toBeLessThanOrEqual(1_000);
      await systemClock.sleep(2_001);
      expect(await passed(times(5, () => limiter.take(quick, 'a')))).toBe(2);
    });

    test('begin anew when a bucket is cleared, a blocked one as well', async () => {
      const limiter = store.limiter();
      expect(await passed(times(4, () => limiter.take(strict, 'cleared')))).toBe(3);
      await limiter.clear(strict, 'cleared');
      expect(await passed(times(4, () => limiter.take(strict, 'cleared')))).toBe(3);
    });

    test('refuse a cost above the limit before anything is counted', async () => {
      const limiter = store.limiter();
      await expect(limiter.take(plain, 'cost', 11)).rejects.toThrow(RangeError);
      expect(await limiter.take(plain, 'cost', 10)).toMatchObject({ allowed: true, remaining: 0 });
    });

    // The embedded database belongs to one process.
    test.skipIf(name === 'embedded')('hold across two processes', async () => {
      const one = await otherProcess(name, store.url, 'processes');
      const two = await otherProcess(name, store.url, 'processes');
      const [here, there] = await Promise.all([one.takes(), two.takes()]);
      const together = here.passed + there.passed;
      expect(together).toBeLessThanOrEqual(10);
      expect(together + here.unknown + there.unknown).toBeGreaterThanOrEqual(10);
    });
  });
}

/** A process that waits to take 250 times from `plain`. */
async function otherProcess(store: string, url: string, id: string) {
  const script = join(import.meta.dirname, '../support/take-limits.ts');
  const args = [script, store, url, JSON.stringify(plain), id, '250'];
  const child = spawn(process.execPath, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: 60_000,
  });
  const exit = once(child, 'exit');
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  await until(() => output.startsWith('ready\n') || child.exitCode !== null);
  return {
    async takes(): Promise<{ passed: number; unknown: number }> {
      child.stdin.write('go\n');
      await exit;
      const [through, unknown] = (output.split('\n')[1] ?? '').split(' ').map(Number);
      if (through === undefined || unknown === undefined) throw new Error(`it said: ${output}`);
      return { passed: through, unknown };
    },
  };
}

for (const name of ['embedded', 'server'] as const) {
  describe.skipIf(missing(name))(`idle buckets in ${name}`, () => {
    let store: Store;
    beforeAll(async () => {
      store = await openStore(name);
    });
    afterAll(async () => {
      await store.close();
    });

    test('are deleted when they count for nothing, and no others', async () => {
      const database = store.database as Database;
      const now = Date.now();
      const at = (ms: number) => createSqlLimiter({ database, nowMs: () => now + ms });
      await at(-180_000).take(plain, 'idle');
      await at(-90_000).take(plain, 'previous counts');
      await at(0).take(plain, 'fresh');
      await at(-180_000).take(odd, 'of another policy');
      for (let take = 0; take < 4; take += 1) await at(-180_000).take(strict, 'blocked');
      const limiter = createSqlLimiter({ database });
      expect(await limiter.deleteIdle(plain)).toBe(1);
      expect(await limiter.deleteIdle(strict)).toBe(0);
      const rows = await database.query(
        sql<{ identifier: string }>`select identifier from rate_limit_events order by identifier`,
      );
      expect(rows).toHaveLength(4);
      await at(-172_801_000).take(plain, 'two-days-ago');
      expect(await database.query(deleteIdleLimits(100))).toStrictEqual([
        { limit_type: 'plain', identifier: 'two-days-ago' },
      ]);
      expect(rows).not.toContainEqual({ identifier: 'idle' });
    });
  });
}

describe.skipIf(redisUnavailable)('limits in Redis that goes down', () => {
  let store: Store;
  let server: TestRedis;
  let redis: Redis;
  const reads: LimitPolicy = { ...plain, name: 'reads', onStoreDown: 'fallback' };

  beforeAll(async () => {
    store = await openStore('embedded');
    server = await startRedis();
    redis = await readyRedis(server.url);
  });
  afterAll(async () => {
    redis.close();
    await server.remove();
    await store.close();
  });

  test('refuse what must not go unchecked, and count reads in PostgreSQL, exactly', async () => {
    const limits = limitsFor({ redis, database: store.database as Database });
    expect(limits.store).toBe('redis');
    expect(await passed(times(20, () => limits.take(plain, 'down')))).toBe(10);
    await server.kill();
    await until(() => redis.state.state === 'down');
    expect(limits.store).toBe('postgresql');
    await expect(limits.take(plain, 'never asked before')).rejects.toMatchObject({
      code: 'unavailable',
      status: 503,
      message: expect.stringContaining('the limit plain can not be checked') as string,
    });
    await expect(limits.clear(plain, 'down')).rejects.toMatchObject({ code: 'unavailable' });
    expect(await passed(times(500, () => limits.take(reads, 'down')))).toBe(10);
    await server.start();
    await until(() => redis.state.state === 'ready');
    expect(await passed(times(20, () => limits.take(plain, 'again')))).toBe(10);
  });

  test('never let one more through when it stops answering in the middle', async () => {
    const limits = limitsFor({ redis, database: store.database as Database });
    const before = await passed(times(4, () => limits.take(plain, 'paused')));
    server.pause();
    const during = await Promise.allSettled(times(20, () => limits.take(plain, 'paused')));
    server.resume();
    expect(during.filter(({ status }) => status === 'fulfilled')).toStrictEqual([]);
    await until(() => redis.state.state === 'ready');
    const after = await passed(times(20, () => limits.take(plain, 'paused')));
    expect(before).toBe(4);
    // What was sent to the paused server may have been counted there, but nothing passed for it.
    expect(after).toBeLessThanOrEqual(6);
  });

  test('survive that the server forgets its scripts', async () => {
    const limits = limitsFor({ redis, database: store.database as Database });
    await redis.command('SCRIPT', 'FLUSH');
    expect(await passed(times(500, () => limits.take(plain, 'flushed')))).toBe(10);
  });

  test('leave keys that end by themselves, and hold no id as it was typed when it is odd', async () => {
    const limits = limitsFor({ redis, database: store.database as Database });
    await limits.take(plain, 'plain-id');
    await limits.take(plain, 'a:b {c}\r\n');
    const keys = (await redis.command('KEYS', 'rate_limit:*')) as string[];
    expect(keys).toContain('rate_limit:plain:plain-id');
    expect(keys.filter((key) => !/^rate_limit:[a-z]+:[#a-zA-Z0-9-]+$/.test(key))).toStrictEqual([]);
    for (const key of keys) {
      const ttl = await redis.command('PTTL', key);
      expect(ttl).toBeGreaterThan(0);
    }
    for (let take = 0; take < 4; take += 1) await limits.take(strict, 'blocked');
    const blockedMs = await redis.command('PTTL', 'rate_limit:strict:blocked');
    expect(blockedMs).toBeGreaterThan(2 * strict.windowMs);
  });
});

test('without Redis the limits are those of PostgreSQL', async () => {
  const store = await openStore('embedded');
  try {
    const redis = createRedis({ url: '', log: silentLog, clock: systemClock });
    const limits = limitsFor({ redis, database: store.database as Database });
    expect(limits.store).toBe('postgresql');
    expect(await passed(times(20, () => limits.take(plain, 'a')))).toBe(10);
  } finally {
    await store.close();
  }
});
