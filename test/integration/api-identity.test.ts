import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClient, type Client } from '../../src/client/client.ts';
import { openTestBridge, type TestBridge } from '../support/bridge.ts';

const password = 'violet otter paints the harbour';
const otherPassword = 'seven lamps over quiet water';

let bridge: TestBridge;
let owner: Client;
beforeAll(async () => {
  bridge = await openTestBridge();
  owner = bridge.client;
});
afterAll(() => bridge.end());

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

async function send(
  method: string,
  path: string,
  options: { body?: unknown; token?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const { body, token, headers } = options;
  const response = await fetch(`${bridge.url}${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>),
  };
}

function login(username: string, as: 'browser' | 'client', given = password): Promise<Answer> {
  return send('POST', '/api/v1/login', { body: { username, password: given, as } });
}

/** A user with a password and roles, and an access token of his. */
async function user(name: string, roles: string[] = []): Promise<string> {
  await owner.createPrincipal({ username: name, password, roles });
  return tokenOf(name);
}

async function tokenOf(name: string): Promise<string> {
  const { status, body } = await login(name, 'client');
  expect(status).toBe(200);
  return (body['tokens'] as { accessToken: string }).accessToken;
}

test('a server says whether anybody can sign in yet, to anybody', async () => {
  expect((await send('GET', '/api/v1/login')).body).toMatchObject({
    hasUsers: false,
    publicUrl: bridge.url,
  });
  await user('first', ['admin']);
  expect((await send('GET', '/api/v1/login')).body).toMatchObject({ hasUsers: true });
});

test('a browser gets its token in a cookie that scripts can not read, and nowhere else', async () => {
  await user('brow', ['guest']);
  const { status, headers, body } = await login('brow', 'browser');
  expect([status, body]).toEqual([
    200,
    { outcome: 'signed_in', username: 'brow', mustChangePassword: false },
  ]);
  const cookie = headers.get('set-cookie') ?? '';
  expect(cookie).toMatch(
    /^centuria_session_\d+=[\w.-]+; Path=\/; HttpOnly; SameSite=Strict; Max-Age=\d+$/,
  );
  const pair = cookie.split(';')[0] ?? '';
  const me = await send('GET', '/api/v1/me', { headers: { cookie: pair } });
  expect(me.body).toMatchObject({ principal: { username: 'brow' }, actors: [] });

  const origin = { cookie: pair, 'sec-fetch-site': 'same-origin' };
  const out = await send('DELETE', '/api/v1/me/sessions/current', { headers: origin });
  expect(out.status).toBe(204);
  expect(out.headers.get('set-cookie')).toMatch(/^centuria_session_\d+=; .*Max-Age=0/);
  const after = await send('GET', '/api/v1/me', { headers: { cookie: pair } });
  expect(after.status).toBe(401);
});

test('a page elsewhere can not sign a browser in, by none of the ways', async () => {
  await user('lured', ['guest']);
  const bodies = {
    '/api/v1/login': { username: 'lured', password, as: 'browser' },
    '/api/v1/login/second-factor': { ticket: 'x', code: '1' },
    '/api/v1/login/passkey/options': {},
    '/api/v1/login/passkey': { challenge: 'x', answer: {}, as: 'browser' },
  };
  const origins = [
    { origin: 'https://elsewhere.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site', origin: bridge.url.replace(/\d+$/, '1') },
  ];
  for (const [path, body] of Object.entries(bodies)) {
    for (const headers of origins) {
      const refused = await send('POST', path, { body, headers });
      expect([path, refused.status, refused.body['code']]).toEqual([path, 403, 'denied']);
      expect(refused.headers.get('set-cookie')).toBeNull();
    }
  }
  const own = { 'sec-fetch-site': 'same-origin', origin: bridge.url };
  const body = bodies['/api/v1/login'];
  expect((await send('POST', '/api/v1/login', { body, headers: own })).status).toBe(200);
});

test('all of one’s other sessions end at once, and the one that asks stays', async () => {
  const token = await user('many', ['guest']);
  const others = [await tokenOf('many'), await tokenOf('many')];
  const ended = await send('DELETE', '/api/v1/me/sessions', { token });
  expect(ended.body).toEqual({ ended: 2 });
  for (const other of others) {
    expect((await send('GET', '/api/v1/me', { token: other })).status).toBe(401);
  }
  expect((await send('GET', '/api/v1/me', { token })).status).toBe(200);
});

test('a client gets its tokens in the body, and no cookie', async () => {
  await user('cli', ['guest']);
  const { headers, body } = await login('cli', 'client');
  expect(headers.get('set-cookie')).toBeNull();
  expect(body).toMatchObject({
    outcome: 'signed_in',
    tokens: {
      tokenType: 'Bearer',
      accessToken: expect.any(String),
      refreshToken: expect.any(String),
    },
  });
});

test('a wrong password and an unknown name are refused alike, and no password is repeated or logged', async () => {
  await user('known', ['guest']);
  const wrong = await login('known', 'client', 'not-the-password-of-known');
  const unknown = await login('nobody-here', 'client', 'not-the-password-of-known');
  expect([wrong.status, unknown.status]).toEqual([401, 401]);
  expect(wrong.body['detail']).toBe(unknown.body['detail']);
  const long = await send('POST', '/api/v1/login', {
    body: { username: 'known', password: ['not-the-password-of-known'], as: 'client' },
  });
  expect(long.status).toBe(422);
  expect(JSON.stringify([wrong, unknown, long, bridge.logged])).not.toContain('not-the-password');
});

test('a principal is made, changed, locked out and deleted', async () => {
  const created = await bridge.fetch('/api/v1/principals', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'Carol', roles: ['guest'], password }),
  });
  expect([created.status, created.headers.get('location')]).toEqual([
    201,
    '/api/v1/principals/carol',
  ]);
  const token = await tokenOf('carol');
  await owner.updatePrincipal('carol', { displayName: 'Carol C.', email: 'carol@example.org' });
  expect(await owner.principal('CAROL')).toMatchObject({
    displayName: 'Carol C.',
    permissions: '1',
    hasPassword: true,
  });
  await owner.updatePrincipal('carol', { status: 'disabled' });
  expect((await send('GET', '/api/v1/me', { token })).status).toBe(401);
  expect((await login('carol', 'client')).status).toBe(401);
  await owner.deletePrincipal('carol');
  await expect(owner.principal('carol')).rejects.toMatchObject({ code: 'not_found' });
});

test('an id is no name in an address, so that a pattern on names never fits somebody’s id', async () => {
  const { id } = await owner.createPrincipal({ username: 'dora', password });
  await expect(owner.principal(id)).rejects.toMatchObject({ code: 'not_found' });
  const initial = id.slice(0, 1);
  await owner.createRole({
    name: 'few',
    permissions: [{ action: 'users.write', pattern: `${initial}*` }],
  });
  const token = await user('fewer', ['few']);
  const refused = await send('PATCH', `/api/v1/principals/${id}`, {
    token,
    body: { status: 'disabled' },
  });
  expect([403, 404]).toContain(refused.status);
  expect((await owner.principal('dora')).status).toBe('active');
});

test('roles are given until a moment and taken back, and count at once', async () => {
  const token = await user('erin');
  const denied = await send('GET', '/api/v1/security/metrics', { token });
  expect([denied.status, denied.body['code']]).toEqual([403, 'denied']);
  const until = new Date(Date.now() + 3_600_000).toISOString();
  expect((await owner.grantRole('erin', 'monitor', until)).roles).toEqual([
    { name: 'monitor', expiresAt: until },
  ]);
  expect((await send('GET', '/api/v1/security/metrics', { token })).status).toBe(200);
  await owner.revokeRole('erin', 'monitor');
  expect((await send('GET', '/api/v1/security/metrics', { token })).status).toBe(403);
});

test('what a role allows on a pattern is allowed there and nowhere else', async () => {
  await owner.createRole({ name: 'helpers', description: 'Look after the team' });
  await owner.allow('helpers', 'users.read', 'team-*');
  expect((await owner.role('helpers')).permissions).toEqual([
    { action: 'users.read', pattern: 'team-*' },
  ]);
  const token = await user('fay', ['helpers']);
  await owner.createPrincipal({ username: 'team-one', password });
  const on = (name: string) => send('GET', `/api/v1/principals/${name}`, { token });
  expect((await on('team-one')).status).toBe(200);
  expect((await on('TEAM-one')).status).toBe(200);
  expect((await on('first')).status).toBe(403);
  expect((await send('GET', '/api/v1/principals', { token })).status).toBe(403);
  expect((await send('GET', '/api/v1/sessions?user=team-one', { token })).status).toBe(200);
  expect((await send('GET', '/api/v1/sessions', { token })).status).toBe(403);
  await owner.disallow('helpers', 'users.read', 'team-*');
  expect((await on('team-one')).status).toBe(403);
  await owner.deleteRole('helpers');
});

test('the questions of access are answered, and about oneself to anybody', async () => {
  const token = await user('gina', ['monitor']);
  expect(await owner.access('gina')).toMatchObject({ username: 'gina', roles: ['monitor'] });
  expect(await owner.checkAccess('gina', 'roles.write')).toMatchObject({ allowed: false });
  const check = (who: string) =>
    send('GET', `/api/v1/access/check?principal=${who}&action=runs.read`, { token });
  expect((await check('gina')).body).toEqual({ allowed: true, reason: 'monitor grants it on *' });
  expect((await check('first')).status).toBe(403);
  const { items } = await owner.whoMay('roles.write');
  expect(items.map(({ username }) => username)).toContain('first');
  expect(items.map(({ username }) => username)).not.toContain('gina');
  await expect(owner.whoMay('roles.wirte')).rejects.toMatchObject({
    code: 'invalid_input',
    remedy: 'Did you mean roles.write?',
  });
});

test('the registry tells each bit as a decimal text, and a second look costs nothing', async () => {
  const { items, version } = await owner.permissions();
  expect(version).toBe(3);
  expect(items[7]).toMatchObject({
    action: 'agents.write',
    bit: 7,
    mask: '128',
    impliedBy: ['admin', 'system'],
  });
  for (const path of ['/api/v1/permissions', '/api/v1/roles']) {
    const first = await bridge.fetch(path);
    const again = await bridge.fetch(path, {
      headers: { 'if-none-match': first.headers.get('etag') ?? '' },
    });
    expect([path, first.status, again.status]).toEqual([path, 200, 304]);
  }
});

test('an API key is shown once, is narrowed by its scopes, and can not make another', async () => {
  await user('hugo', ['guest']);
  const { key, info } = await owner.createApiKeyFor('hugo', { name: 'ci', scopes: ['runs.read'] });
  expect(JSON.stringify(await owner.apiKeysOf('hugo'))).not.toContain(key);
  expect(key).toContain(info.prefix);
  const program = createClient({ baseUrl: bridge.url, token: key });
  expect(await program.me()).toMatchObject({
    principal: { username: 'hugo' },
    credential: { kind: 'api_key' },
    scope: ['runs.read'],
  });
  await program.runs();
  await expect(program.agents()).rejects.toMatchObject({ code: 'denied' });
  await expect(program.createMyApiKey({ name: 'more' })).rejects.toMatchObject({ code: 'denied' });
  await owner.revokeApiKey(info.prefix);
  await expect(program.runs()).rejects.toMatchObject({ code: 'unauthenticated' });
});

test('with an API key nobody makes credentials, however wide it is', async () => {
  await user('olaf', ['admin']);
  const { key: token } = await owner.createApiKeyFor('olaf', { name: 'wide' });
  const asked: readonly [string, string, unknown][] = [
    ['POST', '/api/v1/me/api-keys', { name: 'more' }],
    ['POST', '/api/v1/principals/first/api-keys', { name: 'more' }],
    ['PUT', '/api/v1/me/password', { present: password, next: otherPassword }],
    ['POST', '/api/v1/me/totp', undefined],
    ['POST', '/api/v1/me/passkeys/options', undefined],
    ['POST', '/api/v1/security/keys/rotate', { reason: 'requested' }],
  ];
  for (const [method, path, body] of asked) {
    const { status, body: problem } = await send(method, path, { token, body });
    expect([path, status, problem['detail']]).toEqual([
      path,
      403,
      'an API key can not change credentials',
    ]);
  }
});

test('an authenticator is turned on with its first code, and off with the password only', async () => {
  const token = await user('pia', ['guest']);
  const { body } = await send('POST', '/api/v1/me/totp', { token });
  const authenticator = new TOTP({ secret: Secret.fromBase32(String(body['secret'])) });
  const confirmed = await send('POST', '/api/v1/me/totp/confirm', {
    token,
    body: { code: authenticator.generate() },
  });
  const { recoveryCodes } = confirmed.body as { recoveryCodes: string[] };
  expect(recoveryCodes.length).toBeGreaterThan(5);
  const half = await login('pia', 'browser');
  expect(half.body).toMatchObject({ outcome: 'second_factor', ticket: expect.any(String) });
  expect(half.headers.get('set-cookie')).toBeNull();
  const whole = await send('POST', '/api/v1/login/second-factor', {
    body: { ticket: half.body['ticket'], code: recoveryCodes[0] },
  });
  expect([whole.status, whole.body['tokens']]).toEqual([200, undefined]);
  expect(whole.headers.get('set-cookie')).toMatch(/HttpOnly/);
  const off = (given: string) =>
    send('DELETE', '/api/v1/me/totp', { token, body: { password: given } });
  expect((await off('some other words here')).status).not.toBe(204);
  expect((await off(password)).status).toBe(204);
  expect((await owner.principal('pia')).hasTotp).toBe(false);
});

test('one’s own keys and sessions are one’s own to end, and those of others are not there', async () => {
  const ivy = createClient({ baseUrl: bridge.url, token: await user('ivy', ['guest']) });
  const jack = createClient({ baseUrl: bridge.url, token: await user('jack', ['guest']) });
  const { info } = await ivy.createMyApiKey({ name: 'mine' });
  await expect(jack.revokeMyApiKey(info.id)).rejects.toMatchObject({ code: 'not_found' });
  await expect(jack.revokeApiKey(info.id)).rejects.toMatchObject({ code: 'denied' });
  const [session] = (await ivy.mySessions({ active: true })).items;
  const id = session?.id ?? '';
  await expect(jack.endMySession(id)).rejects.toMatchObject({ code: 'not_found' });
  await ivy.revokeMyApiKey(info.prefix);
  expect((await ivy.myApiKeys()).items).toMatchObject([
    { id: info.id, revokedAt: expect.any(String) },
  ]);
  await ivy.endMySession('current');
  await expect(ivy.me()).rejects.toMatchObject({ status: 401 });
  expect((await owner.sessions({ user: 'ivy' })).items).toMatchObject([{ id, isActive: false }]);
});

test('an administrator ends all sessions of a user at once', async () => {
  const token = await user('kim', ['guest']);
  await tokenOf('kim');
  expect(await owner.endSessions('kim')).toEqual({ ended: 2 });
  expect((await send('GET', '/api/v1/me', { token })).status).toBe(401);
});

test('a password is changed by who knows the present one, and set by who may', async () => {
  const token = await user('liz', ['guest']);
  const change = (present: string) =>
    send('PUT', '/api/v1/me/password', { token, body: { present, next: otherPassword } });
  expect((await change('some other words here')).status).toBeGreaterThanOrEqual(401);
  expect((await change(password)).status).toBe(204);
  expect((await login('liz', 'client')).status).toBe(401);
  expect((await login('liz', 'client', otherPassword)).status).toBe(200);
  await expect(owner.setPassword('liz', 'short', false)).rejects.toMatchObject({
    code: 'invalid_input',
  });
  await owner.unlockPrincipal('liz');
});

test('security events tell what was refused, and the metrics are figures or null', async () => {
  const { items } = await owner.securityEvents({ type: 'login_failure', limit: 5 });
  expect(items.length).toBeGreaterThan(0);
  const { performance, health, process } = await owner.securityMetrics();
  expect(performance.map(({ metric }) => metric)).toContain('authentication_latency');
  expect(health.map(({ component }) => component)).toContain('database_performance');
  expect(process.redis).toEqual({ state: 'absent' });
});

test('signing keys are listed without what they sign with, and rotated', async () => {
  const before = (await owner.signingKeys()).items;
  const current = before.find(({ state }) => state === 'current');
  expect(current).toBeDefined();
  const after = (await owner.rotateSigningKeys('requested')).items;
  expect(after.find(({ state }) => state === 'current')?.kid).not.toBe(current?.kid);
  expect(JSON.stringify(after)).not.toMatch(/"(d|k|private)"/);
});

test('every list has a limit and goes on where it ended', async () => {
  const names: string[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await owner.principals({ limit: 3, ...(cursor === undefined ? {} : { cursor }) });
    expect(page.items.length).toBeLessThanOrEqual(3);
    names.push(...page.items.map(({ username }) => username));
    cursor = page.nextCursor;
    if (cursor === undefined) break;
  }
  expect(names).toEqual([...new Set(names)].toSorted());
  expect(names.length).toBeGreaterThan(3);
  await expect(owner.principals({ limit: 501 })).rejects.toMatchObject({ code: 'invalid_input' });
});

test('no route of identity answers somebody without a credential but those of signing in', async () => {
  const document = await owner.openapi();
  const paths = Object.entries(document['paths'] as Record<string, Record<string, unknown>>);
  const ours = paths.filter(([path]) =>
    /^\/api\/v1\/(me|principals|roles|permissions|access|sessions|api-keys|security)\b/.test(path),
  );
  expect(ours.length).toBeGreaterThan(35);
  for (const [path, methods] of ours) {
    for (const method of Object.keys(methods)) {
      const address = path.replaceAll(/\{\w+\}/g, 'x');
      const hasBody = ['post', 'put', 'patch'].includes(method);
      const { status } = await send(method.toUpperCase(), address, hasBody ? { body: {} } : {});
      expect([method, path, status]).toEqual([method, path, 401]);
    }
  }
});
