import { createPublicKey, createSecretKey } from 'node:crypto';
import { expect, test } from 'vitest';
import { isSignature, verifyBytes } from './jws.ts';

const check = (given: string) =>
  verifyBytes(given, { typ: undefined, find: () => undefined, nowMs: 0 });
const encode = (text: string) => Buffer.from(text).toString('base64url');
const refused = (message: string) =>
  expect.objectContaining({
    code: 'token_invalid',
    message: expect.stringContaining(message),
  });

test('the examples of RFC 7515 in A.1 and A.3 have right signatures, and name no key of ours', () => {
  const body =
    'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ';
  const k =
    'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow';
  const ec = {
    kty: 'EC',
    crv: 'P-256',
    x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
    y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
  };
  const examples = [
    [
      'HS256',
      createSecretKey(Buffer.from(k, 'base64url')),
      'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9',
      'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk',
    ],
    [
      'ES256',
      createPublicKey({ key: ec, format: 'jwk' }),
      'eyJhbGciOiJFUzI1NiJ9',
      'DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q',
    ],
  ] as const;
  for (const [algorithm, key, head, mac] of examples) {
    const input = Buffer.from(`${head}.${body}`);
    expect(isSignature(algorithm, key, input, Buffer.from(mac, 'base64url'))).toBe(true);
    expect(() => check(`${head}.${body}.${mac}`)).toThrow(refused(''));
  }
});

test('the examples of RFC 7515 in A.2 (RS256) and A.5 (none) are refused for their algorithm', () => {
  const body =
    'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ';
  const rsa =
    'cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw';
  expect(() => check(`eyJhbGciOiJSUzI1NiJ9.${body}.${rsa}`)).toThrow(refused('alg'));
  expect(() => check(`eyJhbGciOiJub25lIn0.${body}.`)).toThrow(refused(''));
  expect(() => check(`eyJhbGciOiJub25lIn0.${body}.AA`)).toThrow(refused('alg'));
});

test('the HMAC example of RFC 7520 in 4.4 is read, byte for byte', () => {
  const kid = '018c0ae5-4d9b-471b-bfd6-eef314bc7037';
  const key = createSecretKey(
    Buffer.from('hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg', 'base64url'),
  );
  const text =
    "It’s a dangerous business, Frodo, going out your door. You step onto the road, and if you don't keep your feet, there’s no knowing where you might be swept off to.";
  const given = `eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9.${encode(text)}.s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0`;
  const found = verifyBytes(given, {
    typ: undefined,
    find: (name) => (name === kid ? { kid, algorithm: 'HS256', key, untilMs: 1 } : undefined),
    nowMs: 0,
  });
  expect(found.payload.toString()).toBe(text);
});
