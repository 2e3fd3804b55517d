import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { assessLogin, assessPrivilege } from './risk.ts';
import type { LoginFacts } from './session-queries.ts';

const noon = new Date(Date.UTC(2026, 0, 5, 12));
const night = new Date(Date.UTC(2026, 0, 5, 3));
/** Comes between eight and seventeen o'clock. */
const office = Array.from({ length: 24 }, (_, hour) => (hour >= 8 && hour <= 17 ? 5 : 0));
const usual: LoginFacts = {
  user_id: 'a',
  status: 'active',
  password_hash: null,
  password_changed_at: null,
  has_totp: false,
  must_change_password: false,
  locked_for_ms: null,
  successes: 50,
  successes_from_here: 20,
  other_networks: 0,
  failures_since_success: 0,
  hours: office,
};
const rulesOf = (facts: Partial<LoginFacts>, at = noon) =>
  assessLogin({ ...usual, ...facts }, at).factors.map(({ rule }) => rule);

test('a login as always has no risk, and no reasons', () => {
  expect(assessLogin(usual, noon)).toStrictEqual({ score: 0, factors: [] });
});

test('one slip of the finger is no sign of anything', () => {
  expect(assessLogin({ ...usual, failures_since_success: 1 }, noon).score).toBe(0);
});

test('a new address counts only where there were successes before', () => {
  expect(rulesOf({ successes_from_here: 0 })).toStrictEqual(['newAddress']);
  expect(rulesOf({ successes: 0, successes_from_here: 0 })).toStrictEqual([]);
});

test('many networks within the hour, failures before success and unknown names say why', () => {
  expect(rulesOf({ other_networks: 1 })).toStrictEqual([]);
  expect(rulesOf({ other_networks: 3 })).toStrictEqual(['manyNetworks']);
  expect(rulesOf({ failures_since_success: 6 })).toStrictEqual(['failuresBefore']);
  expect(rulesOf({ user_id: null, successes: 0, hours: [] })).toStrictEqual(['unknownName']);
  const { factors } = assessLogin({ ...usual, failures_since_success: 6 }, noon);
  expect(factors[0]).toStrictEqual({
    rule: 'failuresBefore',
    points: 25,
    why: '6 tries failed since the last success',
  });
});

test('an hour is odd against the habits of the principal, when enough is known of them', () => {
  expect(rulesOf({}, night)).toStrictEqual(['oddHour']);
  expect(rulesOf({}, new Date(Date.UTC(2026, 0, 5, 18)))).toStrictEqual([]);
  expect(rulesOf({ hours: office.map((count) => Math.min(count, 1)) }, night)).toStrictEqual([]);
});

test('midnight lies beside the hour before it', () => {
  const late = Array.from({ length: 24 }, (_, hour) => (hour === 23 ? 40 : 0));
  expect(rulesOf({ hours: late }, new Date(Date.UTC(2026, 0, 5, 0)))).toStrictEqual([]);
});

test('privileges at night are told of people, not of agents', () => {
  expect(assessPrivilege({ kind: 'user' }, night, office).score).toBe(15);
  expect(assessPrivilege({ kind: 'user' }, noon, office).score).toBe(0);
  expect(assessPrivilege({ kind: 'agent' }, night, office).score).toBe(0);
});

test('a score lies between 0 and 100, is the sum of its reasons, and never falls with more failures', () => {
  const facts = fc.record({
    user_id: fc.option(fc.constant('a')),
    successes: fc.nat(100),
    successes_from_here: fc.nat(100),
    other_networks: fc.nat(1_000),
    failures_since_success: fc.nat(1_000),
    hours: fc.array(fc.nat(20), { minLength: 24, maxLength: 24 }),
  });
  const property = fc.property(facts, fc.nat(23), (some, hour) => {
    const at = new Date(Date.UTC(2026, 0, 5, hour));
    const before = assessLogin({ ...usual, ...some }, at);
    const failures = some.failures_since_success + 1;
    const after = assessLogin({ ...usual, ...some, failures_since_success: failures }, at);
    const sum = before.factors.reduce((points, factor) => points + factor.points, 0);
    expect(before.score).toBe(Math.min(100, sum));
    expect(before.score).toBeGreaterThanOrEqual(0);
    expect(after.score).toBeGreaterThanOrEqual(before.score);
  });
  fc.assert(property);
});
