import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/base.ts';
import { cacheKeys, createCache, type Cache } from '../../src/identity/cache.ts';
import { createRedis, type Redis } from '../../src/identity/redis.ts';
import { silentLog, until } from '../support/databases.ts';
import { cuttingProxy, redisUnavailable, startRedis, type TestRedis } from '../support/redis.ts';

const clock = systemClock;
const user = cacheKeys.userPermissions('u1');
const rights = {
  permissions: 2n ** 62n + 1n,
  roles: ['agent'],
  grants: [{ resource: 'workflows/*', permissions: 7n }],
};

const cacheOf = (redis: Redis): Cache => createCache({ redis, clock, log: silentLog });

describe.skipIf(redisUnavailable)('a cache in Redis', () => {
  let server: TestRedis;
  /** Writes to the server past the cache. */
  let raw: Redis;
  let redis: Redis;
  let cache: Cache;
  const opened: Redis[] = [];

  const open = (url = server.url): Redis => {
    const made = createRedis({ url, log: silentLog, clock });
    opened.push(made);
    return made;
  };
  const ready = () => until(() => opened.every(({ state }) => state.state === 'ready'));

  beforeEach(async () => {
    server = await startRedis();
    raw = open();
    redis = open();
    cache = cacheOf(redis);
    await ready();
  });
  afterEach(async () => {
    for (const each of opened.splice(0)) each.close();
    await server.remove();
  });

  test('gives back what was set, to every process, until its life is over', async () => {
    expect(await cache.get(user)).toBeUndefined();
    expect(await cache.set(user, rights)).toBe(true);
    const other = open();
    await ready();
    expect(await cacheOf(other).get(user)).toStrictEqual(rights);
    expect(await raw.command('PTTL', 'user_perms:u1')).toBeGreaterThan(0);
    expect(await raw.command('PTTL', 'user_perms:u1')).toBeLessThanOrEqual(900_000);
    expect(await cache.set(user, rights, clock.nowMs() + 200)).toBe(true);
    await until(async () => (await cache.get(user)) === undefined);
    expect(cache.stats()).toMatchObject({ store: 'redis', entries: undefined, errors: 0 });
  });

  test('keeps every kind of value under its key', async () => {
    const expiresAtMs = clock.nowMs() + 60_000;
    const session = {
      sessionId: 's1',
      userId: 'u1',
      tokenId: 'j1',
      roles: [],
      permissions: -1n,
      expiresAtMs,
    };
    const token = { userId: 'u1', sessionId: 's1', tokenId: 'j1', expiresAtMs };
    await cache.set(cacheKeys.session('s1'), session, expiresAtMs);
    await cache.set(cacheKeys.userSessions('u1'), ['s1'], expiresAtMs);
    await cache.set(cacheKeys.blacklist('j1'), true, expiresAtMs);
    await cache.set(cacheKeys.tokenValid('h1'), token, expiresAtMs);
    await cache.set(cacheKeys.rolePermissions('guest'), { permissions: 1n });
    expect(await cache.get(cacheKeys.session('s1'))).toStrictEqual(session);
    expect(await cache.get(cacheKeys.userSessions('u1'))).toStrictEqual(['s1']);
    expect(await cache.get(cacheKeys.blacklist('j1'))).toBe(true);
    expect(await cache.get(cacheKeys.tokenValid('h1'))).toStrictEqual(token);
    expect(await cache.get(cacheKeys.rolePermissions('guest'))).toStrictEqual({ permissions: 1n });
    const keys = (await raw.command('KEYS', '*')) as string[];
    expect(keys.toSorted()).toStrictEqual([
      'blacklist:j1',
      'role_perms:guest',
      'session:s1',
      'token_valid:h1',
      'user_sessions:u1',
    ]);
    for (const key of keys) expect(await raw.command('PTTL', key)).toBeGreaterThan(0);
  });

  test('takes what somebody else wrote there for missing', async () => {
    await cache.set(user, rights);
    const written = String(await raw.command('GET', user.text));
    await cache.set(cacheKeys.userPermissions('admin'), { ...rights, permissions: 63n });
    const ofAdmin = String(await raw.command('GET', 'user_perms:admin'));
    const poison = ['', 'null', '{}', written.slice(0, -1), `${written}]`, ofAdmin, '\u0000'];
    for (const text of poison) {
      await raw.command('SET', user.text, text);
      expect([text, await cache.get(user)]).toStrictEqual([text, undefined]);
    }
    expect(cache.stats()).toMatchObject({ invalid: poison.length, misses: poison.length });
    await raw.command('DEL', user.text);
    await raw.command('LPUSH', user.text, 'a list');
    expect(await cache.get(user)).toBeUndefined();
    expect(cache.stats()).toMatchObject({ errors: 1 });
    await raw.command('SET', 'blacklist:j1', 'false');
    expect(await cache.get(cacheKeys.blacklist('j1'))).toBeUndefined();
  });

  test('is a miss and never an error while Redis is down, and works again after', async () => {
    await server.kill();
    await until(() => redis.state.state === 'down');
    expect(await cache.set(user, rights)).toBe(false);
    expect(await cache.get(user)).toBeUndefined();
    expect(await cache.delete(user)).toBe(false);
    expect(await cache.warm([{ key: user, value: rights }])).toBe(0);
    expect(cache.stats()).toMatchObject({ errors: 4, hits: 0, misses: 1 });
    await server.start();
    await ready();
    await until(async () => await cache.set(user, rights));
    expect(await cache.get(user)).toStrictEqual(rights);
  });

  test('does not bring a right back that was taken away while Redis was out of reach', async () => {
    const proxy = await cuttingProxy(server.port);
    const far = open(`redis://127.0.0.1:${proxy.port}`);
    const cut = cacheOf(far);
    await ready();
    await cut.set(user, rights);
    await proxy.close();
    await until(() => far.state.state === 'down');
    expect(await cut.delete(user)).toBe(false);
    expect(await raw.command('EXISTS', user.text)).toBe(1);
    const again = await cuttingProxy(server.port, proxy.port);
    try {
      await ready();
      expect(await cut.get(user)).toBeUndefined();
      await until(async () => (await raw.command('EXISTS', user.text)) === 0);
      await until(async () => await cut.set(user, rights));
      expect(await cut.get(user)).toStrictEqual(rights);
    } finally {
      await again.close();
    }
  });

  test('forgets everything but revocations when too many deletions were owed', async () => {
    const later = clock.nowMs() + 600_000;
    const revoked = cacheKeys.blacklist('j1');
    await cache.set(revoked, true, later);
    await cache.warm(
      Array.from({ length: 3_000 }, (_, n) => ({
        key: cacheKeys.rolePermissions(`r${n}`),
        value: { permissions: 1n },
      })),
    );
    await cache.set(user, rights);
    server.pause();
    const many = Array.from({ length: 10_001 }, (_, n) => cacheKeys.session(`s${n}`));
    expect(await cache.delete(...many)).toBe(false);
    expect(await cache.get(user)).toBeUndefined();
    server.resume();
    await ready();
    expect(await cache.get(cacheKeys.rolePermissions('r1'))).toBeUndefined();
    expect(await cache.get(user)).toBeUndefined();
    await until(async () => ((await raw.command('DBSIZE')) as number) === 1);
    expect(await cache.get(revoked)).toBe(true);
  });

  test('may lose a revocation to the server’s own eviction, which is why it says yes or nothing', async () => {
    const small = await startRedis({
      settings: ['--maxmemory', '3mb', '--maxmemory-policy', 'allkeys-lru'],
    });
    const link = createRedis({ url: small.url, log: silentLog, clock });
    try {
      await until(() => link.state.state === 'ready');
      const filled = cacheOf(link);
      const revoked = cacheKeys.blacklist('j1');
      await filled.set(revoked, true, clock.nowMs() + 600_000);
      const grants = Array.from({ length: 500 }, () => ({ resource: 'x', permissions: 1n }));
      await until(async () => {
        const key = cacheKeys.userPermissions(`u${Math.random()}`);
        await filled.set(key, { ...rights, grants });
        return (await link.command('EXISTS', revoked.text)) === 0;
      });
      expect(await filled.get(revoked)).toBeUndefined();
    } finally {
      link.close();
      await small.remove();
    }
  });
});
