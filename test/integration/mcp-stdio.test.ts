import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestBridge, testToken, type TestBridge } from '../support/bridge.ts';
import { cleanEnvironment, launcher, root, testHome, type TestHome } from '../support/cli.ts';
import { modern } from '../support/mcp-clients.ts';

let bridge: TestBridge;
let home: TestHome;
let env: Record<string, string>;
beforeAll(async () => {
  bridge = await openTestBridge();
  home = await testHome();
  env = { CENTURIA_SERVER: bridge.url, CENTURIA_API_KEY: testToken };
});
afterAll(async () => {
  await home.remove();
  await bridge.end();
});

test('an official client that starts centuria mcp itself uses the running server', async () => {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [launcher, 'mcp'],
    env: cleanEnvironment(home.path, { CENTURIA_HOME: home.path, ...env }),
    stderr: 'pipe',
  });
  let complaints = '';
  transport.stderr?.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
  const client = new Client(
    { name: 'a test', version: '1' },
    { versionNegotiation: { mode: { pin: modern } } },
  );
  await client.connect(transport);
  const seen: string[] = [];
  const result = await client.callTool(
    { name: 'agent_run', arguments: { agent: 'echo', input: 'x' } },
    { onprogress: ({ message = '' }) => void seen.push(message) },
  );
  expect(result).toMatchObject({ structuredContent: { status: 'completed', output: 'x' } });
  expect(seen).not.toEqual([]);
  await expect(client.readResource({ uri: 'centuria://agent/nobody' })).rejects.toMatchObject({
    code: -32602,
  });
  await client.close();
  expect(complaints).toBe('');
});

test('messages of 2025-11-25 pass as well, one a line, and the process ends with its client', async () => {
  const started = home.start(['mcp'], { env, stdin: null });
  const say = (message: object) =>
    started.child.stdin?.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  say({
    id: 1,
    method: 'initialize',
    params: {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'x', version: '1' },
    },
  });
  await started.until('stdout', /"id":1/);
  say({ method: 'notifications/initialized' });
  const slow = {
    name: 'agent_run',
    arguments: { agent: 'gate', input: { name: 'shut' }, waitSeconds: 120 },
  };
  say({ id: 2, method: 'tools/call', params: slow });
  say({ method: 'notifications/cancelled', params: { requestId: 2 } });
  say({ id: 3, method: 'nothing/here' });
  say({ id: 4, method: 'tools/list' });
  await started.until('stdout', /"id":4/);
  started.child.stdin?.end();
  const { status, stdout, stderr } = await started.ended;
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const answers = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: number });
  expect(answers.map(({ id }) => id).toSorted()).toEqual([1, 3, 4]);
  expect(answers.find(({ id }) => id === 3)).toMatchObject({ error: { code: -32601 } });
});

test('without a server it says so and ends; with a wrong credential each call says so', async () => {
  const nowhere = await home.cli(['mcp']);
  expect(nowhere.status).toBe(6);
  expect(nowhere.stdout).toBe('');
  expect(nowhere.stderr).toMatch(/no Centuria is running on [^]*centuria up/);

  const started = home.start(['mcp'], { env: { ...env, CENTURIA_API_KEY: 'wrong' }, stdin: null });
  started.child.stdin?.write('{"jsonrpc":"2.0","id":7,"method":"tools/list"}\n');
  const [line] = await started.until('stdout', /^.+$/m);
  expect(JSON.parse(line)).toMatchObject({
    id: 7,
    error: { data: { code: 'unauthenticated' } },
  });
  started.child.stdin?.end();
  const { status, stderr } = await started.ended;
  expect(status).toBe(0);
  expect(stderr).not.toContain('wrong');
});

test('mcp config prints what Claude Code reads, and no secret', async () => {
  const stdio = await home.cli(['mcp', 'config'], { env: { CENTURIA_API_KEY: testToken } });
  expect(JSON.parse(stdio.stdout)).toEqual({
    mcpServers: {
      centuria: {
        type: 'stdio',
        command: process.execPath,
        args: [join(root, 'bin/centuria.mjs'), '--home', home.path, 'mcp'],
      },
    },
  });
  const http = await home.cli(['mcp', 'config', '--http', '--client', 'claude-code'], { env });
  expect(JSON.parse(http.stdout)).toEqual({
    mcpServers: {
      centuria: {
        type: 'http',
        url: `${bridge.url}/mcp`,
        headers: { Authorization: 'Bearer ${CENTURIA_API_KEY}' },
      },
    },
  });
});
