import { describe, expect, test } from 'vitest';
import { changePoint, kolmogorovTail } from './change-point.ts';
import { evaluateLog, type LoggedExecution, type LoggedPolicy } from './evaluate-log.ts';
import { randomFrom } from './statistics.ts';

const success: Readonly<Record<string, readonly [number, number]>> = {
  'a/lint': [0.9, 0.9],
  'b/lint': [0.4, 0.4],
  'a/plan': [0.3, 0.3],
  'b/plan': [0.8, 0.2],
};

/** Two agents at even odds; from `changeAt` on the second number of each pair holds. */
function log(count: number, { changeAt = Infinity, seed = 1 } = {}): LoggedExecution[] {
  const random = randomFrom(seed);
  return Array.from({ length: count }, (_, index) => {
    const type = random() < 0.5 ? 'lint' : 'plan';
    const agent = random() < 0.5 ? 'a' : 'b';
    const [before = 0, after = 0] = success[`${agent}/${type}`] ?? [];
    // Log times spread by 0.5 around those of 1,000 ms; the interval of 90 % is 1.645 × 0.5 wide to each side.
    const spread = 0.5 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return {
      attemptId: `attempt-${index}`,
      taskHash: `task-${index % 97}`,
      type,
      agent,
      succeeded: random() < (index < changeAt ? before : after),
      endedAtMs: index,
      propensity: 0.5,
      predictedSuccess: before,
      predictedMs: 1000,
      predictedMsInterval: { low: 1000 * Math.exp(-0.8224), high: 1000 * Math.exp(0.8224) },
      ms: 1000 * Math.exp(spread),
    };
  });
}

const even: LoggedPolicy = {
  name: 'even',
  probabilities: () =>
    new Map([
      ['a', 0.5],
      ['b', 0.5],
    ]),
};
const byType: LoggedPolicy = {
  name: 'by-type',
  probabilities: ({ type }) => new Map([[type === 'lint' ? 'a' : 'b', 1]]),
};
const rows = log(1500);

describe('a log of choices', () => {
  const evaluation = evaluateLog(rows, { policies: [even, byType], resamples: 200 });

  test('says what policies are worth', () => {
    const [first, second] = evaluation.policies;
    const valuesOf = (policy: typeof first) =>
      policy !== undefined && !('unavailable' in policy.values) ? policy.values : [];
    expect(valuesOf(first).map(({ estimator }) => estimator)).toEqual(['dr', 'snips', 'ips']);
    for (const { interval } of valuesOf(first)) {
      expect(interval.low).toBeLessThan(0.6);
      expect(interval.high).toBeGreaterThan(0.6);
    }
    for (const { interval } of valuesOf(second)) {
      expect(interval.low).toBeLessThan(0.85);
      expect(interval.high).toBeGreaterThan(0.85);
    }
    expect(evaluation.promotion).toMatchObject({ state: 'incumbent' });
  });

  test('says that true probabilities are, and that times came as predicted', () => {
    expect(evaluation.calibration).toMatchObject({ outcomes: 1500 });
    const { calibration, times } = evaluation;
    if ('unavailable' in calibration || 'unavailable' in times) throw new Error('not measured');
    expect(calibration.byMass).toBeLessThan(0.04);
    // The median of |N(0, 0.5²)| is 0.337.
    expect(times.medianLogError).toBeCloseTo(0.337, 1);
    if ('unavailable' in times.coverage) throw new Error('not measured');
    expect(times.coverage.interval.low).toBeLessThan(0.9);
    expect(times.coverage.interval.high).toBeGreaterThan(0.9);
    expect(evaluation.drift).toMatchObject({
      success: { changed: false },
      times: { changed: false },
    });
  });
});

test('an agent that became worse is seen as drift, near where it happened', () => {
  const { drift } = evaluateLog(log(1500, { changeAt: 900, seed: 2 }));
  if ('unavailable' in drift.success) throw new Error('not measured');
  expect(drift.success.changed).toBe(true);
  expect(Math.abs(drift.success.at - 900)).toBeLessThan(200);
  expect(drift.success.after).toBeLessThan(drift.success.before);
});

test('the order of the rows does not matter: time does', () => {
  const backwards = log(1500, { changeAt: 900, seed: 2 }).toReversed();
  expect(evaluateLog(backwards).drift).toEqual(evaluateLog(backwards.toReversed()).drift);
});

test('what the log can not tell is unavailable, with the count', () => {
  const few = evaluateLog(rows.slice(0, 5), { policies: [even, byType] });
  expect(few.successRate).toEqual({ unavailable: '5 routed outcomes; 20 are needed' });
  expect(few.policies[0]).toEqual({ policy: 'even', values: few.successRate });
  expect(few.promotion).toEqual(few.successRate);
  expect(few.calibration).toEqual({
    unavailable: '5 outcomes with a predicted success; 20 are needed',
  });
  const bare = rows
    .slice(0, 100)
    .map(({ attemptId, taskHash, type, agent, succeeded, endedAtMs, propensity }) => {
      return { attemptId, taskHash, type, agent, succeeded, endedAtMs, propensity };
    });
  expect(evaluateLog(bare)).toMatchObject({
    calibration: { unavailable: expect.stringContaining('0 outcomes') },
    times: { unavailable: expect.stringContaining('0 successes') },
    drift: {
      success: { values: 100 },
      times: { unavailable: expect.stringContaining('0 successes') },
    },
  });
  expect(evaluateLog([])).toMatchObject({
    executions: 0,
    successRate: { unavailable: expect.any(String) },
  });
});

test('a policy that chooses what was never tried, and a wrong propensity, are refused by row', () => {
  const other: LoggedPolicy = { name: 'other', probabilities: () => new Map([['c', 1]]) };
  expect(() => evaluateLog(rows, { policies: [other] })).toThrow('row 1: the policy chooses c');
  const broken = rows.map((row, index) => (index === 3 ? { ...row, propensity: 0 } : row));
  expect(() => evaluateLog(broken, { policies: [even] })).toThrow('row 4: propensity is 0');
});

describe('change of a mean', () => {
  test('the distribution is that of Kolmogorov’s tables', () => {
    expect(kolmogorovTail(1.358)).toBeCloseTo(0.05, 3);
    expect(kolmogorovTail(1.628)).toBeCloseTo(0.01, 3);
    expect([kolmogorovTail(0), kolmogorovTail(5)]).toEqual([1, expect.closeTo(0, 12)]);
  });

  test('a step is found where it is', () => {
    const values = Array.from({ length: 100 }, (_, index) => (index % 2) + (index < 40 ? 0 : 3));
    expect(changePoint(values)).toMatchObject({ changed: true, at: 40, before: 0.5, after: 3.5 });
  });

  test('values that are all equal have not changed', () => {
    expect(changePoint([2, 2, 2, 2])).toMatchObject({
      changed: false,
      statistic: 0,
      pValue: 1,
      after: 2,
    });
  });

  test('a steady series raises about one false alarm in a hundred', () => {
    const random = randomFrom(11);
    const alarms = Array.from({ length: 500 }, () => Array.from({ length: 100 }, random)).filter(
      (values) => changePoint(values).changed,
    ).length;
    // The bridge is a limit: with 100 values it is a little cautious.
    expect(alarms).toBeLessThanOrEqual(12);
  });
});
