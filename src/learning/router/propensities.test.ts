import { array, assert, constantFrom, double, property, record } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { logistic, normalCdf } from './gaussian.ts';
import { drawn, probabilitiesOfBest, propensities, type Believed } from './propensities.ts';

/** Numbers from 0 up to 1, the same for one seed: mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function sampled(values: readonly Believed[], rounds: number): number[] {
  const random = seeded(7);
  const normal = (): number =>
    Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const wins = values.map(() => 0);
  for (let round = 0; round < rounds; round += 1) {
    const drawnValues = values.map(
      ({ mean, deviation, added }) => logistic(mean + deviation * normal()) + added,
    );
    const best = drawnValues.indexOf(Math.max(...drawnValues));
    wins[best] = (wins[best] ?? 0) + 1;
  }
  return wins.map((each) => each / rounds);
}

const believed = record({
  mean: double({ min: -4, max: 6, noNaN: true }),
  deviation: double({ min: 0.01, max: 3, noNaN: true }),
  added: double({ min: -0.3, max: 0.1, noNaN: true }),
});

describe('the probability of being the best', () => {
  test.for<[string, Believed[]]>([
    ['two alike', [at(1, 1), at(1, 1)]],
    ['one sure, one not', [at(2, 0.05), at(1, 2)]],
    ['one that costs', [at(2, 0.5), at(2, 0.5, -0.1), at(0, 1)]],
    ['near certainty', [at(5, 0.3), at(4, 1.5), at(6, 2)]],
    [
      'eight of all kinds',
      [0, 1, 2, 3, 4, 5, 6, 7].map((each) => at(each / 2 - 1, 0.2 + each / 5)),
    ],
  ])('is what sampling finds: %s', ([, values]) => {
    const exact = probabilitiesOfBest(values);
    for (const [index, share] of sampled(values, 40_000).entries()) {
      expect(exact[index]).toBeCloseTo(share, 1.7);
    }
  });

  test('is a distribution, whatever is believed', () => {
    assert(
      property(array(believed, { minLength: 1, maxLength: 30 }), (values) => {
        const shares = probabilitiesOfBest(values);
        expect(shares.every((share) => share >= 0 && share <= 1)).toBe(true);
        expect(shares.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9);
      }),
      { numRuns: 60 },
    );
  });

  test('is 1 for one that all others stay below', () => {
    expect(probabilitiesOfBest([at(4, 0.01), at(-4, 0.01)])).toEqual([1, 0]);
  });
});

describe('a choice', () => {
  test('exploits the best score alone, and equal ones share', () => {
    const values = [at(1, 1), at(1, 1), at(0, 9)];
    expect(propensities(values, [0.7, 0.7, 0.5], 'exploitation')).toEqual([0.5, 0.5, 0]);
  });

  test('explores more than it balances', () => {
    const values = [at(3, 0.5), at(1, 0.5), at(0, 0.5)];
    const scores = [0.95, 0.73, 0.5];
    const balanced = propensities(values, scores, 'balanced');
    const exploring = propensities(values, scores, 'exploration');
    expect(exploring[2]).toBeGreaterThan(balanced[2] ?? 1);
    expect(Math.min(...exploring)).toBeGreaterThan(0.2 / 3 - 1e-9);
  });

  test('never makes a choice that would count more than a thousandfold', () => {
    assert(
      property(
        array(believed, { minLength: 1, maxLength: 20 }),
        constantFrom('balanced' as const, 'exploration' as const),
        (values, mode) => {
          const shares = propensities(
            values,
            values.map(() => 0),
            mode,
          );
          expect(shares.every((share) => share === 0 || share >= 0.001)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('falls on each index as often as its share says', () => {
    const shares = [0.5, 0, 0.3, 0.2];
    const hits = shares.map(() => 0);
    for (let draw = 0; draw < 1_000; draw += 1) {
      const index = drawn(shares, draw / 1_000);
      hits[index] = (hits[index] ?? 0) + 1;
    }
    expect(hits).toEqual([500, 0, 300, 200]);
    expect(drawn([0.3, 0.7 - 1e-12, 0], 1 - 1e-13)).toBe(1);
  });
});

test('the normal distribution function has its known values', () => {
  expect(normalCdf(0)).toBeCloseTo(0.5, 7);
  expect(normalCdf(1.6448536269514722)).toBeCloseTo(0.95, 6);
  expect(normalCdf(-3)).toBeCloseTo(0.0013498980316300933, 6);
});

function at(mean: number, deviation: number, added = 0): Believed {
  return { mean, deviation, added };
}
