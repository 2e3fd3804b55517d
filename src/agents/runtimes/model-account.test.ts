import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { costOf, ModelAccount } from './model-account.ts';
import { anthropicAliases, listPrice } from './model-catalog.ts';

const price = { input: 2, output: 10, cacheRead: 0.1, cacheWrite: 2.5 };
const none = { cacheRead: 0, cacheWrite: 0 };

test('a price is for tokens of each kind', () => {
  const usage = { input: 1_000, output: 100, cacheRead: 600, cacheWrite: 300 };
  expect(costOf(price, usage)).toBeCloseTo(100 * 2 + 600 * 0.1 + 300 * 2.5 + 100 * 10);
  expect(costOf({ input: 2, output: 10 }, usage)).toBe(1_000 * 2 + 100 * 10);
});

test('a prompt above the limit of a price is dearer as a whole', () => {
  const haiku = listPrice('anthropic', 'claude-haiku-5-5');
  if (haiku === undefined) throw new Error('no price');
  expect(costOf(haiku, { input: 100_000, output: 10, ...none })).toBeCloseTo(10_005);
  expect(costOf(haiku, { input: 100_001, output: 10, ...none })).toBeCloseTo(50_025.5);
});

test('each alias stands for a model whose price is known', () => {
  const models = Object.values(anthropicAliases);
  expect(models.filter((model) => listPrice('anthropic', model) === undefined)).toEqual([]);
  expect(listPrice('anthropic', 'claude-haiku-4-5-20251001')).toMatchObject({ input: 1 });
  expect(listPrice('openai', 'gpt-6-sol-2026-09-22')).toMatchObject({ input: 2 });
  expect(listPrice('openai', 'constructor')).toBeUndefined();
  expect(listPrice('anthropic', 'claude-unheard-of')).toBeUndefined();
});

test('what nobody counted makes the whole unknown, and is held against the budget', () => {
  const account = new ModelAccount(price, { tokens: 10_000 });
  account.add({ input: 100, output: 10, ...none });
  expect(account.usage).toEqual({ tokens: 110, microUsd: 300 });
  account.addUnknown(1_000, 200);
  expect(account.usage).toEqual({});
  expect(account.allowance(0, undefined)).toBe(10_000 - 110 - 1_000 - 100);
});

test('nothing is said of the costs where there is no price, and no budget limits nothing', () => {
  const account = new ModelAccount(undefined, undefined);
  account.add({ input: 100, output: 10, ...none });
  expect(account.usage).toEqual({ tokens: 110 });
  expect(account.allowance(1_000_000, undefined)).toBeUndefined();
  expect(account.allowance(1_000_000, 7)).toBe(7);
});

test('an attempt whose prompts were no longer than thought stays within its budget', () => {
  const amount = fc.integer({ min: 0, max: 200_000 });
  const step = fc.record({ input: amount, share: fc.double({ min: 0, max: 1, noNaN: true }) });
  const maybe = fc.option(fc.integer({ min: 1, max: 2_000_000 }), { nil: undefined });
  fc.assert(
    fc.property(maybe, maybe, maybe, fc.array(step), (tokens, microUsd, wanted, steps) => {
      const budget = {
        ...(tokens === undefined ? {} : { tokens }),
        ...(microUsd === undefined ? {} : { microUsd }),
      };
      const account = new ModelAccount(price, budget);
      for (const { input, share } of steps) {
        const allowed = account.allowance(input, wanted);
        if (allowed === 0) break;
        const output = Math.floor((allowed ?? 1_000) * share);
        account.add({ input, output, cacheRead: 0, cacheWrite: input });
      }
      expect(account.usage.tokens).toBeLessThanOrEqual(tokens ?? Infinity);
      expect(account.usage.microUsd).toBeLessThanOrEqual(microUsd ?? Infinity);
    }),
  );
});
