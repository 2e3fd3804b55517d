import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AgentFailure, Invocation } from '../../src/agents/agents.ts';
import { verifyOutput } from '../../src/agents/verify.ts';
import { createHttpRuntime } from '../../src/agents/runtimes/http.ts';
import { AppError, systemClock } from '../../src/base/base.ts';
import { createOutbound } from '../../src/outbound/outbound.ts';
import { callOf, failureOf, parsePeer, peerOf, type Fields } from '../support/peer-agents.ts';

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}
type Answer = (response: ServerResponse, request: Seen) => void;

let server: Server;
let base: string;
let port: number;
/** What the server does next; each test says it. */
let answer: Answer = (response) => response.end();
const seen: Seen[] = [];
const outbound = createOutbound({ allow: [] });
const secret = 'open "sesame"/42';
const runtime = createHttpRuntime({
  packageRoot: import.meta.dirname,
  environment: { KEY: secret, UNUSED: 'x' },
  clock: systemClock,
  outbound,
});

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const one = { method, url, headers, body: Buffer.concat(chunks).toString() };
      seen.push(one);
      answer(response, one);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
  base = `http://127.0.0.1:${port}`;
});
afterAll(async () => {
  await outbound.close();
  server.closeAllConnections();
  server.close();
});

function parse(runtimeFields: Fields, own: Fields = {}) {
  return parsePeer({ kind: 'http', ...runtimeFields }, own);
}
function agentOf(runtimeFields: Fields, own: Fields = {}) {
  return peerOf(parse({ url: `${base}/do`, ...runtimeFields }, own));
}
function run(
  runtimeFields: Fields,
  { own = {}, ...more }: Partial<Invocation> & { own?: Fields } = {},
) {
  return runtime.run(callOf(agentOf(runtimeFields, own), more));
}
const json = (value: unknown, status = 200, headers: Fields = {}): Answer => {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers } as never);
    response.end(JSON.stringify(value));
  };
};
const raw = (body: string | Buffer, type: string, headers: Fields = {}): Answer => {
  return (response) => {
    response.writeHead(200, { 'content-type': type, ...headers } as never).end(body);
  };
};
const stream = (parts: readonly string[], type = 'text/event-stream', cut = false): Answer => {
  return (response) => {
    response.writeHead(200, { 'content-type': type });
    for (const part of parts) response.write(part);
    // The kernel has what was written before the connection is cut.
    if (cut) setImmediate(() => response.destroy());
    else response.end();
  };
};
const check = (fields: Fields, own: Fields = {}) =>
  runtime.check(agentOf(fields, own), AbortSignal.timeout(5_000));
const keyed = { requires: { environment: ['KEY'] } };

describe('what is asked', () => {
  test('the input as JSON, with a key that is the same for every attempt', async () => {
    answer = json({ ok: true });
    const { output, usage } = await run({}, { input: { a: [1] } });
    expect(output).toEqual({ ok: true });
    expect(usage).toEqual({ wallMs: expect.any(Number), outputBytes: 11 });
    expect(seen.at(-1)).toMatchObject({
      method: 'POST',
      url: '/do',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'run/task' },
      body: '{"a":[1]}',
    });
  });

  test('a body, an address and headers from templates, secrets among them', async () => {
    answer = json(1);
    await run(
      {
        method: 'PUT',
        url: `${base}/a/\${input.id}?q=\${input.q}`,
        headers: { Authorization: 'Bearer ${secret.KEY}', 'x-n': '${input.n}' },
        body: { key: '${secret.KEY}', deep: ['${input.n}'] },
      },
      { input: { id: 'x/../y?z#', q: 'a&b=c', n: 7 }, own: keyed },
    );
    expect(seen.at(-1)).toMatchObject({
      method: 'PUT',
      url: '/a/x%2F..%2Fy%3Fz%23?q=a%26b%3Dc',
      headers: { authorization: `Bearer ${secret}`, 'x-n': '7' },
      body: JSON.stringify({ key: secret, deep: [7] }),
    });
  });

  test('a text as it is, and nothing at all with GET', async () => {
    answer = json(1);
    await run({ body: 'say ${input.a}' }, { input: { a: 'it' } });
    expect(seen.at(-1)).toMatchObject({
      body: 'say it',
      headers: { 'content-type': 'text/plain; charset=utf-8' },
    });
    await run({ method: 'GET' });
    expect(seen.at(-1)).toMatchObject({ method: 'GET', body: '' });
    expect(seen.at(-1)?.headers['idempotency-key']).toBeUndefined();
  });

  test('nothing where a value would break out of its header or its place', async () => {
    const before = seen.length;
    for (const value of ['a\r\nx-evil: 1', 'a\nb', 'a\0b', 'snow ☃']) {
      const made = run({ headers: { 'x-a': '-${input.v}-' } }, { input: { v: value } });
      expect(await failureOf(made)).toMatchObject({ code: 'invalid_input' });
    }
    for (const value of ['.', '..']) {
      const made = run({ url: `${base}/a/\${input.v}/b` }, { input: { v: value } });
      expect(await failureOf(made)).toMatchObject({ code: 'invalid_input' });
    }
    expect(seen.length).toBe(before);
  });
});

describe('where it may lead', () => {
  test('a host from an expression is one of those that are listed', async () => {
    answer = json('here');
    const fields = {
      url: 'http://${input.host}:${input.port}/x',
      allow: ['127.0.0.1', 'localhost'],
    };
    const ask = (host: string) => run(fields, { input: { host, port } });
    expect((await ask('localhost')).output).toBe('here');
    const refused = { code: 'outbound_refused' };
    for (const host of ['192.5.6.30', '10.0.0.1', '169.254.169.254']) {
      expect(await failureOf(ask(host))).toMatchObject(refused);
    }
    for (const host of ['evil.example/#', 'a@127.0.0.1', '127.0.0.1:80/']) {
      expect(await failureOf(ask(host))).toMatchObject({ code: 'invalid_input' });
    }
    const whole = { url: '${input.url}', allow: [`127.0.0.1:${port}`] };
    expect((await run(whole, { input: { url: `${base}/any?thing` } })).output).toBe('here');
    expect(seen.at(-1)?.url).toBe('/any?thing');
    const elsewhere = run(whole, { input: { url: 'http://192.5.6.30/' } });
    expect(await failureOf(elsewhere)).toMatchObject(refused);
  });

  test.each([
    'http://169.254.169.254/latest/meta-data/',
    'http://10.0.0.1/',
    'http://localhost:18080/',
  ])('a redirect to %s is refused', async (location) => {
    answer = (response) => response.writeHead(302, { location }).end();
    expect(await failureOf(run({ method: 'GET' }))).toMatchObject({ code: 'outbound_refused' });
  });
});

describe('what is answered', () => {
  test('a part of it by a pointer, and what it has cost', async () => {
    answer = json({ 'a/b': [{ '~': 'it' }], usage: { in: 3, out: 4.5, usd: 0.000_001_5 } });
    const fields = {
      select: '/a~1b/0/~0',
      usage: { tokens: ['/usage/in', '/usage/out'], usd: '/usage/usd' },
    };
    const { output, usage } = await run(fields);
    expect(output).toBe('it');
    expect(usage).toMatchObject({ tokens: 8, microUsd: 2 });
    const missing = { select: '/a~1b/1', usage: { tokens: ['/usage/in', '/usage/no'] } };
    expect(await failureOf(run(missing))).toMatchObject({
      code: 'agent_output_invalid',
      message: expect.stringContaining('/a~1b/1'),
    });
    const { usage: unknown } = await run({ usage: missing.usage });
    expect(unknown).not.toHaveProperty('tokens');
  });

  test('text in its charset', async () => {
    answer = raw(Buffer.from('gr\xfc\xdfe', 'latin1'), 'text/plain; charset="ISO-8859-1"');
    expect((await run({ answer: 'text' })).output).toBe('grüße');
    answer = raw(Buffer.from([0xff, 0x41]), 'text/plain');
    expect((await run({ answer: 'text' })).output).toBe('\ufffdA');
    answer = raw('x', 'text/plain; charset=klingon');
    expect(await failureOf(run({ answer: 'text' }))).toMatchObject({
      code: 'agent_output_invalid',
    });
  });

  test('nothing, where the status says that there is nothing', async () => {
    answer = (response) => response.writeHead(204).end();
    expect((await run({ status: [204] })).output).toBeNull();
    answer = json({ gone: true }, 404);
    expect((await run({ status: [200, 404] })).output).toEqual({ gone: true });
    answer = json(1);
    expect(await failureOf(run({ status: [204] }))).toMatchObject({ code: 'agent_failed' });
  });

  test.each([
    ['no JSON', raw('{"a":', 'application/json'), /line 1, column/],
    ['nothing', raw('', 'application/json'), /wrote nothing/],
    ['a page', raw('<html>"ok"</html>', 'text/html'), /text\/html, not JSON/],
    ['a page that parses', raw('1', 'text/html'), /text\/html, not JSON/],
    ['wrong UTF-8', raw(Buffer.from([0x22, 0xff, 0x22]), 'application/json'), /not utf-8/],
    ['a million brackets', raw('['.repeat(1_000_000), 'application/json'), /no valid JSON/],
    ['depth', raw('['.repeat(9_000) + ']'.repeat(9_000), 'application/json'), /nested/],
  ] as const)('%s is a failure', async (_what, given, message) => {
    answer = given;
    const error = await failureOf(run({}));
    expect(error).toMatchObject({ code: 'agent_output_invalid' });
    expect(error.message).toMatch(message);
  });

  test('an image is no text', async () => {
    answer = raw(Buffer.from([1, 2, 3]), 'image/png');
    expect(await failureOf(run({ answer: 'text' }))).toMatchObject({
      code: 'agent_output_invalid',
    });
  });

  test('an error in an answer with status 200 is found by its check', async () => {
    answer = json({ error: 'no quota' });
    const verify = { schema: { type: 'object', required: ['result'] } };
    const agent = agentOf({}, { verify });
    const { output } = await run({});
    await expect(verifyOutput(agent, output, {})).rejects.toMatchObject({
      code: 'agent_output_invalid',
    });
  });
});

describe('answers that come in events', () => {
  test('are told as they come, and the last one is the answer', async () => {
    answer = stream([
      ': hello\n\nevent: step\nda',
      'ta: {"n":1}\r\n\r\ndata: {"n":\ndata: 2}\n\n',
      'id: 7\ndata: [DONE]\n\n',
    ]);
    const told: string[] = [];
    const result = await run(
      { answer: 'events', select: '/n' },
      { onProgress: (text) => told.push(text) },
    );
    expect(result.output).toBe(2);
    expect(told).toEqual(['{"n":1}', '{"n":', '2}']);
  });

  test('may be lines of JSON, texts, or plain JSON after all', async () => {
    answer = stream(['{"a":1}\n\n{"a"', ':2}'], 'application/x-ndjson');
    expect((await run({ answer: 'events' })).output).toEqual({ a: 2 });
    answer = stream(['data: almost\n\ndata: done with it\n\n']);
    expect((await run({ answer: 'events' })).output).toBe('done with it');
    answer = json({ a: 3 });
    expect((await run({ answer: 'events' })).output).toEqual({ a: 3 });
  });

  test('that report an error, bring nothing, or break off are failures', async () => {
    answer = stream(['data: 1\n\nevent: error\ndata: out of memory\n\n']);
    expect(await failureOf(run({ answer: 'events' }))).toMatchObject({
      code: 'agent_failed',
      message: expect.stringContaining('out of memory'),
    });
    answer = stream([': nothing\n\n']);
    expect(await failureOf(run({ answer: 'events' }))).toMatchObject({
      code: 'agent_output_invalid',
    });
    answer = stream(['data: half\n\n'], 'text/event-stream', true);
    const cut = await failureOf(run({ answer: 'events' }));
    expect(cut).toMatchObject({
      code: 'agent_failed',
      retryable: true,
      message: `${base}: the connection was cut`,
    });
    answer = raw('<html>', 'text/html');
    expect(await failureOf(run({ answer: 'events' }))).toMatchObject({
      code: 'agent_output_invalid',
    });
  });
});

describe('refusals', () => {
  test('say what the peer says, and whether another try may help', async () => {
    for (const [status, retryable] of [
      [400, false],
      [404, false],
      [408, true],
      [429, true],
      [500, true],
      [501, false],
      [503, true],
    ] as const) {
      answer = json({ title: 'Bad', detail: 'the lot' }, status, {
        'content-type': 'application/problem+json',
      });
      const error = await failureOf(run({}));
      expect(error).toMatchObject({ code: 'agent_failed', retryable, details: { status } });
      expect(error.message).toMatch(/answered \d+ .*: Bad: the lot$/);
    }
  });

  test.each(['429', '503'])('%s with a time is being busy until then', async (status) => {
    const ask = async (retryAfter: string) => {
      answer = json({}, Number(status), { 'retry-after': retryAfter });
      return failureOf(run({}));
    };
    expect(await ask('7')).toMatchObject({ code: 'agent_busy', details: { retryAfterMs: 7_000 } });
    expect(await ask('0')).toMatchObject({ details: { retryAfterMs: 1_000 } });
    expect(await ask('99999999999')).toMatchObject({ details: { retryAfterMs: 86_400_000 } });
    const { details } = await ask(new Date(Date.now() + 3_600_000).toUTCString());
    expect(details['retryAfterMs']).toBeGreaterThan(3_000_000);
    expect(await ask('soon')).toMatchObject({ code: 'agent_failed', retryable: true });
  });

  test('that quote the secret are told without it', async () => {
    answer = (response, request) => {
      const said = { message: `wrong key ${request.headers.authorization} ${request.body}` };
      response.writeHead(401, { 'content-type': 'application/json' });
      response.end(JSON.stringify(said));
    };
    const fields = {
      headers: { authorization: 'Bearer ${secret.KEY}' },
      body: { key: '${secret.KEY}', encoded: Buffer.from(secret).toString('base64') },
    };
    const error = await failureOf(run(fields, { own: keyed }));
    expect(error.message).toContain('[secret KEY]');
    const told = JSON.stringify([error.message, error.details, error.remedy, error.stack]);
    for (const form of ['sesame', Buffer.from(secret).toString('base64')]) {
      expect(told).not.toContain(form);
    }
    answer = (response, request) => response.end(JSON.stringify(request.headers.authorization));
    expect((await run(fields, { own: keyed })).output).toBe('Bearer [secret KEY]');
  });
});

describe('limits', () => {
  test('an answer without an end is cut where it is too large, while it comes', async () => {
    let sent = 0;
    let closed: Promise<unknown> = Promise.resolve();
    answer = (response) => {
      closed = once(response, 'close');
      response.writeHead(200, { 'content-type': 'text/plain' });
      const more = (): void => {
        sent += 65_536;
        if (response.write('x'.repeat(65_536))) setImmediate(more);
        else response.once('drain', more);
      };
      more();
    };
    const error = await failureOf(run({ answer: 'text', limits: { responseMb: 1 } }));
    expect(error).toMatchObject({ code: 'agent_output_too_large' });
    expect((error as AgentFailure).usage?.outputBytes).toBeLessThanOrEqual(1_048_576);
    await closed;
    // Beyond the limit there is only what was on its way.
    expect(sent).toBeLessThan(32 * 1_048_576);
  });

  test('a small answer that becomes a large one when it is decompressed is cut, too', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1_048_576));
    expect(bomb.length).toBeLessThan(100_000);
    answer = raw(bomb, 'text/plain', { 'content-encoding': 'gzip' });
    const error = await failureOf(run({ answer: 'text', limits: { responseMb: 2 } }));
    expect(error).toMatchObject({ code: 'agent_output_too_large' });
    answer = raw('no gzip', 'text/plain', { 'content-encoding': 'gzip' });
    expect(await failureOf(run({ answer: 'text' }))).toMatchObject({
      code: 'agent_failed',
      retryable: false,
    });
  });

  test('an answer that never comes to its end takes no longer than its time', async () => {
    let closed: Promise<unknown> = Promise.resolve();
    answer = (response) => {
      closed = once(response, 'close');
      response.writeHead(200, { 'content-type': 'text/plain' });
      response.write('so far');
    };
    const error = await failureOf(run({ answer: 'text' }, { timeoutMs: 300 }));
    expect(error).toMatchObject({ code: 'timeout' });
    await closed;
  });

  test('a text that is cut fails, and what had come of it is kept', async () => {
    answer = stream(['so far'], 'text/plain', true);
    const error = await failureOf(run({ answer: 'text' }));
    expect(error).toMatchObject({ code: 'agent_failed', retryable: true, partial: 'so far' });
  });

  test('a cancelled call ends the request, before and during its answer', async () => {
    for (const begins of [false, true]) {
      const controller = new AbortController();
      let closed: Promise<unknown> = Promise.resolve();
      answer = (response) => {
        closed = once(response, 'close');
        if (begins) response.write('x');
        controller.abort(new AppError('cancelled', 'somebody said stop'));
      };
      const error = await failureOf(run({ answer: 'text' }, { signal: controller.signal }));
      expect(error).toMatchObject({ code: 'cancelled', message: 'somebody said stop' });
      await closed;
    }
    const before = seen.length;
    expect(await failureOf(run({}, { signal: AbortSignal.abort() }))).toMatchObject({
      code: 'cancelled',
    });
    expect(seen.length).toBe(before);
  });
});

describe('a check', () => {
  test('asks nothing, and says what is missing', async () => {
    const before = seen.length;
    expect(await check({})).toEqual({ ok: true });
    expect(await check({ url: '${input.url}', allow: ['example.org'] })).toEqual({ ok: true });
    expect(await check({}, keyed)).toEqual({ ok: true });
    expect(await check({}, { requires: { environment: ['NOT_SET'] } })).toMatchObject({
      state: 'unavailable',
      reason: expect.stringContaining('NOT_SET'),
    });
    expect(await check({ url: 'http://169.254.169.254/' })).toMatchObject({
      state: 'unavailable',
      reason: expect.stringContaining('credentials'),
    });
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const closed = (other.address() as AddressInfo).port;
    other.close();
    await once(other, 'close');
    expect(await check({ url: `http://127.0.0.1:${closed}/` })).toMatchObject({
      state: 'unavailable',
      reason: expect.stringContaining('nobody listens there'),
    });
    expect(seen.length).toBe(before);
  });
});

test.each([
  [{ url: 'ftp://x/' }, /url must begin with http/],
  [{ url: 'http://me:pw@x/' }, /must not hold a password/],
  [{ url: 'http://${input.host}/' }, /allow names nothing/],
  [{ url: 'http://api.example.org${input.rest}/' }, /allow names nothing/],
  [{ url: '${input.url}' }, /allow names nothing/],
  [{ url: 'http://a b/' }, /no address of a host/],
  [{ url: 'http://x/?k=${secret.KEY}' }, /holds a secret/],
  [{ url: 'http://x/${inptu.a}' }, /expressions begin with/],
  [{ url: 'http://x/', headers: { host: 'y' } }, /belongs to the connection/],
  [{ url: 'http://x/', headers: { 'a b': 'y' } }, /no name of a header/],
  [{ url: 'http://x/', headers: { a: 'x\ny' } }, /one line/],
  [{ url: 'http://x/', headers: { a: '${secret.OTHER}' } }, /OTHER is not listed/],
  [{ url: 'http://x/', body: { a: ['${secret.OTHER}'] } }, /OTHER is not listed/],
  [{ url: 'http://x/', allow: ['http://y'] }, /names nothing that can be reached/],
  [{ url: 'http://x/', method: 'GET', body: {} }, /can not be sent with GET/],
  [{ url: 'http://x/', select: 'a/b' }, /JSON pointer/],
  [{ url: 'http://x/', select: '/a', answer: 'text' }, /needs an answer that is JSON/],
  [{ url: 'http://x/', limits: { responseMb: 0 } }, /from 1 to 1024/],
  [{ url: 'http://x/', metod: 'GET' }, /unknown field metod/],
  [{}, /url is missing/],
])('the definition %j is refused', (fields, message) => {
  const { definition, problems } = parse(fields, keyed);
  expect(definition).toBeUndefined();
  expect(problems.map((problem) => problem.message).join('; ')).toMatch(message);
});
