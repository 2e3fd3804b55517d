import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { executionRow } from '../../../test/support/execution-rows.ts';
import {
  atLeast,
  combinationHash,
  groupOccasion,
  groupOf,
  judge,
  stageOccasion,
} from './combinations.ts';

const half = (): number => 0.5;
const rate = (agent: string): number => (agent === 'c' ? 0.9 : 0.1);

test('a synergy stays within -1 and 1, has the sign of its surplus, and grows with its evidence', () => {
  const counts = fc.nat(5_000).chain((executions) =>
    fc.tuple(
      fc.constant(executions),
      fc.nat(executions),
      fc.nat(executions * 100).map((hundredths) => hundredths / 100),
    ),
  );
  fc.assert(
    fc.property(counts, ([executions, succeeded, expected]) => {
      const { synergy, confidence } = judge(executions, succeeded, expected);
      expect(Math.abs(synergy)).toBeLessThanOrEqual(1);
      expect(confidence).toBeGreaterThanOrEqual(0);
      expect(confidence).toBeLessThanOrEqual(1);
      if (executions === 0) return;
      expect(Math.sign(synergy)).toBe(Math.sign(succeeded - expected));
      const more = judge(10 * executions, 10 * succeeded, 10 * expected);
      expect(Math.abs(more.synergy)).toBeGreaterThanOrEqual(Math.abs(synergy));
      expect(more.confidence).toBeGreaterThanOrEqual(confidence);
    }),
  );
  expect(judge(10, 10, 5).synergy).toBeCloseTo(0.25, 12);
});

test('what is expected of a group is the binomial distribution when all rates are equal', () => {
  expect(atLeast(2, [0.5, 0.5, 0.5])).toBeCloseTo(0.5, 12);
  expect(atLeast(1, [0.9, 0.8])).toBeCloseTo(0.98, 12);
  expect(atLeast(3, [0.9, 0.9, 0.9])).toBeCloseTo(0.729, 12);
  const rates = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 });
  fc.assert(
    fc.property(rates, fc.nat(21), (all, needed) => {
      const chance = atLeast(needed, all);
      expect(chance).toBeGreaterThanOrEqual(0);
      expect(chance).toBeLessThanOrEqual(1);
      expect(atLeast(needed + 1, all)).toBeLessThanOrEqual(chance);
    }),
  );
});

type Member = Parameters<typeof groupOccasion>[1][number];

const member = (agent: string, result: Member['result'], fields: Partial<Member> = {}): Member => ({
  task: `g/${agent}`,
  agent,
  result,
  own_fault: null,
  ...fields,
});

test('a vote succeeds by more than half of those who gave an answer, a race by its first', () => {
  const two = [member('a', 'succeeded'), member('b', 'failed')];
  expect(groupOccasion('consensus', two, half)).toEqual({
    mode: 'consensus',
    agents: ['a', 'b'],
    succeeded: false,
    expected: 0.25,
  });
  expect(groupOccasion('redundant', two, half)).toMatchObject({ succeeded: true, expected: 0.75 });
  const race = [member('b', 'cancelled'), member('a', 'succeeded')];
  expect(groupOccasion('competitive', race, half)).toMatchObject({
    agents: ['a', 'b'],
    succeeded: true,
    expected: 0.5,
  });
});

test('a group says nothing when it was cancelled, or is one agent alone', () => {
  const cancelled = [member('a', 'cancelled'), member('b', 'failed', { own_fault: false })];
  expect(groupOccasion('consensus', cancelled, half)).toBeUndefined();
  const alone = [member('a', 'succeeded'), member('a', 'succeeded', { task: 'g/again' })];
  expect(groupOccasion('redundant', alone, half)).toBeUndefined();
});

test('of several attempts of a member the first counts that says something', () => {
  const attempts = [
    member('a', 'failed', { own_fault: false }),
    member('a', 'failed'),
    member('a', 'succeeded'),
    member('b', 'failed'),
  ];
  expect(groupOccasion('competitive', attempts, half)?.succeeded).toBe(false);
});

test('a stage counts with those before it, and is held against its own rate', () => {
  const row = executionRow({ agent: 'c', mode: 'pipeline', partners: ['b', 'a'] });
  expect(stageOccasion(row, rate)).toEqual({
    mode: 'pipeline',
    agents: ['a', 'b', 'c'],
    succeeded: true,
    expected: 0.9,
  });
  expect(stageOccasion({ ...row, partners: ['c'] }, rate)).toBeUndefined();
  expect(stageOccasion({ ...row, mode: 'parallel' }, rate)).toBeUndefined();
  expect(stageOccasion({ ...row, result: 'cancelled' }, rate)).toBeUndefined();
});

test('a group is known by its run and the path of its members, item by item', () => {
  const row = executionRow({ run_id: 'r', task: 'many#3/vote/a', mode: 'consensus' });
  expect(groupOf(row)).toEqual({ run_id: 'r', parent: 'many#3/vote', mode: 'consensus' });
  expect(groupOf({ ...row, task: 'a' })?.parent).toBe('');
  expect(groupOf({ ...row, mode: 'pipeline' })).toBeUndefined();
  expect(groupOf({ ...row, run_id: null })).toBeUndefined();
});

test('the hash of a combination holds its mode and its agents apart', () => {
  const hashes = [
    combinationHash('consensus', ['a', 'b']),
    combinationHash('redundant', ['a', 'b']),
    combinationHash('consensus', ['ab']),
  ];
  expect(new Set(hashes).size).toBe(3);
  expect(hashes[0]).toMatch(/^[0-9a-f]{64}$/);
});
