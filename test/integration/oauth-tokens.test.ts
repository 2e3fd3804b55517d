import { createHash } from 'node:crypto';
import * as oauth from 'oauth4webapi';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  approveDevice,
  basic,
  bound,
  cli,
  deviceGrant,
  deviceTokens,
  insecure,
  newKey,
  openOAuthBridge,
  proofFor,
  startDevice,
  type Answer,
  type Key,
  type OAuthBridge,
  type Person,
} from '../support/oauth.ts';

let bridge: OAuthBridge;
let ada: Person;
let people = 0;
const somebody = () => bridge.person(`person-${(people += 1)}`, ['admin']);
beforeAll(async () => {
  bridge = await openOAuthBridge();
  ada = await bridge.person('ada', ['admin']);
});
afterAll(async () => {
  await bridge.end();
});

type Form = Readonly<Record<string, string>>;
const token = (form: Form, headers?: Record<string, string>): Promise<Answer> =>
  bridge.post('/oauth/token', form, headers);
const refresh = (refreshToken: string, more: Form = {}, headers?: Record<string, string>) =>
  token(
    {
      grant_type: 'refresh_token',
      client_id: 'centuria-cli',
      refresh_token: refreshToken,
      ...more,
    },
    headers,
  );
const status = async (accessToken: unknown, path = '/api/v1/agents') =>
  (await bridge.fetch(path, { headers: { authorization: `Bearer ${String(accessToken)}` } }))
    .status;
/** Asks with a bound token, as its holder does. */
async function boundStatus(accessToken: string, key: Key, change: Record<string, unknown> = {}) {
  const headers = await bound(bridge, accessToken, key, '/api/v1/agents', change);
  return (await bridge.fetch('/api/v1/agents', { headers })).status;
}
const proof = (key: Key, change?: Record<string, unknown>) => proofFor(bridge, key, change);

test('a refresh token is used once; the second use ends its session', async () => {
  const { refreshToken } = await deviceTokens(bridge, await somebody());
  const next = await refresh(refreshToken);
  expect(next.status).toBe(200);
  expect(next.headers.get('cache-control')).toBe('no-store');
  expect(await status(next.body['access_token'])).toBe(200);
  expect(await refresh(refreshToken)).toMatchObject({
    status: 400,
    body: { error: 'invalid_grant' },
  });
  expect(await status(next.body['access_token'])).toBe(401);
  expect((await refresh(String(next.body['refresh_token']))).body['error']).toBe('invalid_grant');
});

test('of many refreshes with one token at once at most one succeeds, and the session ends', async () => {
  const tim = await somebody();
  const { refreshToken } = await deviceTokens(bridge, tim);
  const answers = await Promise.all(Array.from({ length: 12 }, () => refresh(refreshToken)));
  expect(answers.filter((answer) => answer.status === 200).length).toBeLessThanOrEqual(1);
  expect(await bridge.sessionsOf(tim.username)).toMatchObject([{ active: false }]);
});

test('a refresh token of another client is refused, and ends the session of whom it was taken from', async () => {
  await bridge.register('other', []);
  const { refreshToken, accessToken } = await deviceTokens(bridge, await somebody());
  expect((await refresh(refreshToken, { client_id: 'other' })).body['error']).toBe('invalid_grant');
  expect(await status(accessToken)).toBe(401);
});

test('the refresh token of a session that was ended is refused', async () => {
  const tim = await somebody();
  const { refreshToken } = await deviceTokens(bridge, tim);
  const owner = await bridge.identity.callers.owner();
  await bridge.identity.sessions.endAll(tim.username, 'revoked', owner);
  expect((await refresh(refreshToken)).body['error']).toBe('invalid_grant');
});

test('a refresh narrows the scope for once and never widens it, and a refusal does not use it up', async () => {
  const asked = { scope: 'agents.read runs.read' };
  const { refreshToken } = await deviceTokens(bridge, await somebody(), asked);
  const wider = await refresh(refreshToken, { scope: 'agents.read users.read' });
  expect(wider).toMatchObject({ status: 400, body: { error: 'invalid_scope' } });
  const narrow = await refresh(refreshToken, { scope: 'runs.read' });
  expect(narrow.body['scope']).toBe('runs.read');
  expect(await status(narrow.body['access_token'])).toBe(403);
  const again = await refresh(String(narrow.body['refresh_token']));
  expect(again.body['scope']).toBe('agents.read runs.read');
});

test('a scope that the person has lost is left out at the next refresh', async () => {
  const tim = await somebody();
  const asked = { scope: 'agents.read users.read' };
  const { refreshToken } = await deviceTokens(bridge, tim, asked);
  const owner = await bridge.identity.callers.owner();
  await bridge.identity.principals.grantRole(tim.username, 'guest', undefined, owner);
  await bridge.identity.principals.revokeRole(tim.username, 'admin', owner);
  expect((await refresh(refreshToken)).body['scope']).toBe('agents.read');
});

test('a library binds tokens to its key, and the bound refresh token needs it', async () => {
  const keys = await oauth.generateKeyPair('ES256');
  const dpop = oauth.DPoP(cli, keys);
  const { deviceCode, userCode } = await startDevice(bridge);
  await approveDevice(ada, userCode);
  const given = await oauth.deviceCodeGrantRequest(bridge.as, cli, oauth.None(), deviceCode, {
    DPoP: dpop,
    ...insecure,
  });
  const tokens = await oauth.processDeviceCodeResponse(bridge.as, cli, given);
  expect(tokens.token_type).toBe('dpop');
  const api = new URL(`${bridge.url}/api/v1/agents`);
  const read = await oauth.protectedResourceRequest(
    tokens.access_token,
    'GET',
    api,
    undefined,
    undefined,
    { DPoP: dpop, ...insecure },
  );
  expect(read.status).toBe(200);
  expect(await status(tokens.access_token)).toBe(401);

  const next = await oauth.refreshTokenGrantRequest(
    bridge.as,
    cli,
    oauth.None(),
    tokens.refresh_token ?? '',
    { DPoP: dpop, ...insecure },
  );
  const refreshed = await oauth.processRefreshTokenResponse(bridge.as, cli, next);
  expect(refreshed.token_type).toBe('dpop');
  const stolen = await refresh(String(refreshed.refresh_token));
  expect(stolen.body['error']).toBe('invalid_grant');
  const foreign = await deviceTokens(bridge, await somebody());
  const late = await refresh(foreign.refreshToken, {}, { dpop: await proof(await newKey()) });
  expect(late.body['error']).toBe('invalid_grant');
  expect((await refresh(foreign.refreshToken)).status).toBe(200);
});

test('a device code that was begun with a key is exchanged with this key only', async () => {
  const [key, other] = await Promise.all([newKey(), newKey()]);
  const htu = `${bridge.url}/oauth/device_authorization`;
  const begun = await bridge.post(
    '/oauth/device_authorization',
    { client_id: 'centuria-cli' },
    { dpop: await proof(key, { htu }) },
  );
  await approveDevice(await somebody(), String(begun.body['user_code']));
  const form = {
    grant_type: deviceGrant,
    client_id: 'centuria-cli',
    device_code: String(begun.body['device_code']),
  };
  expect((await token(form)).body['error']).toBe('invalid_grant');
  const wrong = await token(form, { dpop: await proof(other) });
  expect(wrong.body['error']).toBe('invalid_grant');
  expect((await token(form, { dpop: await proof(key) })).body['token_type']).toBe('DPoP');
});

test('a proof that was seen, or is for something else, is refused before the code is touched', async () => {
  const key = await newKey();
  const { deviceCode, userCode } = await startDevice(bridge);
  await approveDevice(await somebody(), userCode);
  const form = { grant_type: deviceGrant, client_id: 'centuria-cli', device_code: deviceCode };
  const seen = await proof(key);
  await refresh('cnr_unknown', {}, { dpop: seen });
  const bad = [
    seen,
    await proof(key, { htm: 'GET' }),
    await proof(key, { htu: `${bridge.url}/oauth/revoke` }),
    await proof(key, { htu: 'http://evil.example/oauth/token' }),
    await proof(key, { iat: Math.floor(Date.now() / 1_000) - 300 }),
    await proof(key, { jti: undefined }),
    `${await proof(key)}, ${await proof(key)}`,
    'nonsense',
  ];
  for (const dpop of bad) {
    expect(await token(form, { dpop })).toMatchObject({
      status: 400,
      body: { error: 'invalid_dpop_proof' },
    });
  }
  const good = await token(form, { dpop: await proof(key) });
  expect(good.status).toBe(200);
  const accessToken = String(good.body['access_token']);
  expect(await boundStatus(accessToken, key)).toBe(200);
  const ath = createHash('sha256').update('another token').digest('base64url');
  expect(await boundStatus(accessToken, key, { ath })).toBe(401);
  expect(await boundStatus(accessToken, await newKey())).toBe(401);
});

test('an agent gets a short token that is bound to its key', async () => {
  const { key: secret } = await bridge.principal('spelling', 'agent', ['agent']);
  const form = { grant_type: 'client_credentials', scope: 'agents.read' };
  const headers = basic('spelling', secret);
  expect((await token(form, headers)).body['error']).toBe('invalid_dpop_proof');
  const key = await newKey();
  const given = await token(form, { ...headers, dpop: await proof(key) });
  expect(given).toMatchObject({
    status: 200,
    body: { token_type: 'DPoP', scope: 'agents.read' },
  });
  expect(given.body).not.toHaveProperty('refresh_token');
  expect(given.body['expires_in']).toBeLessThanOrEqual(600);
  expect(await boundStatus(String(given.body['access_token']), key)).toBe(200);
});

test('a user’s API key gives a token through a library, with the secret in header or body', async () => {
  const { key, userId } = await bridge.principal('clerk', 'user', ['guest']);
  const client: oauth.Client = { client_id: 'clerk' };
  for (const auth of [oauth.ClientSecretBasic(key), oauth.ClientSecretPost(key)]) {
    const asked = await oauth.clientCredentialsGrantRequest(
      bridge.as,
      client,
      auth,
      { scope: 'agents.read' },
      insecure,
    );
    const tokens = await oauth.processClientCredentialsResponse(bridge.as, client, asked);
    expect(await status(tokens.access_token)).toBe(200);
  }
  const byId = await token({ grant_type: 'client_credentials' }, basic(userId, key));
  expect(byId.status).toBe(200);
});

test('a client with a wrong secret, another’s, none, or two ways at once is refused', async () => {
  const { key } = await bridge.principal('scribe', 'user', ['guest']);
  const form = { grant_type: 'client_credentials' };
  const refused = [
    await token(form, basic('scribe', `${key}x`)),
    await token(form, basic('ada', key)),
    await token(form, basic('nobody', key)),
    await token(form, basic('scribe', '')),
    await token(form, { authorization: 'Basic ????' }),
    await token(form, { authorization: `Bearer ${key}` }),
    await token(form),
  ];
  for (const { status: code, body, headers } of refused) {
    expect([code, body['error']]).toEqual([401, 'invalid_client']);
    expect(headers.get('www-authenticate')).toBeTruthy();
  }
  const twice = [
    await token({ ...form, client_secret: key, client_id: 'scribe' }, basic('scribe', key)),
    await token({ ...form, client_id: 'ada' }, basic('scribe', key)),
  ];
  for (const { status: code, body } of twice) {
    expect([code, body['error']]).toEqual([400, 'invalid_request']);
  }
  const mixed = await token(
    { grant_type: 'refresh_token', client_id: 'scribe', refresh_token: 'cnr_x' },
    basic('scribe', key),
  );
  expect(mixed.body['error']).toBe('unauthorized_client');
});

test('an API key that is revoked gives no tokens, and those that it gave end', async () => {
  const { key } = await bridge.principal('former', 'user', ['guest']);
  const given = await token({ grant_type: 'client_credentials' }, basic('former', key));
  expect(await status(given.body['access_token'])).toBe(200);
  const owner = await bridge.identity.callers.owner();
  await bridge.identity.apiKeys.revoke(key.slice(0, 12), owner);
  expect(await status(given.body['access_token'])).toBe(401);
  const answer = await token({ grant_type: 'client_credentials' }, basic('former', key));
  expect(answer).toMatchObject({ status: 401, body: { error: 'invalid_client' } });
});
