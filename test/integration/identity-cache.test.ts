import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/base.ts';
import { createRedis, type Redis } from '../../src/identity/redis.ts';
import { createSealer } from '../../src/identity/seal.ts';
import {
  createSharedCache,
  type Cached,
  type SharedCache,
} from '../../src/identity/shared-cache.ts';
import { silentLog, until } from '../support/databases.ts';
import { redisUnavailable, startRedis, type TestRedis } from '../support/redis.ts';

const key = 'user_perms:u1';
const clock = systemClock;

const found = (value: string, forMs = 60_000): (() => Promise<Cached<string>>) => {
  return async () => ({ value, forMs });
};
const nothing = async (): Promise<undefined> => undefined;

describe.skipIf(redisUnavailable !== undefined)('what processes share through Redis', () => {
  const masterKey = randomBytes(32);
  let server: TestRedis;
  let raw: Redis;
  const opened: Redis[] = [];

  /** A cache as another process would have it. */
  function cacheWith(secret = masterKey): SharedCache {
    const redis = createRedis({ url: server.url, log: silentLog, clock });
    opened.push(redis);
    return createSharedCache({ redis, sealer: createSealer(secret), clock, log: silentLog });
  }
  const ready = () => until(() => opened.every(({ state }) => state.state === 'ready'));
  const stored = async () => (await raw.command('GET', key)) as string | null;

  beforeEach(async () => {
    server = await startRedis();
    raw = createRedis({ url: server.url, log: silentLog, clock });
    opened.push(raw);
    await ready();
  });
  afterEach(async () => {
    for (const each of opened.splice(0)) each.close();
    await server.remove();
  });

  test('one process reads the database and the others need not', async () => {
    const [one, other] = [cacheWith(), cacheWith()];
    await ready();
    expect(await one.through(key, found('rights'))).toEqual({ value: 'rights', forMs: 60_000 });
    await until(async () => (await other.through(key, nothing))?.value === 'rights');
    expect((await other.through(key, found('not asked')))?.value).toBe('rights');
    expect(other.stats).toMatchObject({ hits: 2, errors: 0 });
  });

  test('a value is over when it was said to be, and never lives beyond fifteen minutes', async () => {
    const cache = cacheWith();
    await ready();
    await cache.through(key, found('short', 300));
    await until(async () => (await cache.through(key, nothing)) === undefined);
    await until(async () => {
      await cache.through(key, found('for ever', Infinity));
      return Number(await raw.command('PTTL', key)) > 10_000;
    });
    expect(Number(await raw.command('PTTL', key))).toBeLessThanOrEqual(900_000);
  });

  test('what was read before a change can not be put back after it', async () => {
    const [reader, changer] = [cacheWith(), cacheWith()];
    await ready();
    const value = await reader.through(key, async () => {
      // Another process changes the rights while this one still has the old ones in hand.
      changer.forget(key);
      await until(async () => (await stored()) === null);
      return { value: 'stale', forMs: 60_000 };
    });
    expect(value?.value).toBe('stale');
    expect((await reader.through(key, found('fresh')))?.value).toBe('fresh');
    await until(async () => (await changer.through(key, nothing))?.value === 'fresh');
  });

  test('a change of roles deletes every principal’s rights, and no session', async () => {
    const cache = cacheWith();
    await ready();
    await cache.through('session:s1', found('a session'));
    for (let user = 0; user < 1_200; user += 1)
      await cache.through(`user_perms:${user}`, found('x'));
    await until(async () => (await cache.through('session:s1', nothing))?.value === 'a session');
    cache.forgetEvery('user_perms:');
    await until(async () => Number(await raw.command('DBSIZE')) === 1);
    expect((await cache.through('session:s1', nothing))?.value).toBe('a session');
  });

  test('whoever can write to Redis can make no rights', async () => {
    const cache = cacheWith();
    await ready();
    await cache.through(key, found('rights'));
    await until(async () => (await cache.through(key, nothing)) !== undefined);
    const sealed = (await stored()) ?? '';
    expect(Buffer.from(sealed, 'base64').toString('latin1')).not.toContain('rights');
    // Another one's rights, a flipped bit, plain text, and a value sealed with another key.
    await raw.command('SET', 'user_perms:u2', sealed, 'PX', '60000');
    expect((await cache.through('user_perms:u2', found('own')))?.value).toBe('own');
    for (const forged of [`B${sealed.slice(1)}`, 'admin', '', '{"value":"rights"}']) {
      await raw.command('SET', key, forged, 'PX', '60000');
      expect((await cache.through(key, found('own')))?.value).toBe('own');
    }
    const stranger = cacheWith(randomBytes(32));
    await ready();
    await raw.command('DEL', key);
    await stranger.through(key, found('theirs'));
    expect((await cache.through(key, found('own')))?.value).toBe('own');
    expect(cache.stats.invalid).toBeGreaterThanOrEqual(5);
  });

  test('without Redis the database is asked, and what changed meanwhile is not there afterwards', async () => {
    const cache = cacheWith();
    await ready();
    await cache.through(key, found('old'));
    await until(async () => (await cache.through(key, nothing))?.value === 'old');
    server.pause();
    expect((await cache.through(key, found('from the database')))?.value).toBe('from the database');
    cache.forget(key);
    server.resume();
    await ready();
    await until(async () => (await stored()) === null);
    expect((await cache.through(key, found('new')))?.value).toBe('new');
  });

  test('word of a revocation reaches a process that heard nothing of it', async () => {
    const [one, other] = [cacheWith(), cacheWith()];
    await ready();
    expect(await other.isRevoked('jti-1')).toBe(false);
    one.revoke('jti-1', 500);
    await until(() => other.isRevoked('jti-1'));
    await until(async () => !(await other.isRevoked('jti-1')));
  });
});
