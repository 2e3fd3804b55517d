/** Learning as clients and people meet it: on the bridge, on its own port, and who is a candidate. */
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPublicAddress, startLearningFace, type LearningFace } from '../../src/api/api.ts';
import { candidatesFor } from '../../src/api/learning-candidates.ts';
import { createLog, loadConfig, newId, systemClock, type Config } from '../../src/base/base.ts';
import type { Caller } from '../../src/identity/identity.ts';
import { openTestBridge, testToken, type TestBridge } from '../support/bridge.ts';

const password = 'nine lanterns on the long pier';
let bridge: TestBridge;
const tokens = new Map<string, string>();

beforeAll(async () => {
  bridge = await openTestBridge();
  await signIn('reader', [{ action: 'learning.read' }]);
  await signIn('caller', [
    { action: 'learning.read' },
    { action: 'learning.write' },
    { action: 'agents.execute', pattern: 'echo' },
    { action: 'agents.read', pattern: 'fail' },
  ]);
});
afterAll(() => bridge.end());

async function signIn(
  username: string,
  permissions: readonly { action: string; pattern?: string }[],
): Promise<void> {
  const owner = await bridge.identity.callers.owner();
  await bridge.identity.roles.create({ name: `is-${username}`, permissions }, owner);
  const roles = [`is-${username}`];
  await bridge.identity.principals.create({ username, password, roles }, owner);
  const response = await bridge.fetch('/api/v1/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username, password, as: 'browser' }),
  });
  expect(response.status).toBe(200);
  const [, token = ''] = /=([^;]+);/.exec(response.headers.get('set-cookie') ?? '') ?? [];
  tokens.set(username, token);
}

async function callerNamed(name: string): Promise<Caller> {
  return bridge.identity.callers.whoIs(
    { kind: 'bearer', token: tokens.get(name) ?? '' },
    { address: '127.0.0.1', userAgent: '' },
  );
}

const parts = () => ({ agents: bridge.registry, breakers: bridge.breakers });

describe('candidates', () => {
  test('are agents that the caller may call; others are named only where he may see them', async () => {
    const caller = await callerNamed('caller');
    const { candidates, leftOut } = await candidatesFor(caller, {}, parts());
    expect(candidates).toMatchObject([{ name: 'echo', description: 'Gives back its input.' }]);
    expect(leftOut).toEqual([{ agent: 'fail', reason: 'you may not call it' }]);
    const named = await candidatesFor(caller, { candidates: ['echo', 'made-up'] }, parts());
    expect(named.leftOut).toEqual([{ agent: 'made-up', reason: 'you may not call it' }]);
  });

  test('are not those that the request leaves out, that failed at it, or whose breaker is open', async () => {
    const owner = await bridge.identity.callers.owner();
    const isOpen = async () => (await bridge.breakers.list({ state: 'open' })).items.length === 1;
    while (!(await isOpen())) {
      await bridge.breakers.record(['agent:talk'], newId(), 'failure', 'timeout');
    }
    const wanted = { exclude: ['gate'], failed: ['heal'], category: 'development' } as const;
    const { candidates, leftOut } = await candidatesFor(owner, wanted, parts());
    expect(candidates.map(({ name }) => name)).toEqual(['echo', 'fail']);
    expect(leftOut).toEqual([
      { agent: 'gate', reason: 'the request leaves it out' },
      { agent: 'heal', reason: 'it failed at this task before' },
      {
        agent: 'talk',
        reason: expect.stringMatching(/^the circuit breaker agent:talk is open until 20/),
      },
    ]);
    await bridge.breakers.reset('agent:talk', 'owner');
  });

  test('that are none are a failure that names every reason', async () => {
    const owner = await bridge.identity.callers.owner();
    const nobody = candidatesFor(owner, { candidates: ['echo'], exclude: ['echo'] }, parts());
    await expect(nobody).rejects.toMatchObject({
      code: 'agent_unavailable',
      message: 'nobody can do it now: echo: the request leaves it out',
    });
    await expect(candidatesFor(owner, { category: 'hardware' }, parts())).rejects.toMatchObject({
      message: 'no agent that you may call fits what was asked',
    });
    const unknown = candidatesFor(owner, { candidates: ['eco'] }, parts());
    await expect(unknown).rejects.toMatchObject({ remedy: 'Did you mean echo?' });
  });
});

function startFace(change: Partial<Config> = {}): Promise<LearningFace> {
  const config = loadConfig({
    flags: { home: bridge.home, learningPort: 0 },
    env: {},
    cwd: bridge.home,
  });
  const publicAddress = createPublicAddress('');
  publicAddress.listensOn(bridge.url);
  return startLearningFace({
    agents: bridge.registry,
    breakers: bridge.breakers,
    clock: systemClock,
    config: { ...config, ...change },
    database: bridge.database,
    identity: bridge.identity,
    learning: bridge.work.learning,
    log: createLog({ level: 'silent' }),
    publicAddress,
    startedAt: new Date(),
    version: '0.0.0-test',
  });
}

describe('on its own port', () => {
  let face: LearningFace;
  let url: string;

  beforeAll(async () => {
    face = await startFace();
    face.ready(true);
    if ('reason' in face.state) throw new Error(face.state.reason);
    ({ url } = face.state);
  });
  afterAll(() => face.close());

  async function ask(method: string, path: string, body?: unknown, token = testToken) {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = (await response.json()) as Record<string, unknown>;
    return { status: response.status, answer, headers: response.headers };
  }

  test('health is open to everybody, and all else wants a credential', async () => {
    expect(await ask('GET', '/health', undefined, '')).toMatchObject({
      status: 200,
      answer: { status: 'ok', service: 'learning', database: 'ok', version: '0.0.0-test' },
    });
    const addresses = [
      'GET /status',
      'POST /agent/performance',
      'GET /agent/echo/recommendations',
      'GET /agents/performance',
      'POST /task/recommend',
      'GET /analytics/dashboard',
      'POST /learning/mode',
      'POST /model/retrain',
    ];
    for (const address of addresses) {
      const [method = '', path = ''] = address.split(' ');
      const body = method === 'POST' ? {} : undefined;
      const refused = await ask(method, path, body, '');
      expect([address, refused.status]).toEqual([address, 401]);
      expect(refused.headers.get('www-authenticate')).toContain(`${bridge.url}/.well-known/`);
    }
  });

  test('who may only read changes nothing here, as on the bridge', async () => {
    const reader = tokens.get('reader');
    const steering = await ask('POST', '/learning/mode', { mode: 'balanced' }, reader);
    expect(steering).toMatchObject({ status: 403, answer: { code: 'denied' } });
    expect(await ask('POST', '/agent/performance', {}, reader)).toMatchObject({ status: 403 });
    expect(await ask('POST', '/model/retrain', undefined, reader)).toMatchObject({ status: 403 });
    expect(await ask('POST', '/task/recommend', {}, reader)).toMatchObject({ status: 422 });
  });

  test.each([
    ['/task/recommend', {}, 'task_description', 'is needed'],
    ['/task/recommend', { task_description: 'x', complexity: 2 }, 'complexity', '<= 1'],
    ['/task/recommend', { task_description: 'x', constraint: {} }, 'constraint', 'constraints'],
    ['/agent/performance', performance({ execution_time_ms: -1 }), 'execution_time_ms', '>= 0'],
    ['/agent/performance', performance({ success: 'yes' }), 'success', 'boolean'],
    ['/learning/mode', { mode: 'reckless' }, 'mode', 'exploitation'],
  ])('%s refuses a wrong body by its field', async (path, body, field, word) => {
    const { status, answer } = await ask('POST', path, body);
    expect([status, answer['code']]).toEqual([422, 'invalid_input']);
    expect(JSON.stringify(answer['errors'])).toContain(`"field":"${field}"`);
    expect(JSON.stringify(answer)).toContain(word);
  });

  test('it has its own addresses and none of the bridge’s', async () => {
    expect(await ask('GET', '/api/v1/me')).toMatchObject({ status: 404 });
    expect(await ask('GET', '/api/v1/me/access?action=read')).toMatchObject({ status: 404 });
    expect(await ask('GET', '/task/recommend')).toMatchObject({ status: 405 });
  });

  test('a Host that is not ours is refused', async () => {
    const { port } = new URL(url);
    const socket = (await import('node:net')).connect(Number(port), '127.0.0.1');
    socket.end('GET /status HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n\r\n');
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1\.1 421 /);
  });

  test('a port that is taken is refused where it was chosen, and gone without where it was not', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as AddressInfo;
    const base = loadConfig({ flags: { home: bridge.home }, env: {}, cwd: bridge.home });
    const values = { ...base.values, learningPort: port };
    const taken = `port ${port} is taken`;
    try {
      const without = await startFace({ values, origins: base.origins });
      expect(without.state).toEqual({ reason: expect.stringContaining(taken) });
      await without.close();
      const origins = {
        ...base.origins,
        learningPort: { origin: 'environment', where: 'CENTURIA_LEARNING_PORT' },
      } as const;
      await expect(startFace({ values, origins })).rejects.toMatchObject({
        code: 'port_in_use',
        message: expect.stringContaining(taken),
        remedy: expect.stringContaining('--learning-port'),
      });
    } finally {
      holder.close();
    }
  });
});

describe('on the bridge', () => {
  test('a run is rated, read and recommended on, and the answer says what it stands on', async () => {
    const { client } = bridge;
    const before = await client.recommend({ description: 'say hello', candidates: ['echo'] });
    expect(before).toMatchObject({ agent: 'echo', leftOut: [] });
    expect(before.basis).not.toBe('outcomes');
    const { id } = await client.startRun({ workflow: 'hello', input: {} });
    await client.waitForRun(id);
    const rated = await client.giveFeedback({ run: id, task: 'second', score: 9 });
    expect(rated).toMatchObject({ agent: 'echo', score: 9, principals: 1 });
    const again = await client.giveFeedback({ run: id, task: 'second', score: 2 });
    expect(again).toMatchObject({ attemptId: rated.attemptId, score: 2, principals: 1 });
    await expect
      .poll(async () => (await client.agentPerformances()).items.map(({ agent }) => agent), {
        timeout: 20_000,
      })
      .toEqual(expect.arrayContaining(['echo', 'talk']));
    await expect(client.giveFeedback({ run: id, task: 'none', score: 5 })).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(client.giveFeedback({ score: 5 })).rejects.toMatchObject({
      code: 'invalid_input',
    });
  });
});

function performance(change: object): object {
  return {
    agent_id: 'echo',
    task_type: 'hello',
    task_description: 'say hello',
    success: true,
    execution_time_ms: 12,
    ...change,
  };
}
