import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { feedbackEffect, type Rating } from './bounds.ts';

const score = fc.integer({ min: 1, max: 10 });
const others = fc.array(fc.record({ principalId: fc.constantFrom('a', 'b', 'c', 'd'), score }), {
  maxLength: 40,
});
const ofOne = fc.array(
  score.map((given) => ({ principalId: 'one', score: given })),
  { maxLength: 60 },
);

test('ratings of fewer than three principals move nothing, however many there are', () => {
  const many: Rating[] = Array.from({ length: 500 }, (_, at) => ({
    principalId: at % 2 === 0 ? 'a' : 'b',
    score: 10,
  }));
  expect(feedbackEffect([])).toBe(0);
  expect(feedbackEffect(many)).toBe(0);
  expect(feedbackEffect([...many, { principalId: 'c', score: 10 }])).toBeCloseTo(0.1);
});

test('the median of the means decides: 1 takes a tenth away, 10 adds one', () => {
  expect(effectOf([1, 1, 10])).toBeCloseTo(-0.1);
  expect(effectOf([1, 10, 10])).toBeCloseTo(0.1);
  expect(effectOf([1, 5, 6, 10])).toBeCloseTo(0);
});

/** What at least three others say, all of it from `min` to `max`. */
function agreed(min: number, max: number): fc.Arbitrary<Rating[]> {
  const scores = fc.array(fc.integer({ min, max }), { minLength: 3, maxLength: 30 });
  return scores.map((given) =>
    given.map((each, at) => ({ principalId: 'abcde'.charAt(at % 5), score: each })),
  );
}

test('one principal alone turns no ranking that the others agree on', () => {
  const rankings = fc
    .integer({ min: 1, max: 9 })
    .chain((most) => fc.tuple(agreed(most + 1, 10), agreed(1, most), ofOne, ofOne));
  fc.assert(
    fc.property(rankings, ([better, worse, againstBetter, forWorse]) => {
      expect(feedbackEffect([...better, ...againstBetter])).toBeGreaterThanOrEqual(
        feedbackEffect([...worse, ...forWorse]),
      );
    }),
  );
});

test('with others there, the effect stays between what their lowest and their highest mean would give', () => {
  fc.assert(
    fc.property(others, ofOne, (theirs, ratings) => {
      const alone = meansOf(theirs).map((mean) => effectOf([mean, mean, mean]));
      const effect = feedbackEffect([...theirs, ...ratings]);
      expect(Math.abs(effect)).toBeLessThanOrEqual(0.1);
      if (alone.length < 2) expect(effect).toBe(0);
      else {
        expect(effect).toBeGreaterThanOrEqual(Math.min(0, ...alone) - 1e-12);
        expect(effect).toBeLessThanOrEqual(Math.max(0, ...alone) + 1e-12);
      }
    }),
  );
});

function effectOf(scores: readonly number[]): number {
  return feedbackEffect(scores.map((given, at) => ({ principalId: `p${at}`, score: given })));
}

function meansOf(ratings: readonly Rating[]): number[] {
  const byPrincipal = Map.groupBy(ratings, ({ principalId }) => principalId);
  return [...byPrincipal.values()].map(
    (own) => own.reduce((sum, { score: given }) => sum + given, 0) / own.length,
  );
}
