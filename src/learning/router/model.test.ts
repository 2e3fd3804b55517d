import { describe, expect, test } from 'vitest';
import type { Candidate, Neighbour, OutcomeResult, TaskFacts } from '../types.ts';
import { embeddingLength } from '../types.ts';
import { RouterModel, pairOf, type LearnedRow } from './model.ts';
import { firstPolicy } from './policy.ts';

const task: TaskFacts = { type: 'review', text: 'Look for leaked keys in the repository.' };
const candidates = ['ada', 'bob', 'eve'].map(candidate);

describe('what is expected', () => {
  test('is even, unsure and without time or money while nothing is known', () => {
    const model = new RouterModel(firstPolicy);
    const views = model.views(task, axis(0), [], candidates, { mode: 'balanced' });
    for (const { prospect } of views) {
      expect(prospect.success.mean).toBeCloseTo(0.5, 6);
      expect(prospect.success.low).toBeLessThan(0.15);
      expect(prospect.evidence).toBe(0);
      expect(prospect.expected).toEqual({});
      expect(prospect.propensity).toBeCloseTo(1 / 3, 3);
    }
  });

  test('follows the outcomes, and is surer the more there are', () => {
    const model = new RouterModel(firstPolicy);
    learn(model, 'ada', 'succeeded', 3);
    const few = prospectOf(model, 'ada');
    learn(model, 'ada', 'succeeded', 60);
    learn(model, 'bob', 'failed', 20);
    const many = prospectOf(model, 'ada');
    expect(few.success.mean).toBeGreaterThan(0.5);
    expect(many.success.mean).toBeGreaterThan(few.success.mean);
    expect(many.success.high - many.success.low).toBeLessThan(few.success.high - few.success.low);
    expect(prospectOf(model, 'bob').success.mean).toBeLessThan(0.3);
    expect(many.evidence).toBe(63);
    expect(many.propensity).toBeGreaterThan(0.5);
  });

  test('learns nothing of an agent from what was cancelled or not its fault', () => {
    const model = new RouterModel(firstPolicy);
    const before = prospectOf(model, 'ada');
    learn(model, 'ada', 'cancelled', 10);
    learn(model, 'ada', 'failed', 10, { isOwnFault: false });
    expect(prospectOf(model, 'ada')).toEqual(before);
  });

  test('goes by the task: each agent is best at its own kind', () => {
    const model = new RouterModel(firstPolicy);
    for (let round = 0; round < 40; round += 1) {
      for (const [index, name] of ['ada', 'bob'].entries()) {
        for (const kind of [0, 1]) {
          const result = kind === index ? 'succeeded' : 'failed';
          const facts = { type: 'mixed', text: `kind ${kind}` };
          model.learn({ facts, vector: axis(kind), near: [], agent: name, result });
        }
      }
    }
    const best = (kind: number): string | undefined =>
      model.prospects({ type: 'mixed', text: '' }, axis(kind), [], candidates.slice(0, 2), {
        mode: 'exploitation',
      })[0]?.agent;
    expect([best(0), best(1)]).toEqual(['ada', 'bob']);
  });

  test('goes by neighbours: what almost the same task came to outweighs the rest', () => {
    const model = new RouterModel(firstPolicy);
    learn(model, 'ada', 'succeeded', 10);
    learn(model, 'bob', 'succeeded', 10);
    const near = [neighbour(0.99, { ada: [8, 1], bob: [8, 8] })];
    const [first, , last] = model.prospects(task, axis(1), near, candidates, {
      mode: 'exploitation',
    });
    expect(first?.agent).toBe('bob');
    expect(last?.success.mean).toBeLessThan(first?.success.mean ?? 0);
  });

  test('counts money and time against success, and what is unknown as usual', () => {
    const model = new RouterModel(firstPolicy);
    for (const [name, ms, microUsd] of [
      ['ada', 1_000, 5_000_000],
      ['bob', 1_000, 1_000],
    ] as const) {
      learn(model, name, 'succeeded', 20, { ms, microUsd });
    }
    const [first] = model.prospects(task, axis(0), [], candidates, { mode: 'exploitation' });
    expect(first?.agent).toBe('bob');
    expect(first?.expected.ms?.mean).toBeGreaterThan(700);
    expect(first?.expected.ms?.mean).toBeLessThan(1_400);
    const free = model.prospects(task, axis(0), [], candidates.slice(0, 2), {
      mode: 'exploitation',
      worth: { perUsd: 0, perMinute: 0 },
    });
    // What was seen of the fleet differed a little when each was learned.
    expect(Math.abs((free[0]?.score ?? 0) - (free[1]?.score ?? 1))).toBeLessThan(0.03);
  });

  test('adds what ratings and partners are worth', () => {
    const model = new RouterModel(firstPolicy);
    model.rate(new Map([['eve', 0.1]]));
    model.pair(new Map([[pairOf('bob', 'zoe'), 1]]));
    const scores = new Map(
      model
        .prospects(task, axis(0), [], candidates, { mode: 'exploitation', partners: ['zoe'] })
        .map(({ agent, score }) => [agent, score]),
    );
    expect(scores.get('eve')).toBeCloseTo((scores.get('ada') ?? 0) + 0.1, 9);
    expect(scores.get('bob')).toBeCloseTo((scores.get('ada') ?? 0) + 0.2, 9);
  });

  test('begins with what the definitions say, until outcomes say it better', () => {
    const model = new RouterModel(firstPolicy);
    for (const [index, each] of candidates.entries()) model.introduce(each, axis(index));
    const cold = (vector: Float32Array): string | undefined =>
      model.prospects(task, vector, [], candidates, { mode: 'exploitation' })[0]?.agent;
    expect([cold(axis(0)), cold(axis(1)), cold(axis(2))]).toEqual(['ada', 'bob', 'eve']);
    learn(model, 'ada', 'failed', 30);
    learn(model, 'bob', 'succeeded', 30);
    expect(cold(axis(0))).toBe('bob');
  });
});

test('the same outcomes in the same order give the same numbers', () => {
  const views = [0, 1].map(() => {
    const model = new RouterModel(firstPolicy);
    learn(model, 'ada', 'succeeded', 7, { ms: 300 });
    learn(model, 'bob', 'failed', 5);
    return model.prospects(task, axis(3), [], candidates, { mode: 'balanced' });
  });
  expect(views[0]).toEqual(views[1]);
});

function candidate(name: string): Candidate {
  const text = { description: `${name} works`, category: 'development', capabilities: [] };
  return { name, hash: `hash of ${name}`, ...text, timeoutMs: 1_000 };
}

function axis(index: number): Float32Array {
  const vector = new Float32Array(embeddingLength);
  vector[index] = 1;
  return vector;
}

function learn(
  model: RouterModel,
  agent: string,
  result: OutcomeResult,
  times: number,
  more: Partial<LearnedRow> = {},
): void {
  for (let round = 0; round < times; round += 1) {
    model.learn({ facts: task, vector: axis(0), near: [], agent, result, ...more });
  }
}

function prospectOf(model: RouterModel, agent: string) {
  const found = model
    .prospects(task, axis(0), [], candidates, { mode: 'balanced' })
    .find((each) => each.agent === agent);
  if (found === undefined) throw new Error(`no prospect of ${agent}`);
  return found;
}

function neighbour(
  similarity: number,
  tried: Readonly<Record<string, readonly [number, number]>>,
): Neighbour {
  const evidence = Object.entries(tried).map(([agent, [count, succeeded]]) => ({
    agent,
    tried: count,
    succeeded,
    logMs: 0,
    logMsSquares: 0,
    paid: 0,
    microUsd: 0,
  }));
  return { taskHash: 'a', type: 'review', text: 'like it', similarity, evidence };
}
