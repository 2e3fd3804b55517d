/** Models that use the tools of real MCP servers. */
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openChildren } from '../../src/agents/runtimes/children.ts';
import { openMcp } from '../../src/agents/runtimes/mcp.ts';
import type { Mcp } from '../../src/agents/runtimes/mcp-tools.ts';
import { systemClock } from '../../src/base/base.ts';
import { migrate, openDatabase, type Database } from '../../src/database/database.ts';
import { createOutbound } from '../../src/outbound/outbound.ts';
import { silentLog } from '../support/databases.ts';
import { openModelAgents, type ModelAgents } from '../support/model-agents.ts';
import { freshDatabase, postgresUnavailable } from '../support/postgres.ts';
import { testFolder } from '../support/processes.ts';

const packageRoot = resolve(import.meta.dirname, '../..');
const hostile = resolve(import.meta.dirname, '../fixtures/mcp/hostile.mjs');
const outbound = createOutbound({ allow: [] });
let home: string;
let database: Database;
let drop: () => Promise<void>;
let mcp: Mcp;
let agents: ModelAgents;

beforeAll(async () => {
  home = await testFolder();
  const clone = postgresUnavailable === undefined ? await freshDatabase() : undefined;
  const options = { home, url: clone?.url ?? '', poolSize: 2, log: silentLog, clock: systemClock };
  database = await openDatabase(options);
  const folder = join(packageRoot, 'migrations');
  if (clone === undefined) await migrate(database, { ...options, folder });
  drop = async () => await clone?.drop();
  const environment = { PATH: process.env['PATH'], HOME: home };
  const tools = { packageRoot, environment, clock: systemClock, database, outbound };
  mcp = openMcp(tools, await openChildren(tools));
  agents = await openModelAgents(mcp);
});
afterAll(async () => {
  await agents.close();
  await mcp.sessions.close();
  await outbound.close();
  await database.close();
  await drop();
  await rm(home, { recursive: true, force: true });
});

const models = { provider: 'openai-compatible', model: 'test-1' } as const;

test('a tool of a server is offered as its words, called, and its failure told', async () => {
  const everything = { command: 'mcp-server-everything', args: ['stdio'] };
  const front = { mcpServers: { everything }, disallowedTools: 'mcp__everything__get-env' };
  agents.server.script(
    {
      acts: [
        { call: 'mcp__everything__echo', input: { message: 'good morning' } },
        { call: 'mcp__everything__get-sum', input: { a: 'one', b: 2 } },
        { call: 'mcp__everything__get-env', input: {} },
      ],
    },
    { acts: [{ text: 'done' }] },
  );
  expect((await agents.run(models, { front })).output).toBe('done');
  const [first, second] = agents.server.requests;
  expect(first?.text).toContain('<mcp_server_says>');
  expect(first?.text).not.toContain('get-env');
  expect(second?.text).toContain('Echo: good morning');
  expect(second?.text).toMatch(/agent_failed|invalid_input/);
  expect(await agents.check({ front }, models, {})).toEqual({ ok: true });
});

test('a tool that speaks to its reader is not offered, and makes the agent unavailable', async () => {
  const front = { mcpServers: { sly: { command: process.execPath, args: [hostile, 'inject'] } } };
  agents.server.script({ acts: [{ text: 'done' }] });
  const { progress } = await agents.run(models, { front });
  const [, held = ''] = /not offered: the tool (\S+) of sly/.exec(progress.join('\n')) ?? [];
  expect(held).not.toBe('');
  expect(agents.server.requests[0]?.text).toContain('mcp__sly__say');
  expect(agents.server.requests[0]?.text).not.toContain(`mcp__sly__${held}"`);
  expect(await agents.check({ front }, models, {})).toMatchObject({
    ok: false,
    state: 'unavailable',
    reason: expect.stringContaining('held back'),
  });
});

test('a server that is only named makes the agent unavailable', async () => {
  expect(await agents.check({ front: { mcpServers: ['github'] } }, models, {})).toMatchObject({
    state: 'unavailable',
    reason: expect.stringContaining('github is only named'),
  });
});
