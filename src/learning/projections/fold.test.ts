import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { executionRow } from '../../../test/support/execution-rows.ts';
import { fold } from './fold.ts';

const rows = fc.array(
  fc
    .record({
      agent: fc.constantFrom('ada', 'bob'),
      task_type: fc.constantFrom('review', 'plan'),
      result: fc.constantFrom('succeeded' as const, 'failed' as const, 'cancelled' as const),
      own_fault: fc.constantFrom(null, true, false),
      ms: fc.nat(100_000),
      micro_usd: fc.option(fc.nat(1_000)),
      ended_at_ms: fc.nat(200_000_000),
      reports_before: fc.constantFrom(0, 9, 10),
    })
    .map(executionRow),
  { minLength: 1, maxLength: 40 },
);

const sum = (deltas: readonly { readonly tried: number }[]): number =>
  deltas.reduce((total, { tried }) => total + tried, 0);

test('two batches add up to what one adds, wherever it is cut', () => {
  fc.assert(
    fc.property(rows, fc.nat(40), (all, cut) => {
      const whole = fold(all, [], []);
      const first = fold(all.slice(0, cut), [], []);
      const states = first.agents.map(({ agent, tried, succeeded, detectors }) => {
        return { agent, tried, succeeded, detectors };
      });
      const second = fold(all.slice(cut), states, first.days);
      for (const part of ['evidence', 'agents', 'types'] as const) {
        expect(sum(first[part]) + sum(second[part])).toBe(sum(whole[part]));
      }
      for (const each of whole.agents) {
        const last = [...second.agents, ...first.agents].find(({ agent }) => agent === each.agent);
        expect(last?.detectors).toEqual(each.detectors);
      }
      for (const each of whole.days) {
        const last = [...second.days, ...first.days].find(
          ({ agent, task_type: type, day }) =>
            agent === each.agent && type === each.task_type && day === each.day,
        );
        expect(last?.times).toEqual(each.times);
      }
    }),
  );
});

test('what is cancelled or was not its fault is counted, and says nothing of an agent', () => {
  const { agents, days, evidence } = fold(
    [
      executionRow({ result: 'cancelled' }),
      executionRow({ result: 'failed', own_fault: false }),
      executionRow({ result: 'failed' }),
    ],
    [],
    [],
  );
  expect(agents).toMatchObject([{ executions: 3, failed: 2, cancelled: 1, tried: 1 }]);
  expect(days).toMatchObject([{ cancelled: 1, faultless: 1, failed: 1, succeeded: 0, ms: 1_000 }]);
  expect(evidence).toMatchObject([{ tried: 1, succeeded: 0, log_ms: 0, paid: 0 }]);
});
