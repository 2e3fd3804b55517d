import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ErrorCode, ErrorRecord } from '../base/base.ts';
import { fingerprintOf, fold } from './fingerprint.ts';

const failure = (message: string, code: ErrorCode = 'agent_failed'): ErrorRecord => ({
  code,
  message,
  retryable: false,
});
const lint = { id: 'lint', agent: 'lint-scan' };

test.each([
  ['took longer than 30 s', 'took longer than 12.5 s'],
  ['exit status 1 after 3 tries', 'exit status 1 after 12 tries'],
  [
    'run 01890a5d-ac96-774b-bcce-b302099a8057 is gone',
    'run 01930d5c-7b6e-7c3a-9f52-3b1f0c6d8e42 is gone',
  ],
  ['commit 4f2a9c1 is missing', 'commit 00ab3de99f is missing'],
  ['can not read /var/lib/a/b.ts:3:14', 'can not read ../other/c.ts:120:1'],
  ['C:\\temp\\x.log is locked', 'D:\\y\\z.log is locked'],
  ['no input "wrod"', 'no input "colour"'],
  ["unexpected token 'x'", "unexpected token 'if'"],
  ['GET https://a.example/1?x=2 gave 500', 'GET http://b.example:8080/ gave 500'],
  ['at 2027-03-28T01:00:00Z it stopped', 'at 2026-11-21 15:13:25.123+01:00 it stopped'],
  ['offset -12 of 1,024', 'offset 7 of 99,999,999'],
  ['port 80  is   taken', 'port 8081 is taken'],
])('%j and %j are the same failure', (one, other) => {
  expect(fold(one)).toBe(fold(other));
  expect(fingerprintOf(failure(one), lint)).toBe(fingerprintOf(failure(other), lint));
});

test.each([
  ['the agent failed', 'the agent was refused'],
  ["it can't be read", "it can't be written"],
  ['GET https://a.example/ gave 500', 'POST https://a.example/ gave 500'],
  ['deadbeef is no word', 'facade is no word'],
])('%j and %j are two failures', (one, other) => {
  expect(fingerprintOf(failure(one), lint)).not.toBe(fingerprintOf(failure(other), lint));
});

test('the code, the task and its agent count, the item of a pipeline does not', () => {
  const error = failure('it can not');
  const own = fingerprintOf(error, lint);
  expect(own).toMatch(/^[0-9a-f]{16}$/);
  expect(fingerprintOf(failure('it can not', 'timeout'), lint)).not.toBe(own);
  expect(fingerprintOf(error, { ...lint, id: 'types' })).not.toBe(own);
  expect(fingerprintOf(error, { ...lint, agent: 'other' })).not.toBe(own);
  expect(fingerprintOf(error, { ...lint, id: 'lint#7' })).toBe(own);
  const named = { ...error, details: { task: 'lint' } };
  expect(fingerprintOf(named)).toBe(fingerprintOf(error, { id: 'lint' }));
});

test('it is the same in every version: what was grouped stays together', () => {
  expect(fingerprintOf(failure('task lint: exit status 2'), lint)).toBe('000814dde6638a61');
});

test('any text is folded, once and for all, to a bounded one', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 3_000 }), (text) => {
      const folded = fold(text);
      expect(folded.length).toBeLessThanOrEqual(500);
      expect(folded).not.toMatch(/\d/);
    }),
  );
});

test('a text that is made to be slow is folded at once', () => {
  for (const text of [
    '/'.repeat(100_000),
    'a/'.repeat(50_000),
    "'".repeat(99_999),
    'a1'.repeat(50_000),
    '1:'.repeat(50_000),
  ]) {
    expect(fold(text).length).toBeLessThanOrEqual(500);
  }
});
