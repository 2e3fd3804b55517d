import { createHash, generateKeyPairSync } from 'node:crypto';
import * as fc from 'fast-check';
import { calculateJwkThumbprint, SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { systemClock, type Clock } from '../base/base.ts';
import { createMemoryReplayStore, verifyProof, type ProofOptions } from './dpop.ts';

const nowMs = 1_800_000_000_000;
const url = 'https://centuria.example/api/v1/runs';
const accessToken = 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU';
const hash = (text: string) => createHash('sha256').update(text).digest('base64url');
const clockAt = (time: { ms: number }): Clock => ({ ...systemClock, nowMs: () => time.ms });
const freshStore = () => createMemoryReplayStore(100, clockAt({ ms: nowMs }));
const pairs = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: generateKeyPairSync('ed25519'),
};
const jwk = pairs.ES256.publicKey.export({ format: 'jwk' });
const jkt = await calculateJwkThumbprint(jwk);

type Changes = Readonly<Record<string, unknown>>;
async function make(changes: Changes = {}, header: Changes = {}): Promise<string> {
  const claims = { htm: 'POST', htu: url, iat: nowMs / 1_000, jti: 'one', ath: hash(accessToken) };
  return await new SignJWT({ ...claims, ...changes })
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk, ...header })
    .sign(pairs.ES256.privateKey);
}
const check = (proof: string, options: Partial<ProofOptions> = {}) =>
  verifyProof(proof, { method: 'POST', url, nowMs, replay: freshStore(), ...options });
const refused = (member?: string) =>
  expect.objectContaining({
    code: 'token_invalid',
    ...(member === undefined ? {} : { details: { member } }),
  });

test('a proof is taken with its token and its key, and gives the thumbprint of the key', async () => {
  const options = { accessToken, expectedJkt: jkt };
  await expect(check(await make(), options)).resolves.toEqual({ jkt });
});

test('a proof with an Ed25519 key is taken', async () => {
  const key = pairs.EdDSA.publicKey.export({ format: 'jwk' });
  const proof = await new SignJWT({ htm: 'GET', htu: url, iat: nowMs / 1_000, jti: 'x' })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'dpop+jwt', jwk: key })
    .sign(pairs.EdDSA.privateKey);
  await expect(check(proof, { method: 'GET' })).resolves.toEqual({
    jkt: await calculateJwkThumbprint(key),
  });
});

const example = {
  head: 'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19',
  jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I',
};

test('the proof of RFC 9449, 4.1 is taken', async () => {
  const proof = `${example.head}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg`;
  const options = { url: 'https://server.example.com/token', nowMs: 1_562_262_616_000 };
  await expect(check(proof, options)).resolves.toEqual({ jkt: example.jkt });
});

test('the proof of RFC 9449, 7.1 is taken with its access token, and with no other', async () => {
  const proof = `${example.head}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA`;
  const options = {
    method: 'GET',
    url: 'https://resource.example.org/protectedresource',
    nowMs: 1_562_262_618_000,
    expectedJkt: example.jkt,
  };
  await expect(check(proof, { ...options, accessToken })).resolves.toEqual({ jkt: example.jkt });
  await expect(check(proof, { ...options, accessToken: 'other' })).rejects.toEqual(refused('ath'));
});

test('a proof is taken once, by whomever', async () => {
  const replay = freshStore();
  const proof = await make();
  await check(proof, { replay });
  await expect(check(proof, { replay })).rejects.toEqual(refused('jti'));
  // Another signature over the same name, and another time, are the same proof.
  await expect(check(await make({ iat: nowMs / 1_000 - 50 }), { replay })).rejects.toEqual(
    refused('jti'),
  );
  await expect(check(await make({ jti: 'two' }), { replay })).resolves.toEqual({ jkt });
});

test('of many at once with one proof one is taken', async () => {
  const replay = freshStore();
  const proof = await make();
  const all = await Promise.allSettled(Array.from({ length: 50 }, () => check(proof, { replay })));
  expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
});

test('a proof that was refused has not been used', async () => {
  const replay = freshStore();
  const proof = await make();
  await expect(check(proof, { replay, method: 'GET' })).rejects.toEqual(refused('htm'));
  await expect(check(proof, { replay, expectedJkt: 'x' })).rejects.toEqual(refused());
  await expect(check(proof, { replay, accessToken: 'x' })).rejects.toEqual(refused('ath'));
  await expect(check(proof, { replay })).resolves.toEqual({ jkt });
});

test.each([
  ['htm', 'post'],
  ['htm', undefined],
  ['htm', ['POST']],
  ['htu', undefined],
  ['htu', ''],
  ['htu', [url]],
  ['htu', 'http://centuria.example/api/v1/runs'],
  ['htu', 'https://centuria.example:444/api/v1/runs'],
  ['htu', 'https://centuria.example.evil/api/v1/runs'],
  ['htu', 'https://centuria.example@evil.example/api/v1/runs'],
  ['htu', 'https://a:b@centuria.example/api/v1/runs'],
  ['htu', 'https://centuria.example/api/v1/runs/'],
  ['htu', 'https://centuria.example/API/v1/runs'],
  ['htu', 'https://centuria.example/api%2Fv1/runs'],
  ['htu', 'https://centuria.example//api/v1/runs'],
  ['htu', 'https:\\\\centuria.example\\api\\v1\\runs'],
  ['htu', 'https://centuria.example/api/\tv1/runs'],
  ['htu', ` ${url}`],
  ['htu', '/api/v1/runs'],
  ['iat', nowMs / 1_000 - 61],
  ['iat', nowMs / 1_000 + 6],
  ['iat', `${nowMs / 1_000}`],
  ['iat', nowMs / 1_000 + 0.5],
  ['iat', -1],
  ['iat', undefined],
  ['jti', ''],
  ['jti', 'x'.repeat(129)],
  ['jti', 7],
  ['jti', undefined],
])('a proof with %s of %j is refused', async (member, value) => {
  await expect(check(await make({ [member]: value }))).rejects.toEqual(refused(member));
});

test('a proof without the hash of the token is refused where a token came', async () => {
  const proof = await make({ ath: undefined });
  await expect(check(proof, { accessToken })).rejects.toEqual(refused('ath'));
});

test.each([
  ['https://centuria.example/api/v1/runs?limit=3#x', url],
  ['HTTPS://CENTURIA.example:443/api/v1/runs', url],
  ['https://centuria.example/api/./v0/../v1/runs', url],
  ['https://centuria.example/api/v1/%72uns', url],
  ['https://centuria.example', 'https://centuria.example/?a=b'],
  ['https://centuria.example/a%2fb', 'https://centuria.example/a%2Fb'],
])('the address %s is that of the request to %s', async (htu, asked) => {
  await expect(check(await make({ htu }), { url: asked })).resolves.toEqual({ jkt });
});

test.each([
  ['another kind', { typ: 'JWT' }],
  ['a kid beside its key', { kid: 'x' }],
  ['a private key', { jwk: pairs.ES256.privateKey.export({ format: 'jwk' }) }],
  ['another key', { jwk: pairs.EdDSA.publicKey.export({ format: 'jwk' }) }],
  ['no key', { jwk: undefined }],
])('a proof with %s in its header is refused', async (_what, header) => {
  await expect(check(await make({}, header))).rejects.toEqual(refused());
});

test('a proof by a shared secret is refused, with its key in it or not', async () => {
  const secret = Buffer.alloc(32, 1);
  for (const key of [{ kty: 'oct', k: secret.toString('base64url') }, jwk]) {
    const proof = await new SignJWT({ htm: 'POST', htu: url, iat: nowMs / 1_000, jti: 'x' })
      .setProtectedHeader({ alg: 'HS256', typ: 'dpop+jwt', jwk: key })
      .sign(secret);
    await expect(check(proof)).rejects.toEqual(refused());
  }
});

test('a proof that another key has signed is refused', async () => {
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
  const proof = await make({}, { jwk: other.export({ format: 'jwk' }) });
  await expect(check(proof)).rejects.toMatchObject({ code: 'signature_invalid' });
});

test('a full store refuses and forgets nothing, until ids end', async () => {
  const time = { ms: nowMs };
  const store = createMemoryReplayStore(3, clockAt(time));
  for (const id of ['a', 'b', 'c']) expect(await store.claim(id, nowMs + 65_000)).toBe(true);
  await expect(store.claim('d', nowMs + 65_000)).rejects.toMatchObject({ code: 'limit_exceeded' });
  expect(await store.claim('a', nowMs + 65_000)).toBe(false);
  time.ms += 80_000;
  for (const id of ['a', 'b', 'c']) expect(await store.claim(id, time.ms + 65_000)).toBe(true);
});

test('an id is never new a second time before its end', async () => {
  const steps = fc.array(
    fc.record({
      id: fc.constantFrom('a', 'b', 'c', 'd'),
      lifeMs: fc.integer({ min: 1, max: 65_000 }),
      pauseMs: fc.integer({ min: 0, max: 20_000 }),
    }),
    { maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const time = { ms: nowMs };
      const store = createMemoryReplayStore(1_000, clockAt(time));
      const ends = new Map<string, number>();
      for (const { id, lifeMs, pauseMs } of all) {
        time.ms += pauseMs;
        const isNew = await store.claim(id, time.ms + lifeMs);
        expect(isNew && (ends.get(id) ?? 0) > time.ms).toBe(false);
        if (isNew) ends.set(id, time.ms + lifeMs);
      }
    }),
  );
});

test('a capacity that is no limit is refused', () => {
  for (const capacity of [0, -1, Number.NaN]) {
    expect(() => createMemoryReplayStore(capacity, systemClock)).toThrow(RangeError);
  }
});
