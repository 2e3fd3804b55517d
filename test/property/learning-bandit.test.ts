/**
 * The router's choices on simulated agents, against theory. This is mathematics and no figure of the
 * product: agents here are coins.
 */
import { expect, test } from 'vitest';
import { RouterModel } from '../../src/learning/router/model.ts';
import { firstPolicy } from '../../src/learning/router/policy.ts';
import { drawn } from '../../src/learning/router/propensities.ts';
import {
  embeddingLength,
  type Candidate,
  type Neighbour,
  type RouteMode,
} from '../../src/learning/learning.ts';
import { randomFrom } from '../support/random.ts';

const candidate = (name: string): Candidate => ({
  name,
  hash: name,
  description: '',
  category: '',
  capabilities: [],
  timeoutMs: 1_000,
});

const axes = [0, 1].map((axis) => {
  const vector = new Float32Array(embeddingLength);
  vector[axis] = 1;
  return vector;
});

interface Simulation {
  /** Success by arm, for each context: one number where there is one context. */
  readonly arms: readonly (readonly number[])[];
  readonly rounds: number;
  readonly seed: number;
  readonly mode?: RouteMode;
}

/** The one task of its kind, with all that came of it so far. */
function nearOf(
  candidates: readonly Candidate[],
  context: number,
  counts: readonly { readonly tried: number; readonly succeeded: number }[],
): Neighbour[] {
  const sums = { logMs: 0, logMsSquares: 0, paid: 0, microUsd: 0 };
  const evidence = counts.flatMap(({ tried, succeeded }, arm) =>
    tried === 0 ? [] : [{ agent: candidates[arm]?.name ?? '', tried, succeeded, ...sums }],
  );
  if (evidence.length === 0) return [];
  const text = `context ${context}`;
  return [{ taskHash: String(context), type: 'coin', text, similarity: 1, evidence }];
}

/** Expected successes that the choices cost, after each half of the rounds. */
function regretOf({
  arms,
  rounds,
  seed,
  mode = 'balanced',
}: Simulation): readonly [number, number] {
  const random = randomFrom(seed);
  const model = new RouterModel(firstPolicy);
  const candidates = arms.map((_, arm) => candidate(`arm-${arm}`));
  const contexts = arms[0]?.length ?? 1;
  const counts = Array.from({ length: contexts }, () =>
    arms.map(() => ({ tried: 0, succeeded: 0 })),
  );
  let regret = 0;
  let half = 0;
  for (let round = 0; round < rounds; round += 1) {
    const context = Math.floor(random() * contexts);
    const vector = axes[context] ?? new Float32Array(embeddingLength);
    const facts = { type: 'coin', text: `context ${context}` };
    const near = nearOf(candidates, context, counts[context] ?? []);
    const prospects = model.prospects(facts, vector, near, candidates, { mode });
    const at = drawn(
      prospects.map(({ propensity }) => propensity),
      random(),
    );
    const agent = prospects[at]?.agent ?? '';
    const rates = arms.map((arm) => arm[context] ?? 0);
    const arm = candidates.findIndex(({ name }) => name === agent);
    const rate = rates[arm] ?? 0;
    regret += Math.max(...rates) - rate;
    const result = random() < rate ? 'succeeded' : 'failed';
    model.learn({ facts, vector, near, agent, result });
    const count = counts[context]?.[arm];
    if (count !== undefined) {
      count.tried += 1;
      count.succeeded += result === 'succeeded' ? 1 : 0;
    }
    if (round === Math.floor(rounds / 2) - 1) half = regret;
  }
  return [half, regret];
}

/** What no consistent policy can do better than, for large T: Σ Δ / KL(p, p*) · ln T (Lai & Robbins 1985). */
function laiRobbins(arms: readonly number[], rounds: number): number {
  const best = Math.max(...arms);
  const divergence = (p: number): number =>
    p * Math.log(p / best) + (1 - p) * Math.log((1 - p) / (1 - best));
  return arms
    .filter((p) => p < best)
    .reduce((sum, p) => sum + ((best - p) / divergence(p)) * Math.log(rounds), 0);
}

test('balanced choices cost a constant multiple of what Lai and Robbins allow', () => {
  const arms = [0.8, 0.6, 0.5];
  const rounds = 2_000;
  const bound = laiRobbins(arms, rounds);
  const [half, regret] = regretOf({ arms: arms.map((p) => [p]), rounds, seed: 1 });
  // Three times the bound and a slack for the first rounds; choosing evenly would cost 333.
  expect(regret).toBeLessThan(3 * bound + 20);
  // Slower than the rounds: the second half costs less than the first.
  expect(regret - half).toBeLessThan(0.75 * half);
});

test('where the best one depends on the task, choices follow the task', () => {
  const arms = [
    [0.9, 0.2],
    [0.2, 0.9],
  ];
  const rounds = 600;
  const [half, regret] = regretOf({ arms, rounds, seed: 5 });
  // Evenly or always the same one: 210.
  expect(regret).toBeLessThan(70);
  expect(regret - half).toBeLessThan(0.8 * half);
});

test.each(['balanced', 'exploration'] as const)(
  'in %s mode each is chosen as often as its propensity says',
  (mode) => {
    const random = randomFrom(7);
    const model = new RouterModel(firstPolicy);
    const names = ['a', 'b', 'c'];
    const [vector = new Float32Array(embeddingLength)] = axes;
    const facts = { type: 'coin', text: '' };
    const learn = (agent: string, result: 'succeeded' | 'failed'): void => {
      model.learn({ facts, vector, near: [], agent, result });
    };
    for (const agent of names) learn(agent, 'succeeded');
    learn('a', 'succeeded');
    learn('b', 'failed');
    const prospects = model.prospects(facts, vector, [], names.map(candidate), { mode });
    const shares = prospects.map(({ propensity }) => propensity);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9);
    expect(Math.min(...shares)).toBeGreaterThan(0.02);
    const draws = 20_000;
    const counts = shares.map(() => 0);
    for (let draw = 0; draw < draws; draw += 1) {
      const at = drawn(shares, random());
      counts[at] = (counts[at] ?? 0) + 1;
    }
    const chiSquare = counts.reduce((sum, count, at) => {
      const expected = draws * (shares[at] ?? 0);
      return sum + (count - expected) ** 2 / expected;
    }, 0);
    // Of two degrees of freedom: passed by chance once in a thousand.
    expect(chiSquare).toBeLessThan(13.8);
  },
);
