import { expect, test } from 'vitest';
import {
  addTo,
  anomalyRate,
  likelihoodStep,
  newDetectors,
  observe,
  stepCusum,
  successLimit,
  timeLimitSigmas,
  type DetectorState,
  type DriftKind,
} from './detectors.ts';

const zero = newDetectors().time.slower;

/** Numbers from 0 to 1 that are the same every time (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function normals(seed: number): () => number {
  const uniform = seeded(seed);
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

function mean(times: number, of: () => number): number {
  let sum = 0;
  for (let round = 0; round < times; round += 1) sum += of();
  return sum / times;
}

test.each([
  // Average run lengths of k = 0.5 and h = 5 by shift (Montgomery, chapter 9), and how often tried.
  { shift: 0, published: 465, times: 1_000 },
  { shift: 0.5, published: 38, times: 2_000 },
  { shift: 1, published: 10.4, times: 4_000 },
  { shift: 2, published: 4.01, times: 4_000 },
])('the two-sided CUSUM of a shift by $shift σ runs for $published scores', (known) => {
  const normal = normals(7);
  const measured = mean(known.times, () => {
    let [up, down] = [zero, zero];
    for (let n = 1; ; n += 1) {
      ({ up, down } = stepCusum(up, down, normal() + known.shift, 0, n));
      if (Math.max(up.value, down.value) > timeLimitSigmas) return n;
    }
  });
  // Three standard errors, of run lengths that deviate at most as much as their mean.
  expect(Math.abs(measured / known.published - 1)).toBeLessThan(3 / Math.sqrt(known.times) + 0.005);
});

/** Outcomes after the first `calm` ones until a drift; of a time exp(mean + sigma · normal). */
function runOf(
  next: (n: number) => { succeeded: boolean; ms: number },
  most: number,
  first = newDetectors(),
): { n: number; state: DetectorState } {
  let state = first;
  for (let n = 1; n <= most; n += 1) {
    state = observe(state, { atMs: n, ...next(n) });
    if (state.drifts.length > first.drifts.length) return { n, state };
  }
  return { n: most, state };
}

test('with mean and deviation unknown, a false drift of time comes as rarely as with both known', () => {
  const normal = normals(11);
  const times = 400;
  const next = () => ({ succeeded: true, ms: Math.exp(8 + 0.4 * normal()) });
  const measured = mean(times, () => runOf(next, 20_000).n - 20);
  expect(Math.abs(measured / 465 - 1)).toBeLessThan(3 / Math.sqrt(times));
});

test('an agent that gets slower by 1.5 σ is found in a few outcomes, with when and how much', () => {
  const normal = normals(3);
  const delays: number[] = [];
  for (let round = 0; round < 200; round += 1) {
    const next = (n: number) => ({
      succeeded: true,
      ms: Math.exp((n <= 100 ? 8 : 8.6) + 0.4 * normal()),
    });
    const { n, state } = runOf(next, 400);
    const [drift] = state.drifts;
    if (n <= 100 || drift === undefined) continue;
    delays.push(n - 100);
    expect(drift.kind).toBe('slower');
    expect(drift.after).toBeGreaterThan(drift.before);
    expect(drift.sinceMs).toBeLessThanOrEqual(drift.foundAtMs);
    expect(state.time).toEqual(newDetectors().time);
  }
  // One in five rounds is a false alarm before: 100 of 465.
  expect(delays.length).toBeGreaterThan(130);
  const average = delays.reduce((sum, each) => sum + each, 0) / delays.length;
  // 5.75 with a mean that is known (Montgomery); here it is learned from 100, and goes on moving.
  expect(average).toBeGreaterThan(5);
  expect(average).toBeLessThan(8);
});

test('times beyond 2 σ are as many as the normal distribution has', () => {
  const normal = normals(5);
  const rate = mean(400, () => {
    let state = newDetectors();
    for (let n = 1; n <= 60; n += 1) {
      state = observe(state, { atMs: n, succeeded: true, ms: Math.exp(6 + normal()) });
    }
    return anomalyRate(state) ?? 0.0455;
  });
  expect(rate).toBeGreaterThan(0.035);
  expect(rate).toBeLessThan(0.056);
  expect(anomalyRate(newDetectors())).toBeUndefined();
});

/**
 * The average run length of a sum of whole steps, exactly: the states of the sum are a Markov chain
 * (Brook & Evans 1972), and their run lengths a system of equations.
 */
function exactRunLength(failureRate: number, up: number, limit: number): number {
  const size = limit + 1;
  const rows = Array.from({ length: size }, (_, from) => {
    const row = Array.from({ length: size + 1 }, () => 0);
    row[from] = 1;
    row[size] = 1;
    const down = Math.max(0, from - 1);
    row[down] = (row[down] ?? 0) - (1 - failureRate);
    const over = from + up;
    if (over <= limit) row[over] = (row[over] ?? 0) - failureRate;
    return row;
  });
  for (let pivot = 0; pivot < size; pivot += 1) {
    const by = rows[pivot] ?? [];
    for (let other = 0; other < size; other += 1) {
      const row = rows[other] ?? [];
      const factor = other === pivot ? 0 : (row[pivot] ?? 0) / (by[pivot] ?? 1);
      if (factor === 0) continue;
      for (let column = pivot; column <= size; column += 1) {
        row[column] = (row[column] ?? 0) - factor * (by[column] ?? 0);
      }
    }
  }
  return (rows[0]?.[size] ?? 0) / (rows[0]?.[0] ?? 1);
}

test.each([0.05, 0.2])(
  'the Bernoulli CUSUM runs as long as its Markov chain says when %f fail',
  (actual) => {
    // The ratio at which a failure weighs ten successes exactly, for the rate of 5 %.
    const rate = 0.05;
    const weight = (ratio: number): number =>
      likelihoodStep(true, rate, ratio) / -likelihoodStep(false, rate, ratio);
    let [low, high] = [1.01, 50];
    for (let round = 0; round < 60; round += 1) {
      const middle = (low + high) / 2;
      if (weight(middle) > 10) low = middle;
      else high = middle;
    }
    const unit = -likelihoodStep(false, rate, low);
    const limit = Math.floor(successLimit / unit);
    const exact = exactRunLength(actual, 10, limit);
    const uniform = seeded(13);
    const times = actual === rate ? 60 : 1_000;
    const measured = mean(times, () => {
      let side = zero;
      for (let n = 1; ; n += 1) {
        const step = likelihoodStep(uniform() < actual, rate, low);
        side = addTo(side, step, 0, n);
        if (side.value > (limit + 0.5) * unit) return n;
      }
    });
    if (actual === rate) expect(exact).toBeGreaterThan(1_000);
    expect(Math.abs(measured / exact - 1)).toBeLessThan(3 / Math.sqrt(times));
  },
);

test.each<[DriftKind, number, number]>([
  ['failing', 0.05, 0.3],
  ['recovering', 0.5, 0.1],
])('an agent that is %s is found: failures from %f to %f', (kind, before, after) => {
  const uniform = seeded(17);
  const delays: number[] = [];
  let early = 0;
  for (let round = 0; round < 200; round += 1) {
    const next = (n: number) => ({
      succeeded: uniform() >= (n <= 200 ? before : after),
      ms: 1_000,
    });
    const { n, state } = runOf(next, 600);
    if (n <= 200) {
      early += 1;
      continue;
    }
    delays.push(n - 200);
    const [drift] = state.drifts;
    expect(drift?.kind).toBe(kind);
    expect(drift?.afterOutcomes).toBeGreaterThan(1);
    expect(state.success).toEqual(newDetectors().success);
  }
  // The rate is learned from what comes: a little more than one false alarm in a thousand each way.
  expect(early).toBeLessThan(200 * 0.25);
  const average = delays.reduce((sum, each) => sum + each, 0) / delays.length;
  expect(average).toBeLessThan(60);
});

test('an agent that always takes the same time has no anomaly for 5 % more', () => {
  const first = runOf(() => ({ succeeded: true, ms: 1_000 }), 40);
  const next = observe(first.state, { atMs: 41, succeeded: true, ms: 1_050 });
  expect(next.flags).toMatch(/^0+$/);
  const far = observe(first.state, { atMs: 41, succeeded: true, ms: 2_000 });
  expect(far.flags).toMatch(/1$/);
});
