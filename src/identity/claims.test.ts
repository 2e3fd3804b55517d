import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { readClaims, writeClaims, type AccessClaims, type Actor } from './claims.ts';

const now = 1_800_000_000;
const options = {
  issuer: 'https://centuria.example',
  audience: 'centuria',
  nowMs: now * 1_000,
  leewaySeconds: 5,
  maxDepth: 3,
};
const claims: AccessClaims = {
  iss: options.issuer,
  sub: 'agent:lint',
  aud: options.audience,
  exp: now + 600,
  nbf: now,
  iat: now,
  jti: 'token-1',
  sid: 'session-1',
  role: 3,
  permissions: 7n,
};
const read = (changes: Record<string, unknown>) =>
  readClaims({ ...writeClaims(claims), ...changes }, options);
const refused = (claim: string) =>
  expect.objectContaining({
    code: 'token_invalid',
    details: { claim },
    message: expect.stringMatching(new RegExp(`^${claim} `)),
  });

const name = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 100 })
  .filter((text) => !text.includes('\0'));
const handle = fc.stringMatching(/^[\x21-\x7e]{1,63}$/);
const actors = (depth: number): fc.Arbitrary<Actor> =>
  depth === 1
    ? fc.record({ sub: name })
    : fc.record({ sub: name, act: actors(depth - 1) }, { requiredKeys: ['sub'] });
const anyClaims: fc.Arbitrary<AccessClaims> = fc.record(
  {
    iss: fc.constant(options.issuer),
    sub: name,
    aud: fc.constant(options.audience),
    exp: fc.integer({ min: now + 1, max: now + 80_000 }),
    nbf: fc.integer({ min: now - 6_000, max: now }),
    iat: fc.integer({ min: now - 6_000, max: now }),
    jti: handle,
    sid: handle,
    role: fc.integer({ min: 1, max: 5 }),
    permissions: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    scope: name,
    cnf: fc.record({ jkt: fc.stringMatching(/^[A-Za-z0-9_-]{43}$/) }),
    act: actors(3),
    client_id: name,
  },
  {
    requiredKeys: ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'sid', 'role', 'permissions'],
  },
);

test('claims come back as they were written, through JSON', () => {
  fc.assert(
    fc.property(anyClaims, (given) => {
      const payload = JSON.parse(JSON.stringify(writeClaims(given))) as Record<string, unknown>;
      expect(readClaims(payload, options)).toEqual(given);
    }),
  );
});

test.each([
  ['exp', '1800000600'],
  ['exp', Number.POSITIVE_INFINITY],
  ['exp', now + 0.5],
  ['exp', -1],
  ['exp', 1e15],
  ['exp', [now + 600]],
  ['exp', now],
  ['exp', now + 86_401],
  ['iat', null],
  ['iat', true],
  ['iat', now + 6],
  ['nbf', `${now}`],
  ['nbf', now + 6],
  ['jti', ''],
  ['jti', 'x'.repeat(64)],
  ['jti', 7],
  ['jti', 'a b'],
  ['jti', 'é'],
  ['sid', ''],
  ['sid', {}],
  ['role', 0],
  ['role', 6],
  ['role', '1'],
  ['role', 1.5],
  ['permissions', 7],
  ['permissions', '07'],
  ['permissions', '+7'],
  ['permissions', '-1'],
  ['permissions', '0x7'],
  ['permissions', '7\n'],
  ['permissions', '18446744073709551616'],
  ['permissions', ''],
  ['iss', 'https://evil.example'],
  ['iss', [options.issuer]],
  ['aud', 'other'],
  ['aud', [options.audience]],
  ['sub', ''],
  ['sub', null],
  ['sub', '\ud800'],
  ['sub', 'a\0b'],
  ['sub', 'x'.repeat(257)],
  ['scope', 7],
  ['scope', undefined],
  ['client_id', ''],
  ['cnf', 'x'],
  ['cnf', null],
  ['cnf', { jkt: 'x'.repeat(43), x5t: 'y' }],
  ['act', 'x'],
  ['act', []],
  ['act', { sub: 'a', iss: 'b' }],
  ['act', { sub: 'a', act: { sub: 'b', act: { sub: 'c', act: { sub: 'd' } } } }],
])('%s of %j is refused by its name', (claim, value) => {
  expect(() => read({ [claim]: value })).toThrow(refused(claim));
});

test('each claim that must be there is missed by its name', () => {
  for (const claim of Object.keys(writeClaims(claims))) {
    const { [claim]: _without, ...rest } = writeClaims(claims);
    expect(() => readClaims(rest, options)).toThrow(refused(claim));
  }
});

test('members of claims are refused by their own names', () => {
  expect(() => read({ cnf: {} })).toThrow(refused('jkt'));
  expect(() => read({ cnf: { jkt: 'short' } })).toThrow(refused('jkt'));
  expect(() => read({ act: {} })).toThrow(refused('sub'));
  expect(() => read({ act: { sub: 'a', act: null } })).toThrow(refused('act'));
});

test('a claim that is not known is refused, also under a name that objects have', () => {
  for (const text of ['{"admin":true}', '{"__proto__":{"role":1}}', '{"constructor":1}']) {
    const payload = { ...writeClaims(claims) };
    const more = JSON.parse(text) as object;
    for (const key of Object.keys(more)) {
      Object.defineProperty(payload, key, { value: 1, enumerable: true });
    }
    expect(() => readClaims(payload, options)).toThrow('not known');
  }
});

test('a token counts to the end of its time and the leeway, and is over then', () => {
  const end = claims.exp + options.leewaySeconds;
  const at = (seconds: number) => () =>
    readClaims(writeClaims(claims), { ...options, nowMs: seconds * 1_000 });
  expect(at(end - 0.001)()).toEqual(claims);
  expect(at(end)).toThrow(expect.objectContaining({ code: 'token_expired' }));
  expect(at(now - options.leewaySeconds)()).toEqual(claims);
  expect(at(now - options.leewaySeconds - 0.001)).toThrow(refused('iat'));
});

test('as many actors as are allowed may stand inside each other', () => {
  const act = { sub: 'a', act: { sub: 'b', act: { sub: 'c' } } };
  expect(read({ act }).act).toEqual(act);
});

test('claims that would be refused are not written', () => {
  const bad: Partial<AccessClaims>[] = [
    { exp: now },
    { role: 0 },
    { permissions: 2n ** 64n },
    { permissions: -1n },
    { jti: '' },
  ];
  for (const change of bad) {
    expect(() => writeClaims({ ...claims, ...change })).toThrow(
      expect.objectContaining({ code: 'internal' }),
    );
  }
});

test('whatever the payload holds, only the two codes are thrown', () => {
  const payloads = fc.dictionary(
    fc.oneof(fc.constantFrom(...Object.keys(writeClaims(claims)), 'act', 'cnf'), fc.string()),
    fc.jsonValue(),
  );
  fc.assert(
    fc.property(payloads, fc.boolean(), (payload, whole) => {
      try {
        readClaims(whole ? { ...writeClaims(claims), ...payload } : payload, options);
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching(/^token_(invalid|expired)$/) });
      }
    }),
  );
});
