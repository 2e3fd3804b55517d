import { generateKeyPairSync } from 'node:crypto';
import * as fc from 'fast-check';
import { calculateJwkThumbprint } from 'jose';
import { expect, test } from 'vitest';
import { exportPublicJwk, importPublicJwk, membersHash, publicJwkOf, thumbprint } from './jwk.ts';

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const refused = expect.objectContaining({ code: 'invalid_input' });
const ecJwk = publicJwkOf(ec.publicKey);
const edJwk = publicJwkOf(ed.publicKey);
/** A number as 32 little-endian bytes, as Ed25519 writes its y. */
const edPoint = (y: bigint) => ({
  kty: 'OKP',
  crv: 'Ed25519',
  x: Buffer.from(Buffer.from(y.toString(16).padStart(64, '0'), 'hex').toReversed()).toString(
    'base64url',
  ),
});
const edPrime = 2n ** 255n - 19n;

test.each(['ec', 'ed25519'] as const)(
  'fresh keys of %s come back from what is published',
  (kind) => {
    for (let round = 0; round < 20; round += 1) {
      const { publicKey } =
        kind === 'ec'
          ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
          : generateKeyPairSync('ed25519');
      const jwk = publicJwkOf(publicKey);
      const { key, jwk: again } = importPublicJwk(exportPublicJwk(jwk, 'kid'));
      expect(key.equals(publicKey)).toBe(true);
      expect(again).toEqual(jwk);
    }
  },
);

test('what is published has the coordinates, kid, alg and use, and nothing private', () => {
  expect(exportPublicJwk(publicJwkOf(ec.publicKey), 'k')).toEqual({
    ...ec.publicKey.export({ format: 'jwk' }),
    kid: 'k',
    alg: 'ES256',
    use: 'sig',
  });
  expect(Object.keys(exportPublicJwk(edJwk, 'k')).toSorted()).toEqual([
    'alg',
    'crv',
    'kid',
    'kty',
    'use',
    'x',
  ]);
});

test('a key is refused with private members', () => {
  expect(() => importPublicJwk(ec.privateKey.export({ format: 'jwk' }))).toThrow(refused);
  expect(() => importPublicJwk(ed.privateKey.export({ format: 'jwk' }))).toThrow(refused);
  for (const name of ['d', 'k', 'p', 'x5c', 'x5u', 'n', '__proto__']) {
    const jwk = JSON.parse(`{"${name}":"x"}`) as object;
    expect(() => importPublicJwk(Object.assign(jwk, ecJwk))).toThrow(refused);
  }
  expect(() => importPublicJwk({ ...edJwk, y: edJwk.x })).toThrow(refused);
});

test.each([
  { alg: 'HS256' },
  { alg: 'EdDSA' },
  { use: 'enc' },
  { key_ops: ['sign'] },
  { key_ops: ['verify', 'sign'] },
  { key_ops: 'verify' },
  { kid: 7 },
  { ext: 'yes' },
])('a P-256 key that says %j of itself is refused', (remark) => {
  expect(() => importPublicJwk({ ...ecJwk, ...remark })).toThrow(refused);
});

test('a key may say what is true of it', () => {
  const jwk = { ...ecJwk, kid: 'k', alg: 'ES256', use: 'sig', key_ops: ['verify'], ext: true };
  expect(importPublicJwk(jwk).algorithm).toBe('ES256');
});

test.each([
  undefined,
  null,
  'x',
  [],
  {},
  { kty: 'oct', k: 'x' },
  { kty: 'RSA', n: 'AQ', e: 'AQAB' },
  { kty: 'EC', crv: 'P-384', x: ecJwk.x, y: ecJwk.x },
  { kty: 'EC', crv: 'secp256k1', x: ecJwk.x, y: ecJwk.x },
  { kty: 'OKP', crv: 'X25519', x: ecJwk.x },
  { kty: 'OKP', crv: 'Ed448', x: ecJwk.x },
  { kty: 'ec', crv: 'P-256', x: ecJwk.x, y: ecJwk.x },
])('%j is no key', (value) => {
  expect(() => importPublicJwk(value)).toThrow(refused);
});

test('coordinates are refused in any other spelling', () => {
  const { x } = ecJwk;
  const spellings = [
    `${x}=`,
    ` ${x}`,
    x.slice(0, -1),
    `A${x}`,
    `${x}A`,
    // 32 bytes leave two bits of the last character unused.
    x.slice(0, -1) + nextChar(x.at(-1) ?? ''),
    Buffer.from(x, 'base64url').toString('hex'),
    '',
    7,
    null,
    [x],
  ];
  for (const spelled of spellings) {
    expect(() => importPublicJwk({ ...ecJwk, x: spelled })).toThrow(refused);
  }
});

function nextChar(char: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return alphabet[alphabet.indexOf(char) ^ 1] ?? '';
}

test('a point that is not on P-256 is refused, also with coordinates beyond the field', () => {
  const zero = Buffer.alloc(32).toString('base64url');
  const most = Buffer.alloc(32, 255).toString('base64url');
  for (const [x, y] of [
    [ecJwk.x, ecJwk.x],
    [zero, zero],
    [most, most],
    [zero, most],
  ]) {
    expect(() => importPublicJwk({ kty: 'EC', crv: 'P-256', x, y })).toThrow(refused);
  }
});

test('of the numbers as y of Ed25519 those are refused that no point has', () => {
  // y = 2 is on no point and y = 3 is, by the reference implementation of RFC 8032.
  expect(() => importPublicJwk(edPoint(2n))).toThrow(refused);
  expect(importPublicJwk(edPoint(3n)).algorithm).toBe('EdDSA');
});

test('a y of Ed25519 at or above the prime is refused, with either sign', () => {
  for (let more = 0n; more < 19n; more += 1n) {
    expect(() => importPublicJwk(edPoint(edPrime + more))).toThrow(refused);
    expect(() => importPublicJwk(edPoint(edPrime + more + 2n ** 255n))).toThrow(refused);
  }
});

test('points of small order are refused, with either sign', () => {
  const orderEight = [
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  ].map((hex) => BigInt(`0x${Buffer.from(Buffer.from(hex, 'hex').toReversed()).toString('hex')}`));
  for (const y of [0n, 1n, edPrime - 1n, ...orderEight]) {
    expect(() => importPublicJwk(edPoint(y))).toThrow(refused);
    expect(() => importPublicJwk(edPoint(y + 2n ** 255n))).toThrow(refused);
  }
});

test('whatever is given, nothing but a refusal is thrown', () => {
  const member = fc.constantFrom('kty', 'crv', 'x', 'y', 'd', 'kid', 'alg', 'use', 'key_ops');
  fc.assert(
    fc.property(
      fc.oneof(fc.jsonValue(), fc.dictionary(member, fc.jsonValue())),
      fc.boolean(),
      (value, based) => {
        const given = based && typeof value === 'object' ? { ...ecJwk, ...value } : value;
        try {
          importPublicJwk(given);
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid_input' });
        }
      },
    ),
  );
});

test('thumbprints are those of jose', async () => {
  for (const jwk of [ecJwk, edJwk]) expect(thumbprint(jwk)).toBe(await calculateJwkThumbprint(jwk));
});

test('the thumbprint of RFC 7638, 3.1 is that of its members, in whatever order they come', () => {
  const n =
    '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw';
  const right = 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs';
  expect(membersHash({ e: 'AQAB', kty: 'RSA', n })).toBe(right);
  expect(membersHash({ n, kty: 'RSA', e: 'AQAB' })).toBe(right);
});

test('the thumbprint of RFC 8037, A.3 is that of its Ed25519 key', () => {
  const x = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo';
  expect(thumbprint({ kty: 'OKP', crv: 'Ed25519', x })).toBe(
    'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
  );
});
