import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseAgent } from '../agents.ts';
import { prepareSession } from './claude-code-arguments.ts';

let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'centuria-test-'));
});
afterEach(() => rm(scratch, { recursive: true, force: true }));

function parse(front: object, own: object = {}) {
  const centuria = { runtime: { kind: 'claude-code' }, ...own };
  const fields = { name: 'asked', description: 'x', ...front, centuria };
  return parseAgent(`---\n${JSON.stringify(fields)}\n---\nYou are brief.`, 'asked.md');
}

async function prepare(front: object, more: object = {}) {
  const { definition, problems } = parse(front);
  if (definition === undefined) throw new Error(JSON.stringify(problems));
  const session = await prepareSession({
    invocation: { agent: definition, ...more },
    scratch,
    directory: '/repo',
    models: { provider: 'anthropic', model: 'claude-test-1', baseUrl: '' },
    admission: { mcpUrl: 'http://127.0.0.1:1/mcp' },
  });
  const json = async (name: string) =>
    JSON.parse(await readFile(join(scratch, name), 'utf8')) as Record<string, unknown>;
  return { session, agents: await json('agents.json'), servers: await json('servers.json') };
}

test('a definition becomes the agent of its session, with its tools and the agents it may call', async () => {
  const { session, agents } = await prepare({
    tools: 'Read, Edit, Bash(git log:*, git show:*), WebFetch(domain:example.org)',
    disallowedTools: ['Bash(git push:*)', 'WebSearch'],
    maxTurns: 7,
  });
  expect(agents['asked']).toMatchObject({
    prompt: expect.stringContaining('You are brief.') as string,
    tools: ['Read', 'Edit', 'Bash', 'WebFetch', 'mcp__centuria'],
    disallowedTools: ['WebSearch'],
  });
  expect(session.arguments).toEqual(
    expect.arrayContaining([
      '--agent=asked',
      '--model=claude-test-1',
      '--max-turns=7',
      '--setting-sources=',
      '--strict-mcp-config',
      '--allowedTools=Edit(./**),Bash(git log:*, git show:*),WebFetch(domain:example.org),mcp__centuria',
      '--disallowedTools=Bash(git push:*),WebSearch',
    ]),
  );
});

test('without tools it has all of Claude Code, and of servers those that it brings', async () => {
  const files = { type: 'stdio', command: 'files' };
  const { session, agents, servers } = await prepare({ mcpServers: [{ files }] });
  expect(agents['asked']).not.toHaveProperty('tools');
  expect(servers['mcpServers']).toEqual({
    files,
    centuria: {
      type: 'http',
      url: 'http://127.0.0.1:1/mcp',
      headers: { Authorization: 'Bearer ${CENTURIA_ATTEMPT_CALLS_TOKEN}' },
    },
  });
  expect(session.arguments).toContain('--allowedTools=mcp__files,mcp__centuria');
});

test('no field becomes another option', async () => {
  const sly = '--dangerously-skip-permissions';
  const { session } = await prepare({ model: `a-1 ${sly}`, tools: [sly], disallowedTools: [sly] });
  expect(session.arguments).not.toContain(sly);
  expect(session.arguments.filter((one) => !one.startsWith('--'))).toEqual([]);
});

test('budgets are told, and parts of messages asked for where tokens are to be counted', async () => {
  const money = await prepare({}, { budget: { microUsd: 1_250_000 } });
  expect(money.session.arguments).toContain('--max-budget-usd=1.25');
  expect(money.session.arguments).not.toContain('--include-partial-messages');
  const tokens = await prepare({}, { budget: { tokens: 1_000 } });
  expect(tokens.session.arguments).toContain('--include-partial-messages');
});

test.for([
  [{ permissionMode: 'bypassPermissions' }, 'no file grants that to itself'],
  [{ mcpServers: { centuria: { command: 'x' } } }, 'must not hold centuria'],
  [{ mcpServers: ['github'] }, 'names github without saying what it is'],
] as const)('%o is refused', ([front, message]) => {
  const { definition, problems } = parse(front);
  expect(definition).toBeUndefined();
  expect(JSON.stringify(problems)).toContain(message);
});

test('fields that need a person or a home are named as not used', () => {
  const { definition, problems } = parse({ skills: 'pdf', memory: 'user' });
  expect(definition).toBeDefined();
  expect(problems.map(({ severity, message }) => [severity, message])).toEqual([
    ['warning', 'the runtime claude-code does not use skills'],
    ['warning', 'the runtime claude-code does not use memory'],
  ]);
});
