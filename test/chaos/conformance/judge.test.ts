/** That the judges of the conformance suite see what they are there for. */
import { describe, expect, test } from 'vitest';
import type { EventBody, RunEvent } from '../../../src/coordination/coordination.ts';
import { gapsOf } from '../../support/conformance-store.ts';
import { expectedOutput, type Effect } from '../../support/effects.ts';
import { repeatedAfterFinish } from './judge.ts';

const steps = ['s1', 's2', 's3'];

function effects(...told: readonly string[]): Effect[] {
  return told.map((line, at) => {
    const [step = '', phase = ''] = line.split(' ');
    return { runId: 'r', step, phase: phase as Effect['phase'], pid: 1, at };
  });
}

describe('effects outside', () => {
  test('of an unfinished step may come twice', () => {
    const seen = effects('s1 start', 's1 done', 's1 start', 's1 done', 's2 start');
    expect(repeatedAfterFinish(seen, steps)).toEqual([]);
  });

  test('of a step that the engine took for finished must not come again', () => {
    const seen = effects('s1 start', 's1 done', 's2 start', 's1 start');
    expect(repeatedAfterFinish(seen, steps)).toEqual([
      's1 was begun again by 1 after s2 had been begun',
    ]);
  });

  test('make another output when a step is left out or its input is another one’s', () => {
    const outputs = [
      ['s1', 's2', 's3'],
      ['s1', 's3'],
      ['s2', 's1', 's3'],
    ].map((each) => expectedOutput('key', each));
    expect(new Set(outputs).size).toBe(3);
  });
});

describe('a log', () => {
  const claimed: EventBody = { type: 'run.claimed', worker: 'w', takeover: true };
  const started: EventBody = {
    type: 'attempt.started',
    task: 's1',
    attempt: 1,
    attemptId: 'a',
  };
  const succeeded: EventBody = {
    type: 'attempt.succeeded',
    task: 's1',
    attempt: 1,
    output: 1,
    usage: { wallMs: 1 },
  };
  const completed: EventBody = { type: 'run.completed', output: 1 };

  test('that is whole has no gaps', () => {
    const whole = log([1, 1, claimed], [2, 1, started], [3, 1, succeeded], [4, 1, completed]);
    expect(gapsOf(whole, true)).toEqual([]);
  });

  test('shows a missing event', () => {
    expect(gapsOf(log([1, 1, claimed], [3, 1, started]), false)).toEqual([
      'event 2 has the number 3',
    ]);
  });

  test('shows a write under a lease that was lost', () => {
    const late = log([1, 1, claimed], [2, 2, claimed], [3, 1, started]);
    expect(gapsOf(late, false)).toEqual(['event 3 has epoch 1 after 2']);
  });

  test('shows a finished task that is begun again, and what follows an end', () => {
    const again = log([1, 1, claimed], [2, 1, started], [3, 1, succeeded], [4, 1, started]);
    expect(gapsOf(again, false)).toEqual(['s1 is begun again in event 4']);
    const after = log([1, 1, claimed], [2, 1, completed], [3, 1, started]);
    expect(gapsOf(after, true)).toEqual([
      'event 2 is an end, and 1 events follow',
      'it has ended and its last event is attempt.started',
    ]);
  });
});

function log(...told: readonly (readonly [seq: number, epoch: number, body: EventBody])[]) {
  return told.map(([seq, epoch, body]): RunEvent => ({ runId: 'r', at: '', seq, epoch, body }));
}
