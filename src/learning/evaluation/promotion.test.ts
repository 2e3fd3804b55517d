import { expect, test } from 'vitest';
import { decidePromotion, type PromotionRow } from './promotion.ts';
import { randomFrom } from './statistics.ts';

const probabilities = (a: number): Map<string, number> =>
  new Map([
    ['a', a],
    ['b', 1 - a],
  ]);

/** Agent `a` succeeds with `success.a`; the log chose it as often as the incumbent does. */
function log(
  size: number,
  success: { readonly a: number; readonly b: number },
  shares: { readonly incumbent: number; readonly candidate: number },
  seed = 1,
): PromotionRow[] {
  const random = randomFrom(seed);
  return Array.from({ length: size }, () => {
    const agent = random() < shares.incumbent ? 'a' : 'b';
    return {
      agent,
      propensity: agent === 'a' ? shares.incumbent : 1 - shares.incumbent,
      reward: random() < success[agent] ? 1 : 0,
      predicted: new Map(Object.entries(success)),
      candidate: probabilities(shares.candidate),
      incumbent: probabilities(shares.incumbent),
    };
  });
}

const decide = (rows: readonly PromotionRow[]) =>
  decidePromotion({ candidate: 'new', incumbent: 'old', rows, resamples: 200 });

test('a candidate that is better beyond doubt takes the place, with the numbers', () => {
  const decision = decide(log(1000, { a: 0.9, b: 0.4 }, { incumbent: 0.5, candidate: 0.95 }));
  expect(decision.state).toBe('incumbent');
  expect(decision.reason).toMatch(
    /^new takes the place of old: it is worth 0\.\d{3} against 0\.\d{3} of old, a difference of 0\.\d{3} \(95 % interval 0\.\d{3} to 0\.\d{3}, doubly robust, on 1000 outcomes\)$/,
  );
  const { evaluation, difference } = decision;
  expect(difference?.value).toBeCloseTo(0.225, 1);
  expect(evaluation).toMatchObject({ estimator: 'dr', outcomes: 1000 });
  expect(evaluation?.value.mean).toBeGreaterThan(evaluation?.value.low ?? 1);
  expect(evaluation?.value.mean).toBeLessThan(evaluation?.value.high ?? 0);
});

test('one that may be no better stays a candidate, though its estimate is higher', () => {
  const rows = log(300, { a: 0.6, b: 0.58 }, { incumbent: 0.5, candidate: 0.9 });
  const decision = decide(rows);
  expect(decision.state).toBe('candidate');
  expect(decision.reason).toContain('since it may be no better');
});

test('one that is worse beyond doubt is refused', () => {
  const decision = decide(log(1000, { a: 0.9, b: 0.4 }, { incumbent: 0.5, candidate: 0.1 }));
  expect(decision.state).toBe('refused');
  expect(decision.reason).toMatch(/^new is refused: .* difference of -0\.\d{3}/);
});

test('too few outcomes decide nothing, however clear they look', () => {
  const rows = log(199, { a: 1, b: 0 }, { incumbent: 0.5, candidate: 1 });
  expect(decide(rows)).toEqual({
    state: 'candidate',
    reason: 'new stays a candidate: 199 of 200 outcomes',
  });
});

test('nor do many that seldom did what the candidate would do', () => {
  const rows = log(1000, { a: 1, b: 0 }, { incumbent: 0.02, candidate: 1 });
  expect(decide(rows)).toMatchObject({ state: 'candidate' });
  expect(decide(rows).reason).toMatch(/1000 outcomes weigh as much as \d+ of its own choices/);
});

test('two equal policies seldom change places: at most one in forty, by chance', () => {
  let promoted = 0;
  for (let seed = 1; seed <= 60; seed += 1) {
    const rows = log(200, { a: 0.6, b: 0.6 }, { incumbent: 0.5, candidate: 0.9 }, seed);
    if (decide(rows).state === 'incumbent') promoted += 1;
  }
  // Binomial(60, 0.025) is at most 5 in 99.8 % of all cases.
  expect(promoted).toBeLessThanOrEqual(5);
});

test('a log that can not be used is refused, not taken for a draw', () => {
  const rows = log(300, { a: 0.6, b: 0.6 }, { incumbent: 0.5, candidate: 0.9 });
  const broken = rows.map((row, index) => (index === 7 ? { ...row, propensity: 0 } : row));
  expect(() => decide(broken)).toThrow('row 8: propensity is 0');
});

test('nor does a log in which nobody did what a policy may do', () => {
  const rows = log(300, { a: 0.6, b: 0.6 }, { incumbent: 0.5, candidate: 0.9 });
  const withNew = rows.map((row) => ({
    ...row,
    candidate: new Map([
      ['a', 0.5],
      ['c', 0.5],
    ]),
  }));
  expect(decide(withNew)).toEqual({
    state: 'candidate',
    reason: 'new stays a candidate: the log never tried c, which it may choose',
  });
});
