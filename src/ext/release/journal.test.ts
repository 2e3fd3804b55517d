import { expect, test } from 'vitest';
import type { JournalLine, Plan } from '../deployment-types.ts';
import { stateOf } from './journal.ts';

const at = '2026-01-01T00:00:00.000Z';
// What a state is derived from has no part of a plan in it.
const plan = {} as Plan;

function stateAfter(...words: readonly string[]): string {
  const lines = words.map((line): JournalLine => {
    const [step, event] = line.split(' ') as [JournalLine['step'], JournalLine['event']];
    return { at, step, event };
  });
  return stateOf({ plan, lines, isActive: false });
}

test('a way back that was cut short leaves the deployment unfinished, and is not taken for done', () => {
  expect(stateAfter('end begins', 'end ends')).toBe('deployed');
  expect(stateAfter('end ends', 'rollback begins')).toBe('unfinished');
  expect(stateAfter('end ends', 'rollback begins', 'rollback fails')).toBe('rollback_failed');
  expect(stateAfter('end ends', 'rollback begins', 'rollback begins', 'rollback ends')).toBe(
    'rolled_back',
  );
});

test('a deployment whose end was gone through again after a crash is deployed', () => {
  expect(stateAfter('end begins', 'end ends', 'end begins')).toBe('deployed');
});
