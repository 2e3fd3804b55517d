import { describe, expect, test } from 'vitest';
import { crossFit } from './cross-fit.ts';
import { differenceOf, valuePolicy, type Estimator, type OpeRow } from './ope.ts';
import { normalInterval, randomFrom } from './statistics.ts';

const policy = new Map([
  ['a', 0.5],
  ['b', 0.5],
]);
/** Weights 2, 1, 1 and 0.625. */
const rows: readonly OpeRow[] = [
  { agent: 'a', propensity: 0.25, reward: 1 },
  { agent: 'b', propensity: 0.5, reward: 0 },
  { agent: 'b', propensity: 0.5, reward: 1 },
  { agent: 'a', propensity: 0.8, reward: 1 },
].map((row) => ({
  ...row,
  policy,
  predicted: new Map([
    ['a', 0.5],
    ['b', 0.25],
  ]),
}));
const value = (estimator: Estimator, more: { clip?: number; resamples?: number } = {}) =>
  valuePolicy(rows, estimator, { random: randomFrom(1), ...more });

describe('estimates equal what is worked out by hand', () => {
  test('IPS is the mean of the weighed rewards', () => {
    // (2 + 0 + 1 + 0.625) / 4
    expect(value('ips').value).toBeCloseTo(0.90625, 12);
  });

  test('SNIPS divides by the weights instead of the rows', () => {
    // (2 + 0 + 1 + 0.625) / (2 + 1 + 1 + 0.625)
    expect(value('snips').value).toBeCloseTo(3.625 / 4.625, 12);
  });

  test('DR adds what the model predicts to the weighed rest', () => {
    // 0.375 + (2 × 0.5 + 1 × −0.25 + 1 × 0.75 + 0.625 × 0.5) / 4
    expect(value('dr').value).toBeCloseTo(0.375 + 1.8125 / 4, 12);
  });

  test('the interval comes from the variance of the influence function', () => {
    // Influences 2, 0, 1, 0.625: variance 0.7018…, over 4 rows.
    const { interval } = value('ips');
    const deviation = Math.sqrt(
      ((2 - 0.90625) ** 2 + 0.90625 ** 2 + (1 - 0.90625) ** 2 + (0.625 - 0.90625) ** 2) / 3,
    );
    expect(interval.high - interval.low).toBeCloseTo((2 * 1.959963984540054 * deviation) / 2, 10);
  });

  test('the effective number of rows is that of Kish', () => {
    expect(value('ips').effectiveRows).toBeCloseTo(4.625 ** 2 / (4 + 1 + 1 + 0.625 ** 2), 12);
  });

  test('a clipped weight counts as the limit, and the value says how many were', () => {
    const clipped = value('ips', { clip: 1.5 });
    expect(clipped.value).toBeCloseTo((1.5 + 0 + 1 + 0.625) / 4, 12);
    expect(clipped).toMatchObject({ clip: 1.5, clipped: 1, largestWeight: 1.5 });
    expect(value('ips')).toMatchObject({ clipped: 0, largestWeight: 2 });
  });
});

test('a policy that is the logging one is worth the mean of the rewards, by every estimator', () => {
  const own = rows.map((row) => ({
    ...row,
    propensity: 1,
    policy: new Map([[row.agent, 1]]),
  }));
  for (const estimator of ['ips', 'snips', 'dr'] as const) {
    expect(valuePolicy(own, estimator, { random: randomFrom(1) }).value).toBeCloseTo(0.75, 12);
  }
});

/** The log with its third row changed, valued. */
const changed = (change: Partial<OpeRow>, estimator: Estimator = 'ips') => {
  const log = rows.map((row, index) => (index === 2 ? { ...row, ...change } : row));
  return () => valuePolicy(log, estimator, { random: randomFrom(1) });
};

describe('a log that can not be used is refused by the number of its row', () => {
  test.each([0, -0.1, 1.01, Number.NaN, Infinity])('a propensity of %s', (propensity) => {
    expect(changed({ propensity })).toThrow(`row 3: propensity is ${propensity}`);
  });

  test('a reward that is no number', () => {
    expect(changed({ reward: Number.NaN })).toThrow('row 3: reward is NaN');
  });

  test('probabilities that do not add up to 1', () => {
    expect(changed({ policy: new Map([['a', 0.9]]) })).toThrow(
      "row 3: the policy's probabilities add up to 0.9, not 1",
    );
    expect(changed({ policy: new Map([['a', Number.NaN]]) })).toThrow(
      'row 3: the policy chooses a with NaN',
    );
  });

  test('a choice that was never tried, or could not have been made there', () => {
    expect(changed({ policy: new Map([['c', 1]]) })).toThrow(
      'row 3: the policy chooses c, which the log never',
    );
    const logging = new Map([['b', 0.5]]);
    expect(changed({ logging })).toThrow(
      'row 3: the policy chooses a, which could not have been chosen',
    );
    expect(changed({ logging: new Map([['b', 0.4]]) })).toThrow(
      'the logged probability of b is 0.4',
    );
  });

  test('a policy that shares no choice with the log', () => {
    const apart = rows.map((row) => ({
      ...row,
      policy: new Map([[row.agent === 'a' ? 'b' : 'a', 1]]),
    }));
    expect(() => valuePolicy(apart, 'ips', { random: randomFrom(1) })).toThrow(
      'never makes a choice',
    );
  });

  test('a row without a prediction, for DR alone', () => {
    expect(changed({ predicted: new Map([['a', 1]]) }, 'dr')).toThrow(
      'row 3: the reward model predicts nothing',
    );
    expect(changed({ predicted: new Map([['a', 1]]) }, 'ips')).not.toThrow();
  });

  test('fewer than two rows, and a clip below 1', () => {
    expect(() => valuePolicy(rows.slice(1, 2), 'ips', { random: randomFrom(1) })).toThrow('1 rows');
    expect(() => value('ips', { clip: 0.5 })).toThrow('clip is 0.5');
  });
});

const chooseA = (x: number): number => (x < 2 ? 0.85 : 0.1);

interface Simulated {
  readonly rows: OpeRow[];
  readonly truth: number;
}

/**
 * Contexts x in {0, 1, 2, 3}, two agents whose success is known for each, a logging policy that leans
 * to the worse one, and a policy that mostly chooses by x. The truth is a sum over the contexts.
 */
function simulate(size: number, seed: number, quality: 'right' | 'wrong'): Simulated {
  const random = randomFrom(seed);
  const success = { a: [0.9, 0.7, 0.4, 0.2], b: [0.3, 0.5, 0.6, 0.8] };
  const of = (agent: 'a' | 'b', x: number): number => success[agent][x] ?? 0;
  const predicted = (x: number): Map<string, number> =>
    quality === 'right'
      ? new Map([
          ['a', of('a', x)],
          ['b', of('b', x)],
        ])
      : new Map([
          ['a', 0.1],
          ['b', 0.9],
        ]);
  const made = Array.from({ length: size }, () => {
    const x = Math.floor(random() * 4);
    const logging = 0.3 + 0.1 * x;
    const agent = random() < logging ? 'a' : 'b';
    return {
      agent,
      propensity: agent === 'a' ? logging : 1 - logging,
      reward: random() < of(agent, x) ? 1 : 0,
      policy: new Map([
        ['a', chooseA(x)],
        ['b', 1 - chooseA(x)],
      ]),
      predicted: predicted(x),
    } as const satisfies OpeRow;
  });
  const byContext = [0, 1, 2, 3].map(
    (x) => chooseA(x) * of('a', x) + (1 - chooseA(x)) * of('b', x),
  );
  return { rows: made, truth: byContext.reduce((sum, each) => sum + each, 0) / 4 };
}

describe('the 95 % interval holds the truth in about 95 % of the logs', () => {
  const logs = 300;
  const cases = [
    ['ips', 'right'],
    ['snips', 'right'],
    ['dr', 'right'],
    ['dr', 'wrong'],
  ] as const;

  test.each(cases)('%s, with a reward model that is %s', (estimator, quality) => {
    let held = 0;
    for (let seed = 1; seed <= logs; seed += 1) {
      const { rows: log, truth } = simulate(120, seed * 7919, quality);
      const options = { random: randomFrom(seed), resamples: 0 };
      const { interval } = valuePolicy(log, estimator, options);
      if (interval.low <= truth && truth <= interval.high) held += 1;
    }
    // Binomial(300, 0.95) lies within 274 and 294 in 99.3 % of all cases.
    expect(held).toBeGreaterThanOrEqual(274);
    expect(held).toBeLessThanOrEqual(294);
  });

  test('the bootstrap agrees with the normal approximation', () => {
    const { rows: log } = simulate(1000, 5, 'right');
    for (const estimator of ['ips', 'snips', 'dr'] as const) {
      const { interval, bootstrap } = valuePolicy(log, estimator, { random: randomFrom(3) });
      const width = interval.high - interval.low;
      if (bootstrap === undefined) throw new Error('no bootstrap was made');
      expect(Math.abs(bootstrap.low - interval.low)).toBeLessThan(0.15 * width);
      expect(Math.abs(bootstrap.high - interval.high)).toBeLessThan(0.15 * width);
    }
  });
});

test('a good reward model makes the interval narrower than weights alone', () => {
  const { rows: log } = simulate(1000, 5, 'right');
  const width = (estimator: Estimator): number => {
    const { interval } = valuePolicy(log, estimator, { random: randomFrom(1), resamples: 0 });
    return interval.high - interval.low;
  };
  expect(width('dr')).toBeLessThan(0.98 * width('snips'));
  expect(width('dr')).toBeLessThan(0.7 * width('ips'));
});

test('a difference by row is narrower than that of two intervals', () => {
  const { rows: log } = simulate(500, 9, 'right');
  const options = { random: randomFrom(1), resamples: 200 };
  const first = valuePolicy(log, 'dr', options);
  const other = log.map((row) => ({
    ...row,
    policy: new Map([...row.policy].map(([agent, share]) => [agent, 0.9 * share + 0.05])),
  }));
  const second = valuePolicy(other, 'dr', options);
  const difference = differenceOf(first, second, options);
  expect(difference.value).toBeCloseTo(first.value - second.value, 12);
  const width = difference.interval.high - difference.interval.low;
  expect(width).toBeLessThan(0.5 * (first.interval.high - first.interval.low));
  expect(() => differenceOf(first, valuePolicy(log, 'ips', options), options)).toThrow('same rows');
});

test('the same seed gives the same bootstrap, another one another', () => {
  expect(value('ips').bootstrap).toEqual(value('ips').bootstrap);
  const { rows: log } = simulate(200, 1, 'right');
  const low = (seed: number) =>
    valuePolicy(log, 'ips', { random: randomFrom(seed) }).bootstrap?.low;
  expect(low(1)).not.toBe(low(2));
});

test('no model predicts a row, or another one of its group, that it was fitted on', () => {
  const grouped = Array.from({ length: 40 }, (_, index) => ({ index, group: `g${index % 11}` }));
  const predictions = crossFit(
    grouped,
    ({ group }) => group,
    (fitted) => (row) => ({ row, fitted }),
  );
  for (const [index, { row, fitted }] of predictions.entries()) {
    expect(row.index).toBe(index);
    expect(fitted.map(({ group }) => group)).not.toContain(row.group);
    expect(fitted.length).toBeGreaterThan(20);
  }
  expect(() =>
    crossFit(
      [1, 2],
      () => 'one',
      () => () => 0,
    ),
  ).toThrow('one group');
});

test('the interval of the mean of equal values has no width', () => {
  expect(normalInterval([2, 2, 2], 0.95)).toEqual({ low: 2, high: 2 });
});
