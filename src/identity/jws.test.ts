import {
  createHmac,
  createSecretKey,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto';
import * as fc from 'fast-check';
import { compactVerify, CompactSign } from 'jose';
import { expect, test } from 'vitest';
import { AppError } from '../base/base.ts';
import {
  isSignature,
  isUnknownKey,
  signCompact,
  verifyCompact,
  verifySelfSigned,
  type Algorithm,
  type SigningKey,
} from './jws.ts';

const typ = 'at+jwt';
const nowMs = 1_800_000_000_000;
const untilMs = nowMs + 1_000;

function pair(kid: string, algorithm: 'ES256' | 'EdDSA'): SigningKey {
  const { privateKey, publicKey } =
    algorithm === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('ed25519');
  return { kid, algorithm, privateKey, key: publicKey, untilMs };
}
const secret = createSecretKey(Buffer.alloc(32, 3));
const keys: Readonly<Record<Algorithm, SigningKey>> = {
  ES256: pair('es', 'ES256'),
  EdDSA: pair('ed', 'EdDSA'),
  HS256: { kid: 'hs', algorithm: 'HS256', privateKey: secret, key: secret, untilMs },
};
const all = Object.values(keys);
const find = (kid: string) => all.find((key) => key.kid === kid);
const check = (given: string) => verifyCompact(given, { typ, find, nowMs });
const checkAt = (ms: number) => verifyCompact(token, { typ, find, nowMs: ms });
const payload = { sub: 'a', n: 1 };
const token = signCompact({ key: keys.ES256, typ, payload });
const refused = (code = 'token_invalid', message = '') =>
  expect.objectContaining({ code, message: expect.stringContaining(message) });

const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** A token whose signature is right, whatever header and payload say. */
function craft(header: unknown, body: unknown = payload, key: SigningKey = keys.ES256): string {
  const input = `${encode(header)}.${encode(body)}`;
  return `${input}.${rawSignature(key.algorithm, key.privateKey, input).toString('base64url')}`;
}

function rawSignature(algorithm: Algorithm, key: KeyObject, input: string): Buffer {
  if (algorithm === 'HS256') return createHmac('sha256', key).update(input).digest();
  if (algorithm === 'EdDSA') return sign(null, Buffer.from(input), key);
  return sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
}

function isAccepted(given: string): boolean {
  try {
    check(given);
    return true;
  } catch (error) {
    if (error instanceof AppError) return false;
    throw error;
  }
}

test.each(all)('what is signed with $algorithm is read by us and by jose', async (key) => {
  const ours = signCompact({ key, typ, payload });
  expect(check(ours)).toMatchObject({ header: { typ, kid: key.kid }, payload, key });
  const theirs = await compactVerify(ours, key.key, { algorithms: [key.algorithm] });
  expect(JSON.parse(Buffer.from(theirs.payload).toString())).toEqual(payload);
});

test.each(all)('what jose signs with $algorithm is read by us', async (key) => {
  const theirs = await new CompactSign(Buffer.from(JSON.stringify(payload)))
    .setProtectedHeader({ alg: key.algorithm, kid: key.kid, typ })
    .sign(key.privateKey);
  expect(check(theirs).payload).toEqual(payload);
});

test('any payload comes back', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })),
      fc.constantFrom(...all),
      (given, key) => {
        const sent = JSON.parse(JSON.stringify(given)) as object;
        expect(check(signCompact({ key, typ, payload: given })).payload).toEqual(sent);
      },
    ),
    { numRuns: 60 },
  );
});

test('a token with any one character changed, taken out or added is refused', () => {
  const chars = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\0é';
  const tokens = all.map((key) => signCompact({ key, typ, payload }));
  fc.assert(
    fc.property(
      fc.constantFrom(...tokens),
      fc.nat(),
      fc.constantFrom(...chars),
      fc.constantFrom(0, 1),
      (whole, pick, char, replaced) => {
        const at = pick % (whole.length + 1 - replaced);
        const changed = whole.slice(0, at) + char + whole.slice(at + replaced);
        const cut = whole.slice(0, at) + whole.slice(at + 1);
        const others = [changed, cut].filter((other) => other !== whole);
        expect(others.filter(isAccepted)).toEqual([]);
      },
    ),
    { numRuns: 1_500 },
  );
});

test('whatever is given, only our errors are thrown, and they hold nothing of it', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,90}$/),
    fc.tuple(fc.jsonValue(), fc.jsonValue()).map(([head, body]) => craft(head ?? 0, body ?? 0)),
    fc
      .tuple(fc.dictionary(fc.constantFrom('alg', 'typ', 'kid', 'jwk'), fc.jsonValue()))
      .map(([head]) => craft({ alg: 'ES256', typ, kid: 'es', ...head })),
  );
  fc.assert(
    fc.property(text, (given) => {
      for (const read of [check, (it: string) => verifySelfSigned(it, 'dpop+jwt')]) {
        try {
          read(given);
        } catch (error) {
          expect(error).toMatchObject({
            code: expect.stringMatching(/^(token|signature)_invalid$/),
          });
          if (given.length > 8) expect((error as Error).message).not.toContain(given);
        }
      }
    }),
    { numRuns: 1_000 },
  );
});

/**
 * The last character of a 64-byte signature carries four bits that no byte takes. jose 6.2 decodes
 * leniently and accepts all sixteen spellings, so that a list of revoked strings would miss fifteen.
 */
test('of sixteen spellings of one signature one is accepted', () => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = alphabet.indexOf(token.at(-1) ?? '');
  const spellings = Array.from(
    { length: 16 },
    (_, bits) => token.slice(0, -1) + alphabet[(last & 0b110000) | bits],
  );
  const accepted = spellings.filter((spelling) => {
    const [, , mac = ''] = spelling.split('.');
    const same = Buffer.from(mac, 'base64url').equals(
      Buffer.from(token.split('.')[2] ?? '', 'base64url'),
    );
    expect(same).toBe(true);
    try {
      return check(spelling).payload['sub'] === 'a';
    } catch (error) {
      expect(error).toEqual(refused('token_invalid', 'canonical'));
      return false;
    }
  });
  expect(accepted).toEqual([token]);
});

test.each([
  ['padding', `${token}=`],
  ['padding inside', token.replace('.', '=.')],
  ['a line break', `${token}\n`],
  ['a space before', ` ${token}`],
  ['white space inside', token.replace('.', ' .')],
  ['a fourth part', `${token}.x`],
  ['an empty fourth part', `${token}.`],
  ['no signature', token.slice(0, token.lastIndexOf('.') + 1)],
  ['no payload', token.replace(/\..*\./, '..')],
  ['no header', token.slice(token.indexOf('.'))],
  ['nothing', ''],
  ['JSON', JSON.stringify({ payload: 'Zm9v', signatures: [] })],
  ['five parts', 'a.b.c.d.e'],
])('%s is refused', (_what, given) => {
  expect(() => check(given)).toThrow(refused());
});

test('the standard alphabet is refused where the other one was meant', () => {
  const body = { sub: '~~~???>>>ÿÿÿ' };
  const given = signCompact({ key: keys.ES256, typ, payload: body });
  expect(check(given).payload).toEqual(body);
  const [head = '', middle = '', mac = ''] = given.split('.');
  const other = [head, middle.replaceAll('-', '+').replaceAll('_', '/'), mac].join('.');
  expect(other).not.toBe(given);
  expect(() => check(other)).toThrow(refused('token_invalid', 'base64url'));
});

function sized(extra: number): string {
  return craft({ alg: 'HS256', typ, kid: 'hs' }, { pad: 'x'.repeat(extra) }, keys.HS256);
}

test('a token of 8,192 bytes is read, and one of more is neither read nor written', () => {
  const room = 8_192 - token.length;
  let extra = Math.floor((room * 3) / 4);
  while (sized(extra + 1).length <= 8_192) extra += 1;
  expect(sized(extra).length).toBeGreaterThan(8_188);
  expect(check(sized(extra)).payload).toHaveProperty('pad');
  expect(() => check(sized(extra + 4))).toThrow(refused('token_invalid', '8192'));
  expect(() => signCompact({ key: keys.ES256, typ, payload: { pad: 'x'.repeat(8_192) } })).toThrow(
    refused('too_large'),
  );
});

test.each([
  'none',
  'None',
  'NONE',
  'nOnE',
  '',
  'HS384',
  'RS256',
  'PS256',
  'ES384',
  'es256',
  'Ed25519',
  7,
  null,
])('alg %j is refused, signed or not', (alg) => {
  const head = { alg, typ, kid: 'es' };
  const input = `${encode(head)}.${encode(payload)}`;
  for (const given of [craft(head), `${input}.`, `${input}.AA`]) {
    expect(() => check(given)).toThrow(refused());
  }
});

test('alg has to be that of the key, although the signature is right', () => {
  for (const alg of ['EdDSA', 'HS256']) {
    const given = craft({ alg, typ, kid: 'es' });
    expect(() => check(given)).toThrow(refused('token_invalid', 'algorithm of the key'));
  }
});

test('the bytes of the public key in any form are no secret', () => {
  const { key } = keys.ES256;
  const jwk = key.export({ format: 'jwk' });
  const forms = [
    key.export({ format: 'pem', type: 'spki' }),
    key.export({ format: 'der', type: 'spki' }),
    JSON.stringify(jwk),
    `${jwk.x}${jwk.y}`,
    Buffer.from(jwk.x ?? '', 'base64url'),
  ];
  for (const form of forms) {
    const forged = { ...keys.HS256, privateKey: createSecretKey(Buffer.from(form)) };
    for (const alg of ['HS256', 'ES256']) {
      const given = craft({ alg, typ, kid: 'es' }, payload, forged);
      expect(() => check(given)).toThrow(AppError);
    }
  }
});

test('each member that would bring a key or another meaning is refused', () => {
  const jwk = keys.EdDSA.key.export({ format: 'jwk' });
  const members = {
    jwk,
    jku: 'https://evil.example/jwks',
    x5u: 'https://evil.example',
    x5c: ['x'],
  };
  const others = { crit: ['exp'], b64: false, zip: 'DEF', cty: 'JWT', x5t: 'x', exp: 1, Kid: 'es' };
  for (const [name, value] of Object.entries({ ...members, ...others })) {
    const given = craft({ alg: 'ES256', typ, kid: 'es', [name]: value });
    expect(() => check(given)).toThrow(refused('token_invalid', 'member'));
  }
  expect(() => check(craft({ alg: 'ES256', typ, kid: 'es', crit: [] }))).toThrow(refused());
});

test.each([
  '../../dev/null',
  "' or 1=1 --",
  'a/b',
  '',
  ' es',
  'es\n',
  'e\0s',
  'x'.repeat(129),
  7,
  null,
  ['es'],
  { toString: 'es' },
  undefined,
])('kid %j is refused before anything is looked up', (kid) => {
  const asked: string[] = [];
  const spy = (name: string) => {
    asked.push(name);
    return keys.ES256;
  };
  const given = craft({ alg: 'ES256', typ, kid });
  expect(() => verifyCompact(given, { typ, find: spy, nowMs })).toThrow(refused());
  expect(asked).toEqual([]);
});

test('a key that is not known is told apart from every other reason', () => {
  const errors = [craft({ alg: 'ES256', typ, kid: 'new' }), craft({ alg: 'none', typ, kid: 'es' })]
    .map((given) => {
      try {
        return check(given);
      } catch (error) {
        return error;
      }
    })
    .map(isUnknownKey);
  expect(errors).toEqual([true, false]);
});

function ofKind(kind: unknown): string {
  return craft({ alg: 'ES256', typ: kind, kid: 'es' });
}

test('a token of another kind is refused, and the long name of the kind is the same kind', () => {
  for (const kind of ['at+jwt', 'AT+JWT', 'application/at+jwt', 'Application/At+Jwt']) {
    expect(check(ofKind(kind)).payload).toEqual(payload);
  }
  for (const kind of ['JWT', 'dpop+jwt', 'at+jwt ', 'x/at+jwt', 'at+\u212Awt', '', null, 7]) {
    expect(() => check(ofKind(kind))).toThrow(refused('token_invalid', 'typ'));
  }
  expect(() => check(craft({ alg: 'ES256', kid: 'es' }))).toThrow(refused('token_invalid', 'typ'));
});

test.each([
  ['an alg', `{"alg":"none","alg":"ES256","typ":"${typ}","kid":"es"}`, '{}'],
  ['a kid spelled otherwise', `{"alg":"ES256","typ":"${typ}","kid":"x","\\u006bid":"es"}`, '{}'],
  ['a claim', { alg: 'ES256', typ, kid: 'es' }, '{"exp":1,"exp":2}'],
  ['a claim deep inside', { alg: 'ES256', typ, kid: 'es' }, '{"act":{"sub":"a","sub":"b"}}'],
])('%s that is given twice is refused', (_what, header, body) => {
  expect(() => check(craft(header, body))).toThrow(refused('token_invalid', 'repeats'));
});

test.each(['[]', '"x"', 'null', '1', 'foo', '\ufeff{}', '{"exp":1e400}'])(
  'the payload %j is refused',
  (body) => {
    expect(() => check(craft({ alg: 'ES256', typ, kid: 'es' }, body))).toThrow(refused());
  },
);

test('a key counts until its end', () => {
  expect(checkAt(untilMs - 1).payload).toEqual(payload);
  expect(() => checkAt(untilMs)).toThrow(
    expect.objectContaining({ code: 'token_invalid', details: { reason: 'key_ended' } }),
  );
});

test('a signature is refused in DER, cut, longer, with r or s out of range, or of another kind of key', () => {
  const input = Buffer.from('x');
  const { key, privateKey } = keys.ES256;
  const right = rawSignature('ES256', privateKey, 'x');
  const order = Buffer.from(
    'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551',
    'hex',
  );
  const zero = Buffer.alloc(32);
  const [r, s] = [right.subarray(0, 32), right.subarray(32)];
  expect(isSignature('ES256', key, input, right)).toBe(true);
  const wrong = [
    sign('sha256', input, privateKey),
    right.subarray(1),
    Buffer.concat([right, zero]),
    Buffer.concat([zero, s]),
    Buffer.concat([r, zero]),
    Buffer.concat([order, s]),
    Buffer.concat([r, order]),
    Buffer.alloc(64, 255),
    Buffer.alloc(0),
  ];
  for (const given of wrong) expect(isSignature('ES256', key, input, given)).toBe(false);
  for (const other of ['EdDSA', 'HS256'] as const) {
    expect(isSignature(other, key, input, right)).toBe(false);
    expect(isSignature('ES256', keys[other].key, input, right)).toBe(false);
  }
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  expect(isSignature('ES256', p384.publicKey, input, right)).toBe(false);
});

test('a secret of fewer than 256 bits neither signs nor verifies', () => {
  const short = createSecretKey(Buffer.alloc(31, 1));
  const key = { ...keys.HS256, privateKey: short, key: short };
  expect(() => signCompact({ key, typ, payload })).toThrow(refused('internal'));
  const given = craft({ alg: 'HS256', typ, kid: 'hs' }, payload, key);
  expect(() => verifyCompact(given, { typ, find: () => key, nowMs })).toThrow(
    refused('signature_invalid'),
  );
});

test('a token that brings its key is never taken where ours is asked for, nor the reverse', () => {
  const jwk = keys.ES256.key.export({ format: 'jwk' });
  const own = craft({ alg: 'ES256', typ: 'dpop+jwt', jwk });
  expect(verifySelfSigned(own, 'dpop+jwt')).toEqual({ payload, jwk });
  expect(() => verifyCompact(own, { typ: 'dpop+jwt', find, nowMs })).toThrow(refused());
  expect(() => verifySelfSigned(token, typ)).toThrow(refused());
});

test.each([
  ['the private key', () => keys.ES256.privateKey.export({ format: 'jwk' })],
  ['a secret', () => ({ kty: 'oct', k: encode('x'.repeat(32)) })],
  ['nothing', () => undefined],
  ['another key', () => keys.EdDSA.key.export({ format: 'jwk' })],
  ['a text', () => JSON.stringify(keys.ES256.key.export({ format: 'jwk' }))],
])('a token that brings %s is refused', (_what, jwk) => {
  const given = craft({ alg: 'ES256', typ: 'dpop+jwt', jwk: jwk() });
  expect(() => verifySelfSigned(given, 'dpop+jwt')).toThrow(refused());
});

test('a token that brings its key has to be signed with it', () => {
  const jwk = pair('x', 'ES256').key.export({ format: 'jwk' });
  const given = craft({ alg: 'ES256', typ: 'dpop+jwt', jwk });
  expect(() => verifySelfSigned(given, 'dpop+jwt')).toThrow(refused('signature_invalid'));
});
