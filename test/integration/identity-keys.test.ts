import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { createLocalJWKSet, compactVerify, type JSONWebKeySet } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock, type Clock } from '../../src/base/base.ts';
import { sql, type Database } from '../../src/database/database.ts';
import { signCompact, verifyCompact, type Algorithm } from '../../src/identity/jws.ts';
import { openKeyRing, type KeyRing, type KeyRingOptions } from '../../src/identity/key-ring.ts';
import { createSealer } from '../../src/identity/seal.ts';
import { openStore, type TestStore } from '../support/coordination.ts';
import { drivers, recordedLog, silentLog, unavailable } from '../support/databases.ts';

const sealer = createSealer(Buffer.alloc(32, 9));
const typ = 'at+jwt';
const sign = (ring: KeyRing, payload: object = { sub: 'a' }) =>
  signCompact({ key: ring.signing(), typ, payload });
const verify = (ring: KeyRing, token: string, nowMs = Date.now()) =>
  verifyCompact(token, { typ, find: ring.find, nowMs });
const states = (ring: KeyRing) => ring.list().map(({ state }) => state);
const kids = (ring: KeyRing) => ring.list().map(({ kid }) => kid);

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`on the ${driver} database`, () => {
    let store: TestStore;
    const rings: KeyRing[] = [];

    async function open(options: Partial<KeyRingOptions> = {}): Promise<KeyRing> {
      const { database } = store;
      const base = { database, sealer, clock: systemClock, log: silentLog };
      const ring = await openKeyRing({ ...base, ...options });
      rings.push(ring);
      return ring;
    }

    /** Lets every key have been made that much earlier. */
    const age = (ms: number) =>
      store.database.query(sql`
        update signing_keys set
          signs_from = signs_from - ${ms}::float8 * interval '1 millisecond',
          signs_until = signs_until - ${ms}::float8 * interval '1 millisecond',
          verifies_until = verifies_until - ${ms}::float8 * interval '1 millisecond'`);

    beforeAll(async () => {
      store = await openStore(driver);
    });
    beforeEach(async () => {
      for (const ring of rings.splice(0)) ring.close();
      await store.database.query(sql`delete from signing_keys`);
    });
    afterAll(async () => {
      for (const ring of rings) ring.close();
      await store.close();
    });

    test('a new ring has a key that signs and one that follows when it ends', async () => {
      const ring = await open();
      expect(states(ring)).toEqual(['current', 'next']);
      const [current, next] = ring.list();
      expect(next?.signsFrom).toEqual(current?.signsUntil);
      const signsMs = (current?.signsUntil.getTime() ?? 0) - (current?.signsFrom.getTime() ?? 0);
      expect(signsMs).toBe(168 * 3_600_000);
      const overlapMs =
        (current?.verifiesUntil.getTime() ?? 0) - (current?.signsUntil.getTime() ?? 0);
      expect(overlapMs).toBe(24 * 3_600_000);
      expect(ring.signing().kid).toBe(current?.kid);
    });

    test.each(['ES256', 'EdDSA', 'HS256'] satisfies Algorithm[])(
      'a token of %s that one ring signs another one verifies, also after a restart',
      async (algorithm) => {
        const one = await open({ algorithm });
        const token = sign(one);
        expect(one.signing().algorithm).toBe(algorithm);
        const other = await open();
        expect(kids(other)).toEqual(kids(one));
        expect(verify(other, token).payload).toEqual({ sub: 'a' });
      },
    );

    test('the published keys verify our tokens by jose, and hold nothing private', async () => {
      const ring = await open();
      const published = ring.jwks() as JSONWebKeySet;
      const { payload } = await compactVerify(sign(ring), createLocalJWKSet(published));
      expect(JSON.parse(Buffer.from(payload).toString())).toEqual({ sub: 'a' });
      expect(published.keys.map(({ kid }) => kid)).toEqual(kids(ring));
      for (const key of published.keys) {
        expect(Object.keys(key).toSorted()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
        expect(createPublicKey({ key: key as JsonWebKey, format: 'jwk' }).type).toBe('public');
      }
    });

    test('a shared secret is neither published nor stored in the clear', async () => {
      const ring = await open({ algorithm: 'HS256' });
      expect(ring.jwks()).toEqual({ keys: [] });
      const secret = ring.signing().privateKey.export();
      const rows = await store.database.query(
        sql<{ public_jwk: unknown; sealed_private: Uint8Array }>`
          select public_jwk, sealed_private from signing_keys`,
      );
      for (const row of rows) {
        expect(row.public_jwk).toBeNull();
        expect(Buffer.from(row.sealed_private).includes(secret)).toBe(false);
      }
    });

    test('when its time has come the next key signs, and the one before only verifies', async () => {
      const ring = await open();
      const [first, second] = kids(ring);
      const token = sign(ring);
      await age(168 * 3_600_000);
      await ring.reload();
      expect(ring.signing().kid).toBe(second);
      await ring.tick();
      expect(states(ring)).toEqual(['previous', 'current', 'next']);
      expect(kids(ring).slice(0, 2)).toEqual([first, second]);
      expect(verify(ring, token).key.kid).toBe(first);
      await age(24 * 3_600_000);
      await ring.reload();
      expect(() => verify(ring, token)).toThrow(expect.objectContaining({ code: 'token_invalid' }));
      expect(states(ring)).toEqual(['current', 'next']);
    });

    test('after a sleep longer than all its keys a ring has fresh ones', async () => {
      const ring = await open();
      const before = kids(ring);
      await age(2_000 * 3_600_000);
      await ring.reload();
      expect(() => ring.signing()).toThrow(expect.objectContaining({ code: 'unavailable' }));
      await ring.tick();
      expect(states(ring)).toEqual(['current', 'next']);
      expect(kids(ring).filter((kid) => before.includes(kid))).toEqual([]);
    });

    test('a requested rotation lets the next key sign now, and the old tokens count on', async () => {
      const ring = await open();
      const token = sign(ring);
      const [first, second] = kids(ring);
      await ring.rotate('requested');
      expect(states(ring)).toEqual(['previous', 'current', 'next']);
      expect(kids(ring).slice(0, 2)).toEqual([first, second]);
      expect(verify(ring, token).key.kid).toBe(first);
      expect(ring.signing().kid).toBe(second);
    });

    test('a second requested rotation is refused while the previous key verifies', async () => {
      const ring = await open();
      await ring.rotate('requested');
      await expect(ring.rotate('requested')).rejects.toMatchObject({ code: 'conflict' });
      expect(ring.list()).toHaveLength(3);
    });

    test('after a compromise no token of before counts, and new ones do', async () => {
      const ring = await open();
      const other = await open();
      await ring.rotate('requested');
      const tokens = [sign(ring), sign(other)];
      const before = kids(ring);
      await ring.rotate('compromised');
      await other.reload();
      expect(states(ring)).toEqual(['current', 'next']);
      expect(kids(ring).filter((kid) => before.includes(kid))).toEqual([]);
      for (const token of tokens) {
        for (const one of [ring, other]) {
          expect(() => verify(one, token)).toThrow(
            expect.objectContaining({ details: { reason: 'key_unknown' } }),
          );
        }
      }
      expect(verify(other, sign(ring)).payload).toEqual({ sub: 'a' });
    });

    test('two compromises, one after the other, are two', async () => {
      const ring = await open();
      await ring.rotate('compromised');
      const first = kids(ring);
      await ring.rotate('compromised');
      expect(kids(ring).filter((kid) => first.includes(kid))).toEqual([]);
    });

    test.each(['requested', 'compromised'] as const)(
      'of many that ask at once for a %s rotation all get one',
      async (reason) => {
        const recorded: string[] = [];
        const record: KeyRingOptions['record'] = async (_transaction, rotation) => {
          recorded.push(rotation.reason);
        };
        const opened = await Promise.all(Array.from({ length: 4 }, () => open({ record })));
        await Promise.all(opened.map((ring) => ring.rotate(reason)));
        expect(recorded).toEqual(['scheduled', reason]);
        await Promise.all(opened.map((ring) => ring.reload()));
        for (const ring of opened) expect(kids(ring)).toEqual(kids(opened[0] ?? ring));
      },
    );

    test('many rings that open or come due at once agree on the keys', async () => {
      const opened = await Promise.all(Array.from({ length: 6 }, () => open()));
      expect(new Set(opened.flatMap(kids)).size).toBe(2);
      await age(168 * 3_600_000);
      await Promise.all(opened.map((ring) => ring.reload()));
      await Promise.all(opened.map((ring) => ring.tick()));
      expect(new Set(opened.flatMap(kids)).size).toBe(3);
    });

    test('what is recorded of a rotation stands or falls with it', async () => {
      await expect(open({ record: failToRecord })).rejects.toThrow('no');
      const rows = await store.database.query(sql`select kid from signing_keys`);
      expect(rows).toEqual([]);
    });

    test('a key that another process has just made is found after one question', async () => {
      const ring = await open();
      const other = await open();
      await other.rotate('compromised');
      const token = sign(other);
      expect(ring.find(other.signing().kid)).toBeUndefined();
      const found = await Promise.all(
        Array.from({ length: 20 }, () => ring.findFresh(other.signing().kid)),
      );
      expect(found.every((key) => key?.kid === other.signing().kid)).toBe(true);
      expect(verify(ring, token).payload).toEqual({ sub: 'a' });
    });

    test('made-up kids cost one question a second, however many ask', async () => {
      let questions = 0;
      const counted = new Proxy(store.database, {
        get(target, property) {
          if (property === 'query') questions += 1;
          const value: unknown = Reflect.get(target, property);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        },
      });
      const pauses: number[] = [];
      const clock: Clock = {
        ...systemClock,
        monotonicMs: () => 5_000,
        sleep: async (ms) => void pauses.push(ms),
      };
      const ring = await open({ database: counted, clock });
      questions = 0;
      const asked = Array.from({ length: 500 }, (_, index) => ring.findFresh(`made-up-${index}`));
      expect((await Promise.all(asked)).filter((key) => key !== undefined)).toEqual([]);
      expect(questions).toBe(1);
      expect(pauses).toEqual([1_000]);
    });

    test('another master key does not open the ring, and says which file is wrong', async () => {
      await open();
      await expect(open({ sealer: createSealer(Buffer.alloc(32, 1)) })).rejects.toMatchObject({
        code: 'master_key_wrong',
        remedy: expect.stringContaining('master.key'),
      });
    });

    test('a public key that somebody wrote into the table is not taken for ours', async () => {
      await open();
      await store.database.query(sql`
        update signing_keys s set public_jwk = o.public_jwk from signing_keys o where o.kid <> s.kid`);
      await expect(open()).rejects.toMatchObject({ code: 'internal' });
    });

    test('the sealed half of one key is not taken for that of another', async () => {
      await open();
      await store.database.query(sql`
        update signing_keys s set sealed_private = o.sealed_private, public_jwk = o.public_jwk
        from signing_keys o where o.kid <> s.kid`);
      await expect(open()).rejects.toMatchObject({ code: 'master_key_wrong' });
    });

    test.each([
      { rotateEveryMs: 1_000, overlapMs: 1_001 },
      { rotateEveryMs: 0, overlapMs: 0 },
      { overlapMs: -1 },
      { rotateEveryMs: Number.NaN },
    ])('the times %j are refused', async (life) => {
      await expect(open(life)).rejects.toMatchObject({ code: 'config_invalid' });
    });

    test('a rotation says in the log which keys it made, and shows none', async () => {
      const { log, lines } = recordedLog();
      const ring = await open({ log });
      expect(lines.join('')).toContain(ring.signing().kid);
      expect(lines.join('')).not.toContain('"d"');
    });

    test('with a rotation every second no token is refused in its time and none is taken after the end of its key', async () => {
      const two = await secondDatabase(store, driver);
      const life = { rotateEveryMs: 1_000, overlapMs: 1_000 };
      const one = await open(life);
      const other = await open({ ...life, database: two });
      const result = await contend([one, other], 5_000);
      expect(result.wrong).toEqual([]);
      expect(result.checks).toBeGreaterThan(500);
      expect(result.ended).toBeGreaterThan(50);
      expect(result.keys).toBeGreaterThanOrEqual(5);
      expect(result.mostKeys).toBe(3);
    }, 60_000);
  });
}

async function failToRecord(): Promise<void> {
  throw new Error('no');
}

/** Another process has connections of its own; the embedded database can have none. */
async function secondDatabase(
  store: TestStore,
  driver: (typeof drivers)[number],
): Promise<Database> {
  return driver === 'server' ? await store.another() : store.database;
}

interface Issued {
  readonly token: string;
  readonly atMs: number;
  readonly kid: string;
}

/** A token lives for half of the overlap; every one is checked in its life by each ring, and after the end of its key. */
async function contend(rings: readonly KeyRing[], forMs: number) {
  const lifeMs = 500;
  const wrong: string[] = [];
  const ends = new Map<string, number>();
  const counted = { checks: 0, ended: 0, mostKeys: 0 };
  let issued: Issued[] = [];
  let over: Issued[] = [];
  const stopMs = Date.now() + forMs;
  const ticking = rings.map(async (ring) => {
    while (Date.now() < stopMs) {
      await ring.tick();
      counted.mostKeys = Math.max(counted.mostKeys, ring.list().length);
      await systemClock.sleep(50);
    }
  });

  async function accepts(ring: KeyRing, token: string): Promise<boolean> {
    const nowMs = Date.now();
    try {
      verifyCompact(token, { typ, find: ring.find, nowMs });
      return true;
    } catch {
      // What every door does before it refuses a kid.
      const { kid } = JSON.parse(
        Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString(),
      ) as { kid: string };
      if (ring.find(kid) !== undefined || ends.has(kid)) return false;
      await ring.findFresh(kid);
      try {
        verifyCompact(token, { typ, find: ring.find, nowMs });
        return true;
      } catch {
        return false;
      }
    }
  }

  while (Date.now() < stopMs) {
    for (const ring of rings) {
      for (let batch = 0; batch < 10; batch += 1) {
        const key = ring.signing();
        const token = signCompact({ key, typ, payload: { n: counted.checks } });
        issued.push({ token, atMs: Date.now(), kid: key.kid });
      }
      for (const { kid, verifiesUntil } of ring.list()) ends.set(kid, verifiesUntil.getTime());
    }
    const sample = issued
      .filter((_, index) => index % 20 === counted.checks % 20)
      .concat(issued.slice(-10));
    for (const { token, atMs, kid } of sample) {
      for (const ring of rings) {
        const isYoung = Date.now() - atMs < lifeMs;
        const taken = await accepts(ring, token);
        counted.checks += 1;
        if (isYoung && !taken) wrong.push(`refused ${kid} after ${Date.now() - atMs} ms`);
      }
    }
    const now = Date.now();
    over = over.concat(issued.filter(({ atMs }) => now - atMs >= lifeMs)).slice(-2_000);
    issued = issued.filter(({ atMs }) => now - atMs < lifeMs);
    for (const { token, kid } of over.filter((_, index) => index % 20 === counted.checks % 20)) {
      for (const ring of rings) {
        const hasEnded = Date.now() >= (ends.get(kid) ?? Number.POSITIVE_INFINITY);
        const taken = hasEnded && (await accepts(ring, token));
        if (hasEnded) counted.ended += 1;
        if (taken) wrong.push(`took ${kid} after its end`);
      }
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(ticking);
  return { wrong, keys: ends.size, ...counted };
}
