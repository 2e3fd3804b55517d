import { expect, test } from 'vitest';
import {
  curveOf,
  oracleScores,
  orderByScore,
  shares,
  type CurveQuestion,
} from './routing-curve.ts';
import { randomFrom } from './statistics.ts';

const question = (weak: 0 | 1, strong: 0 | 1): CurveQuestion => ({
  weak: weak === 1,
  strong: strong === 1,
});
/** Twenty questions: 8 both, 2 neither, 8 only strong, 2 only weak. Weak 0.5, strong 0.8. */
const questions = [
  ...Array.from({ length: 8 }, () => question(1, 1)),
  ...Array.from({ length: 2 }, () => question(0, 0)),
  ...Array.from({ length: 8 }, () => question(0, 1)),
  ...Array.from({ length: 2 }, () => question(1, 0)),
];
const inOrder = [...questions.keys()];

test('the curve is what is counted by hand', () => {
  // The first ten gain nothing; eight gain one each; the last two lose one each.
  const { quality, apgr, cpt50, cpt80 } = curveOf(questions, inOrder);
  expect(quality).toEqual(
    [10, 10, 10, 10, 10, 10, 12, 14, 16, 18, 16].map((right) => expect.closeTo(right / 20, 12)),
  );
  // PGR: 0 up to 50 %, then 1/3, 2/3, 1, 4/3, 1.
  expect(apgr).toBeCloseTo((1 / 3 + 2 / 3 + 1 + 4 / 3 + 0.5) / 10, 12);
  expect(cpt50).toBeCloseTo(0.65, 12);
  expect(cpt80).toBeCloseTo(0.7 + 0.1 * ((0.8 - 2 / 3) / (1 / 3)), 12);
});

test('a share within a question counts a part of it', () => {
  const { quality } = curveOf([question(0, 1), question(1, 1), question(1, 1)], [0, 1, 2]);
  expect(quality[1]).toBeCloseTo((2 + 0.3) / 3, 12);
  expect(quality[4]).toBe(1);
});

test('the oracle asks the strong one first where it helps, and last where it harms', () => {
  const order = orderByScore(oracleScores(questions), randomFrom(1));
  const { quality, cpt50 } = curveOf(questions, order);
  expect(quality[4]).toBeCloseTo(0.9, 12);
  expect(quality[9]).toBeCloseTo(0.9, 12);
  expect(quality[10]).toBeCloseTo(0.8, 12);
  expect(cpt50).toBeCloseTo(0.15, 12);
});

test('random orders have a mean APGR of one half', () => {
  const random = randomFrom(3);
  let sum = 0;
  for (let round = 0; round < 2000; round += 1) {
    sum += curveOf(
      questions,
      orderByScore(
        questions.map(() => 0),
        random,
      ),
    ).apgr;
  }
  // The mean of 2,000 has a deviation of about 0.008 here.
  expect(Math.abs(sum / 2000 - 0.5)).toBeLessThan(0.03);
});

test('counts are the same as repeating questions', () => {
  const counts = Uint32Array.from(questions, (_, index) => index % 3);
  const repeated = inOrder.flatMap((index) =>
    Array.from({ length: index % 3 }, () => questions[index] ?? question(0, 0)),
  );
  expect(curveOf(questions, inOrder, counts)).toEqual(curveOf(repeated, [...repeated.keys()]));
});

test('without a gap there is nothing to recover', () => {
  const even = curveOf([question(1, 1), question(0, 0)], [0, 1]);
  expect(even.apgr).toBeNaN();
  expect(even.cpt50).toBeNaN();
  expect(even.quality).toHaveLength(shares.length);
});
