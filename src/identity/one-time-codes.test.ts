import { createHash, randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { Secret, TOTP, URI } from 'otpauth';
import { expect, test } from 'vitest';
import { toAppError } from '../base/base.ts';
import {
  checkTotp,
  newRecoveryCodes,
  newTotpSecret,
  recoveryCodeHash,
  totpUri,
} from './one-time-codes.ts';

const secret = Secret.fromLatin1('12345678901234567890').base32;
const none = undefined;

function codeAt(atMs: number, key = secret): string {
  return new TOTP({ secret: key }).generate({ timestamp: atMs });
}

// RFC 6238, appendix B. Six digits of a code are the last six of its eight.
test.each([
  [59, '94287082'],
  [1_111_111_109, '07081804'],
  [1_111_111_111, '14050471'],
  [1_234_567_890, '89005924'],
  [2_000_000_000, '69279037'],
  [20_000_000_000, '65353130'],
])('the code of RFC 6238 at %i s is right', (seconds, eightDigits) => {
  const code = eightDigits.slice(2);
  const step = Math.floor(seconds / 30);
  expect(checkTotp({ secret, code, atMs: seconds * 1_000, lastUsedStep: none })).toEqual({
    ok: true,
    step,
  });
  const wrong = code.slice(0, 5) + ((Number(code[5]) + 1) % 10);
  expect(checkTotp({ secret, code: wrong, atMs: seconds * 1_000, lastUsedStep: none })).toEqual({
    ok: false,
  });
});

const times = fc.integer({ min: 60_000, max: 2 ** 41 });

test('a code is right in its step and the two beside it, and in no other', () => {
  fc.assert(
    fc.property(times, fc.integer({ min: -4, max: 4 }), (atMs, stepsOff) => {
      const code = codeAt(atMs + stepsOff * 30_000);
      const result = checkTotp({ secret, code, atMs, lastUsedStep: none });
      const near = [-1, 0, 1].filter((off) => codeAt(atMs + off * 30_000) === code);
      const latest = near.at(-1);
      expect(result).toEqual(
        latest === undefined
          ? { ok: false }
          : { ok: true, step: Math.floor(atMs / 30_000) + latest },
      );
      if (Math.abs(stepsOff) <= 1) expect(result.ok).toBe(true);
    }),
  );
});

test('a step that was used, and every earlier one, is never right again', () => {
  fc.assert(
    fc.property(
      times,
      fc.array(fc.integer({ min: -1, max: 1 }), { minLength: 1 }),
      (atMs, tries) => {
        let lastUsedStep: number | undefined;
        for (const off of tries) {
          const result = checkTotp({
            secret,
            code: codeAt(atMs + off * 30_000),
            atMs,
            lastUsedStep,
          });
          if (!result.ok) continue;
          expect(result.step).toBeGreaterThan(lastUsedStep ?? -1);
          lastUsedStep = result.step;
        }
        for (const off of [-1, 0, 1]) {
          const step = Math.floor(atMs / 30_000) + off;
          const code = codeAt(atMs + off * 30_000);
          const result = checkTotp({ secret, code, atMs, lastUsedStep });
          if (lastUsedStep !== undefined && step <= lastUsedStep && result.ok) {
            // Only where a later step has the same code by chance.
            expect(result.step).toBeGreaterThan(lastUsedStep);
          }
        }
      },
    ),
  );
  const at = { secret, atMs: 59_000, code: '287082' };
  expect(checkTotp({ ...at, lastUsedStep: 0 })).toEqual({ ok: true, step: 1 });
  for (const lastUsedStep of [1, 2, 100]) {
    expect(checkTotp({ ...at, lastUsedStep })).toEqual({ ok: false });
  }
});

test('a code that two steps share uses up both', () => {
  // The first step past 1,000,000 at which this secret has the code of the step before.
  const step = 1_300_576;
  const code = codeAt(step * 30_000);
  expect(codeAt((step - 1) * 30_000)).toBe(code);
  const check = { secret, code, atMs: step * 30_000 };
  expect(checkTotp({ ...check, lastUsedStep: none })).toEqual({ ok: true, step });
  expect(checkTotp({ ...check, lastUsedStep: step })).toEqual({ ok: false });
});

test.each(['', '28708', '2870821', '28708a', '２８７０８２', '-28708', '287082\u0000', '94287082'])(
  '%j is no code',
  (code) => {
    expect(checkTotp({ secret, code, atMs: 59_000, lastUsedStep: none })).toEqual({ ok: false });
  },
);

test('a code may be typed with spaces', () => {
  const check = { secret, code: ' 287 082\n', atMs: 59_000, lastUsedStep: none };
  expect(checkTotp(check)).toEqual({ ok: true, step: 1 });
});

test('right after 1970 there is no step before the first', () => {
  expect(checkTotp({ secret, code: codeAt(0), atMs: 0, lastUsedStep: none })).toEqual({
    ok: true,
    step: 0,
  });
});

test('another secret gives other codes', () => {
  const [one, other] = [newTotpSecret(randomBytes), newTotpSecret(randomBytes)];
  const moments = [1e10, 2e10, 3e10, 4e10];
  expect(moments.map((atMs) => codeAt(atMs, one))).not.toEqual(
    moments.map((atMs) => codeAt(atMs, other)),
  );
});

test.each(['', 'GEZDGNBV', '1NSECURE1NSECURE1NSECURE1NSECURE'])(
  'the stored secret %j is a defect, and stays out of the error',
  (broken) => {
    let thrown: unknown;
    try {
      checkTotp({ secret: broken, code: '000000', atMs: 59_000, lastUsedStep: none });
    } catch (error) {
      thrown = error;
    }
    const error = toAppError(thrown);
    expect(error).toMatchObject({ code: 'internal', details: {} });
    expect(error.cause).toBeUndefined();
    expect(error.message).toBe('a stored secret for one-time codes can not be read');
  },
);

test('a new secret is 160 bits of what the source of randomness gave', () => {
  const given = Uint8Array.from({ length: 20 }, (_, index) => index * 12);
  const sizes: number[] = [];
  const made = newTotpSecret((size) => {
    sizes.push(size);
    return given;
  });
  expect(sizes).toEqual([20]);
  expect(made).toMatch(/^[A-Z2-7]{32}$/);
  expect(Secret.fromBase32(made).bytes).toEqual(given);
});

test('an app reads from the address what was put in', () => {
  const names = fc.string({ minLength: 1, maxLength: 30, unit: 'binary' });
  fc.assert(
    fc.property(names, names, (account, issuer) => {
      fc.pre(!issuer.includes(':') && !account.includes(':'));
      const read = URI.parse(totpUri({ secret, account, issuer }));
      expect(read).toMatchObject({ issuer, label: account, algorithm: 'SHA1', digits: 6 });
      expect(read).toMatchObject({ period: 30, secret: { base32: secret } });
    }),
  );
  expect(totpUri({ secret, account: 'ann@example.com', issuer: 'Centuria' })).toBe(
    `otpauth://totp/Centuria:ann%40example.com?issuer=Centuria&secret=${secret}&algorithm=SHA1&digits=6&period=30`,
  );
  expect(totpUri({ secret, account: 'half \ud800', issuer: 'Centuria' })).toContain('%EF%BF%BD');
});

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

test('recovery codes are ten different ones that hold every bit given', () => {
  const codes = newRecoveryCodes(randomBytes);
  expect(new Set(codes).size).toBe(10);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 10, maxLength: 10 }), (bytes) => {
      const [code = ''] = newRecoveryCodes(() => bytes);
      expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
      const value = [...code.replaceAll('-', '')].reduce(
        (sum, digit) => sum * 32n + BigInt(alphabet.indexOf(digit)),
        0n,
      );
      expect(value.toString(16).padStart(20, '0')).toBe(Buffer.from(bytes).toString('hex'));
    }),
  );
});

test('a recovery code has one hash however it is typed, and another code has another', () => {
  const code = '01AB-CDEF-GH01-10VZ';
  const hash = createHash('sha256').update('01ABCDEFGH0110VZ').digest();
  for (const typed of [
    code,
    code.toLowerCase(),
    '01ABCDEFGH0110VZ',
    ' 01ab cdef\tgh01 10vz\n',
    'OIab–cdef—ghoL-lovz',
    '０１AB-CDEF-GH01-10VZ',
  ]) {
    expect(recoveryCodeHash(typed)).toEqual(hash);
  }
  expect(recoveryCodeHash('01AB-CDEF-GH01-10VY')).not.toEqual(hash);
  expect(recoveryCodeHash('')).toHaveLength(32);
});
