import { createHmac, createPublicKey, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLog, newId, systemClock } from '../../src/base/base.ts';
import { openIdentity, type Caller } from '../../src/identity/identity.ts';
import { attackerOf, password, type Attacker } from '../support/attacker.ts';
import { openTestBridge, testSettings, testToken, type TestBridge } from '../support/bridge.ts';

let bridge: TestBridge;
let attacker: Attacker;
let send: Attacker['send'];
let token = '';
beforeAll(async () => {
  bridge = await openTestBridge();
  attacker = attackerOf(bridge);
  ({ send } = attacker);
  token = await attacker.user('holder', ['guest']);
});
afterAll(() => bridge.end());

type Members = Record<string, unknown>;
const part = (value: object | string): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const parts = (jws: string): [Members, Members, string] => {
  const [header = '', payload = '', mac = ''] = jws.split('.');
  const read = (text: string) => JSON.parse(Buffer.from(text, 'base64url').toString()) as Members;
  return [read(header), read(payload), mac];
};

async function statusOf(bearer: string): Promise<number> {
  return (await send('GET', '/api/v1/me', { headers: { authorization: `Bearer ${bearer}` } }))
    .status;
}

test('no change of header, payload or signature is let in, whoever makes it', async () => {
  const [header, payload, mac] = parts(token);
  const [jwk] = bridge.identity.tokens.jwks().keys as { kid: string }[];
  const pem = createPublicKey({ key: jwk as never, format: 'jwk' }).export({
    type: 'spki',
    format: 'pem',
  });
  const signedBy = (secret: string | Buffer, head: object) => {
    const input = `${part(head)}.${part(payload)}`;
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
  };
  const [head, body] = token.split('.');
  const last = mac.at(-1) ?? '';
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const flipped = [1, 2, 3].map((bits) => alphabet[alphabet.indexOf(last) ^ bits] ?? '');
  const forged = [
    ...['none', 'None', 'NONE', 'nOnE', '', 'ES384', null, ['ES256']].map(
      (alg) => `${part({ ...header, alg })}.${body}.`,
    ),
    `${part({ ...header, alg: 'none' })}.${body}.${mac}`,
    ...[pem, JSON.stringify(jwk), '', String(header['kid'])].map((secret) =>
      signedBy(secret, { ...header, alg: 'HS256' }),
    ),
    ...['../../dev/null', '/dev/null', "' or 1=1 --", '', 'x'.repeat(4_000), '\0', '__proto__'].map(
      (kid) => signedBy('', { ...header, alg: 'HS256', kid }),
    ),
    ...[
      { crit: ['exp'] },
      { jwk },
      { jku: 'https://evil.example/jwks' },
      { x5u: 'https://evil.example' },
      { b64: false },
    ].map((more) => `${part({ ...header, ...more })}.${body}.${mac}`),
    ...['JWT', 'refresh', 'dpop+jwt', 'at+JWT ', undefined].map(
      (typ) => `${part({ ...header, typ })}.${body}.${mac}`,
    ),
    ...flipped.map((char) => `${head}.${body}.${mac.slice(0, -1)}${char}`),
    ...['=', '==', '.', '%3d', 'x'].map((more) => `${token}${more}`),
    `${head}.${part({ ...payload, permissions: '63', role: 1 })}.${mac}`,
    `${head}.${body}`,
    `.${body}.${mac}`,
    `${head}..${mac}`,
    '..',
    'a.b.c',
    `${token}.${mac}`,
  ];
  for (const forgery of forged) expect([forgery, await statusOf(forgery)]).toEqual([forgery, 401]);
  expect(await statusOf(token)).toBe(200);
});

test('a token of another deployment, whatever key and name it says, is not let in', async () => {
  const other = await openTestBridge();
  try {
    await other.client.createPrincipal({ username: 'holder', password, roles: ['admin'] });
    const stranger = await attackerOf(other).tokenOf('holder');
    expect(await statusOf(stranger)).toBe(401);
    const [header] = parts(token);
    const [, payload, mac] = parts(stranger);
    expect(await statusOf(`${part(header)}.${part(payload)}.${mac}`)).toBe(401);
  } finally {
    await other.end();
  }
});

test('identity does not open on a database of another master key', async () => {
  const opening = openIdentity({
    database: bridge.database,
    clock: systemClock,
    log: createLog({ level: 'silent' }),
    masterKey: randomBytes(32),
    ownerToken: undefined,
    publicUrl: () => bridge.url,
    settings: testSettings,
  });
  await expect(opening).rejects.toMatchObject({ code: 'master_key_wrong' });
});

test('no kind of secret is taken for another kind', async () => {
  const signed = await send('POST', '/api/v1/login', {
    body: { username: 'holder', password, as: 'client' },
  });
  const { refreshToken } = signed.body['tokens'] as { refreshToken: string };
  const { body } = await send('POST', '/api/v1/login/passkey/options', { body: {} });
  const challenge = String(body['challenge']);
  const { key } = await bridge.client.createApiKeyFor('holder', { name: 'k' });
  const secrets = [
    refreshToken,
    challenge,
    newId(),
    'Bearer',
    `${key}x`,
    key.slice(0, -1),
    key.toUpperCase(),
  ];
  for (const secret of secrets) expect([secret, await statusOf(secret)]).toEqual([secret, 401]);
  for (const ticket of [challenge, token, refreshToken, key, testToken]) {
    const asTicket = await send('POST', '/api/v1/login/second-factor', {
      body: { ticket, code: '000000' },
    });
    expect(asTicket.status).toBe(401);
    const asChallenge = await send('POST', '/api/v1/login/passkey/options', { body: { ticket } });
    expect(asChallenge.status).toBe(401);
  }
  const name = `centuria_session_${bridge.port}`;
  for (const secret of [testToken, key, refreshToken, challenge]) {
    const byCookie = await send('GET', '/api/v1/me', { headers: { cookie: `${name}=${secret}` } });
    expect(byCookie.status).toBe(401);
  }
});

test('a token bound to a key is nothing without its proof, and a proof is no token', async () => {
  const caller = await callerBy(token);
  const { accessToken } = await bridge.identity.tokens.delegate(caller, {
    actor: caller.access,
    boundTo: 'a'.repeat(43),
  });
  expect(await statusOf(accessToken)).toBe(401);
  for (const proof of [undefined, accessToken, token, '', 'a.b.c']) {
    const { status } = await send('GET', '/api/v1/me', {
      headers: {
        authorization: `DPoP ${accessToken}`,
        ...(proof === undefined ? {} : { dpop: proof }),
      },
    });
    expect(status).toBe(401);
  }
});

test('a token for one resource opens nothing beside it, however the path is written', async () => {
  const caller = await callerBy(token);
  const given = await bridge.identity.tokens.delegate(caller, {
    actor: caller.access,
    audience: `${bridge.url}/api/v1/agents`,
  });
  const ask = async (path: string) =>
    Number(
      /^HTTP\/1\.1 (\d+)/.exec(
        await attacker.raw(
          `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${bridge.port}\r\nAuthorization: Bearer ${given.accessToken}\r\nConnection: close\r\n\r\n`,
        ),
      )?.[1],
    );
  expect(await ask('/api/v1/agents')).toBe(200);
  const others = [
    '/api/v1/runs',
    '/api/v1/agentsx',
    '/api/v1/agents/../runs',
    '/api/v1/agents/%2e%2e/runs',
    '/api/v1/agents/..%2fruns',
    '//api/v1/runs',
    '/API/v1/runs',
    '/api/v1/runs?/api/v1/agents',
    '/api/v1/agents;/../runs',
    '/api/v1/./runs',
    '/api/v1/runs/',
  ];
  for (const path of others) expect([path, (await ask(path)) >= 400]).toEqual([path, true]);
});

async function callerBy(bearer: string): Promise<Caller> {
  const origin = { address: '127.0.0.1', userAgent: '' };
  return await bridge.identity.callers.whoIs({ kind: 'bearer', token: bearer }, origin);
}

test('a delegation has no more scope than its giver, and its chain an end', async () => {
  let caller = await callerBy(token);
  await expect(
    bridge.identity.tokens.delegate(caller, { actor: caller.access, scope: 'users.write' }),
  ).rejects.toMatchObject({ code: 'denied' });
  const narrow = await bridge.identity.tokens.delegate(caller, {
    actor: caller.access,
    scope: 'runs.read',
  });
  const narrowed = await callerBy(narrow.accessToken);
  await expect(
    bridge.identity.tokens.delegate(narrowed, { actor: caller.access, scope: 'agents.read' }),
  ).rejects.toMatchObject({ code: 'denied' });
  // What the principal gets later is not in what was given before.
  await bridge.client.grantRole('holder', 'admin');
  const raised = await send('GET', '/api/v1/principals', { token: narrow.accessToken });
  await bridge.client.revokeRole('holder', 'admin');
  expect(raised.status).toBe(403);
  for (let depth = 1; depth <= 4; depth += 1) {
    const next = await bridge.identity.tokens.delegate(caller, {
      actor: caller.access,
      scope: 'runs.read',
    });
    caller = await callerBy(next.accessToken);
  }
  await expect(
    bridge.identity.tokens.delegate(caller, { actor: caller.access }),
  ).rejects.toMatchObject({ code: 'denied' });
});

test('a token counts no longer once its principal is disabled, deleted, or its session another’s', async () => {
  const one = await attacker.user('soon-gone', ['guest']);
  await bridge.client.updatePrincipal('soon-gone', { status: 'disabled' });
  expect(await statusOf(one)).toBe(401);
  await bridge.client.updatePrincipal('soon-gone', { status: 'active' });
  expect(await statusOf(one)).toBe(401);
  const again = await attacker.tokenOf('soon-gone');
  await bridge.client.deletePrincipal('soon-gone');
  expect(await statusOf(again)).toBe(401);
  const moved = await attacker.user('moved', ['guest']);
  const [, { sid }] = parts(moved);
  expect(await statusOf(moved)).toBe(200);
  await bridge.database.script(`update user_sessions set user_id =
    (select user_id from users where username = 'holder') where session_id = '${String(sid)}'`);
  await expect.poll(() => statusOf(moved)).toBe(401);
});
