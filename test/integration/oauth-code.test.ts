import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sql } from '../../src/database/database.ts';
import {
  openOAuthBridge,
  pkce,
  type Answer,
  type OAuthBridge,
  type Person,
} from '../support/oauth.ts';

const redirectUri = 'http://127.0.0.1:4711/callback';
let bridge: OAuthBridge;
let ada: Person;
beforeAll(async () => {
  bridge = await openOAuthBridge();
  ada = await bridge.person('ada', ['admin']);
  await bridge.register('editor', ['http://127.0.0.1/callback', 'https://editor.example/back?a=1']);
  await bridge.register('other', ['http://127.0.0.1/callback']);
});
afterAll(async () => {
  await bridge.end();
});

type Query = Readonly<Record<string, string>>;

function query(more: Query = {}): Query {
  return {
    response_type: 'code',
    client_id: 'editor',
    redirect_uri: redirectUri,
    code_challenge: pkce().challenge,
    code_challenge_method: 'S256',
    state: 'a state',
    ...more,
  };
}

function without(name: string, given: Query = query()): Query {
  return Object.fromEntries(Object.entries(given).filter(([key]) => key !== name));
}

/** Where a browser is sent that comes from the client. */
async function visit(given: Query | string): Promise<{ status: number; to: URL | undefined }> {
  const text = typeof given === 'string' ? given : new URLSearchParams(given).toString();
  const answer = await fetch(`${bridge.url}/oauth/authorize?${text}`, { redirect: 'manual' });
  const location = answer.headers.get('location');
  return {
    status: answer.status,
    to: location === null ? undefined : new URL(location, bridge.url),
  };
}

async function decide(given: Query, approve = true, person = ada): Promise<URL> {
  const answer = await person.fetch('/api/v1/authorization', {
    method: 'POST',
    body: { ...given, approve },
  });
  const { redirectTo } = (await answer.json()) as { redirectTo: string };
  return new URL(redirectTo);
}

/** A code, and the form that exchanges it. */
async function codeFor(more: Query = {}, person = ada): Promise<Query> {
  const { verifier, challenge } = pkce();
  const given = query({ code_challenge: challenge, ...more });
  const to = await decide(given, true, person);
  return {
    grant_type: 'authorization_code',
    client_id: given['client_id'] ?? '',
    redirect_uri: given['redirect_uri'] ?? '',
    code: to.searchParams.get('code') ?? '',
    code_verifier: verifier,
  };
}

const exchange = (form: Query, headers?: Record<string, string>): Promise<Answer> =>
  bridge.post('/oauth/token', form, headers);
const status = async (token: unknown, path = '/api/v1/agents') =>
  (await bridge.fetch(path, { headers: { authorization: `Bearer ${String(token)}` } })).status;

test('a library goes the whole way, and a foreign one verifies the token by the published keys', async () => {
  const config = await client.discovery(new URL(bridge.url), 'editor', undefined, client.None(), {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests],
  });
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope: 'agents.read runs.read',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
  });
  const { status: sent, to } = await visit(url.search.slice(1));
  expect(sent).toBe(303);
  expect(to?.origin + (to?.pathname ?? '')).toBe(`${bridge.url}/authorize`);
  const asked = await ada.fetch(`/api/v1/authorization${to?.search ?? ''}`);
  expect(await asked.json()).toEqual({
    outcome: 'ask',
    client: { id: 'editor', name: 'Client editor' },
    redirectUri,
    scopes: [
      { name: 'agents.read', description: expect.any(String), granted: true },
      { name: 'runs.read', description: expect.any(String), granted: true },
    ],
  });
  const back = await decide(Object.fromEntries(url.searchParams));
  const tokens = await client.authorizationCodeGrant(config, back, {
    pkceCodeVerifier: verifier,
    expectedState: state,
  });
  expect(tokens).toMatchObject({ token_type: 'bearer', scope: 'agents.read runs.read' });

  const keys = createRemoteJWKSet(new URL(`${bridge.url}/oauth/jwks`));
  const { payload } = await jwtVerify(tokens.access_token, keys, { typ: 'at+jwt' });
  expect(payload).toMatchObject({ sub: ada.userId, client_id: 'editor', scope: tokens.scope });

  const next = await client.refreshTokenGrant(config, tokens.refresh_token ?? '');
  expect(await status(next.access_token)).toBe(200);
  expect(await status(next.access_token, '/api/v1/clients')).toBe(403);
});

test('the answer names the issuer and gives the state back untouched', async () => {
  const state = 'a=b&c d+%2F/ü"';
  const to = await decide(query({ state }));
  expect(to.searchParams.get('state')).toBe(state);
  expect(to.searchParams.get('iss')).toBe(bridge.as.issuer);
  expect([...to.searchParams.keys()].toSorted()).toEqual(['code', 'iss', 'state']);
});

test('a redirect URI keeps the query that it was registered with', async () => {
  const to = await decide(query({ redirect_uri: 'https://editor.example/back?a=1' }));
  expect(to.href.startsWith('https://editor.example/back?a=1&code=cnc_')).toBe(true);
});

test.for([
  'http://127.0.0.1:4711/callback/more',
  'http://127.0.0.1:4711/callback?x=1',
  'http://127.0.0.1:4711/callback#',
  'http://127.0.0.1:4711/%63allback',
  'http://127.0.0.1:4711%2fcallback',
  'http://127.0.0.1:4711/callback/../callback',
  'http://127.0.0.1:4711\\callback',
  'http://127.0.0.1:4711@evil.example/callback',
  'http://user@127.0.0.1:4711/callback',
  'http://127.0.0.1.evil.example/callback',
  'http://127.0.0.1:99999/callback',
  'http://localhost:4711/callback',
  'http://[::1]:4711/callback',
  'https://127.0.0.1:4711/callback',
  'HTTP://127.0.0.1/callback',
  'https://editor.example:8443/back?a=1',
  'https://editor.example/back',
  'https://editor.example/back?a=1&b=2',
  'https://editor.example.evil.example/back?a=1',
  'https://evil.example/?https://editor.example/back?a=1',
  'javascript:alert(1)',
])('nobody is sent to %s', async (uri) => {
  expect(await visit(query({ redirect_uri: uri }))).toEqual({ status: 400, to: undefined });
  const answer = await ada.fetch('/api/v1/authorization', {
    method: 'POST',
    body: { ...query({ redirect_uri: uri }), approve: true },
  });
  expect(answer.status).toBe(422);
  const asked = await ada.fetch(
    `/api/v1/authorization?${new URLSearchParams(query({ redirect_uri: uri })).toString()}`,
  );
  expect(await asked.json()).not.toHaveProperty('redirectTo');
});

test('an unknown client, and one without a redirect URI, is told to the person only', async () => {
  for (const given of [
    query({ client_id: 'nobody' }),
    query({ client_id: 'centuria-cli' }),
    without('client_id'),
    without('redirect_uri'),
  ]) {
    expect(await visit(given)).toEqual({ status: 400, to: undefined });
  }
  const text = new URLSearchParams(query()).toString();
  const twice = `${text}&redirect_uri=${encodeURIComponent(redirectUri)}`;
  expect(await visit(twice)).toEqual({ status: 400, to: undefined });
  expect(await visit(`${text}&client_id=other`)).toEqual({ status: 400, to: undefined });
});

test.for([
  ['no PKCE', without('code_challenge'), 'invalid_request'],
  ['PKCE without a method', without('code_challenge_method'), 'invalid_request'],
  ['PKCE in the clear', query({ code_challenge_method: 'plain' }), 'invalid_request'],
  ['a short challenge', query({ code_challenge: 'abc' }), 'invalid_request'],
  ['an implicit grant', query({ response_type: 'token' }), 'unsupported_response_type'],
  ['no response type', without('response_type'), 'unsupported_response_type'],
  ['a fragment as answer', query({ response_mode: 'fragment' }), 'invalid_request'],
  ['a request object', query({ request: 'e30.e30.' }), 'invalid_request'],
  ['an unknown scope', query({ scope: 'everything' }), 'invalid_scope'],
  ['a foreign resource', query({ resource: 'https://evil.example/mcp' }), 'invalid_target'],
] as const)('%s is refused, and the client hears of it', async ([, given, error]) => {
  const { status: sent, to } = await visit(given);
  expect(sent).toBe(303);
  expect(to?.origin).toBe('http://127.0.0.1:4711');
  expect(to?.searchParams.get('error')).toBe(error);
  expect(to?.searchParams.get('state')).toBe('a state');
  expect(to?.searchParams.has('code')).toBe(false);
  expect((await decide(given)).searchParams.get('error')).toBe(error);
});

test('a parameter that comes twice is refused, and a state that comes twice is not given back', async () => {
  const text = new URLSearchParams(query()).toString();
  const { to } = await visit(`${text}&scope=agents.read&scope=runs.read`);
  expect(to?.searchParams.get('error')).toBe('invalid_request');
  const { to: stateless } = await visit(`${text}&state=other`);
  expect(stateless?.searchParams.get('error')).toBe('invalid_request');
  expect(stateless?.searchParams.has('state')).toBe(false);
});

test('a person who refuses sends the browser back without a code', async () => {
  const to = await decide(query(), false);
  expect(to.searchParams.get('error')).toBe('access_denied');
  expect(to.searchParams.has('code')).toBe(false);
});

test('only a browser’s session lets a client in', async () => {
  const { key } = await bridge.principal('clerk', 'user', ['admin']);
  const { body } = await exchange(await codeFor());
  for (const token of [key, String(body['access_token'])]) {
    const answer = await bridge.fetch('/api/v1/authorization', {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ ...query(), approve: true }),
    });
    expect(answer.status).toBe(403);
  }
});

test('a wrong, missing or plain verifier gets nothing, and uses the code up', async () => {
  const good = await codeFor();
  expect(await exchange(without('code_verifier', good))).toMatchObject({
    status: 400,
    body: { error: 'invalid_request' },
  });
  for (const verifier of [pkce().verifier, 'short']) {
    const form = await codeFor();
    expect(await exchange({ ...form, code_verifier: verifier })).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant' },
    });
    expect((await exchange(form)).body['error']).toBe('invalid_grant');
  }
});

test.for([
  ['another client', { client_id: 'other' }],
  ['another port', { redirect_uri: 'http://127.0.0.1:4712/callback' }],
  ['another path', { redirect_uri: 'http://127.0.0.1:4711/callback/' }],
] as const)('a code is not exchanged for %s', async ([, change]) => {
  const form = await codeFor();
  const answer = await exchange({ ...form, ...change });
  expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
});

test('a state sent as code is nothing, and so is a code as refresh or device code', async () => {
  const form = await codeFor();
  const code = form['code'] ?? '';
  expect((await exchange({ ...form, code: 'a state' })).body['error']).toBe('invalid_grant');
  const asRefresh = { grant_type: 'refresh_token', client_id: 'editor', refresh_token: code };
  expect((await exchange(asRefresh)).body['error']).toBe('invalid_grant');
  const asDevice = {
    grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
    client_id: 'editor',
    device_code: code,
  };
  expect((await exchange(asDevice)).body['error']).toBe('invalid_grant');
  expect(await status(code)).toBe(401);
});

test('a code that comes twice ends the session that it made', async () => {
  const tim = await bridge.person('tim', ['admin']);
  const form = await codeFor({}, tim);
  const first = await exchange(form);
  expect(await status(first.body['access_token'])).toBe(200);
  expect((await exchange(form)).body['error']).toBe('invalid_grant');
  expect(await status(first.body['access_token'])).toBe(401);
  const refresh = {
    grant_type: 'refresh_token',
    client_id: 'editor',
    refresh_token: String(first.body['refresh_token']),
  };
  expect((await exchange(refresh)).body['error']).toBe('invalid_grant');
  const [event] = await bridge.database.query(sql<{ reason: string }>`
    select details ->> 'reason' as reason from security_events
    where event_type = 'suspicious_activity' and user_id = ${tim.userId}::uuid`);
  expect(event?.reason).toContain('used twice');
});

test('of many exchanges of one code at once at most one succeeds, and no session outlives them', async () => {
  const tom = await bridge.person('tom', ['admin']);
  for (let round = 0; round < 5; round += 1) {
    const form = await codeFor({}, tom);
    const answers = await Promise.all(Array.from({ length: 12 }, () => exchange(form)));
    const good = answers.filter((answer) => answer.status === 200);
    expect(good.length).toBeLessThanOrEqual(1);
    for (const { body } of good) expect(await status(body['access_token'])).toBe(401);
  }
  const sessions = await bridge.sessionsOf('tom');
  expect(sessions).toHaveLength(5);
  expect(sessions.filter(({ active }) => active)).toEqual([]);
});

test('a code counts for a minute, and not when the session that gave it has ended', async () => {
  const form = await codeFor();
  await bridge.database.query(
    sql`update authorization_codes set expires_at = now() - interval '1 second'`,
  );
  expect((await exchange(form)).body['error']).toBe('invalid_grant');
  const una = await bridge.person('una', ['admin']);
  const hers = await codeFor({}, una);
  const owner = await bridge.identity.callers.owner();
  await bridge.identity.sessions.endAll('una', 'stolen', owner);
  expect((await exchange(hers)).body['error']).toBe('invalid_grant');
  expect(await bridge.sessionsOf('una')).toEqual([]);
});

test('a token for one resource opens nothing beside it, after a refresh neither', async () => {
  const resource = `${bridge.url}/api/v1/agents`;
  const { body } = await exchange(await codeFor({ resource }));
  expect(await status(body['access_token'])).toBe(200);
  expect(await status(body['access_token'], '/api/v1/runs')).toBe(403);
  const refresh = (refreshToken: unknown, more: Query = {}) =>
    exchange({
      grant_type: 'refresh_token',
      client_id: 'editor',
      refresh_token: String(refreshToken),
      ...more,
    });
  const wider = await refresh(body['refresh_token'], { resource: `${bridge.url}/api/v1/runs` });
  expect(wider.body['error']).toBe('invalid_target');
  const next = await refresh(body['refresh_token']);
  expect(next.status).toBe(200);
  expect(await status(next.body['access_token'])).toBe(200);
  expect(await status(next.body['access_token'], '/api/v1/runs')).toBe(403);
});

test('a scope is narrowed to what the person has, and the answer says so', async () => {
  const eve = await bridge.person('eve', ['guest']);
  const scope = 'agents.read users.write';
  const { body } = await exchange(await codeFor({ scope }, eve));
  expect(body['scope']).toBe('agents.read');
  const to = await decide(query({ scope: 'users.write' }), true, eve);
  expect(to.searchParams.get('error')).toBe('invalid_scope');
});

test('a client that is deleted has no sessions any more', async () => {
  await bridge.register('passing', ['http://[::1]/cb']);
  const form = await codeFor({ client_id: 'passing', redirect_uri: 'http://[::1]:99/cb' });
  const { body } = await exchange(form);
  expect(await status(body['access_token'])).toBe(200);
  const removed = await ada.fetch('/api/v1/clients/passing', { method: 'DELETE' });
  expect(removed.status).toBe(204);
  expect(await status(body['access_token'])).toBe(401);
  const refresh = {
    grant_type: 'refresh_token',
    client_id: 'passing',
    refresh_token: String(body['refresh_token']),
  };
  expect(await exchange(refresh)).toMatchObject({ status: 401, body: { error: 'invalid_client' } });
});

test('clients are registered with plain addresses only, and the built-in one stays', async () => {
  const create = (body: unknown) => ada.fetch('/api/v1/clients', { method: 'POST', body });
  const made = await create({ id: 'desk', name: 'Desk', redirectUris: ['https://desk.example/x'] });
  expect(made.status).toBe(201);
  expect(made.headers.get('location')).toBe('/api/v1/clients/desk');
  expect((await create({ id: 'desk', name: 'Desk' })).status).toBe(409);
  for (const uri of [
    'http://desk.example/x',
    'https://desk.example/x#',
    'https://me@desk.example/x',
    'https://desk.example/a b',
    'https://desk.example\\x',
    'javascript:alert(1)',
    'http://127.0.0.1.evil.example/',
    'http://127.0.0.1@evil.example/',
    '/x',
  ]) {
    expect((await create({ name: 'Desk', redirectUris: [uri] })).status).toBe(422);
  }
  expect((await create({ id: 'Not An Id', name: 'Desk' })).status).toBe(422);
  expect((await ada.fetch('/api/v1/clients/centuria-cli', { method: 'DELETE' })).status).toBe(409);
  expect((await ada.fetch('/api/v1/clients/nobody', { method: 'DELETE' })).status).toBe(404);
  const listed = await ada.fetch('/api/v1/clients?limit=2');
  const page = (await listed.json()) as { items: { id: string }[]; nextCursor: string };
  expect(page.items.map(({ id }) => id)).toEqual(['centuria-cli', 'desk']);
  const rest = await ada.fetch(`/api/v1/clients?cursor=${page.nextCursor}`);
  expect(await rest.json()).toMatchObject({ items: [{ id: 'editor' }, { id: 'other' }] });
  const guest = await bridge.person('guest-1', ['guest']);
  expect((await guest.fetch('/api/v1/clients')).status).toBe(403);
});

test('the plain library reads the metadata and refuses an answer of another issuer', async () => {
  const to = await decide(query({ state: 'x' }));
  const own: oauth.Client = { client_id: 'editor' };
  expect(() => oauth.validateAuthResponse(bridge.as, own, to, 'x')).not.toThrow();
  const elsewhere = { ...bridge.as, issuer: 'http://elsewhere.example' };
  expect(() => oauth.validateAuthResponse(elsewhere, own, to, 'x')).toThrow(/iss/);
});
