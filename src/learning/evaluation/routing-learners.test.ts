import { expect, test } from 'vitest';
import {
  logisticRegression,
  nearestNeighbours,
  type RoutingExample,
  type RoutingLearner,
} from './routing-learners.ts';
import { randomFrom, shuffled } from './statistics.ts';

/** Unit vectors of eight numbers; the first agent succeeds where the first number is high, the second always half. */
function examples(count: number, seed: number): RoutingExample[] {
  const random = randomFrom(seed);
  return Array.from({ length: count }, (_, index) => {
    const raw = Array.from({ length: 8 }, () => random() - 0.5);
    const length = Math.hypot(...raw);
    const vector = Float32Array.from(raw, (value) => value / length);
    const likely = (vector[0] ?? 0) > 0 ? 0.9 : 0.1;
    return { text: `task ${index}`, vector, succeeded: [random() < likely, random() < 0.5] };
  });
}

const train = examples(250, 1);
const fresh = examples(100, 2);

function agreement(learner: RoutingLearner, from: readonly RoutingExample[]): number {
  const predict = learner.fit(from, ['a', 'b'], randomFrom(1));
  const right = fresh.filter((task) => {
    const [a = Number.NaN] = predict(task).success;
    return a > 0.5 === (task.vector[0] ?? 0) > 0;
  });
  return right.length / fresh.length;
}

test.each([nearestNeighbours, logisticRegression])(
  '$name finds what success depends on',
  (learner) => {
    expect(agreement(learner, train)).toBeGreaterThan(0.85);
  },
);

test.each([nearestNeighbours, logisticRegression])(
  '$name learns nothing where there is nothing to learn',
  (learner) => {
    const random = randomFrom(9);
    const noise = shuffled(train, random).map((one, index) => ({
      ...one,
      succeeded: train[index]?.succeeded ?? [],
    }));
    const share = agreement(learner, noise);
    expect(share).toBeGreaterThan(0.3);
    expect(share).toBeLessThan(0.7);
  },
);

test.each([nearestNeighbours, logisticRegression])('$name uses only what was tried', (learner) => {
  const untried = train.map((one) => ({ ...one, succeeded: [one.succeeded[0], undefined] }));
  const [first] = fresh;
  if (first === undefined) throw new Error('there is no task');
  const all = learner.fit(train, ['a', 'b'], randomFrom(1))(first).success;
  const some = learner.fit(untried, ['a', 'b'], randomFrom(1))(first).success;
  expect(some[0]).toBe(all[0]);
  expect(some[1]).toBe(0.5);
});
