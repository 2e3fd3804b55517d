import { describe, expect, test } from 'vitest';
import { Belief, type Features } from './bayes.ts';
import { logistic } from './gaussian.ts';

const prior = { mean: [0, 1], variance: [1, 0.5], textVariance: 0.25 };

function features(a: number, b: number, text?: readonly number[]): Features {
  return {
    summary: Float64Array.from([a, b]),
    text: text === undefined ? undefined : Float32Array.from(text),
  };
}

describe('a belief about events', () => {
  test('lies where the posterior of one event is most probable', () => {
    const belief = new Belief(prior, 2);
    const seen = features(1, -0.5, [0.6, 0.8]);
    const before = belief.at(seen);
    expect(before.mean).toBeCloseTo(-0.5, 12);
    expect(before.variance).toBeCloseTo(1 + 0.5 * 0.25 + 0.25, 6);
    belief.learnEvent(seen, 1);
    const after = belief.at(seen);
    // At the most probable value the slope of log likelihood and log prior cancel.
    expect((after.mean - before.mean) / before.variance).toBeCloseTo(1 - logistic(after.mean), 6);
  });

  test('narrows by the information of the event; the text’s part, kept apart, never faster', () => {
    const [plain, wordy] = [new Belief(prior, 0), new Belief(prior, 2)];
    const [seen, seenText] = [features(1, -0.5), features(1, -0.5, [0.6, 0.8])];
    const [before, beforeText] = [plain.at(seen), wordy.at(seenText)];
    plain.learnEvent(seen, 1);
    wordy.learnEvent(seenText, 1);
    const [after, afterText] = [plain.at(seen), wordy.at(seenText)];
    expect(after.variance).toBeCloseTo(narrowed(after.mean, before.variance), 6);
    expect(afterText.variance).toBeGreaterThan(narrowed(afterText.mean, beforeText.variance));
    expect(afterText.variance).toBeLessThan(beforeText.variance);
  });

  test('says nothing of features that were never seen together', () => {
    const belief = new Belief(prior, 2);
    belief.learnEvent(features(0, 0, [1, 0]), 1);
    const other = belief.at(features(0, 0, [0, 1]));
    expect(other.mean).toBe(0);
    expect(other.variance).toBeCloseTo(0.25, 6);
  });

  test('finds the log-odds of a rate, and is surer the more it has seen', () => {
    const belief = new Belief({ mean: [0], variance: [100], textVariance: 0 }, 0);
    const seen = { summary: Float64Array.from([1]), text: undefined };
    for (let round = 0; round < 1_000; round += 1) belief.learnEvent(seen, round % 5 === 0 ? 0 : 1);
    const { mean, variance } = belief.at(seen);
    expect(logistic(mean)).toBeCloseTo(0.8, 1.5);
    expect(variance).toBeCloseTo(1 / (1_000 * 0.8 * 0.2), 2.5);
  });

  test('counts an outcome of half the weight for half', () => {
    const [whole, half, none] = [new Belief(prior, 0), new Belief(prior, 0), new Belief(prior, 0)];
    const seen = features(1, 0);
    whole.learnEvent(seen, 1);
    half.learnEvent(seen, 1, 0.5);
    none.learnEvent(seen, 1, 0);
    expect(none.at(seen)).toEqual({ mean: 0, variance: 1 });
    expect(half.at(seen).mean).toBeGreaterThan(0);
    expect(half.at(seen).mean).toBeLessThan(whole.at(seen).mean);
  });
});

describe('a belief about values', () => {
  test('is the regression that the same data give at once', () => {
    const belief = new Belief({ mean: [0, 0], variance: [1e6, 1e6], textVariance: 0 }, 0);
    const rows = [0, 1, 2, 3, 4, 5].map((x) => ({ x, y: 3 + 2 * x + (x % 2 === 0 ? 0.1 : -0.1) }));
    for (const { x, y } of rows) belief.learnValue(features(1, x), y, 0.01);
    // By ordinary least squares: slope 2 − 0.6/17.5·…, computed by hand from the sums.
    const meanX = 2.5;
    const meanY = rows.reduce((sum, { y }) => sum + y, 0) / 6;
    const slope =
      rows.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) /
      rows.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
    expect(belief.at(features(1, 10)).mean).toBeCloseTo(meanY + slope * 7.5, 4);
  });
});

test('a copy learns for itself', () => {
  const belief = new Belief(prior, 2);
  const seen = features(1, 1, [0.6, 0.8]);
  belief.learnEvent(seen, 0);
  const copy = belief.copy();
  expect(copy.at(seen)).toEqual(belief.at(seen));
  const before = belief.at(seen);
  copy.learnEvent(seen, 1);
  expect(belief.at(seen)).toEqual(before);
  expect(copy.at(seen).mean).toBeGreaterThan(before.mean);
});

test('the parts of a belief add up to its mean', () => {
  const belief = new Belief(prior, 2);
  const seen = features(1, 2, [0.6, 0.8]);
  belief.learnEvent(seen, 1);
  const parts = belief.parts(seen);
  expect(parts).toHaveLength(3);
  expect(parts.reduce((a, b) => a + b, 0)).toBeCloseTo(belief.at(seen).mean, 9);
});

/** A variance after an event whose log-odds are then believed to be z, by Bayes' rule for one number. */
function narrowed(z: number, variance: number): number {
  return 1 / (1 / variance + logistic(z) * (1 - logistic(z)));
}
