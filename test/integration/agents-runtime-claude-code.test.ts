import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AgentFailure } from '../../src/agents/agents.ts';
import { reapAttempts } from '../../src/agents/processes.ts';
import { AppError, newId } from '../../src/base/base.ts';
import {
  claudeAgent,
  claudeUnavailable,
  openClaudeCode,
  type ClaudeCode,
} from '../support/claude-code.ts';
import type { SeenRequest } from '../support/model-provider.ts';

if (claudeUnavailable !== undefined) console.warn(`skipped: ${claudeUnavailable}`);

function toolsOf(request: SeenRequest | undefined): string[] {
  const tools = (request?.body['tools'] ?? []) as readonly { readonly name: string }[];
  return tools.map(({ name }) => name);
}

function failure(error: unknown): AgentFailure {
  if (error instanceof AgentFailure) return error;
  throw error;
}

describe.skipIf(claudeUnavailable !== undefined).concurrent('Claude Code', () => {
  let claude: ClaudeCode;
  beforeAll(async () => {
    claude = await openClaudeCode();
  });
  afterAll(() => claude.close());

  test('works in its folder as the definition says, and takes nothing else from it', async () => {
    const { result, error, progress, requests } = await claude.run(
      [
        {
          acts: [
            { text: 'Let me look.' },
            { call: 'Read', input: { file_path: join(claude.repo, 'a.txt') } },
          ],
        },
        {
          acts: [
            {
              call: 'Edit',
              input: {
                file_path: join(claude.repo, 'a.txt'),
                old_string: 'hello',
                new_string: 'goodbye',
              },
            },
          ],
        },
        {
          acts: [
            { call: 'Read', input: { file_path: join(claude.outside, 'b.txt') } },
            { call: 'Write', input: { file_path: join(claude.outside, 'c.txt'), content: 'x' } },
            { call: 'Bash', input: { command: `touch ${claude.outside}/bashed` } },
          ],
        },
        { acts: [{ text: 'goodbye' }] },
      ],
      { front: { tools: 'Read, Edit, Write, Bash(git log:*)', model: 'sonnet', effort: 'high' } },
    );
    expect(error).toBeUndefined();
    expect(result).toMatchObject({ output: 'goodbye', usage: { tokens: 480 } });
    expect(result?.usage.microUsd).toBeGreaterThan(0);
    expect(await claude.inRepo('a.txt')).toBe('goodbye\n');
    expect(progress).toEqual(
      expect.arrayContaining(['Let me look.', '→ Read a.txt', '→ Edit a.txt']),
    );
    expect(progress).toContain('← Bash is not allowed');
    const sent = JSON.stringify(requests.map(({ body }) => body));
    expect(sent).not.toContain('out of bounds');
    expect(sent).not.toContain('MARMALADE');
    for (const name of ['hooked', 'bashed', 'c.txt']) {
      expect(existsSync(join(claude.outside, name))).toBe(false);
    }
    const [first] = requests;
    expect(first?.body['model']).toMatch(/sonnet/);
    expect(JSON.stringify(first?.body['system'])).toContain('You answer in one word.');
    expect(JSON.stringify(first?.body['messages'])).toContain('Which word?');
    const tools = toolsOf(first);
    expect(tools).toEqual(expect.arrayContaining(['Read', 'Edit', 'Write', 'Bash']));
    expect(tools).not.toContain('WebFetch');
  });

  test('calls other agents, and answers with a value that fits its schema', async () => {
    const double = claudeAgent({ front: { name: 'double', description: 'Doubles.' } });
    const calls: unknown[] = [];
    const schema = {
      type: 'object',
      properties: { n: { type: 'number' } },
      required: ['n'],
    };
    const { result, error, requests } = await claude.run(
      [
        { acts: [{ call: 'mcp__centuria__agent_double', input: { input: { n: 21 } } }] },
        { acts: [{ call: 'StructuredOutput', input: { n: 42 } }] },
      ],
      { front: { tools: 'Read' }, own: { verify: { schema } } },
      {
        delegate: {
          agents: [double],
          async call({ agent, input }) {
            calls.push([agent, input]);
            return { runId: newId(), output: { doubled: 42 } };
          },
        },
      },
    );
    expect(error).toBeUndefined();
    expect(result?.output).toEqual({ n: 42 });
    expect(calls).toEqual([['double', { n: 21 }]]);
    expect(toolsOf(requests[0])).toContain('mcp__centuria__agent_double');
    expect(JSON.stringify(requests[1]?.body['messages'])).toContain('doubled');
  });

  test('is ended when its tokens are used up, and its money is held by Claude Code', async () => {
    const spend = { acts: [{ text: 'a' }, { call: 'Read', input: { file_path: 'a.txt' } }] };
    const replies = [{ ...spend, usage: { input: 90_000, output: 20_000 } }, spend, spend];
    const [tokens, money] = await Promise.all([
      claude.run(replies, {}, { budget: { tokens: 100_000 } }),
      claude.run(replies, {}, { budget: { microUsd: 10_000 } }),
    ]);
    expect(failure(tokens.error)).toMatchObject({
      code: 'budget_exceeded',
      usage: { tokens: 110_000 },
      partial: 'a',
    });
    expect(failure(money.error)).toMatchObject({ code: 'budget_exceeded', partial: 'a' });
    expect(failure(money.error).usage?.microUsd).toBeGreaterThan(10_000);
    expect(money.requests).toHaveLength(1);
  });

  test('gives up at once where the provider is busy before it has answered', async () => {
    const [limited, overloaded] = await Promise.all([
      claude.run([
        {
          status: 429,
          error: 'rate_limit_error',
          message: 'slow down',
          headers: { 'retry-after': '7' },
        },
      ]),
      claude.run([{ status: 529, error: 'overloaded_error', message: 'Overloaded' }]),
    ]);
    expect(failure(limited.error)).toMatchObject({ code: 'agent_busy', details: { status: 429 } });
    expect(failure(limited.error).details['retryAfterMs']).toBeGreaterThanOrEqual(7_000);
    expect(failure(overloaded.error)).toMatchObject({
      code: 'agent_busy',
      details: { status: 529 },
    });
    expect(limited.requests).toHaveLength(1);
  });

  test('is gone with all that it started when it is cancelled', async () => {
    const cancel = new AbortController();
    const attemptId = newId();
    const command = 'sleep 300';
    const { error } = await claude.run(
      [{ acts: [{ text: 'one' }, { call: 'Bash', input: { command } }] }],
      { front: { tools: 'Bash' } },
      {
        attemptId,
        signal: cancel.signal,
        onProgress(line) {
          if (line.includes(command))
            cancel.abort(new AppError('cancelled', 'not wanted any more'));
        },
      },
    );
    expect(failure(error)).toMatchObject({
      code: 'cancelled',
      message: 'not wanted any more',
      partial: 'one',
    });
    expect(await reapAttempts([attemptId])).toBe(0);
  });

  test('is not done when its turns are over', async () => {
    const { error } = await claude.run(
      [{ acts: [{ text: 'a' }, { call: 'Read', input: { file_path: 'a.txt' } }] }],
      { front: { maxTurns: 1 } },
    );
    expect(failure(error)).toMatchObject({
      code: 'agent_failed',
      details: { reason: 'error_max_turns' },
      usage: { tokens: 120 },
      partial: 'a',
    });
  });

  test('is available with a key, and says what is missing', async () => {
    const environment = { ANTHROPIC_API_KEY: claude.key };
    expect(await claude.check({}, environment)).toEqual({ ok: true });
    expect(await claude.check({}, {})).toMatchObject({
      ok: false,
      state: 'unavailable',
      reason: expect.stringContaining('claude auth login') as string,
    });
    const own = { requires: { binaries: ['claude'] } };
    expect(await claude.check({ own }, { ...environment, PATH: '/nowhere' })).toMatchObject({
      ok: false,
      state: 'unavailable',
      reason: expect.stringContaining('npm install -g @anthropic-ai/claude-code') as string,
    });
  });
});
