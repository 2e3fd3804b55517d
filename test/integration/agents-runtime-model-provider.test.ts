/** The providers themselves, where a key is in the environment. Each test costs a fraction of a cent. */
import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest';
import {
  failureOf,
  openModelAgents,
  type Made,
  type ModelAgents,
} from '../support/model-agents.ts';

let agents: ModelAgents;
beforeAll(async () => {
  agents = await openModelAgents();
});
afterAll(async () => {
  await agents.close();
});

describe.each([
  { provider: 'anthropic', model: 'claude-haiku-5-5', variable: 'ANTHROPIC_API_KEY' },
  { provider: 'openai-compatible', model: 'gpt-6-luna', variable: 'OPENAI_API_KEY' },
] as const)('$provider', ({ provider, model, variable }) => {
  const ask = (context: TestContext, made: Made, input: unknown, key = process.env[variable]) => {
    if ((process.env[variable] ?? '') === '') {
      context.skip(`${variable} is not set, so that ${provider} can not be asked`);
    }
    const environment = { [variable]: key };
    const runtime = { price: undefined, ...made.runtime };
    return agents.run(
      { provider, model, baseUrl: '' },
      { ...made, runtime },
      { input, environment },
    );
  };

  test('answers, and what it cost is known', async (context) => {
    const { output, usage } = await ask(context, {}, 'The capital of France, as one word.');
    expect(output).toMatch(/paris/i);
    expect(usage.tokens).toBeGreaterThan(10);
    expect(usage.microUsd).toBeGreaterThan(0);
  });

  test('reads a file and gives a value that fits a schema', async (context) => {
    const properties = { b: { type: 'integer' } };
    const schema = { type: 'object', properties, required: ['b'], additionalProperties: false };
    const input = { repo: agents.folder, task: 'Which number is b in src/a.ts? Read the file.' };
    const { output, progress } = await ask(context, { own: { verify: { schema } } }, input);
    expect(output).toEqual({ b: 2 });
    expect(progress.join('\n')).toContain('→ Read');
  });

  test('refuses a wrong key', async (context) => {
    const error = await failureOf(ask(context, {}, 'x', 'sk-ant-wrong'));
    expect(error).toMatchObject({ code: 'agent_failed', retryable: false });
    expect(error.message).toContain(variable);
  });

  test('stops at the limit of tokens', async (context) => {
    const made = { runtime: { maxTokens: 300 } };
    const error = await failureOf(ask(context, made, 'Count from 1 to 2000, in words.'));
    expect(error.message).toContain('limit of tokens');
  });
});
