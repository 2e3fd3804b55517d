import { expect, test } from 'vitest';
import { decidePromotion } from '../evaluation/promotion.ts';
import { createNeighbourhood } from '../similarity/similarity.ts';
import { embeddingLength, type Candidate } from '../types.ts';
import { comparePolicies, fitPolicy, type PastRow } from './fit.ts';
import { firstPolicy, type PolicyParameters } from './policy.ts';

const agents = ['ada', 'bob'];
const candidates: readonly Candidate[] = agents.map((name) => ({
  name,
  hash: name,
  description: '',
  category: '',
  capabilities: [],
  timeoutMs: 1_000,
}));

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

/** Each agent is good at tasks on one side of the first axis; both were chosen by the toss of a coin. */
async function past(count: number): Promise<PastRow[]> {
  const random = seeded(3);
  const known = createNeighbourhood();
  const rows: PastRow[] = [];
  for (let index = 0; index < count; index += 1) {
    const side = random() < 0.5 ? 1 : -1;
    const vector = new Float32Array(embeddingLength);
    vector[0] = side * 0.6;
    vector[1 + Math.floor(random() * 200)] = 0.8;
    const agent = random() < 0.5 ? 'ada' : 'bob';
    const isGood = (agent === 'ada') === side > 0;
    const succeeded = random() < (isGood ? 0.9 : 0.3);
    rows.push({
      facts: { type: 'mixed', text: 'a task' },
      vector,
      near: await known.near(vector, 32),
      agent,
      result: succeeded ? 'succeeded' : 'failed',
      propensity: 0.5,
      candidates,
    });
    const evidence = { agent, tried: 1, succeeded: succeeded ? 1 : 0, logMs: 0, logMsSquares: 0 };
    await known.learned([
      {
        taskHash: String(index),
        type: 'mixed',
        text: 'a task',
        vector,
        evidence: [{ ...evidence, paid: 0, microUsd: 0 }],
      },
    ]);
  }
  return rows;
}

const rows = await past(700);
const [learned, unseen] = [rows.slice(0, 350), rows.slice(350)];
/** Does not look at the words at all. */
const deaf: PolicyParameters = {
  ...firstPolicy,
  name: 'deaf',
  prior: {
    ...firstPolicy.prior,
    mean: [0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    variance: firstPolicy.prior.variance.map(() => 1e-6),
    textVariance: 1e-6,
  },
};

test('a fitted policy expects outcomes better than the one before it', async () => {
  const { policy, logLoss } = await fitPolicy(learned, deaf, 'fitted');
  expect(policy.name).toBe('fitted');
  expect(logLoss.after).toBeLessThan(logLoss.before - 0.02);
  expect(policy.calibration.slope).toBeGreaterThan(0.3);
  expect(policy.calibration.slope).toBeLessThan(3);
});

test('fitting the same rows again gives the same policy', async () => {
  const [first, second] = [
    await fitPolicy(learned.slice(0, 120), firstPolicy, 'x'),
    await fitPolicy(learned.slice(0, 120), firstPolicy, 'x'),
  ];
  expect(second).toEqual(first);
});

test('one that hears takes the place of one that does not, and not the other way round', async () => {
  const hearing = { ...firstPolicy, name: 'hearing' };
  expect((await decide(hearing, deaf)).state).toBe('incumbent');
  const back = await decide(deaf, hearing);
  expect(back.state).not.toBe('incumbent');
  expect(back.reason).toMatch(/deaf .* against .* of hearing/);
});

test('rows that were not routed, or say nothing of their agent, are not compared', async () => {
  const [row] = unseen;
  if (row === undefined) throw new Error('no row');
  const { propensity: _, ...unrouted } = row;
  const odd: PastRow[] = [
    unrouted,
    { ...row, result: 'cancelled' },
    { ...row, result: 'failed', isOwnFault: false },
    { ...row, ms: 60_000, microUsd: 1_000_000, result: 'succeeded' },
  ];
  const compared = await comparePolicies(learned.slice(0, 100), odd, {
    candidate: firstPolicy,
    incumbent: firstPolicy,
  });
  expect(compared).toHaveLength(1);
  expect(compared[0]?.reward).toBeCloseTo(1 - 0.1 - 0.01, 9);
});

async function decide(candidate: PolicyParameters, incumbent: PolicyParameters) {
  return decidePromotion({
    candidate: candidate.name,
    incumbent: incumbent.name,
    rows: await comparePolicies(learned, unseen, { candidate, incumbent }),
    resamples: 200,
  });
}
