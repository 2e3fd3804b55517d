import { describe, expect, test } from 'vitest';
import { createLog, systemClock, type Clock } from '../base/base.ts';
import { cacheKeys, createCache } from './cache.ts';
import { createRedis } from './redis.ts';

const log = createLog({ level: 'silent' });

const role = (name: string) => cacheKeys.rolePermissions(name);

function held(options: { mostEntries?: number; mostRevoked?: number } = {}) {
  const time = { ms: 1_700_000_000_000 };
  const clock: Clock = { ...systemClock, nowMs: () => time.ms };
  const redis = createRedis({ url: '', log, clock });
  const cache = createCache({ redis, clock, log, ...options });
  const keep = (name: string) => cache.set(role(name), { permissions: 7n });
  const has = async (name: string) => (await cache.get(role(name))) !== undefined;
  return { time, cache, keep, has };
}

describe('a cache in memory', () => {
  test('gives back what was set, until its life is over', async () => {
    const { time, cache, keep } = held();
    expect(await cache.get(role('agent'))).toBeUndefined();
    expect(await keep('agent')).toBe(true);
    expect(await cache.get(role('agent'))).toStrictEqual({ permissions: 7n });
    time.ms += 3_599_999;
    expect(await cache.get(role('agent'))).toBeDefined();
    time.ms += 1;
    expect(await cache.get(role('agent'))).toBeUndefined();
    expect(cache.stats()).toMatchObject({ hits: 2, misses: 2, entries: 0, errors: 0 });
    expect(cache.stats().kinds).toStrictEqual({ role_perms: { hits: 2, misses: 2 } });
  });

  test('keeps a token no longer than the token itself lives', async () => {
    const { time, cache } = held();
    const key = cacheKeys.tokenValid('hash');
    const token = { userId: 'u', sessionId: null, tokenId: 'j', expiresAtMs: time.ms + 1_000 };
    expect(await cache.set(key, token, token.expiresAtMs)).toBe(true);
    time.ms += 1_000;
    expect(await cache.get(key)).toBeUndefined();
    expect(await cache.set(key, token, token.expiresAtMs)).toBe(false);
    expect(await cache.set(cacheKeys.blacklist('j'), true, Number.NaN)).toBe(false);
  });

  test('is bounded: the least recently used gives way', async () => {
    const { cache, keep, has } = held({ mostEntries: 3 });
    for (const name of ['a', 'b', 'c']) await keep(name);
    expect(await has('a')).toBe(true);
    await keep('d');
    await keep('c');
    expect(await has('b')).toBe(false);
    expect([await has('a'), await has('c'), await has('d')]).toStrictEqual([true, true, true]);
    expect(cache.stats()).toMatchObject({ evictions: 1, entries: 3 });
  });

  test('never forgets a revocation for anything else, and refuses one when it is full', async () => {
    const { time, cache, keep } = held({ mostEntries: 3, mostRevoked: 3 });
    const revoke = (id: string, ms: number) =>
      cache.set(cacheKeys.blacklist(id), true, time.ms + ms);
    const revoked = (id: string) => cache.get(cacheKeys.blacklist(id));
    for (const id of ['a', 'b', 'c']) expect(await revoke(id, 10_000)).toBe(true);
    for (let name = 0; name < 1_000; name += 1) await keep(`role-${name}`);
    expect(await revoke('d', 10_000)).toBe(false);
    expect(await revoke('a', 5_000)).toBe(true);
    expect(cache.stats()).toMatchObject({ refused: 1 });
    time.ms += 9_999;
    for (const id of ['a', 'b', 'c']) expect(await revoked(id)).toBe(true);
    time.ms += 1;
    expect(await revoke('d', 10_000)).toBe(true);
    expect([await revoked('a'), await revoked('d')]).toStrictEqual([undefined, true]);
  });

  test('gives nobody a value that another could change', async () => {
    const { cache } = held();
    const value = { permissions: 1n, roles: ['guest'], grants: [] };
    const key = cacheKeys.userPermissions('u');
    await cache.set(key, value);
    value.roles.push('admin');
    const read = await cache.get(key);
    expect(read?.roles).toStrictEqual(['guest']);
    expect(() => read?.roles.push('admin')).toThrow(TypeError);
    expect(() => Object.assign(read ?? {}, { permissions: 63n })).toThrow(TypeError);
    expect(await cache.get(role('u'))).toBeUndefined();
  });

  test('forgets what is deleted, and can be warmed', async () => {
    const { time, cache, has } = held();
    const warmed = await cache.warm([
      ...Array.from({ length: 250 }, (_, n) => ({
        key: role(`r${n}`),
        value: { permissions: BigInt(n) },
      })),
      { key: cacheKeys.blacklist('over'), value: true, expiresAtMs: time.ms },
    ]);
    expect(warmed).toBe(250);
    expect(await cache.get(role('r249'))).toStrictEqual({ permissions: 249n });
    expect(await cache.delete(role('r1'), role('r2'), role('unknown'))).toBe(true);
    expect([await has('r0'), await has('r1'), await has('r2')]).toStrictEqual([true, false, false]);
  });
});
