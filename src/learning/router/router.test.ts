import { describe, expect, test } from 'vitest';
import { AppError, systemClock } from '../../base/base.ts';
import { createOfflineEmbedder } from '../embedding/offline.ts';
import type { Candidate, Embedder, Neighbour, Neighbourhood, RouteRequest } from '../types.ts';
import { RouterModel } from './model.ts';
import { firstPolicy } from './policy.ts';
import { Router } from './router.ts';

const embedder = await createOfflineEmbedder();
const keys = 'Look for leaked keys and passwords in the repository.';
const links = 'Check that the links of the documentation lead somewhere.';
const candidates = [
  candidate('secret-scan', 'Finds leaked keys, tokens and passwords in a repository.'),
  candidate('link-check', 'Checks the links of Markdown documentation.'),
  candidate('planner', 'Plans the work of a project.'),
];

/** Neighbours as they are given, whatever is asked. */
function fixed(near: readonly Neighbour[]): Neighbourhood {
  return { near: async () => near };
}

function open(model = new RouterModel(firstPolicy), near: readonly Neighbour[] = []): Router {
  return new Router({
    embedder,
    neighbourhood: fixed(near),
    model: () => model,
    mode: () => 'balanced',
    clock: systemClock,
  });
}

async function taught(): Promise<RouterModel> {
  const model = new RouterModel(firstPolicy);
  const facts = { type: 'scan', text: keys };
  const [vector] = await embedder.embed([keys]);
  if (vector === undefined) throw new Error('no vector');
  for (let round = 0; round < 30; round += 1) {
    const row = { facts, vector, near: [], ms: 2_000 };
    model.learn({
      ...row,
      agent: 'secret-scan',
      result: round % 10 === 0 ? 'failed' : 'succeeded',
    });
    model.learn({ ...row, agent: 'planner', result: round % 3 === 0 ? 'succeeded' : 'failed' });
  }
  return model;
}

describe('a recommendation', () => {
  test('before any outcome goes by the definitions, says so, and is not sure', async () => {
    const router = open();
    const ask = (text: string) => router.recommend({ task: { type: 'new', text }, candidates });
    const first = await ask(keys);
    const second = await ask(links);
    expect([first.agent, second.agent]).toEqual(['secret-scan', 'link-check']);
    expect(first.basis).toBe('definitions');
    expect(first.confidence).toBeLessThan(0.3);
    expect(first.expected).toEqual({});
    expect(first.factors[0]?.name).toBe('what its definition says');
    expect(first.candidates).toEqual(['link-check', 'planner', 'secret-scan']);
  });

  test('that stands on nothing says that it does', async () => {
    const task = { type: 'new', text: 'Zyxwv qponm 12.' };
    const { basis, confidence } = await open().recommend({ task, candidates });
    expect(basis).toBe('nothing');
    expect(confidence).toBeLessThan(0.3);
  });

  test('names what decided, the neighbours, and what would change it', async () => {
    const near = [
      {
        taskHash: 'a',
        type: 'scan',
        text: 'x'.repeat(300),
        similarity: 0.9,
        evidence: [evidence('secret-scan', 9, 9), evidence('planner', 6, 1)],
      },
    ];
    const router = open(await taught(), near);
    const found = await router.recommend({ task: { type: 'scan', text: keys }, candidates });
    expect(found.agent).toBe('secret-scan');
    expect(found.basis).toBe('outcomes');
    expect(found.confidence).toBeGreaterThan(0.5);
    expect(found.success.mean).toBeGreaterThan(found.confidence);
    expect(found.expected.ms?.mean).toBeCloseTo(2_000, -3);
    expect(found.factors.every(({ text }) => text !== '')).toBe(true);
    const [first, second] = found.prospects;
    const sum = found.factors.reduce((total, { weight }) => total + weight, 0);
    expect(sum).toBeCloseTo((first?.score ?? 0) - (second?.score ?? 0), 1);
    expect(found.factors.find(({ name }) => name.startsWith('its rate'))?.weight).toBeGreaterThan(
      0,
    );
    expect(found.neighbours[0]?.text).toHaveLength(200);
    expect(found.neighbours[0]?.agents).toContainEqual({
      agent: 'planner',
      tried: 6,
      succeeded: 1,
    });
    expect(found.wouldChange[0]).toMatch(/success/);
  });

  test('would change as it says', async () => {
    const model = await taught();
    const task = { type: 'scan', text: keys };
    const found = await open(model).recommend({
      task,
      candidates: candidates.slice(0, 1).concat(candidates.slice(2)),
    });
    const failures = Number(
      /after (\d+) failures? of secret-scan/.exec(found.wouldChange.join(' '))?.[1],
    );
    expect(failures).toBeGreaterThan(0);
    const [vector] = await embedder.embed([keys]);
    if (vector === undefined) throw new Error('no vector');
    // In thought neighbours and the fleet stay as they are, so that it takes about as many in truth.
    for (let round = 0; round < 2 * failures; round += 1) {
      model.learn({ facts: task, vector, near: [], agent: 'secret-scan', result: 'failed' });
    }
    const after = await open(model).recommend({
      task,
      candidates: [candidates[0], candidates[2]].filter((each) => each !== undefined),
    });
    expect(after.agent).toBe('planner');
  });
});

describe('a choice', () => {
  test('falls by its number, with the probability that it states', async () => {
    const router = open(await taught());
    const request = { task: { type: 'scan', text: keys }, candidates };
    const chosen = new Map<string, { hits: number; propensity: number }>();
    const rounds = 200;
    for (let round = 0; round < rounds; round += 1) {
      const { agent, propensity } = await router.choose({ ...request, draw: round / rounds });
      chosen.set(agent, { hits: (chosen.get(agent)?.hits ?? 0) + 1, propensity });
    }
    for (const { hits, propensity } of chosen.values()) {
      expect(Math.abs(hits / rounds - propensity)).toBeLessThanOrEqual(1 / rounds + 1e-9);
    }
    expect(chosen.get('secret-scan')?.propensity).toBeGreaterThan(0.5);
  });

  test.for<[string, Partial<RouteRequest>, RegExp]>([
    ['nobody to choose from', { candidates: [] }, /candidates/],
    ['an empty text', { task: { type: 'a', text: ' ' } }, /text/],
    [
      'a complexity that is none',
      { task: { type: 'a', text: 'b', complexity: Number.NaN } },
      /complexity/,
    ],
    ['a negative size', { task: { type: 'a', text: 'b', inputBytes: -1 } }, /inputBytes/],
    ['a draw outside', { draw: 1 }, /draw/],
    ['a draw that is no number', { draw: Number.NaN }, /draw/],
  ])('is refused for %s', async ([, change, message]) => {
    const request = { task: { type: 'scan', text: keys }, candidates, draw: 0.5, ...change };
    await expect(open().choose(request)).rejects.toThrow(message);
  });
});

function candidate(name: string, description: string): Candidate {
  return {
    name,
    hash: `hash of ${name}`,
    description,
    category: 'development',
    capabilities: [],
    timeoutMs: 60_000,
  };
}

function evidence(agent: string, tried: number, succeeded: number) {
  const logMs = succeeded * Math.log(2_000);
  return { agent, tried, succeeded, logMs, logMsSquares: 0, paid: 0, microUsd: 0 };
}

test('who waits for a choice can stop waiting for an embedder that does not answer', async () => {
  const silent: Embedder = {
    name: 'silent',
    embed: (_texts, signal) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
      }),
  };
  const router = new Router({
    embedder: silent,
    neighbourhood: fixed([]),
    model: () => new RouterModel(firstPolicy),
    mode: () => 'balanced',
    clock: systemClock,
  });
  const leaving = new AbortController();
  const task = { type: 'scan', text: keys };
  const choosing = router.choose({ task, candidates, draw: 0, signal: leaving.signal });
  const stopped = new AppError('cancelled', 'the run was stopped');
  leaving.abort(stopped);
  await expect(choosing).rejects.toBe(stopped);
});
