import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testToken } from '../support/bridge.ts';
import { writeAskingWorkflows } from '../support/asking-workflows.ts';
import { until } from '../support/databases.ts';
import { modern } from '../support/mcp-clients.ts';
import { read, send } from '../support/mcp-messages.ts';
import { openOAuthBridge, type OAuthBridge } from '../support/oauth.ts';

/** More than the tests above the flood send. */
const requestsPerMinute = 400;
let bridge: OAuthBridge;
beforeAll(async () => {
  bridge = await openOAuthBridge({ settings: { requestsPerMinute } });
});
afterAll(() => bridge.end());

const post = async (body: string, headers: Readonly<Record<string, string>> = {}) =>
  read(
    await bridge.fetch('/mcp', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...headers,
      },
      body,
    }),
  );

test('headers that contradict the body, or are not there, are refused', async () => {
  const params = { name: 'agents_list' };
  for (const headers of [
    { 'mcp-method': 'tools/list' },
    { 'mcp-name': 'run_cancel' },
    { 'mcp-protocol-version': '2025-11-25' },
    { 'mcp-method': undefined },
    { 'mcp-name': undefined },
    { 'mcp-protocol-version': undefined },
  ]) {
    const { status, message } = await send(bridge, 'tools/call', params, { headers });
    expect({ headers, status, code: message.error?.code }).toEqual({
      headers,
      status: 400,
      code: -32020,
    });
  }
});

test('a version that nobody speaks, an unknown method and a claim without an envelope are refused', async () => {
  const version = '2031-01-01';
  const unknown = await send(
    bridge,
    'tools/list',
    { _meta: { 'io.modelcontextprotocol/protocolVersion': version } },
    { headers: { 'mcp-protocol-version': version } },
  );
  expect(unknown).toMatchObject({
    status: 400,
    message: { error: { code: -32022, data: { supported: [modern], requested: version } } },
  });
  const method = await send(bridge, 'principals/create');
  expect(method).toMatchObject({ status: 404, message: { error: { code: -32601 } } });
  const bare = await post('{"jsonrpc":"2.0","id":1,"method":"tools/list"}', {
    'mcp-protocol-version': modern,
    'mcp-method': 'tools/list',
  });
  expect(bare).toMatchObject({ status: 400, message: { error: { code: -32602 } } });
});

test('what is no message is an error of the protocol, and runs nothing', async () => {
  const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'status' } };
  for (const [body, code] of [
    ['{', -32700],
    ['', -32700],
    [`${'['.repeat(100)}${']'.repeat(100)}`, -32700],
    ['{"jsonrpc":"2.0","id":1,"method":"ping","__proto__":{}}', -32700],
    ['"text"', -32600],
    ['{"id":1}', -32600],
    [
      JSON.stringify(Array.from({ length: 3 }, () => ({ ...call, method: 'server/discover' }))),
      -32600,
    ],
  ] as const) {
    const { status, message } = await post(body, { 'mcp-protocol-version': modern });
    expect({ body, status, code: message.error?.code }).toMatchObject({ body, status: 400 });
    expect({ body, code: message.error?.code }).toMatchObject({ body, code: expect.any(Number) });
    if (code === -32700) expect({ body, code: message.error?.code }).toEqual({ body, code });
  }
  expect(await post('{}', { 'content-type': 'text/plain' })).toMatchObject({ status: 415 });
  expect(await post(' '.repeat(10_000_000))).toMatchObject({ status: 413 });
});

test('pages of other origins and names that were pointed here are refused before anything else', async () => {
  const origins = [
    ['http://evil.example', 403],
    ['null', 403],
    [bridge.url.replace('http:', 'https:'), 403],
    [bridge.url, 200],
  ] as const;
  for (const [origin, status] of origins) {
    const sent = await send(bridge, 'tools/list', {}, { headers: { origin } });
    expect([origin, sent.status]).toEqual([origin, status]);
  }
  const withoutCredential = await send(
    bridge,
    'tools/list',
    {},
    {
      headers: { origin: 'http://evil.example', authorization: undefined },
    },
  );
  expect(withoutCredential.status).toBe(403);
  expect(await statusWithHost('rebound.example')).toBe(421);
});

function statusWithHost(host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(bridge.url);
    request(
      {
        hostname,
        port,
        path: '/mcp',
        method: 'POST',
        headers: { host, authorization: `Bearer ${testToken}` },
      },
      (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      },
    )
      .on('error', reject)
      .end('{}');
  });
}

test('the session operations of 2025-11-25 are not offered', async () => {
  for (const method of ['GET', 'DELETE']) {
    const answer = await bridge.fetch('/mcp', { method });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST']);
  }
});

test('a token for /mcp works there, through its tools, and nowhere beside it', async () => {
  const { key } = await bridge.principal('narrow', 'user', ['agent']);
  const resource = `${bridge.url}/mcp`;
  const client = { client_id: 'narrow' };
  const { body } = await bridge.post(
    '/oauth/token',
    { grant_type: 'client_credentials', resource, scope: 'agents.read' },
    { authorization: `Basic ${btoa(`${client.client_id}:${key}`)}` },
  );
  const token = String(body['access_token']);
  const { status, message } = await send(bridge, 'tools/call', { name: 'agents_list' }, { token });
  expect({ status, result: message.result }).toMatchObject({
    status: 200,
    result: { resultType: 'complete' },
  });
  expect(message.result).not.toHaveProperty('isError');
  // The scope narrows what is there.
  const listed = await send(bridge, 'tools/list', {}, { token });
  const tools = listed.message.result?.['tools'] as { name: string }[];
  expect(tools.map(({ name }) => name)).toEqual(['agents_list', 'agent_get', 'agent_problems']);
  const beside = await bridge.fetch('/api/v1/agents', {
    headers: { authorization: `Bearer ${token}` },
  });
  expect(beside.status).toBe(403);
});

test('who leaves while a tool waits gives its place back', async () => {
  await writeAskingWorkflows(bridge.home);
  const { id } = await bridge.client.startRun({ workflow: 'signalled' });
  const waiting = async () => (await bridge.client.systemStatus()).bridge.longPolls;
  for (const call of [
    { name: 'run_wait', arguments: { id } },
    { name: 'run_start', arguments: { workflow: 'signalled', waitSeconds: 120 } },
  ]) {
    const leaving = new AbortController();
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: call };
    const answer = bridge.fetch('/mcp', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify(message),
      signal: leaving.signal,
    });
    const left = answer.then((given) => given.text()).catch(() => 'left');
    await until(async () => (await waiting()) === 1);
    leaving.abort();
    expect(await left).toBe('left');
    await until(async () => (await waiting()) === 0);
  }
});

test('a ticket from outside opens nothing', async () => {
  const answer = await fetch(`${bridge.url}/api/v1/agents`, {
    headers: { 'x-centuria-inside': 'A'.repeat(43) },
  });
  expect(answer.status).toBe(401);
});

test('a call counts once, and a flood is held back', async () => {
  const [first, second] = [
    await send(bridge, 'tools/call', { name: 'agents_list' }),
    await send(bridge, 'tools/call', { name: 'agents_list' }),
  ].map(({ headers }) => Number(/;r=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]));
  expect(second).toBe((first ?? 0) - 1);
  // More than a minute's worth: places come back while it goes on.
  const flood = Array.from({ length: requestsPerMinute * 1.5 }, () => post('{}'));
  const statuses = (await Promise.all(flood)).map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([400, 429]));
});
