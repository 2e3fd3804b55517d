import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createMcpHandler, fromJsonSchema, McpServer } from '@modelcontextprotocol/server';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { AgentDefinition, AgentFailure, Invocation } from '../../src/agents/agents.ts';
import { processesOf } from '../../src/agents/processes.ts';
import type { Runtime } from '../../src/agents/runtime.ts';
import { openChildren } from '../../src/agents/runtimes/children.ts';
import { createMcpRuntime, openMcp, type McpTools } from '../../src/agents/runtimes/mcp.ts';
import { namedServers } from '../../src/agents/runtimes/mcp-server.ts';
import { openMcpTools, type Mcp } from '../../src/agents/runtimes/mcp-tools.ts';
import { createLog, newId, systemClock, toAppError, type AppError } from '../../src/base/base.ts';
import { migrate, openDatabase, type Database } from '../../src/database/database.ts';
import { createOutbound } from '../../src/outbound/outbound.ts';
import { until } from '../support/databases.ts';
import { answerBy, servePeer, toolAgent, type McpPeer } from '../support/mcp.ts';
import { serveEverything } from '../support/mcp-everything.ts';
import { freshDatabase, postgresUnavailable } from '../support/postgres.ts';
import { testFolder } from '../support/processes.ts';

const packageRoot = resolve(import.meta.dirname, '../..');
const fixture = resolve(import.meta.dirname, '../fixtures/mcp/hostile.mjs');
const log = createLog({ level: 'silent' });
const outbound = createOutbound({ allow: [] });
let home: string;
let database: Database;
let drop: () => Promise<void>;
let mcp: Mcp;
let runtime: Runtime;

beforeAll(async () => {
  home = await testFolder();
  // A clone on the test server takes a tenth of the time of an embedded one.
  const clone = postgresUnavailable === undefined ? await freshDatabase() : undefined;
  database = await openDatabase({
    home,
    url: clone?.url ?? '',
    poolSize: 2,
    log,
    clock: systemClock,
  });
  const folder = join(packageRoot, 'migrations');
  if (clone === undefined) await migrate(database, { folder, log, clock: systemClock });
  drop = async () => await clone?.drop();
  const tools: McpTools = {
    packageRoot,
    environment: { PATH: process.env['PATH'], HOME: home, API_KEY: 'open-sesame-42', OTHER: 'no' },
    clock: systemClock,
    database,
    outbound,
  };
  const children = await openChildren(tools);
  mcp = openMcp(tools, children);
  runtime = createMcpRuntime(tools, mcp, children);
});
afterAll(async () => {
  await runtime.close?.();
  await outbound.close();
  await database.close();
  await drop();
  await rm(home, { recursive: true, force: true });
});

const everything = { command: 'mcp-server-everything', arguments: ['stdio'] };
const hostile = (...parts: string[]) => ({
  command: process.execPath,
  arguments: [fixture, ...parts],
});

function invocationOf(agent: AgentDefinition, more: Partial<Invocation> = {}): Invocation {
  return {
    agent,
    input: {},
    attemptId: newId(),
    idempotencyKey: 'run/task',
    timeoutMs: 30_000,
    signal: new AbortController().signal,
    ...more,
  };
}
const run = async (spec: Readonly<Record<string, unknown>>, more: Partial<Invocation> = {}) =>
  (await runtime.run(invocationOf(toolAgent(spec), more))).output;
const ask = (spec: Readonly<Record<string, unknown>>) =>
  runtime.check(toolAgent(spec), AbortSignal.timeout(10_000));
async function failure(promise: Promise<unknown>): Promise<AppError> {
  try {
    await promise;
  } catch (thrown) {
    return toAppError(thrown);
  }
  throw new Error('it succeeded');
}

describe('@modelcontextprotocol/server-everything over standard input and output', () => {
  test('answers with text, as structured content and with images, each as what it is', async () => {
    expect(await run({ server: everything, tool: 'echo' }, { input: { message: 'hi' } })).toBe(
      'Echo: hi',
    );
    const weather = { server: everything, tool: 'get-structured-content' };
    expect(await run(weather, { input: { location: 'Chicago' } })).toMatchObject({
      temperature: 36,
    });
    const image = await run({ server: everything, tool: 'get-tiny-image' });
    expect(image).toContainEqual(expect.objectContaining({ type: 'image', mimeType: 'image/png' }));
  });

  test('takes arguments by a template, and says which are wrong', async () => {
    const spec = { server: everything, tool: 'get-sum', arguments: { a: '${input.n}', b: 2 } };
    expect(await run(spec, { input: { n: 40 } })).toContain('42');
    const wrong = await failure(run(spec, { input: { n: 'forty' } }));
    expect(wrong).toMatchObject({ code: 'agent_failed', message: expect.stringContaining('a') });
  });

  test('reports progress, and is told when it is cancelled', async () => {
    const lines: string[] = [];
    const left = new AbortController();
    const spec = { server: everything, tool: 'trigger-long-running-operation' };
    const work = failure(
      run(spec, {
        input: { duration: 20, steps: 200 },
        signal: left.signal,
        onProgress(line) {
          lines.push(line);
          if (line.includes('of 200')) left.abort();
        },
      }),
    );
    expect(await work).toMatchObject({ code: 'cancelled' });
    expect(lines).toContain('1 of 200');
  });
});

test('@modelcontextprotocol/server-filesystem works in the folder that the input names', async () => {
  await writeFile(join(home, 'poem.txt'), 'Arma virumque cano');
  const spec = {
    server: { command: 'mcp-server-filesystem', arguments: ['${input.root}'] },
    tool: 'read_text_file',
    arguments: { path: '${input.root}/poem.txt' },
    answer: 'text',
  };
  expect(await run(spec, { input: { root: home } })).toBe('Arma virumque cano');
});

describe('streamable HTTP', () => {
  let modern: McpPeer;
  let everywhere: McpPeer;
  const authorizations = new Set<string | undefined>();
  beforeAll(async () => {
    const handler = createMcpHandler(
      () => {
        const server = new McpServer({ name: 'modern', version: '1' });
        const inputSchema = fromJsonSchema<{ n: number }>({
          type: 'object',
          properties: { n: { type: 'number' } },
          required: ['n'],
        });
        server.registerTool('double', { description: 'Doubles.', inputSchema }, async ({ n }) => ({
          content: [{ type: 'text', text: String(n * 2) }],
        }));
        server.registerTool('tell', { description: 'Tells.' }, async () => ({
          content: [{ type: 'text', text: 'the key is open-sesame-42' }],
          isError: true,
        }));
        return server;
      },
      { legacy: 'reject' },
    );
    modern = await servePeer((request, response) => {
      authorizations.add(request.headers.authorization);
      if (request.url === '/busy') {
        return response.writeHead(429, { 'retry-after': '7' }).end();
      }
      if (request.url === '/away') {
        return response.writeHead(307, { location: 'http://169.254.169.254/latest' }).end();
      }
      if (request.url === '/closed') return response.writeHead(401).end();
      return answerBy((asked) => handler.fetch(asked), request, response);
    });
    everywhere = await serveEverything();
  });
  afterAll(async () => {
    await modern.close();
    await everywhere.close();
  });

  test('a server of 2026-07-28 is asked without a session, with headers from secrets', async () => {
    const spec = {
      server: { url: modern.url, headers: { authorization: 'Bearer ${secret.API_KEY}' } },
      tool: 'double',
    };
    const requires = { requires: { environment: ['API_KEY'] } };
    const result = await runtime.run(
      invocationOf(toolAgent(spec, {}, requires), { input: { n: 21 } }),
    );
    expect(result.output).toBe('42');
    expect([...authorizations]).toStrictEqual(['Bearer open-sesame-42']);
    const told = await failure(
      runtime.run(invocationOf(toolAgent({ ...spec, tool: 'tell' }, {}, requires))),
    );
    expect(told.message).toContain('the key is [secret API_KEY]');
  });

  test('a server of 2025-11-25 keeps its session for the next call', async () => {
    const spec = { server: { url: everywhere.url }, tool: 'echo' };
    expect(await run(spec, { input: { message: 'one' } })).toBe('Echo: one');
    expect(await run(spec, { input: { message: 'two' } })).toBe('Echo: two');
  });

  const modernAt = (path: string) => ({
    server: { url: modern.url.replace('/mcp', path) },
    tool: 'double',
  });
  test('what refuses, defers or leads elsewhere is a failure that says so', async () => {
    expect(await failure(run(modernAt('/busy')))).toMatchObject({
      code: 'agent_busy',
      details: { retryAfterMs: 7_000 },
    });
    expect(await failure(run(modernAt('/closed')))).toMatchObject({
      code: 'agent_failed',
      retryable: false,
    });
    // The library follows no redirect to another origin; the guard would not either.
    expect(await failure(run(modernAt('/away')))).toMatchObject({ code: 'agent_failed' });
    const nobody = await ask({ server: { url: 'http://127.0.0.1:9/mcp' }, tool: 'double' });
    expect(nobody).toMatchObject({ ok: false });
  });
});

describe('a server that does what none should', () => {
  test('but one process serves many calls, and only one at a time', async () => {
    const spec = { server: hostile(), tool: 'pid' };
    const first = await run(spec);
    expect(await run(spec)).toBe(first);
    const both = await Promise.all([run(spec), run(spec)]);
    expect(new Set(both).size).toBe(2);
  });

  test.for<[string, string, RegExp]>([
    ['failing', 'agent_failed', /failed: the disk is full/],
    ['mute', 'agent_failed', /error -32603: I would rather not/],
    ['liar', 'agent_output_invalid', /not what it declares: .*\/n/],
    ['leaving', 'agent_failed', /ended before it answered/],
    ['dying', 'agent_crashed', /SIGSEGV: no more/],
    ['flood', 'agent_output_too_large', /more than 1 MiB/],
    ['none', 'agent_unavailable', /no tool "none"/],
  ])('%s is %s', async ([tool, code, message]) => {
    const error = await failure(
      run({ server: hostile(), tool, limits: { responseMb: 1 } }, { timeoutMs: 20_000 }),
    );
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect((error as AgentFailure).usage?.wallMs).toBeGreaterThanOrEqual(0);
  });

  test('rubbish between messages is left out', async () => {
    expect(await run({ server: hostile(), tool: 'rubbish' })).toBe('at last');
  });

  test('one that hangs is told, and ended, when its call is cancelled', async () => {
    const lines: string[] = [];
    const left = new AbortController();
    const agent = toolAgent({ server: hostile(), tool: 'hang' });
    const invocation = invocationOf(agent, {
      signal: left.signal,
      onProgress(line) {
        lines.push(line);
        left.abort();
      },
    });
    expect(await failure(runtime.run(invocation))).toMatchObject({ code: 'cancelled' });
    expect(lines).toStrictEqual(['thinking', 'cancelled']);
    expect(processesOf([invocation.attemptId])).toStrictEqual([]);
  });

  test('what left its group is ended with it', async () => {
    const children = await openChildren({
      packageRoot,
      environment: { PATH: process.env['PATH'] },
      clock: systemClock,
    });
    const tools = { packageRoot, environment: {}, clock: systemClock, database, outbound };
    const own = createMcpRuntime(tools, openMcp(tools, children), children);
    const agent = toolAgent({ server: hostile(), tool: 'forking' });
    const invocation = invocationOf(agent);
    const { output } = await own.run(invocation);
    expect(processesOf([invocation.attemptId])).toContain(Number(output));
    await own.close?.();
    await until(() => processesOf([invocation.attemptId]).length === 0);
  });

  test.for<[string, string, RegExp]>([
    ['endless', 'agent_output_too_large', /no end of pages/],
    ['huge', 'agent_output_too_large', /more than 1 MiB of its tool "huge"/],
    ['twice', 'agent_output_invalid', /two tools of the name "say"/],
  ])('one whose list of tools is %s is refused', async ([behaviour, code, message]) => {
    const error = await failure(run({ server: hostile(behaviour), tool: 'say' }));
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test('one that never says anything costs no more than the time that it has', async () => {
    const spec = { server: hostile('silent'), tool: 'say' };
    expect(await failure(run(spec, { timeoutMs: 400 }))).toMatchObject({ code: 'timeout' });
  });

  test('one that ends when it is asked before it is greeted is greeted first', async () => {
    expect(await run({ server: hostile('old'), tool: 'say' })).toBe('You said {}');
  });
});

describe('what a server says of its tools', () => {
  const by = { name: 'owner', id: randomUUID() };

  test('is quarantined when it changes, until somebody accepts it', async () => {
    const file = join(home, 'turncoat.txt');
    await writeFile(file, 'Says what it is given.');
    const agent = toolAgent({ server: hostile('plain', file), tool: 'turncoat' });
    const call = () => runtime.run(invocationOf(agent));
    await call();
    await writeFile(file, 'Says what it is given, and more.');
    const error = await failure(call());
    expect(error).toMatchObject({
      code: 'agent_unavailable',
      message: expect.stringContaining('has changed since it was accepted: description'),
    });
    expect(await runtime.check(agent, AbortSignal.timeout(5_000))).toMatchObject({
      ok: false,
      state: 'unavailable',
    });
    // Saying the old words again makes nothing good.
    await writeFile(file, 'Says what it is given.');
    expect(await failure(call())).toMatchObject({ code: 'agent_unavailable' });
    await writeFile(file, 'Says what it is given, and more.');
    await failure(call());

    const { runtimeServer } = await import('../../src/agents/runtimes/mcp-server.ts');
    const servers = [runtimeServer(agent)];
    const [row] = await mcp.pins.list(servers);
    expect(row).toMatchObject({ tool: 'turncoat', state: 'quarantined' });
    expect(await mcp.pins.accept(servers, '0'.repeat(64), by)).toStrictEqual([]);
    expect(await mcp.pins.accept(servers, row?.hash ?? '', by)).toStrictEqual(['turncoat']);
    await call();
    expect((await mcp.pins.list(servers))[0]).toMatchObject({
      state: 'trusted',
      accepted_by: 'owner',
    });
  });

  test('is quarantined at the first sight when it speaks to its reader', async () => {
    const state = await ask({ server: hostile(), tool: 'poisoned' });
    expect(state).toMatchObject({
      state: 'unavailable',
      reason: expect.stringMatching(/quarantined: its tool poisoned has a description that holds/),
    });
  });

  test('reaches a model as the words of the server, without what is quarantined', async () => {
    const agent = toolAgent(
      { server: hostile(), tool: 'say' },
      {
        mcpServers: { far: { command: process.execPath, args: [fixture] }, gone: { type: 'sse' } },
      },
    );
    const { servers, problems } = namedServers(agent);
    expect(problems).toStrictEqual([expect.stringContaining('gone speaks sse')]);
    const [server] = servers;
    if (server === undefined) throw new Error('no server');
    const set = await openMcpTools(mcp, {
      server,
      invocation: invocationOf(agent),
      otherTools: ['say'],
    });
    onTestFinished(() => set.close());
    expect(set.quarantined.map(({ name }) => name).toSorted()).toStrictEqual(['poisoned', 'say']);
    const [turncoat] = set.tools;
    expect(turncoat?.description).toMatch(
      /"far"[^]*<mcp_server_says>\nSays what it is given\.\n<\/mcp_server_says>$/,
    );
    expect(await turncoat?.call({ a: 1 })).toBe('You said {"a":1}');
    const failing = set.tools.find(({ name }) => name === 'failing');
    expect(await failure(failing?.call({}) ?? Promise.resolve())).toMatchObject({
      code: 'agent_failed',
    });
    expect(await turncoat?.call({})).toBe('You said {}');
  });
});
