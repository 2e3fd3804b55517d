import { array, assert, bigInt, integer, json, property, record, string } from 'fast-check';
import { expect, test } from 'vitest';
import { cacheKeys } from './cache-keys.ts';

const key = cacheKeys.userPermissions('u1');
const most = 2n ** 63n - 1n;
const value = { permissions: most, roles: ['admin'], grants: [] };

test('the keys and lives are those that are documented', () => {
  const rows = [
    cacheKeys.session('s1'),
    cacheKeys.userSessions('u1'),
    cacheKeys.blacklist('j1'),
    cacheKeys.tokenValid('h1'),
    cacheKeys.userPermissions('u1'),
    cacheKeys.rolePermissions('admin'),
  ].map(({ text, ttlMs }) => [text, ttlMs]);
  expect(rows).toStrictEqual([
    ['session:s1', undefined],
    ['user_sessions:u1', undefined],
    ['blacklist:j1', undefined],
    ['token_valid:h1', 300_000],
    ['user_perms:u1', 900_000],
    ['role_perms:admin', 3_600_000],
  ]);
});

test('an id that could be taken for another key is hashed', () => {
  expect(cacheKeys.session('a b\r\nDEL c').text).toMatch(/^session:#[0-9a-f]{64}$/);
  expect(cacheKeys.session('').text).toMatch(/^session:#[0-9a-f]{64}$/);
});

test('every mask of 64 bits comes back as it was, as a decimal string in between', () => {
  const masks = bigInt({ min: -(2n ** 63n), max: most });
  const grants = array(record({ resource: string({ maxLength: 50 }), permissions: masks }));
  const roles = array(string({ minLength: 1, maxLength: 20 }));
  assert(
    property(record({ permissions: masks, roles, grants }), (some) => {
      const written = key.encode(some);
      expect(written).toContain(`"permissions":"${some.permissions}"`);
      // Not strictly: some of these have no prototype.
      expect(key.decode(written)).toEqual(some);
    }),
  );
});

test('what is cut off or changed anywhere is no value', () => {
  const written = key.encode(value);
  for (let length = 0; length < written.length; length += 1) {
    expect(key.decode(written.slice(0, length))).toBeUndefined();
  }
  assert(
    property(integer({ min: 0, max: written.length - 1 }), string({ maxLength: 3 }), (at, put) => {
      const changed = written.slice(0, at) + put + written.slice(at + 1);
      const decoded = key.decode(changed);
      // Another letter in a role or another digit in a mask is still a value; any other form is not.
      if (decoded !== undefined) expect(key.decode(key.encode(decoded))).toStrictEqual(decoded);
    }),
    { numRuns: 500 },
  );
});

test('what was not written for this key is no value', () => {
  assert(property(json(), (text) => void expect(key.decode(text)).toBeUndefined()));
  const written = key.encode(value);
  const wrong: readonly string[] = [
    cacheKeys.userPermissions('u2').encode(value),
    cacheKeys.rolePermissions('u1').encode(value),
    written.replace('[1,', '[2,'),
    written.replace(`"${most}"`, `"${most + 1n}"`),
    written.replace(`"${most}"`, String(most)),
    written.replace(`"${most}"`, '"0x3f"'),
    written.replace(`"${most}"`, '"063"'),
    written.replace(`"${most}"`, '""'),
    written.replace('"roles":', '"extra":1,"roles":'),
    written.replace('"roles":', '"__proto__":{},"roles":'),
    written.replace('"grants":[]', '"grants":{}'),
    `${written} ${written}`,
    `[1,"user_perms:u1",${'['.repeat(100_000)}`,
    'null',
    '',
  ];
  for (const text of wrong) expect([text, key.decode(text)]).toStrictEqual([text, undefined]);
  expect(key.decode(written)).toStrictEqual(value);
});
