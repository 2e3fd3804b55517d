import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { attackerOf, password, type Attacker } from '../support/attacker.ts';
import { openTestBridge, testToken, type TestBridge } from '../support/bridge.ts';

let bridge: TestBridge;
let attacker: Attacker;
let send: Attacker['send'];
let token = '';
beforeAll(async () => {
  bridge = await openTestBridge({ settings: { loginAttempts: 100 } });
  attacker = attackerOf(bridge);
  ({ send } = attacker);
  token = await attacker.user('known', ['guest']);
});
afterAll(() => bridge.end());

// 503: no passkey is possible at an address without a name.
const documented = [200, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 503];

/** No stack, no name of a file of ours, no secret. */
function assertTellsNothing(told: string): void {
  expect(told).not.toMatch(/\n\s+at |\\n\s+at |node:internal|\.ts:\d|FST_ERR|\$argon2|SQLSTATE/);
  for (const secret of [testToken, password, token.split('.')[2] ?? token]) {
    expect(told).not.toContain(secret);
  }
}

const name = fc.oneof(
  fc.constantFrom(
    'known',
    'KNOWN',
    'owner',
    '\u202eknown',
    'kn\u0000own',
    '𝓀𝓃ℴ𝓌𝓃',
    '\ud800',
    '',
    ' known ',
    "x' or 1=1",
    '%',
  ),
  fc.string({ unit: 'binary', maxLength: 600 }),
);
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.constantFrom('', '0'.repeat(5_000), '\0', '\ud800', '000000'),
);
const anything = fc.oneof(text, fc.jsonValue({ maxDepth: 3 }));
const odd = { requiredKeys: [] };
const routes: readonly (readonly [string, fc.Arbitrary<unknown>])[] = [
  [
    '',
    fc.record(
      {
        username: fc.oneof(name, anything),
        password: fc.oneof(text, anything),
        as: fc.oneof(fc.constantFrom('browser', 'client'), anything),
        code: anything,
      },
      odd,
    ),
  ],
  [
    '/second-factor',
    fc.record({ ticket: fc.oneof(text, anything), code: fc.oneof(text, anything) }, odd),
  ],
  ['/passkey/options', fc.record({ ticket: anything }, odd)],
  [
    '/passkey',
    fc.record(
      {
        challenge: anything,
        answer: fc.oneof(
          fc.record(
            { id: text, rawId: text, type: text, response: fc.dictionary(text, text) },
            odd,
          ),
          anything,
        ),
        as: fc.constantFrom('client', 'x'),
      },
      odd,
    ),
  ],
];

test.each(routes)(
  'whatever is sent to /login%s is answered as documented, and tells nothing',
  { timeout: 120_000 },
  async (route, body) => {
    await fc.assert(
      fc.asyncProperty(body, async (sent) => {
        const answer = await send('POST', `/api/v1/login${route}`, { body: sent });
        expect(documented).toContain(answer.status);
        assertTellsNothing(answer.text);
      }),
      { numRuns: 150 },
    );
  },
);

test(
  'whatever is sent as a credential is refused and not repeated',
  { timeout: 120_000 },
  async () => {
    const visible = fc.string({
      unit: fc.constantFrom(...'abzAZ019-_.=~+/ ,;"\t'),
      maxLength: 300,
    });
    const value = fc.oneof(
      visible,
      visible.map((some) => `Bearer ${some}`),
      visible.map((some) => `DPoP ${some}`),
      fc.nat(token.length - 1).map((at) => `Bearer ${token.slice(0, at)}${token.slice(at + 1)}`),
      fc.nat(token.length).map((at) => `Bearer ${token.slice(0, at)}A${token.slice(at)}`),
      fc
        .uint8Array({ maxLength: 60 })
        .map((bytes) => `Bearer cnt_${Buffer.from(bytes).toString('base64url')}`),
    );
    await fc.assert(
      fc.asyncProperty(value, async (authorization) => {
        const answer = await send('GET', '/api/v1/me', { headers: { authorization } });
        expect(answer.status).toBe(401);
        assertTellsNothing(answer.text);
      }),
      { numRuns: 400 },
    );
  },
);

test.each([
  [
    'two credentials',
    (own: string) => `Authorization: Bearer x\r\nAuthorization: Bearer ${own}\r\n`,
    401,
  ],
  [
    'a good cookie beside a wrong header',
    (own: string) => `Authorization: Bearer x\r\nCookie: centuria_session_PORT=${own}\r\n`,
    401,
  ],
  [
    'a cookie from another page',
    (own: string) => `Cookie: centuria_session_PORT=${own}\r\nSec-Fetch-Site: cross-site\r\n`,
    403,
  ],
  ['a header of 64 KB', () => `X-Long: ${'x'.repeat(65_536)}\r\n`, 431],
  ['another host', (own: string) => `Host: evil.example\r\nAuthorization: Bearer ${own}\r\n`, 421],
] as const)('%s is refused', async (what, headers, status) => {
  const host = what === 'another host' ? '' : `Host: 127.0.0.1:${bridge.port}\r\n`;
  const lines = headers(token).replaceAll('PORT', String(bridge.port));
  const answer = await attacker.raw(
    `GET /api/v1/me HTTP/1.1\r\n${host}${lines}Connection: close\r\n\r\n`,
  );
  expect(answer.split('\r\n', 1)[0]).toContain(` ${status} `);
});

test.each([
  ['{"username":"known","username":"owner","password":"x","as":"client"}', [401, 400, 422]],
  ['{"__proto__":{"as":"client"},"username":"known","password":"x"}', [400, 422]],
  ['{"constructor":{"prototype":{}},"username":"known","password":"x","as":"client"}', [400, 422]],
  [`${'['.repeat(100_000)}`, [422]],
  [JSON.stringify({ username: 'known', password: 'x'.repeat(1024 * 1024), as: 'client' }), [413]],
  [JSON.stringify({ username: 'known', password: 'x'.repeat(4_000), as: 'client' }), [401, 422]],
] as const)('a body such as %.60s is refused', async (body, statuses) => {
  const answer = await fetch(`${bridge.url}/api/v1/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  expect(statuses).toContain(answer.status);
});

async function shape(username: string, given: string) {
  const { status, body, headers } = await send('POST', '/api/v1/login', {
    body: { username, password: given, as: 'client' },
  });
  const { requestId: _id, ...rest } = body;
  const names = [...headers.keys()].filter((header) => header !== 'date').toSorted();
  return { status, names, rest };
}

test('nothing that an answer holds tells a known name from an unknown one, in any state', async () => {
  await attacker.user('disabled');
  await bridge.client.updatePrincipal('disabled', { status: 'disabled' });
  await bridge.client.createPrincipal({ username: 'without' });
  await attacker.user('secured');
  await bridge.database.script(`update users set totp_secret = '\\x00' where username = 'secured'`);
  for (const given of ['a wrong password', '', 'x'.repeat(2_000), '\u0000', 'x\u202ey']) {
    const unknown = await shape('nobody-at-all', given);
    for (const known of ['known', 'disabled', 'without', 'secured', 'owner']) {
      expect([known, await shape(known, given)]).toEqual([known, unknown]);
    }
  }
  for (let tries = 0; tries < 101; tries += 1) {
    await bridge.database.script(
      `select authenticate_user(n, 'x') from unnest('{known,nobody-at-all,disabled}'::text[]) n`,
    );
  }
  const locked = await shape('nobody-at-all', password);
  expect(locked.status).toBe(429);
  for (const known of ['known', 'disabled']) {
    const { status, names } = await shape(known, password);
    expect({ status, names }).toEqual({ status: locked.status, names: locked.names });
  }
});

test('no line of the log holds a secret, and none tells of a defect', () => {
  const told = JSON.stringify(bridge.logged);
  for (const secret of [testToken, password, token.split('.')[2] ?? token, '$argon2']) {
    expect(told).not.toContain(secret);
  }
  const codes = bridge.logged
    .filter(({ level }) => level === 'error')
    .map(({ err }) => (err as { code?: string }).code);
  expect([...new Set(codes)].filter((code) => code !== 'unavailable')).toEqual([]);
});
