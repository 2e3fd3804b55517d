/** Every vector of Wycheproof (C2SP/wycheproof, Apache-2.0) for what tokens and sealing stand on. */
import { createSecretKey, verify } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AppError } from '../base/base.ts';
import { importPublicJwk } from './jwk.ts';
import { isSignature, verifyBytes, type VerifyingKey } from './jws.ts';
import { decrypt, encrypt } from './seal.ts';

const data = process.env['CENTURIA_TEST_DATA'] ?? join(import.meta.dirname, '../../../shared/data');
const folder = join(data, 'wycheproof');
const isAbsent = !existsSync(folder);

interface Vector {
  readonly tcId: number;
  readonly comment: string;
  readonly result: 'valid' | 'invalid' | 'acceptable';
}
interface Group<V> {
  readonly tests: readonly (Vector & V)[];
}
type Hex<Names extends string> = Readonly<Record<Names, string>>;

function read<G, V>(name: string): (Group<V> & G)[] {
  const file = JSON.parse(readFileSync(join(folder, `${name}_test.json`), 'utf8')) as {
    numberOfTests: number;
    testGroups: (Group<V> & G)[];
  };
  const count = file.testGroups.reduce((sum, { tests }) => sum + tests.length, 0);
  expect(count).toBe(file.numberOfTests);
  return file.testGroups;
}

const bytes = (hex: string) => Buffer.from(hex, 'hex');

type Jwk = Readonly<Record<string, unknown>>;
interface JoseGroup {
  readonly private: Jwk & { readonly keys?: readonly Jwk[] };
  readonly public?: JoseGroup['private'];
}

/** The key of a JWK as the product would hold it; undefined for one that it does not take. */
function keyOf(jwk: Jwk): VerifyingKey | undefined {
  const kid = String(jwk['kid']);
  if (jwk['kty'] === 'oct') {
    if (jwk['alg'] !== 'HS256' || jwk['use'] !== 'sig') return undefined;
    const key = createSecretKey(Buffer.from(String(jwk['k']), 'base64url'));
    return { kid, algorithm: 'HS256', key, untilMs: Number.POSITIVE_INFINITY };
  }
  try {
    const { algorithm, key } = importPublicJwk(jwk);
    return { kid, algorithm, key, untilMs: Number.POSITIVE_INFINITY };
  } catch (error) {
    expect(error).toMatchObject({ code: 'invalid_input' });
    return undefined;
  }
}

function isAccepted(token: string, group: JoseGroup): boolean {
  const given = group.public ?? group.private;
  const keys = (given.keys ?? [given]).map(keyOf).filter((key) => key !== undefined);
  const find = (kid: string) => {
    const named = keys.filter((key) => key.kid === kid);
    // The ring's table has one row for a kid.
    return named.length === 1 ? named[0] : undefined;
  };
  try {
    verifyBytes(token, { typ: undefined, find, nowMs: 0 });
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(AppError);
    return false;
  }
}

/** Vectors whose verdict is not ours, `file:tcId`, and why. */
const otherVerdicts: Readonly<Record<string, string>> = {
  'json_web_signature:367': 'the very bytes of 357, which is valid',
  'json_web_signature:370': 'the very bytes of 357, which is valid',
  'json_web_signature:372': 'valid to a reader that passes over what is not base64url',
  'json_web_signature:373': 'valid to a reader that passes over what is not base64url',
  'json_web_key:1':
    'invalid where any key of a mixed set may verify any token; here a kid names one key and its algorithm',
  'json_web_crypto:47': 'the same vector',
};

/** Valid vectors of algorithms that we do not have: all are refused. */
const validElsewhere = {
  json_web_signature: { RS256: 8, RS384: 4, RS512: 4, PS256: 6, PS384: 6, PS512: 4, ES512: 2 },
  json_web_key: { RS256: 1, HS384: 1, HS512: 1 },
  json_web_crypto: { RS256: 1, 'A256KW (encryption)': 1, 'ECDH-ES+A128KW (encryption)': 1 },
};

const acceptedHere = { json_web_signature: 12, json_web_key: 3, json_web_crypto: 4 };

const where = isAbsent ? ' (absent: CENTURIA_TEST_DATA names no folder with them)' : '';

describe.skipIf(isAbsent)(`vectors of Wycheproof${where}`, () => {
  test.each(['json_web_signature', 'json_web_key', 'json_web_crypto'] as const)(
    'the verdicts on all of %s are ours, but for those with a reason',
    (name) => {
      const elsewhere: Record<string, number> = {};
      const differing: string[] = [];
      let accepted = 0;
      for (const group of read<JoseGroup, { jws?: unknown; jwe?: unknown }>(name)) {
        for (const { tcId, result, jws, jwe } of group.tests) {
          const given = jws ?? jwe;
          const token = typeof given === 'string' ? given : JSON.stringify(given);
          const isOurs = isAccepted(token, group);
          if (isOurs) accepted += 1;
          const algorithm = algorithmOf(token, jwe !== undefined);
          if (result === 'valid' && !isOurs && !isOurAlgorithm(algorithm)) {
            elsewhere[algorithm] = (elsewhere[algorithm] ?? 0) + 1;
          } else if (isOurs !== (result === 'valid')) {
            differing.push(`${name}:${tcId}`);
          }
        }
      }
      const listed = Object.keys(otherVerdicts).filter((id) => id.startsWith(`${name}:`));
      expect(differing).toEqual(listed);
      expect(elsewhere).toEqual(validElsewhere[name]);
      expect(accepted).toBe(acceptedHere[name]);
    },
  );

  type EcGroup = { readonly publicKey: Hex<'uncompressed'>; readonly publicKeyJwk?: Jwk };
  type Signed = Hex<'msg' | 'sig'>;

  function ecKey({ publicKey, publicKeyJwk }: EcGroup) {
    const point = bytes(publicKey.uncompressed);
    expect(point).toHaveLength(65);
    const x = point.subarray(1, 33).toString('base64url');
    const y = point.subarray(33).toString('base64url');
    if (publicKeyJwk !== undefined) expect(publicKeyJwk).toMatchObject({ x, y });
    return importPublicJwk({ kty: 'EC', crv: 'P-256', x, y }).key;
  }

  test('all of ecdsa_secp256r1_sha256_p1363', () => {
    for (const group of read<EcGroup, Signed>('ecdsa_secp256r1_sha256_p1363')) {
      const key = ecKey(group);
      for (const { tcId, result, msg, sig } of group.tests) {
        expect([tcId, isSignature('ES256', key, bytes(msg), bytes(sig))]).toEqual([
          tcId,
          result === 'valid',
        ]);
      }
    }
  });

  test('all of ecdsa_secp256r1_sha256: our keys agree on DER, which no token may use', () => {
    for (const group of read<EcGroup, Signed>('ecdsa_secp256r1_sha256')) {
      const key = ecKey(group);
      for (const { tcId, result, msg, sig } of group.tests) {
        const isRight = verify('sha256', bytes(msg), key, bytes(sig));
        expect([tcId, isRight]).toEqual([tcId, result === 'valid']);
        expect([tcId, isSignature('ES256', key, bytes(msg), bytes(sig))]).toEqual([tcId, false]);
      }
    }
  });

  test('all of ed25519', () => {
    for (const group of read<{ publicKeyJwk: Jwk }, Signed>('ed25519')) {
      const { key } = importPublicJwk(group.publicKeyJwk);
      for (const { tcId, result, msg, sig } of group.tests) {
        expect([tcId, isSignature('EdDSA', key, bytes(msg), bytes(sig))]).toEqual([
          tcId,
          result === 'valid',
        ]);
      }
    }
  });

  test('all of hmac_sha256: a secret below 256 bits or a tag that is not whole is refused', () => {
    const refused = { shortKey: 0, cutTag: 0 };
    type MacGroup = { readonly keySize: number; readonly tagSize: number };
    for (const group of read<MacGroup, Hex<'key' | 'msg' | 'tag'>>('hmac_sha256')) {
      const isTaken = group.keySize >= 256 && group.tagSize === 256;
      for (const { tcId, result, key, msg, tag } of group.tests) {
        const secret = createSecretKey(bytes(key));
        const isRight = isSignature('HS256', secret, bytes(msg), bytes(tag));
        expect([tcId, isRight]).toEqual([tcId, isTaken && result === 'valid']);
        if (result === 'valid' && group.keySize < 256) refused.shortKey += 1;
        else if (result === 'valid' && group.tagSize < 256) refused.cutTag += 1;
      }
    }
    expect(refused).toEqual({ shortKey: 6, cutTag: 30 });
  });

  test('all of aes_gcm with our key and nonce sizes seal and open as they say', () => {
    let count = 0;
    type AeadGroup = { readonly keySize: number; readonly ivSize: number };
    type Sealed = Hex<'key' | 'iv' | 'aad' | 'msg' | 'ct' | 'tag'>;
    for (const group of read<AeadGroup, Sealed>('aes_gcm')) {
      if (group.keySize !== 256 || group.ivSize !== 96) continue;
      for (const { tcId, result, key, iv, aad, msg, ct, tag } of group.tests) {
        count += 1;
        const sealed = bytes(ct + tag);
        const open = () => decrypt(bytes(key), bytes(iv), bytes(aad), sealed).toString('hex');
        if (result === 'valid') {
          expect([tcId, open()]).toEqual([tcId, msg]);
          expect(encrypt(bytes(key), bytes(iv), bytes(aad), bytes(msg))).toEqual(sealed);
        } else {
          expect(open).toThrow(expect.objectContaining({ code: 'master_key_wrong' }));
        }
      }
    }
    expect(count).toBe(66);
  });
});

function algorithmOf(token: string, isEncrypted: boolean): string {
  try {
    const header: unknown = JSON.parse(
      Buffer.from(token.split('.', 1)[0] ?? '', 'base64url').toString(),
    );
    const { alg } = header as { alg: unknown };
    return `${String(alg)}${isEncrypted ? ' (encryption)' : ''}`;
  } catch {
    return 'none';
  }
}

function isOurAlgorithm(algorithm: string): boolean {
  return ['ES256', 'EdDSA', 'HS256', 'none'].includes(algorithm);
}
