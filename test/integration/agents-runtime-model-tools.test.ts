import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAgent } from '../../src/agents/agents.ts';
import { AppError, newId } from '../../src/base/base.ts';
import {
  bothProviders,
  failureOf,
  modelAgent,
  openModelAgents,
  type Ask,
  type ModelAgents,
} from '../support/model-agents.ts';

let agents: ModelAgents;
let server: ModelAgents['server'];

beforeAll(async () => {
  agents = await openModelAgents();
  ({ server } = agents);
});
afterAll(async () => {
  await agents.close();
});

describe.each(bothProviders)('$provider', (models) => {
  const ask: Ask = (...asked) => agents.run(models, ...asked);

  test('reads files, finds them and searches in them, inside its folder only', async () => {
    const calls: readonly (readonly [string, unknown])[] = [
      ['Read', { file_path: 'src/a.ts', offset: 2 }],
      ['Glob', { pattern: '**/*.ts' }],
      ['Grep', { pattern: 'TODO', output_mode: 'content' }],
      ['Read', { file_path: '../secret.txt' }],
      ['Read', { file_path: 'link.txt' }],
      ['Read', { file_path: '.git/config' }],
      ['Glob', { pattern: '*', path: 'up' }],
      ['Read', { file_path: 'src/image.png' }],
      ['Grep', { pattern: '(' }],
      ['Read', { file_path: 7 }],
      ['Bash', { command: 'id' }],
    ];
    server.script(
      { acts: calls.map(([call, input]) => ({ call, input })) },
      { acts: [{ text: 'done' }] },
    );
    const { output, progress, usage } = await ask(
      {},
      { input: { repo: agents.folder, task: 'Look.' } },
    );
    expect(output).toBe('done');
    expect(usage.tokens).toBe(240);
    expect(progress).toContain('→ Read src/a.ts');
    const results = server.requests[1]?.text ?? '';
    expect(results).toContain('2\\texport const b = 2;');
    expect(results).toContain('src/a.ts\\nsrc/deep/c.ts');
    expect(results).toContain('src/deep/c.ts:1:// TODO: c');
    for (const refused of [
      'secret.txt is not inside the folder',
      'link.txt leads out of the folder',
      'one of git’s own files',
      'up leads out of the folder',
      'is not a text',
      'Invalid regular expression',
      '/file_path must be string',
      'Bash',
    ]) {
      expect(results).toContain(refused);
    }
    expect(results).not.toContain('out of bounds');
    expect(results).not.toContain('user:pw');
  });

  test('a tool whose arguments are no JSON is told so, and the model goes on', async () => {
    server.script(
      { acts: [{ call: 'Read', rawInput: '{"file_path": ' }] },
      { acts: [{ text: 'sorry' }] },
    );
    const { output } = await ask({}, { input: { repo: agents.folder } });
    expect(output).toBe('sorry');
    expect(server.requests[1]?.text).toContain('Invalid input for tool Read');
  });

  test('calls other agents, and is told of their failures', async () => {
    const called: unknown[] = [];
    const other = modelAgent({ front: { name: 'counter', description: 'Counts.' } });
    server.script(
      {
        acts: [
          { text: 'Let me ask.' },
          { call: 'agent_counter', input: { task: 'count' } },
          { call: 'agent_counter', input: { task: 'fail' } },
        ],
      },
      { acts: [{ text: 'seven' }] },
    );
    const { output } = await ask(
      {},
      {
        delegate: {
          agents: [other],
          async call({ agent, input }) {
            called.push([agent, input]);
            if ((input as { task: string }).task === 'fail') {
              throw new AppError('agent_failed', 'it fell over');
            }
            return { runId: newId(), output: { lines: 7 } };
          },
        },
      },
    );
    expect(output).toBe('seven');
    expect(called).toEqual([
      ['counter', { task: 'count' }],
      ['counter', { task: 'fail' }],
    ]);
    expect(server.requests[0]?.text).toContain('Calls the agent counter');
    expect(server.requests[1]?.text).toContain('{\\"lines\\":7}');
    expect(server.requests[1]?.text).toContain('agent_failed: it fell over');
  });

  test('a budget lowers what an answer may have, and ends the attempt before it is passed', async () => {
    const call = { call: 'Read', input: { file_path: 'src/a.ts' } };
    const usage = { input: 2_000, output: 1_000 };
    server.script({ acts: [{ text: 'So far.' }, call], usage }, { acts: [{ text: 'no' }] });
    const input = { repo: agents.folder };
    const error = await failureOf(ask({}, { input, budget: { tokens: 5_500 } }));
    expect(error).toMatchObject({ code: 'budget_exceeded', retryable: false, partial: 'So far.' });
    expect(error.usage).toMatchObject({ tokens: 3_000 });
    expect(server.requests).toHaveLength(1);
    const most = server.requests[0]?.body['max_tokens'];
    expect(most).toBeGreaterThan(256);
    expect(most).toBeLessThan(5_500);

    server.script({ acts: [{ text: 'So far.' }, call], usage }, { acts: [{ text: 'no' }] });
    const money = await failureOf(ask({}, { input, budget: { microUsd: 30_000 } }));
    expect(money).toMatchObject({ code: 'budget_exceeded', usage: { microUsd: 21_000 } });

    server.script({ acts: [{ text: 'cut' }, { stop: 'max_tokens' }] });
    const cut = await failureOf(ask({}, { budget: { tokens: 5_000 } }));
    expect(cut).toMatchObject({ code: 'budget_exceeded', partial: 'cut' });
  });

  test('turns are limited', async () => {
    const again = { acts: [{ text: 'x' }, { call: 'Read', input: { file_path: 'src/a.ts' } }] };
    server.script(again, again, again);
    const made = { front: { maxTurns: 2 } };
    const error = await failureOf(ask(made, { input: { repo: agents.folder } }));
    expect(error).toMatchObject({ code: 'agent_failed', retryable: false, partial: 'x\n\nx' });
    expect(server.requests).toHaveLength(2);
  });

  test('an answer with a schema is a value that fits it, asked for once more where it does not', async () => {
    const schema = {
      type: 'object',
      properties: { n: { type: 'integer' } },
      required: ['n'],
      additionalProperties: false,
    };
    const made = { own: { verify: { schema } } };
    server.script({ acts: [{ text: '```json\n{"n": 7}\n```' }] });
    expect((await ask(made)).output).toEqual({ n: 7 });
    expect(server.requests[0]?.text).toContain('integer');

    server.script({ acts: [{ text: '{"n": "seven"}' }] }, { acts: [{ text: '{"n": 7}' }] });
    expect((await ask(made)).output).toEqual({ n: 7 });
    expect(server.requests[1]?.text).toContain('must be integer');

    const wrong = { acts: [{ text: 'seven' }] };
    server.script(wrong, wrong, wrong);
    expect(await failureOf(ask(made))).toMatchObject({
      code: 'agent_output_invalid',
      partial: 'seven\n\nseven',
    });
    expect(server.requests).toHaveLength(2);
  });
});

describe('whether it can work', () => {
  test.each([
    [{}, {}, 'no key: set ANTHROPIC_API_KEY'],
    [{ runtime: { key: 'MY_KEY' } }, {}, 'no key: set MY_KEY'],
    [{}, { provider: 'openai-compatible' }, 'no model: set CENTURIA_MODEL'],
    [{ own: { requires: { binaries: ['no-such-program'] } } }, {}, 'no-such-program'],
  ] as const)('%j with %j is unavailable', async (made, models, reason) => {
    expect(await agents.check(made, models, {})).toMatchObject({
      ok: false,
      state: 'unavailable',
      reason: expect.stringContaining(reason),
    });
  });

  test('an address where nobody listens is unavailable, one where somebody does is not', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    await new Promise((done) => taken.close(done));
    const models = { provider: 'openai-compatible', model: 'm' } as const;
    const nobody = { ...models, baseUrl: `http://127.0.0.1:${port}/v1` };
    expect(await agents.check({}, nobody, {})).toMatchObject({
      state: 'unavailable',
      reason: expect.stringContaining('nobody listens'),
    });
    expect(await agents.check({}, models, {})).toEqual({ ok: true });
    const metadata = { ...models, baseUrl: 'http://169.254.169.254/v1' };
    expect(await agents.check({}, metadata, {})).toMatchObject({
      reason: expect.stringContaining('credentials of a machine'),
    });
  });

  test('the key may come from a file', async () => {
    const file = join(agents.outside, 'key');
    await writeFile(file, `${agents.key}\n`);
    expect(await agents.check({}, {}, { ANTHROPIC_API_KEY_FILE: file })).toEqual({ ok: true });
  });

  test('a budget of money alone is not held by guessing what a model costs', async () => {
    const models = { provider: 'openai-compatible', model: 'm' } as const;
    const made = { runtime: { price: undefined } };
    const reason = expect.stringContaining('what m costs');
    await expect(agents.run(models, made, { budget: { microUsd: 10 } })).rejects.toMatchObject({
      code: 'agent_unavailable',
      message: reason,
    });
    const limited = { ...made, own: { budget: { usd: 1 } } };
    expect(await agents.check(limited, models, {})).toMatchObject({ ok: false, reason });

    server.script({ acts: [{ text: 'ok' }] });
    const budget = { microUsd: 10, tokens: 5_000 };
    expect((await agents.run(models, made, { budget })).usage).not.toHaveProperty('microUsd');
    expect(server.requests[0]?.body['max_tokens']).toBeLessThan(5_000);
  });
});

test('a search that never ends is ended', { timeout: 30_000 }, async () => {
  server.script(
    { acts: [{ call: 'Grep', input: { pattern: '^(a+)+$', path: 'src/deep' } }] },
    { acts: [{ text: 'gave up' }] },
  );
  const controller = new AbortController();
  const running = agents.run(
    {},
    {},
    {
      input: { repo: agents.folder },
      signal: controller.signal,
      onProgress: (line) => {
        // Ended here by who waits for it; ten seconds would be its own limit.
        if (line.startsWith('→ Grep')) setImmediate(() => controller.abort());
      },
    },
  );
  await expect(running).rejects.toMatchObject({ code: 'cancelled' });
});

test('tools that are not offered are warned of and told', async () => {
  const text = `---\nname: a\ndescription: x\ntools: Read, Bash(git log:*), Edit, mcp__x__y\ncenturia: {runtime: {kind: model}}\n---\nx`;
  const { problems } = parseAgent(text, 'a.md');
  expect(problems).toMatchObject([
    { severity: 'warning', message: 'the runtime model does not offer Bash, Edit', line: 4 },
  ]);
  server.script({ acts: [{ text: 'ok' }] });
  const { progress } = await agents.run({}, { front: { tools: ['Read', 'Bash'] } });
  expect(progress).toContain('not offered here: Bash');
});

test('a usual key is not sent to an address that a definition brings', () => {
  const text = `---\nname: a\ndescription: x\ncenturia: {runtime: {kind: model, baseUrl: 'https://example.org'}}\n---\nx`;
  expect(parseAgent(text, 'a.md').problems).toMatchObject([
    { severity: 'error', message: expect.stringContaining('needs key') },
  ]);
});

test('the key was told to nobody', () => {
  expect(agents.told.length).toBeGreaterThan(20);
  for (const text of agents.told) expect(text).not.toContain(agents.key);
});
