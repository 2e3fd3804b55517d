import { AgentCard } from '@a2a-js/sdk';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseAgent } from '../../src/agents/agents.ts';
import { createA2aRuntime } from '../../src/agents/runtimes/a2a.ts';
import { createLog, newId, systemClock } from '../../src/base/base.ts';
import { createOutbound } from '../../src/outbound/outbound.ts';
import { signIn } from '../support/a2a.ts';
import { openTestBridge, testToken, type TestBridge } from '../support/bridge.ts';
import { fleetNames, release } from '../support/fleet.ts';

let bridge: TestBridge;
const tokens = new Map<string, string>([['owner', testToken]]);
beforeAll(async () => {
  bridge = await openTestBridge();
  const owner = await bridge.identity.callers.owner();
  const echoOnly = [
    { action: 'agents.read', pattern: 'echo' },
    { action: 'agents.execute', pattern: 'echo' },
  ] as const;
  await bridge.identity.roles.create({ name: 'echo-only', permissions: echoOnly }, owner);
  tokens.set('ada', await signIn(bridge, 'ada', ['agent']));
  tokens.set('carl', await signIn(bridge, 'carl', ['echo-only']));
});
afterAll(() => bridge.end());

interface Answer {
  readonly status: number;
  readonly id: unknown;
  readonly result: Record<string, unknown>;
  readonly error: { code: number; message: string; data: readonly Record<string, unknown>[] };
}

/** A request as text, with the version unless it says otherwise. */
async function post(
  body: string,
  { path = '/a2a/agents/echo', who = 'ada', headers = {} }: Asking = {},
): Promise<Answer> {
  const response = await fetch(`${bridge.url}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'a2a-version': '1.0',
      authorization: `Bearer ${tokens.get(who)}`,
      ...headers,
    },
    body,
  });
  return { status: response.status, ...((await response.json()) as Omit<Answer, 'status'>) };
}

interface Asking {
  readonly path?: string;
  readonly who?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function call(method: string, params: object, asking: Asking = {}): Promise<Answer> {
  return post(JSON.stringify({ jsonrpc: '2.0', id: 7, method, params }), asking);
}

let messages = 0;
function message(parts: readonly object[], more: object = {}): { message: object } {
  messages += 1;
  return { message: { messageId: `m${messages}`, role: 'ROLE_USER', parts, ...more } };
}

async function json(path: string, who?: string): Promise<{ status: number; body: unknown }> {
  const token = who === undefined ? {} : { authorization: `Bearer ${tokens.get(who)}` };
  const response = await fetch(`${bridge.url}${path}`, { headers: token });
  return { status: response.status, body: await response.json() };
}

const badRequests: readonly (readonly [string, number])[] = [
  ['{"jsonrpc":', -32700],
  ['', -32700],
  ['[{"jsonrpc":"2.0","id":1,"method":"GetTask"}]', -32600],
  ['"text"', -32600],
  ['{"jsonrpc":"1.0","id":1,"method":"GetTask"}', -32600],
  ['{"jsonrpc":"2.0","id":1}', -32600],
  ['{"jsonrpc":"2.0","method":"GetTask"}', -32600],
  ['{"jsonrpc":"2.0","id":{},"method":"GetTask"}', -32600],
  ['{"jsonrpc":"2.0","id":1,"method":"GetTask","params":[]}', -32602],
  ['{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{}}', -32602],
  ['{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"nothing"}}', -32001],
  ['{"jsonrpc":"2.0","id":1,"method":"tasks/get"}', -32601],
  ['{"jsonrpc":"2.0","id":1,"method":"constructor"}', -32601],
  ['{"jsonrpc":"2.0","id":1,"method":"ListTasks","params":{"pageSize":0}}', -32602],
  ['{"jsonrpc":"2.0","id":1,"method":"ListTasks","params":{"pageToken":"x y"}}', -32602],
  ['{"jsonrpc":"2.0","id":1,"method":"ListTasks","params":{"status":"working"}}', -32602],
  ['{"jsonrpc":"2.0","id":1,"method":"CreateTaskPushNotificationConfig"}', -32003],
  [`{"jsonrpc":"2.0","id":1,"x":${'['.repeat(100)}${']'.repeat(100)}}`, -32602],
  [`{"jsonrpc":"2.0","id":1,"x":"${'x'.repeat(1_100_000)}"}`, -32600],
];

test('what is no acceptable request is refused with the code that the protocol has for it', async () => {
  for (const [body, code] of badRequests) {
    const answer = await post(body);
    expect([body.slice(0, 80), answer.status, answer.error.code]).toEqual([
      body.slice(0, 80),
      200,
      code,
    ]);
  }
});

test('a version that is not spoken is refused, and none means an old one', async () => {
  const params = { id: 'x' };
  for (const version of ['', '0.3', '2.0', '1.1', '1.0-beta']) {
    const { error } = await call('GetTask', params, { headers: { 'a2a-version': version } });
    expect([version, error.code]).toEqual([version, -32009]);
    expect(error.data[0]).toMatchObject({
      reason: 'VERSION_NOT_SUPPORTED',
      domain: 'a2a-protocol.org',
    });
  }
  for (const version of ['1.0', '1.0.1']) {
    const { error } = await call('GetTask', params, { headers: { 'a2a-version': version } });
    expect([version, error.code]).toEqual([version, -32001]);
  }
  const query = { path: '/a2a?A2A-Version=1.0', headers: { 'a2a-version': '' } };
  expect((await call('GetTask', params, query)).error.code).toBe(-32001);
});

test.each([
  [[], -32602],
  [[{}], -32602],
  [[{ kind: 'text' }], -32602],
  [[{ text: 'a', data: 1 }], -32602],
  [[{ data: 1 }, { data: 2 }], -32602],
  [[{ data: 1 }, { text: 'a' }], -32602],
  [[{ raw: 'AAAA', mediaType: 'image/png' }], -32005],
  [[{ url: 'http://169.254.169.254/' }], -32005],
])('a message of the parts %j is refused before there is a task', async (parts, code) => {
  const { error } = await call('SendMessage', message(parts));
  expect(error.code).toBe(code);
});

test('what a message says besides is held to what there is', async () => {
  const said = message([{ data: 1 }]);
  const refused = async (params: object, path?: string) =>
    (await call('SendMessage', params, path === undefined ? {} : { path })).error.code;
  const sent = { ...said, configuration: { acceptedOutputModes: ['image/png'] } };
  expect(await refused(sent)).toBe(-32005);
  const pushed = { ...said, configuration: { taskPushNotificationConfig: { url: 'http://x/' } } };
  expect(await refused(pushed)).toBe(-32003);
  expect(await refused({ message: { ...said.message, role: 'ROLE_AGENT' } })).toBe(-32602);
  expect(await refused(said, '/a2a')).toBe(-32602);
  const { error } = await call('SendMessage', { message: { ...said.message, messageId: '' } });
  expect(error.data[1]).toMatchObject({ fieldViolations: [{ field: 'message.messageId' }] });
});

const ask = async (method: string, params: object, path: string) => {
  const { status, error } = await call(method, params, { path, who: 'carl' });
  return { status, error: JSON.stringify(error).replaceAll(/gate|nobody/g, 'it') };
};

const cardOf = async (path: string) => {
  const { status, body } = await json(`${path}/agent-card.json`, 'carl');
  return { status, code: (body as { code: string }).code };
};

const noted = async () => {
  const { items } = await bridge.identity.events.list({ type: 'permission_denied', limit: 10 });
  return JSON.stringify(items);
};

test('an agent that is not the caller’s looks like one that there is not', async () => {
  const said = message([{ data: 1 }]);
  const missing = '/a2a/agents/nobody';
  const denied = '/a2a/agents/gate';
  for (const [method, params] of [
    ['SendMessage', said],
    ['SendStreamingMessage', said],
    ['GetTask', { id: newId() }],
    ['GetExtendedAgentCard', {}],
  ] as const) {
    const found = await ask(method, params, denied);
    expect(found).toEqual(await ask(method, params, missing));
    expect(found.error).toContain('-32001');
  }
  expect(await cardOf(denied)).toEqual({ status: 404, code: 'agent_not_found' });
  expect(await cardOf(missing)).toEqual({ status: 404, code: 'agent_not_found' });
  // Each refusal is told to whoever watches over security, though not to the caller.
  await expect.poll(noted, { timeout: 20_000 }).toContain('"resource":"gate"');
});

test('who may run and not look is told that it began, and nothing more', async () => {
  const { result } = await call('SendMessage', message([{ data: 'secret' }]), { who: 'carl' });
  expect(result['task']).toMatchObject({ status: { state: 'TASK_STATE_SUBMITTED' } });
  const { id } = result['task'] as { id: string };
  expect((await call('GetTask', { id }, { who: 'carl' })).error.code).toBe(-32001);
  expect((await call('ListTasks', {}, { who: 'carl' })).result).toMatchObject({ tasks: [] });
});

const skills = async (who: string) => {
  const { result } = await call('GetExtendedAgentCard', {}, { who, path: '/a2a' });
  return (result['skills'] as { id: string }[]).map(({ id }) => id);
};

test('the card of the fleet is for anybody, and says who is in it to who may see them', async () => {
  const { status, body } = await json('/.well-known/agent-card.json');
  expect(status).toBe(200);
  const card = AgentCard.fromJSON(body);
  expect(card).toMatchObject({
    name: 'Centuria',
    supportedInterfaces: [
      { url: `${bridge.url}/a2a`, protocolBinding: 'JSONRPC', protocolVersion: '1.0' },
    ],
    capabilities: { streaming: true, pushNotifications: false, extendedAgentCard: true },
    skills: [{ id: 'fleet' }],
  });
  expect(JSON.stringify(body)).not.toMatch(/echo|gate|hello/);
  expect(await skills('carl')).toEqual(['echo']);
  expect(await skills('ada')).toEqual(expect.arrayContaining([...fleetNames, 'workflow:hello']));
});

test('agents are enumerated with their cards, page by page, as far as the caller may see them', async () => {
  const names: string[] = [];
  let cursor = '';
  do {
    const query = cursor === '' ? 'limit=2' : `limit=2&cursor=${cursor}`;
    const { body } = await json(`/a2a/agents?${query}`, 'ada');
    const page = body as {
      items: { name: string; cardUrl: string; card: object }[];
      nextCursor?: string;
    };
    expect(page.items.length).toBeLessThanOrEqual(2);
    for (const { name, cardUrl, card } of page.items) {
      names.push(name);
      const { body: own } = await json(cardUrl.slice(bridge.url.length), 'ada');
      expect(own).toEqual(card);
    }
    cursor = page.nextCursor ?? '';
  } while (cursor !== '');
  expect(names).toEqual(fleetNames);
  expect((await json('/a2a/agents', 'carl')).body).toMatchObject({ items: [{ name: 'echo' }] });
  expect((await json('/a2a/agents')).status).toBe(401);
});

const send = async (path: string, data: object, contextId: string) => {
  const params = {
    ...message([{ data }], { contextId }),
    configuration: { returnImmediately: true },
  };
  const { result } = await call('SendMessage', params, { path });
  return (result['task'] as { id: string }).id;
};
const list = async (params: object, path = '/a2a/agents/echo') => {
  const { result } = await call('ListTasks', params, { path });
  return result as unknown as {
    tasks: { id: string; artifacts?: unknown[]; history?: unknown[] }[];
    nextPageToken: string;
    pageSize: number;
    totalSize: number;
  };
};

test('tasks are listed by what they belong to, those that changed last first', async () => {
  const waits = await send('/a2a/agents/gate', { name: 'list' }, 'listed');
  const ids: string[] = [];
  for (const n of [1, 2, 3]) ids.push(await send('/a2a/agents/echo', { n }, 'listed'));
  const isDone = async () =>
    (await list({ contextId: 'listed', status: 'TASK_STATE_COMPLETED' })).totalSize;
  await expect.poll(isDone, { timeout: 20_000 }).toBe(3);

  const first = await list({ contextId: 'listed', pageSize: 2, historyLength: 0 });
  expect(first).toMatchObject({ pageSize: 2, totalSize: 3 });
  const second = await list({ contextId: 'listed', pageSize: 2, pageToken: first.nextPageToken });
  expect([first.tasks.length, second.tasks.length, second.nextPageToken]).toEqual([2, 1, '']);
  const listed = [...first.tasks, ...second.tasks];
  expect(listed.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  expect(first.tasks[0]).not.toHaveProperty('artifacts');
  expect(first.tasks[0]).not.toHaveProperty('history');
  expect(second.tasks[0]?.history).toHaveLength(1);
  const whole = await list({ contextId: 'listed', includeArtifacts: true });
  expect(whole.tasks[0]?.artifacts).toHaveLength(1);

  const everywhere = await list({ contextId: 'listed' }, '/a2a');
  expect(everywhere.tasks.map(({ id }) => id).toSorted()).toEqual([waits, ...ids].toSorted());
  expect((await list({ contextId: 'another' })).totalSize).toBe(0);
  expect((await list({ statusTimestampAfter: '2999-01-01T00:00:00Z' })).totalSize).toBe(0);
  expect((await list({ status: 'TASK_STATE_AUTH_REQUIRED' })).totalSize).toBe(0);
  await release(bridge.home, 'list');
});

test('our own a2a runtime works through the bridge', async () => {
  const outbound = createOutbound({ allow: [] });
  const runtime = createA2aRuntime({
    packageRoot: import.meta.dirname,
    environment: { KEY: tokens.get('ada') ?? '' },
    clock: systemClock,
    log: createLog({ level: 'silent' }),
    outbound,
  });
  const centuria = {
    runtime: {
      kind: 'a2a',
      url: `${bridge.url}/a2a/agents/talk`,
      headers: { authorization: 'Bearer ${secret.KEY}' },
    },
    requires: { environment: ['KEY'] },
  };
  const { definition } = parseAgent(
    `---\nname: far\ndescription: x\ncenturia: ${JSON.stringify(centuria)}\n---\nAsk.`,
    'far.md',
  );
  if (definition === undefined) throw new Error('the definition is wrong');
  const heard: string[] = [];
  const { output } = await runtime.run({
    agent: definition,
    input: { greeting: 'salve' },
    attemptId: newId(),
    idempotencyKey: 'run/task',
    timeoutMs: 20_000,
    signal: new AbortController().signal,
    onProgress: (line) => heard.push(line),
  });
  expect(output).toEqual({ greeting: 'salve' });
  expect(heard.join('\n')).toContain('line 1');
  await outbound.close();
});
