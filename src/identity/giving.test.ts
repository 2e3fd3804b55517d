import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { assertCanGive, assertRanks, coversPattern, type Giver } from './giving.ts';
import { matchesPattern } from './patterns.ts';
import { allBits, expandMask, maskOf, maskOfActions, noBits } from './permissions.ts';

const nobody: Giver = {
  username: 'ann',
  roleLevel: 5,
  within: allBits,
  everywhere: noBits,
  grants: [],
};
const reviewer: Giver = {
  ...nobody,
  grants: [{ resourceType: 'agents', pattern: 'review-*', mask: maskOf('agents.execute') }],
};
const gift = (action: Parameters<typeof maskOf>[0], pattern: string) => ({
  resourceType: action.split('.')[0] ?? '',
  pattern,
  mask: maskOf(action),
});

test('who has a permission on some resources gives it on those at most', () => {
  for (const pattern of ['review-x', 'review-*', 'review-*-b', 'review-']) {
    expect(() => assertCanGive(reviewer, [gift('agents.execute', pattern)], 'it')).not.toThrow();
  }
  for (const pattern of ['*', 'review*', 'r*', '*review-x', 'other']) {
    expect(() => assertCanGive(reviewer, [gift('agents.execute', pattern)], 'it')).toThrow(
      'its own rights lack agents.execute',
    );
  }
});

test('a narrowed credential gives no more than it may do itself', () => {
  const admin = { ...nobody, everywhere: expandMask({ lo: 63, hi: 0 }) };
  expect(() => assertCanGive(admin, [gift('admin', '*')], 'it')).not.toThrow();
  const narrowed = { ...admin, within: maskOfActions(['roles.write', 'agents.execute']) };
  expect(() => assertCanGive(narrowed, [gift('agents.execute', '*')], 'it')).not.toThrow();
  expect(() => assertCanGive(narrowed, [gift('agents.read', 'x')], 'it')).toThrow('agents.read');
});

test('a wide bit takes all that it implies to give', () => {
  const bare = { ...nobody, everywhere: maskOf('admin') };
  expect(() => assertCanGive(bare, [gift('admin', '*')], 'it')).toThrow('users.write');
});

test('permissions that this version does not know are not given', () => {
  const admin = { ...nobody, everywhere: expandMask({ lo: 63, hi: 0 }) };
  const later = { resourceType: 'later', pattern: '*', mask: { lo: 0, hi: 1 << 30 } };
  expect(() => assertCanGive(admin, [later], 'it')).toThrow('a later version');
});

test('nobody gives a role that ranks above his own', () => {
  expect(() => assertRanks({ ...nobody, roleLevel: 3 }, 3, 'it')).not.toThrow();
  expect(() => assertRanks({ ...nobody, roleLevel: 3 }, 2, 'it')).toThrow('ranks above');
});

test('a pattern covers another exactly when it stands for all of its texts', () => {
  const pattern = fc.array(fc.constantFrom('a', 'b', '*'), { maxLength: 6 }).map((p) => p.join(''));
  const text = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 8 }).map((p) => p.join(''));
  const property = fc.property(pattern, pattern, text, (outer, inner, resource) => {
    // A letter of its own in place of each star is the text that is hardest to cover.
    const hardest = inner.replaceAll('*', 'c');
    const covers = coversPattern(outer, inner);
    const isTrue = covers
      ? !matchesPattern(inner, resource) || matchesPattern(outer, resource)
      : !matchesPattern(outer, hardest);
    expect(isTrue).toBe(true);
  });
  fc.assert(property, { numRuns: 2_000 });
});
