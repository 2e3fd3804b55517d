import { expect, test } from 'vitest';
import { parseAgent } from '../agents.ts';
import type { ModelDefaults } from '../runtime.ts';
import { chooseModel } from './model-choice.ts';
import { retryAfter } from './model-errors.ts';

function choose(
  runtime: Readonly<Record<string, unknown>>,
  defaults: Partial<ModelDefaults> = {},
  front: Readonly<Record<string, unknown>> = {},
) {
  const centuria = { runtime: { kind: 'model', ...runtime } };
  const fields = { name: 'a', description: 'x', ...front, centuria };
  const { definition, problems } = parseAgent(`---\n${JSON.stringify(fields)}\n---\nx`, 'a.md');
  if (definition === undefined) throw new Error(JSON.stringify(problems));
  return chooseModel(definition, { provider: 'anthropic', model: '', baseUrl: '', ...defaults });
}
const local = {
  provider: 'openai-compatible',
  model: 'qwen',
  baseUrl: 'http://localhost:11434/v1/',
} as const;

test('without settings the aliases stand for Anthropic’s current models at their list price', () => {
  expect(choose({}, {}, { model: 'opus' })).toEqual({
    provider: 'anthropic',
    model: 'claude-opus-5-5',
    baseUrl: 'https://api.anthropic.com/v1',
    isOwnUrl: true,
    key: { name: 'ANTHROPIC_API_KEY', required: true },
    price: expect.objectContaining({ input: 4, output: 20 }),
  });
  expect(choose({})).toMatchObject({ model: 'claude-sonnet-5-5' });
  expect(choose({ model: 'claude-opus-4-8[1m]' })).toMatchObject({ model: 'claude-opus-4-8' });
});

test('the setting answers for all aliases, and a full id stays what it is', () => {
  expect(choose({}, local, { model: 'haiku' })).toEqual({
    provider: 'openai-compatible',
    model: 'qwen',
    baseUrl: 'http://localhost:11434/v1',
    isOwnUrl: false,
    key: { name: 'OPENAI_API_KEY', required: false },
  });
  expect(choose({}, local, { model: 'other-7b' })).toMatchObject({ model: 'other-7b' });
});

test('a definition of another provider has nothing of the settings', () => {
  expect(choose({ provider: 'anthropic' }, local)).toMatchObject({
    model: 'claude-sonnet-5-5',
    baseUrl: 'https://api.anthropic.com/v1',
    key: { name: 'ANTHROPIC_API_KEY' },
  });
  expect(choose({ provider: 'openai-compatible' })).toEqual({
    problem: expect.stringContaining('CENTURIA_MODEL'),
  });
});

test('a usual key stays away from an address that a definition brings', () => {
  const brought = { provider: 'openai-compatible', model: 'm', baseUrl: 'https://example.org/v1' };
  expect(choose(brought)).not.toHaveProperty('key');
  expect(choose({ ...brought, key: 'THEIRS' })).toMatchObject({
    key: { name: 'THEIRS', required: true },
  });
  expect(choose({ key: 'none' }, local)).not.toHaveProperty('key');
  expect(() => choose({ baseUrl: 'https://example.org/v1' })).toThrow(/needs key/);
});

test('prices of other sellers are not guessed', () => {
  expect(choose({ model: 'gpt-6-sol' }, { ...local, baseUrl: '' })).toMatchObject({
    price: { input: 2 },
  });
  expect(choose({ model: 'gpt-6-sol' }, local)).not.toHaveProperty('price');
  const price = { inputUsdPerMTok: 0, outputUsdPerMTok: 0 };
  expect(choose({ price }, local)).toMatchObject({ price: { input: 0, output: 0 } });
});

test.each([
  [{ 'retry-after': '7' }, 7_000],
  [{ 'retry-after': '0.5' }, 500],
  [{ 'retry-after': 'Thu, 01 Jan 1970 00:00:20 GMT' }, 10_000],
  [{ 'retry-after': 'Thu, 01 Jan 1970 00:00:01 GMT' }, 0],
  [{ 'retry-after-ms': '120', 'retry-after': '7' }, 120],
  [{ 'retry-after': 'soon' }, undefined],
  [{ 'retry-after': '-1' }, undefined],
  [{}, undefined],
])('%j is read', (headers, ms) => {
  expect(retryAfter(headers as Record<string, string>, 10_000)).toBe(ms);
});
