import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  binomialTail,
  boundCoverage,
  brierScore,
  calibrationError,
  fitIsotonic,
  fitPlatt,
  reliability,
  type Stated,
} from './calibration.ts';
import { randomFrom } from './statistics.ts';

const rows = (...pairs: readonly (readonly [number, 0 | 1])[]): Stated[] =>
  pairs.map(([probability, succeeded]) => ({ probability, succeeded: succeeded === 1 }));

/** Stated uniformly; succeeds as `truth` says of what was stated. */
function drawn(count: number, truth: (stated: number) => number, seed = 1): Stated[] {
  const random = randomFrom(seed);
  return Array.from({ length: count }, () => {
    const probability = random();
    return { probability, succeeded: random() < truth(probability) };
  });
}

/** Too sure: half as far from even odds as it was said. */
const overconfident = (stated: number): number => {
  const odds = Math.sqrt(stated / (1 - stated));
  return odds / (1 + odds);
};

describe('Brier score and calibration error equal what is worked out by hand', () => {
  test('Brier', () => {
    expect(brierScore(rows([0.8, 1], [0.6, 0]))).toBeCloseTo((0.04 + 0.36) / 2, 12);
    expect(brierScore(rows([1, 1], [0, 0]))).toBe(0);
    expect(brierScore(rows([0.5, 1], [0.5, 0]))).toBe(0.25);
  });

  test('by width', () => {
    // 0.72 and 0.78 are in one bin: 0.75 stated, 0.5 observed. 1 is in the last bin.
    const four = rows([0.72, 1], [0.78, 0], [0.11, 0], [1, 1]);
    expect(calibrationError(four, { by: 'width' })).toBeCloseTo((2 * 0.25 + 0.11 + 0) / 4, 12);
    expect(reliability(four, { by: 'width' }).map(({ count }) => count)).toEqual([1, 2, 1]);
  });

  test('by mass', () => {
    const four = rows([0.1, 0], [0.2, 1], [0.3, 0], [0.9, 1]);
    const bins = reliability(four, { by: 'mass', bins: 2 });
    expect(bins.map(({ stated, observed }) => [stated, observed])).toEqual([
      [expect.closeTo(0.15, 12), 0.5],
      [expect.closeTo(0.6, 12), 0.5],
    ]);
    expect(calibrationError(four, { by: 'mass', bins: 2 })).toBeCloseTo(0.5 * 0.35 + 0.5 * 0.1, 12);
  });

  test('equal statements are in one bin of equal mass', () => {
    const equal = rows([0.5, 1], [0.5, 0], [0.5, 1], [0.5, 0]);
    expect(reliability(equal, { by: 'mass', bins: 4 })).toHaveLength(1);
    expect(calibrationError(equal, { by: 'mass', bins: 4 })).toBe(0);
  });

  test('nothing, and what is no probability, is refused', () => {
    expect(() => brierScore([])).toThrow('no outcome');
    for (const wrong of [Number.NaN, -0.1, 1.1]) {
      expect(() => brierScore(rows([0.5, 1], [wrong, 0]))).toThrow(
        `row 2: the stated probability is ${wrong}`,
      );
    }
  });
});

describe('calibration', () => {
  test('what is calibrated has a small error, and stays as it is', () => {
    const good = drawn(8_000, (stated) => stated);
    expect(calibrationError(good, { by: 'width', bins: 15 })).toBeLessThan(0.02);
    for (const fit of [fitPlatt, fitIsotonic]) {
      const calibrate = fit(good);
      for (const stated of [0.1, 0.5, 0.9]) expect(calibrate(stated)).toBeCloseTo(stated, 1);
    }
  });

  test.each([
    ['Platt', fitPlatt],
    ['isotonic', fitIsotonic],
  ])('%s mends what is too sure, on outcomes that it was not fitted on', (_name, fit) => {
    const calibrate = fit(drawn(5_000, overconfident, 1));
    const fresh = drawn(5_000, overconfident, 2);
    const mended = fresh.map((row) => ({ ...row, probability: calibrate(row.probability) }));
    expect(calibrationError(fresh, { by: 'mass' })).toBeGreaterThan(0.06);
    expect(calibrationError(mended, { by: 'mass' })).toBeLessThan(0.03);
    expect(brierScore(mended)).toBeLessThan(brierScore(fresh));
  });

  test('Platt finds the two numbers that made the outcomes', () => {
    const calibrate = fitPlatt(drawn(20_000, overconfident));
    for (const stated of [0.05, 0.3, 0.7, 0.95]) {
      expect(Math.abs(calibrate(stated) - overconfident(stated))).toBeLessThan(0.02);
    }
  });

  test('Platt of few rows that all succeeded does not claim certainty', () => {
    const calibrate = fitPlatt(rows([0.9, 1], [0.9, 1], [0.9, 1]));
    expect(calibrate(0.9)).toBeCloseTo(0.8, 3);
  });

  test('isotonic pools neighbours that fall', () => {
    const calibrate = fitIsotonic(rows([0.1, 0], [0.2, 1], [0.3, 0], [0.4, 1], [0.5, 1]));
    expect([0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.9].map(calibrate)).toEqual([
      0, 0, 0.5, 0.5, 0.5, 1, 1,
    ]);
    // Halfway between two steps.
    expect(calibrate(0.15)).toBeCloseTo(0.25, 12);
  });

  test('isotonic never falls, and is nearer to its outcomes than what was stated', () => {
    const stated = fc.record({
      probability: fc.integer({ min: 0, max: 20 }).map((step) => step / 20),
      succeeded: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(stated, { minLength: 1, maxLength: 40 }), (given) => {
        const calibrate = fitIsotonic(given);
        const values = Array.from({ length: 41 }, (_, step) => calibrate(step / 40));
        for (const [index, value] of values.entries()) {
          expect(value).toBeGreaterThanOrEqual(Math.max(0, (values[index - 1] ?? 0) - 1e-12));
          expect(value).toBeLessThanOrEqual(1);
        }
        const fitted = given.map((row) => ({ ...row, probability: calibrate(row.probability) }));
        expect(brierScore(fitted)).toBeLessThanOrEqual(brierScore(given) + 1e-12);
      }),
      { numRuns: 50 },
    );
  });
});

const group = (name: string, bound: number, succeeded: number, of: number) =>
  Array.from({ length: of }, (_, index) => ({
    group: name,
    bound,
    succeeded: index < succeeded,
  }));

describe('stated lower bounds', () => {
  test('hold, are missed a little, or are contradicted', () => {
    const stated = [
      ...group('above', 0.6, 40, 50),
      ...group('chance', 0.6, 28, 50),
      ...group('wrong', 0.9, 25, 50),
      ...group('few', 0.9, 0, 5),
    ];
    expect(boundCoverage(stated)).toEqual({
      groups: 3,
      held: 1,
      contradicted: ['wrong'],
      skipped: 5,
    });
  });

  test('the tail of the binomial distribution is what tables say', () => {
    expect(binomialTail(3, 10, 0.5)).toBeCloseTo(0.171875, 12);
    expect(binomialTail(0, 5, 0.2)).toBeCloseTo(0.32768, 12);
    expect(binomialTail(450, 1000, 0.5)).toBeCloseTo(0.000865, 5);
    expect([binomialTail(5, 5, 0.5), binomialTail(1, 5, 0), binomialTail(1, 5, 1)]).toEqual([
      1, 1, 0,
    ]);
  });
});
