import { request as send } from 'node:http';
import { text } from 'node:stream/consumers';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/base/base.ts';
import { openTestBridge, testToken, type TestBridge } from '../support/bridge.ts';

let bridge: TestBridge;
let runId = '';
beforeAll(async () => {
  bridge = await openTestBridge();
  const run = await bridge.client.startRun({ workflow: 'hello' });
  runId = run.id;
  await bridge.client.waitForRun(runId);
});
afterAll(async () => {
  await bridge.end();
});

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** By hand: `fetch` would refuse or repair half of what is sent here. */
function answerTo({
  method,
  path,
  headers,
  body,
}: Sent): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = send(
      { host: '127.0.0.1', port: bridge.port, method, path, headers, agent: false },
      (response) => {
        text(response).then(
          (answer) => resolve({ status: response.statusCode ?? 0, body: answer }),
          reject,
        );
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

/** Anything that may stand in a request line, much of it encoded wrongly. */
const odd = fc.oneof(
  fc.string({ unit: 'binary' }).map(encodeURIComponentOr),
  fc.string({ unit: 'grapheme-ascii' }).map((word) => word.replaceAll(/[\s#?/]/g, '')),
  fc.constantFrom(
    '%00',
    '%zz',
    '..',
    '%2e%2e%2f',
    "'",
    '"',
    '$1',
    '-1',
    '1e9',
    'null',
    '%ff',
    '__proto__',
    'constructor',
  ),
  fc.string({ minLength: 500, maxLength: 600, unit: fc.constantFrom('a', '9') }),
);

/** Node frames the bodies of some methods only when it is told their length. */
function lengthOf(word: string): string {
  return String(Buffer.byteLength(word));
}

function encodeURIComponentOr(word: string): string {
  return word.isWellFormed() ? encodeURIComponent(word) : '%ED%A0%80';
}

const id = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom('RUN', 'hello', 'echo') },
  fc.constant(newId()),
  odd,
);
const segment = (name: string) => id.map((value) => `/api/v1/${name}/${value}`);
const path = fc.oneof(
  fc.constantFrom(
    '/',
    '/health',
    '/agents',
    '/status',
    '/openapi.json',
    '/login',
    '/favicon.svg',
    '//',
    '*',
  ),
  fc.constantFrom(
    '/api/v1/runs',
    '/api/v1/workflows',
    '/api/v1/agents',
    '/api/v1/agents/problems',
    '/api/v1/system/status',
    '/api/v1/login-links',
    '/api/v1/breakers',
    '/api/v1/budgets',
  ),
  segment('runs'),
  segment('workflows'),
  segment('agents'),
  segment('runs').map((start) => `${start}/events`),
  // Without a wait: a run that goes on would hold the test.
  segment('runs').map((start) => `${start}/wait?timeoutSeconds=0&x=1`),
  segment('runs').map((start) => `${start}/cancel`),
  segment('runs').map((start) => `${start}/retry`),
  segment('agents').map((start) => `${start}/invoke`),
  segment('breakers').map((start) => `${start}/reset`),
  segment('budgets'),
  segment('budgets').map((start) => `${start}/use`),
  odd.map((word) => `/${word}`),
);
const queryName = fc.oneof(
  fc.constantFrom(
    'after',
    'limit',
    'status',
    'workflow',
    'cursor',
    'plan',
    'timeoutSeconds',
    'code',
    'state',
    'by',
    '__proto__',
  ),
  odd,
);
const query = fc.array(
  fc.tuple(queryName, fc.oneof(odd, fc.constantFrom('0', '1', 'true', 'running', 'hello'))),
  { maxLength: 4 },
);
const headerValue = fc.oneof(
  fc.string({ maxLength: 300, unit: fc.constantFrom(...'abc019 -"{},;=/\t\u00e9') }),
  fc.constantFrom('text/event-stream', 'application/json', '*', '"', '-1', '99999999999999999999'),
);
const headers = fc.dictionary(
  fc.constantFrom(
    'accept',
    'x-request-id',
    'traceparent',
    'if-none-match',
    'idempotency-key',
    'last-event-id',
    'cookie',
    'origin',
    'sec-fetch-site',
    'accept-version',
    'expect',
    'range',
    'content-encoding',
    'x-http-method-override',
    'host',
  ),
  headerValue,
  { maxKeys: 4 },
);
/** What PostgreSQL does not take in a text or in JSON. */
const nasty = fc.constantFrom('\0', 'a\0b', '\ud800', '\udc00\ud800', '\uffff');
const body = fc.oneof(
  nasty.map((who) => JSON.stringify({ workflow: 'hello', input: { who } })),
  nasty.map((reason) => JSON.stringify({ reason })),
  nasty.map((input) => JSON.stringify({ input })),
  fc.json({ stringUnit: 'binary' }),
  fc.string({ unit: 'binary' }),
  fc
    .record(
      {
        workflow: fc.oneof(
          fc.constantFrom('hello', 'failing', 'healing'),
          fc.string({ unit: 'binary' }),
        ),
        input: fc.oneof(fc.object({ stringUnit: 'binary' }), fc.jsonValue()),
        priority: fc.oneof(fc.integer(), fc.double(), fc.string()),
        reason: fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue()),
        timeoutSeconds: fc.double(),
        period: fc.oneof(fc.constantFrom('day', 'forever'), fc.string({ unit: 'binary' })),
        limits: fc.dictionary(
          fc.constantFrom('microUsd', 'tokens', 'ms', 'concurrency', '__proto__'),
          fc.oneof(fc.constant(null), fc.double(), fc.nat(), fc.string()),
        ),
      },
      { requiredKeys: [] },
    )
    .map((value) => JSON.stringify(value)),
);

const request: fc.Arbitrary<Sent> = fc
  .record({
    method: fc.constantFrom(
      'GET',
      'GET',
      'POST',
      'POST',
      'PUT',
      'DELETE',
      'PATCH',
      'HEAD',
      'OPTIONS',
    ),
    path,
    query,
    headers,
    type: fc.constantFrom(
      'application/json',
      'application/json',
      'application/json; charset=latin1',
      'text/plain',
      '',
      ';',
    ),
    isAuthorized: fc.integer({ min: 0, max: 9 }).map((roll) => roll > 0),
    body,
  })
  .map((parts) => {
    const search = parts.query.map(([name, value]) => `${name}=${value}`).join('&');
    const glue = parts.path.includes('?') ? '&' : '?';
    const sendsBody = parts.method !== 'GET' && parts.method !== 'HEAD';
    return {
      method: parts.method,
      path: (parts.path + (search === '' ? '' : glue + search)).replaceAll('RUN', runId),
      headers: {
        ...parts.headers,
        ...(parts.isAuthorized ? { authorization: `Bearer ${testToken}` } : {}),
        ...(sendsBody
          ? { 'content-type': parts.type, 'content-length': lengthOf(parts.body) }
          : {}),
      },
      body: sendsBody ? parts.body : '',
    };
  });

test(
  'no request makes the server fail, or show anything of its inside',
  { timeout: 240_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(request, async (sent) => {
        // Only what HTTP can carry at all is a request.
        fc.pre(/^[\x21-\x7e]+$/.test(sent.path));
        const { status, body: answer } = await answerTo(sent);
        expect(status).toBeGreaterThanOrEqual(200);
        expect(status).toBeLessThan(500);
        expect(answer).not.toMatch(/\n\s+at |node:internal|\.ts:\d|FST_ERR/);
        expect(answer).not.toContain(testToken);
      }),
      { numRuns: 1_500 },
    );
  },
);

test('the server still works afterwards', async () => {
  const run = await bridge.client.startRun({ workflow: 'hello' });
  expect(await bridge.client.waitForRun(run.id)).toMatchObject({ status: 'completed' });
  expect(bridge.logged.filter(({ level }) => level === 'error')).toEqual([]);
});
