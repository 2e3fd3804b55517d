import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Invocation } from '../../src/agents/agents.ts';
import { createA2aRuntime } from '../../src/agents/runtimes/a2a.ts';
import { AppError, createLog, systemClock } from '../../src/base/base.ts';
import { createOutbound } from '../../src/outbound/outbound.ts';
import { createTestExecutor, type TestExecutor } from '../support/a2a-executor.ts';
import { startA2aPeer, type A2aPeer } from '../support/a2a-peer.ts';
import { callOf, failureOf, parsePeer, peerOf, type Fields } from '../support/peer-agents.ts';

let streaming: A2aPeer;
let polled: A2aPeer;
let rest: A2aPeer;
/** Answers by hand, for what no proper agent does. */
let odd: Server;
let oddUrl: string;
let answerOdd: (response: ServerResponse, request: IncomingMessage) => void = (response) =>
  response.end();
const executor: TestExecutor = createTestExecutor();
const outbound = createOutbound({ allow: [] });
const runtime = createA2aRuntime({
  packageRoot: import.meta.dirname,
  environment: { KEY: 'very-secret-key' },
  clock: systemClock,
  log: createLog({ level: 'silent' }),
  outbound,
});

beforeAll(async () => {
  streaming = await startA2aPeer({ executor, streaming: true });
  polled = await startA2aPeer({
    executor,
    streaming: false,
    card: { defaultInputModes: ['text/plain'] },
  });
  rest = await startA2aPeer({ executor, streaming: true, binding: 'HTTP+JSON' });
  odd = createServer((request, response) => answerOdd(response, request));
  odd.listen(0, '127.0.0.1');
  await once(odd, 'listening');
  oddUrl = `http://127.0.0.1:${(odd.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await outbound.close();
  await streaming.close();
  await polled.close();
  await rest.close();
  odd.closeAllConnections();
  odd.close();
});

function parse(runtimeFields: Fields) {
  return parsePeer({ kind: 'a2a', ...runtimeFields }, { requires: { environment: ['KEY'] } });
}
const agentOf = (fields: Fields) => peerOf(parse(fields));
function run(fields: Fields, input: unknown, more: Partial<Invocation> = {}) {
  return runtime.run(callOf(agentOf(fields), { input, ...more }));
}

describe.each([
  ['with a stream', () => streaming],
  ['without one', () => polled],
  ['over HTTP+JSON', () => rest],
] as const)('an agent %s', (_how, peer) => {
  const ask = (input: unknown, more: Partial<Invocation> = {}) =>
    run({ url: peer().url }, input, more);

  test.each([
    ['message', 'hello\nyou'],
    ['said', 'all is well'],
    ['pieces', 'Hello'],
    ['data', { n: 1 }],
    [
      'two',
      [
        { name: 'a', output: 'one' },
        { name: 'b', output: [2] },
      ],
    ],
  ] as const)('gives what came of %s', async (wanted, output) => {
    const result = await ask(wanted);
    expect(result.output).toEqual(output);
    expect(result.usage.wallMs).toBeGreaterThanOrEqual(0);
  });

  test.each([
    ['fail', true, 'failed: out of luck'],
    ['reject', false, 'refused the task: not my field'],
    ['ask', false, 'asks for more than it was given: which branch?'],
    ['login', false, 'asks somebody to sign in: sign in first'],
  ] as const)('that ends with %s has failed', async (wanted, retryable, message) => {
    expect(await failureOf(ask(wanted))).toMatchObject({
      code: 'agent_failed',
      retryable,
      message: `agent peer ${message}`,
    });
  });

  test('is told to stop when its call is cancelled, and has no more than its time', async () => {
    const controller = new AbortController();
    const onProgress = (line: string): void => {
      if (line.includes('thinking')) controller.abort(new AppError('cancelled', 'stop it'));
    };
    const before = executor.cancelled.length;
    const stopped = failureOf(ask('wait', { signal: controller.signal, onProgress }));
    expect(await stopped).toMatchObject({ code: 'cancelled', message: 'stop it' });
    expect(executor.cancelled.length).toBe(before + 1);
    expect(await failureOf(ask('wait', { timeoutMs: 300 }))).toMatchObject({ code: 'timeout' });
  });

  test('is sent its version, a key for the task, and headers with secrets', async () => {
    const headers = { authorization: 'Bearer ${secret.KEY}' };
    await run({ url: peer().url, headers }, 'said');
    expect(peer().calls.at(-1)?.headers).toMatchObject({
      'a2a-version': '1.0',
      'idempotency-key': 'run/task',
      authorization: 'Bearer very-secret-key',
    });
  });
});

describe('a message', () => {
  test('is a text, or data, or JSON for who reads texts only', async () => {
    await run({ url: streaming.url, message: 'said' }, {});
    expect(executor.received()[0]?.content).toEqual({ $case: 'text', value: 'said' });
    await run({ url: streaming.url }, { do: 'said', n: 1 });
    expect(executor.received()[0]?.content).toEqual({
      $case: 'data',
      value: { do: 'said', n: 1 },
    });
    await run({ url: polled.url }, { n: 1 });
    expect(executor.received()[0]?.content).toEqual({ $case: 'text', value: '{"n":1}' });
  });
});

describe('a stream', () => {
  test('tells what the agent says while it works', async () => {
    const told: string[] = [];
    await run({ url: streaming.url }, 'pieces', { onProgress: (line) => told.push(line) });
    expect(told).toEqual([
      'submitted',
      'working: thinking',
      'artifact a: Hel',
      'artifact a: lo',
      'completed',
    ]);
  });

  test('that is cut is gone on with by asking for its task', async () => {
    streaming.cutAfter(2);
    const told: string[] = [];
    const before = streaming.calls.length;
    const result = run({ url: streaming.url }, 'wait', { onProgress: (line) => told.push(line) });
    await vi.waitFor(() =>
      expect(streaming.calls.slice(before).map(({ method }) => method)).toContain('GetTask'),
    );
    executor.release();
    expect((await result).output).toBe('Hello');
    expect(told).toContain('working: thinking');
  });
});

const json = (response: ServerResponse, value: unknown): void =>
  void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
const offer = (url: string, protocolVersion = '1.0', protocolBinding = 'JSONRPC') => ({
  name: 'odd',
  supportedInterfaces: [{ url, protocolBinding, protocolVersion }],
});
const askOdd = (more: Fields = {}) => failureOf(run({ url: oddUrl, ...more }, 'said'));

describe('a card', () => {
  test('that leads to a host which nobody named is refused, public or not', async () => {
    for (const url of ['http://10.0.0.1/', 'http://192.5.6.30/', 'http://169.254.169.254/']) {
      answerOdd = (response) => json(response, offer(url));
      expect(await askOdd()).toMatchObject({ code: 'outbound_refused' });
    }
    answerOdd = (response) => json(response, offer(streaming.url));
    expect(await askOdd()).toMatchObject({ code: 'outbound_refused' });
    const allow = [new URL(streaming.url).host];
    expect((await run({ url: oddUrl, allow }, 'said')).output).toBe('all is well');
  });

  test('is kept for the next call, until one that goes by it finds nobody', async () => {
    const leaving = await startA2aPeer({ executor, streaming: true });
    const allow = [leaving.url, streaming.url].map((url) => new URL(url).host);
    let cards = 0;
    let to = leaving.url;
    answerOdd = (response) => {
      cards += 1;
      json(response, offer(to));
    };
    const ask = async (input: string) =>
      (await run({ url: `${oddUrl}/kept`, allow }, input)).output;
    expect([await ask('said'), await ask('said'), cards]).toEqual([
      'all is well',
      'all is well',
      1,
    ]);
    await leaving.close();
    to = streaming.url;
    expect([await ask('said'), cards]).toEqual(['all is well', 2]);
  });

  test('is no reason to send a task again that the agent has refused', async () => {
    const before = streaming.calls.length;
    const refused = () =>
      failureOf(run({ url: streaming.url, message: '${input.a}' }, { a: 'reject' }));
    expect((await run({ url: streaming.url, message: '${input.a}' }, { a: 'said' })).output).toBe(
      'all is well',
    );
    expect(await refused()).toMatchObject({ message: 'agent peer refused the task: not my field' });
    expect(streaming.calls.length - before).toBe(2);
  });

  test('is looked for in its well-known place, or at the address of a file', async () => {
    const asked: (string | undefined)[] = [];
    answerOdd = (response, request) => {
      asked.push(request.url);
      response.writeHead(404).end();
    };
    for (const path of ['', '/', '/a2a/one', '/a2a/one/', '/cards/one.json']) {
      const error = await askOdd({ url: `${oddUrl}${path}` });
      expect(error).toMatchObject({ code: 'agent_failed', retryable: false });
      expect(error.message).toContain('404');
    }
    const known = '.well-known/agent-card.json';
    expect(asked).toEqual([
      `/${known}`,
      `/${known}`,
      `/a2a/one/${known}`,
      `/a2a/one/${known}`,
      '/cards/one.json',
    ]);
  });

  test('that redirects to where credentials are handed out is refused', async () => {
    answerOdd = (response) =>
      response.writeHead(302, { location: 'http://169.254.169.254/latest/' }).end();
    expect(await askOdd()).toMatchObject({ code: 'outbound_refused' });
  });

  test('of megabytes is cut', async () => {
    answerOdd = (response) => json(response, { name: 'x'.repeat(3_000_000) });
    expect(await askOdd()).toMatchObject({ code: 'agent_output_too_large' });
  });

  test.each([
    ['no card', {}, 'no agent card'],
    ['null', null, 'no agent card'],
    ['nonsense', { supportedInterfaces: [null] }, 'no agent card'],
    ['an older version', offer('http://127.0.0.1/', '0.3'), 'JSONRPC 0.3'],
    ['another binding', offer('http://127.0.0.1/', '1.0', 'GRPC'), 'GRPC 1.0'],
  ] as const)('that is %s is a failure that says so', async (_what, card, message) => {
    answerOdd = (response) => json(response, card);
    const error = await askOdd();
    expect(error).toMatchObject({ code: 'agent_failed', retryable: false });
    expect(error.message).toContain(message);
  });

  test('of an agent that does not speak A2A leads to failures in plain words', async () => {
    const talk = async (reply: (response: ServerResponse) => void) => {
      answerOdd = (response, request) => {
        if (request.method === 'GET') json(response, offer(oddUrl));
        else reply(response);
      };
      return askOdd({ headers: { 'x-key': '${secret.KEY}' } });
    };
    expect(await talk((response) => response.end('<html>'))).toMatchObject({
      code: 'agent_failed',
      message: expect.stringContaining('no A2A'),
    });
    const busy = await talk((response) => response.writeHead(429, { 'retry-after': '3' }).end());
    expect(busy).toMatchObject({ code: 'agent_busy', details: { retryAfterMs: 3_000 } });
    const error = { code: -32602, message: 'bad very-secret-key' };
    expect(
      await talk((response) => json(response, { jsonrpc: '2.0', id: 1, error })),
    ).toMatchObject({
      code: 'agent_failed',
      retryable: false,
      message: 'agent peer answered with an error: bad [secret KEY]',
    });
    expect(await talk((response) => response.destroy())).toMatchObject({
      code: 'agent_failed',
      retryable: true,
      message: `${oddUrl}: the connection was cut`,
    });
  });
});

const check = (url: string) => runtime.check(agentOf({ url }), AbortSignal.timeout(5_000));

test('a check asks nothing of the agent', async () => {
  const before = streaming.calls.length;
  expect(await check(streaming.url)).toEqual({ ok: true });
  expect(await check('http://169.254.169.254/')).toMatchObject({ state: 'unavailable' });
  expect(streaming.calls.length).toBe(before);
});

test.each([
  [{ url: 'http://x/${input.a}' }, /must hold no expression/],
  [{ url: 'x' }, /url must begin with http/],
  [{ url: 'http://x/', message: '${secret.OTHER}' }, /OTHER is not listed/],
  [{ url: 'http://x/', headers: { connection: 'close' } }, /belongs to the connection/],
  [{ url: 'http://x/', tool: 'y' }, /unknown field tool/],
  [{}, /url is missing/],
])('the definition %j is refused', (fields, message) => {
  const { definition, problems } = parse(fields);
  expect(definition).toBeUndefined();
  expect(problems.map((problem) => problem.message).join('; ')).toMatch(message);
});
