import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import Schema from 'typebox/schema';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestBridge, testToken, type TestBridge } from '../support/bridge.ts';
import { fleetNames } from '../support/fleet.ts';

const execute = promisify(execFile);

let bridge: TestBridge;
beforeAll(async () => {
  bridge = await openTestBridge();
});
afterAll(async () => {
  await bridge.end();
});

/** A request by a client of other people, so that our own `fetch` does not hide what is on the wire. */
async function curl(...options: string[]): Promise<{ status: number; head: string; body: string }> {
  const { stdout } = await execute('curl', ['-sS', '-i', '--max-time', '20', ...options]);
  const at = stdout.indexOf('\r\n\r\n');
  const head = stdout.slice(0, at);
  return { status: Number(head.split(' ')[1]), head, body: stdout.slice(at + 4) };
}

const authorized = ['-H', `Authorization: Bearer ${testToken}`];
const jsonBody = ['-H', 'Content-Type: application/json'];

async function problem(response: Promise<Response>) {
  const answer = await response;
  expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
  const document = (await answer.json()) as Record<string, unknown>;
  expect(document['status']).toBe(answer.status);
  expect(document['requestId']).toBe(answer.headers.get('x-request-id'));
  return { answer, document };
}

test('health is open and everything else asks for the token', async () => {
  const health = await fetch(`${bridge.url}/health`);
  expect([health.status, await health.json()]).toMatchObject([
    200,
    { status: 'ok', service: 'bridge', database: 'ok', version: '0.0.0-test' },
  ]);
  for (const path of [
    '/agents',
    '/status',
    '/openapi.json',
    '/api/v1/runs',
    '/nothing',
    '/api/v1/system/status',
    '/mcp',
    '/mcp/below',
  ]) {
    const { answer, document } = await problem(fetch(bridge.url + path));
    expect([path, answer.status, document['code']]).toEqual([path, 401, 'unauthenticated']);
    const resource = path.startsWith('/mcp') ? '/mcp' : '';
    expect(answer.headers.get('www-authenticate')).toBe(
      `Bearer realm="centuria", resource_metadata="${bridge.url}/.well-known/oauth-protected-resource${resource}"`,
    );
  }
  const { answer } = await problem(
    bridge.fetch('/agents', { headers: { authorization: 'Bearer no' } }),
  );
  expect(answer.headers.get('www-authenticate')).toContain('error="invalid_token"');
});

test('the bridge of the predecessor answers at its old addresses', async () => {
  const agents = await bridge.client.bridgeAgents();
  expect(agents.count).toBe(fleetNames.length);
  expect(agents.agents[0]).toEqual({
    name: 'echo',
    description: 'Gives back its input.',
    category: 'development',
    status: 'active',
  });
  expect(await bridge.client.bridgeStatus()).toMatchObject({
    bridge: 'ok',
    learning_api: 'unavailable',
    postgres: 'ok',
    config_dir: true,
    reasons: { learning_api: 'this process serves no learning API' },
  });
});

test('the state of the system is measured', async () => {
  const status = await bridge.client.systemStatus();
  expect(status).toMatchObject({
    version: '0.0.0-test',
    pid: process.pid,
    home: bridge.home,
    database: {
      driver: bridge.database.driver,
      versionNumber: bridge.database.versionNumber,
      status: 'ok',
    },
    worker: { concurrency: 8 },
  });
  expect(status.memory.residentBytes).toBeGreaterThan(10_000_000);
});

/** The components of the served document as definitions of one schema: groups of tasks hold tasks. */
function asDefinitions(components: Readonly<Record<string, unknown>>): unknown {
  return JSON.parse(JSON.stringify(components).replaceAll('#/components/schemas/', '#/$defs/'));
}

test('what is answered is what the served document says', async () => {
  const run = await bridge.client.startRun({ workflow: 'failing' });
  await bridge.client.waitForRun(run.id);
  const document = await bridge.client.openapi();
  const { schemas } = document['components'] as { schemas: Record<string, unknown> };
  const $defs = asDefinitions(schemas) as Record<string, object>;
  const answers = {
    '/health': 'Health',
    '/agents': 'BridgeAgents',
    '/status': 'BridgeStatus',
    '/api/v1/system/status': 'SystemStatus',
    '/api/v1/agents': 'AgentList',
    '/api/v1/agents/echo': 'AgentDetail',
    '/api/v1/agents/echo/tools': 'AgentTools',
    '/api/v1/agents/problems': 'AgentProblems',
    '/api/v1/workflows': 'WorkflowList',
    '/api/v1/workflows/hello': 'WorkflowDefinition',
    '/api/v1/runs': 'RunPage',
    [`/api/v1/runs/${run.id}`]: 'RunDetail',
    [`/api/v1/runs/${run.id}/wait`]: 'RunDetail',
    [`/api/v1/runs/${run.id}/events`]: 'EventPage',
    '/api/v1/runs/none': 'ProblemDocument',
  };
  for (const [path, name] of Object.entries(answers)) {
    const answer: unknown = await (await bridge.fetch(path)).json();
    const [fits, errors] = Schema.Errors({ $ref: `#/$defs/${name}`, $defs }, answer);
    expect([path, fits, errors]).toEqual([path, true, []]);
  }
});

test('curl gets JSON, safety headers, and what is left of its rate', async () => {
  const { status, head, body } = await curl(...authorized, `${bridge.url}/api/v1/runs`);
  expect(status).toBe(200);
  expect(JSON.parse(body)).toHaveProperty('items');
  expect(head).toMatch(/^x-content-type-options: nosniff\r?$/m);
  expect(head).toMatch(/^ratelimit: "address";r=\d+;t=\d+\r?$/m);
  expect(head).toMatch(/^ratelimit-policy: "address";q=1000000;w=60\r?$/m);
  expect(head).toMatch(/^cache-control: no-store\r?$/m);
  expect(head).not.toMatch(/access-control|x-powered-by|^server:/im);
});

test('a request id that is sane is kept, in the answer and in the log', async () => {
  const headers = {
    'x-request-id': 'from-a-caller-1',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  };
  const answer = await bridge.fetch('/api/v1/agents', { headers });
  expect(answer.headers.get('x-request-id')).toBe('from-a-caller-1');
  await expect
    .poll(() => bridge.logged.find((line) => line['requestId'] === 'from-a-caller-1'))
    .toMatchObject({
      method: 'GET',
      path: '/api/v1/agents',
      status: 200,
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      parentId: '00f067aa0ba902b7',
    });
  const other = await bridge.fetch('/api/v1/agents', {
    headers: { 'x-request-id': '{"evil": 1}' },
  });
  expect(other.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  expect(JSON.stringify(bridge.logged)).not.toContain(testToken);
});

test('an address that is none is 404, and a method that is none is 405 with Allow', async () => {
  const missing = await problem(bridge.fetch('/api/v1/nothing'));
  expect([missing.answer.status, missing.document['code']]).toEqual([404, 'not_found']);
  const wrong = await problem(bridge.fetch('/api/v1/runs', { method: 'DELETE' }));
  expect([wrong.answer.status, wrong.document['code']]).toEqual([405, 'method_not_allowed']);
  expect(wrong.answer.headers.get('allow')).toBe('GET, HEAD, POST');
  const options = await problem(bridge.fetch('/api/v1/runs/x/cancel', { method: 'OPTIONS' }));
  expect(options.answer.headers.get('allow')).toBe('POST');
});

test('a body that is no JSON is refused with the place of the mistake', async () => {
  const broken = await postRun('{"workflow":\n  oops}');
  expect([broken.answer.status, broken.document]).toMatchObject([
    400,
    {
      code: 'usage',
      detail: 'the body is not JSON: line 2, column 3',
      details: { line: 2, column: 3 },
    },
  ]);
  const form = await postRun('workflow=hello', 'application/x-www-form-urlencoded');
  expect([form.answer.status, form.document['code']]).toEqual([415, 'unsupported_media_type']);
  const plain = await postRun('{"workflow":"hello"}', 'text/plain');
  expect(plain.answer.status).toBe(415);
  const large = await postRun(JSON.stringify({ workflow: 'x'.repeat(1024 * 1024) }));
  expect([large.answer.status, large.document['code']]).toEqual([413, 'too_large']);
  const poisoned = await postRun('{"workflow":"hello","__proto__":{"admin":true}}');
  expect(poisoned.answer.status).toBe(400);
});

test('every wrong field is named, with what would be right', async () => {
  const body = JSON.stringify({ worklow: 'hello', priority: 'high' });
  const { answer, document } = await problem(
    bridge.fetch('/api/v1/runs', {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    }),
  );
  expect(answer.status).toBe(422);
  const fields = (document['errors'] as { field: string }[]).map(({ field }) => field);
  expect(fields.toSorted()).toEqual(['priority', 'workflow', 'worklow']);
  const query = await problem(bridge.fetch('/api/v1/runs?status=runing&limt=5'));
  expect(query.document['errors']).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        in: 'query',
        field: 'status',
        message: expect.stringContaining('running'),
      }),
      expect.objectContaining({ in: 'query', field: 'limt', message: 'is not known here' }),
    ]),
  );
});

test('a definition that has not changed is not sent again', async () => {
  for (const path of ['/api/v1/workflows', '/api/v1/workflows/hello']) {
    const first = await bridge.fetch(path);
    const tag = first.headers.get('etag') ?? '';
    expect(tag).toMatch(/^"[\w-]{27}"$/);
    const again = await bridge.fetch(path, { headers: { 'if-none-match': `"other", W/${tag}` } });
    expect([again.status, await again.text()]).toEqual([304, '']);
    const other = await bridge.fetch(path, { headers: { 'if-none-match': '"other"' } });
    expect(other.status).toBe(200);
  }
});

test('an unknown agent and workflow are not found, with the one that was meant', async () => {
  await expect(bridge.client.agent('ecko')).rejects.toMatchObject({
    code: 'agent_not_found',
    remedy: 'Did you mean echo?',
  });
  await expect(bridge.client.workflow('helo')).rejects.toMatchObject({
    code: 'workflow_not_found',
    remedy: 'Did you mean hello?',
  });
});

test('a name that was pointed at this server is refused', async () => {
  const { status, body } = await curl(
    ...authorized,
    '-H',
    'Host: evil.example',
    `${bridge.url}/api/v1/runs`,
  );
  expect([status, JSON.parse(body)]).toMatchObject([421, { code: 'misdirected' }]);
  const health = await curl('-H', `Host: evil.example:${bridge.port}`, `${bridge.url}/health`);
  expect(health.status).toBe(421);
  const old = await curl('-0', '-H', 'Host:', `${bridge.url}/health`);
  expect(old.status).toBe(421);
});

test('what is no HTTP is answered with a problem document and nothing of the inside', async () => {
  for (const bytes of [
    'NONSENSE\r\n\r\n',
    `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`,
  ]) {
    const socket = connect(bridge.port, '127.0.0.1');
    socket.write(bytes);
    const answer = await text(socket);
    expect(answer).toMatch(/^HTTP\/1\.1 4(00|31) /);
    expect(answer).toContain('application/problem+json');
    expect(answer).not.toMatch(/node:|\.ts|at /);
  }
  const path = await curl(...authorized, '--path-as-is', `${bridge.url}/api/v1/runs/%zz`);
  expect(path.status).toBe(400);
  expect(path.head).toContain('application/problem+json');
});

test('a login link lets a browser in once', async () => {
  const { url } = await bridge.client.createLoginLink();
  expect(url).toMatch(
    new RegExp(`^http://127\\.0\\.0\\.1:${bridge.port}/login\\?code=[\\w-]{43}$`),
  );
  const head = await curl('-I', url);
  expect(head.status).not.toBe(303);
  const entered = await fetch(url, { redirect: 'manual' });
  expect([entered.status, entered.headers.get('location')]).toEqual([303, '/']);
  const cookie = entered.headers.get('set-cookie')?.split(';')[0] ?? '';

  const used = await problem(fetch(url, { redirect: 'manual' }));
  expect(used.answer.status).toBe(403);
  expect(used.answer.headers.get('set-cookie')).toBeNull();
  const shown = await fetch(url, { redirect: 'manual', headers: { accept: 'text/html' } });
  expect([shown.status, shown.headers.get('content-type')]).toEqual([
    403,
    'text/html; charset=utf-8',
  ]);

  const withCookie = (path: string, init: RequestInit = {}) =>
    fetch(bridge.url + path, { ...init, headers: { cookie, ...init.headers } });
  expect((await withCookie('/api/v1/runs')).status).toBe(200);
  const links = await problem(
    withCookie('/api/v1/login-links', { method: 'POST', headers: { origin: bridge.url } }),
  );
  expect([links.answer.status, links.document['code']]).toEqual([403, 'denied']);
  const start = { method: 'POST', body: '{"workflow":"hello"}' };
  const headers = { 'content-type': 'application/json' };
  const foreign = { ...headers, origin: 'http://127.0.0.1:1' };
  expect((await withCookie('/api/v1/runs', { ...start, headers: foreign })).status).toBe(403);
  const own = { ...headers, origin: bridge.url };
  expect((await withCookie('/api/v1/runs', { ...start, headers: own })).status).toBe(201);
  expect(JSON.stringify(bridge.logged)).not.toContain(new URL(url).searchParams.get('code'));
});

test('the page and its icon are open, and may run only their own script', async () => {
  const page = await fetch(`${bridge.url}/`);
  expect(page.status).toBe(200);
  expect(page.headers.get('content-security-policy')).toMatch(
    /^default-src 'none'; script-src 'sha256-/,
  );
  expect((await fetch(`${bridge.url}/favicon.svg`)).headers.get('content-type')).toBe(
    'image/svg+xml',
  );
  const tag = page.headers.get('etag') ?? '';
  expect((await fetch(`${bridge.url}/`, { headers: { 'if-none-match': tag } })).status).toBe(304);
});

test('while the server is not ready it reads but changes nothing', async () => {
  bridge.ready(false);
  try {
    const start = await problem(
      bridge.fetch('/api/v1/runs', {
        method: 'POST',
        body: '{"workflow":"hello"}',
        headers: { 'content-type': 'application/json' },
      }),
    );
    expect([start.answer.status, start.answer.headers.get('retry-after')]).toEqual([503, '1']);
    expect((await bridge.fetch('/api/v1/runs')).status).toBe(200);
    expect(await bridge.client.health()).toMatchObject({ status: 'starting' });
  } finally {
    bridge.ready(true);
  }
});

test('an answer to HEAD has the headers and no body', async () => {
  const { status, body } = await curl(
    '-I',
    ...authorized,
    ...jsonBody,
    `${bridge.url}/api/v1/runs`,
  );
  expect([status, body]).toEqual([200, '']);
});

function postRun(body: string, type = 'application/json') {
  const headers = { 'content-type': type };
  return problem(bridge.fetch('/api/v1/runs', { method: 'POST', body, headers }));
}
