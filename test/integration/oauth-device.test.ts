import * as oauth from 'oauth4webapi';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sql } from '../../src/database/database.ts';
import {
  approveDevice,
  cli,
  deviceGrant,
  deviceTokens,
  insecure,
  none,
  openOAuthBridge,
  startDevice,
  type OAuthBridge,
  type Person,
} from '../support/oauth.ts';

let bridge: OAuthBridge;
let ada: Person;
let eve: Person;
beforeAll(async () => {
  bridge = await openOAuthBridge();
  ada = await bridge.person('ada', ['admin']);
  eve = await bridge.person('eve', ['guest']);
});
afterAll(async () => {
  await bridge.end();
});

const poll = (deviceCode: string, more: Record<string, string> = {}) =>
  bridge.post('/oauth/token', {
    grant_type: deviceGrant,
    client_id: 'centuria-cli',
    device_code: deviceCode,
    ...more,
  });
const begin = (form: Record<string, string>) => bridge.post('/oauth/device_authorization', form);
const outcome = async (deviceCode: string, more: Record<string, string> = {}) =>
  (await poll(deviceCode, more)).body['error'];

/** A session of its own, so that what one test looks up is not counted against another. */
let people = 0;
const somebody = (roles: readonly string[]) => bridge.person(`person-${(people += 1)}`, roles);

test('a library for the device flow gets tokens once the person has said yes', async () => {
  const begun = await oauth.deviceAuthorizationRequest(
    bridge.as,
    cli,
    none,
    { scope: 'agents.read runs.read' },
    insecure,
  );
  const device = await oauth.processDeviceAuthorizationResponse(bridge.as, cli, begun);
  expect(device).toMatchObject({ interval: 5, expires_in: 600 });
  expect(device.user_code).toMatch(/^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$/);
  expect(device.verification_uri).toBe(`${bridge.url}/device`);
  expect(device.verification_uri_complete).toBe(`${bridge.url}/device?code=${device.user_code}`);

  const ask = () =>
    oauth.deviceCodeGrantRequest(bridge.as, cli, none, device.device_code, insecure);
  const pending = oauth.processDeviceCodeResponse(bridge.as, cli, await ask());
  await expect(pending).rejects.toMatchObject({ error: 'authorization_pending' });

  const looked = await ada.fetch(
    `/api/v1/device/${device.user_code.toLowerCase().replace('-', '')}`,
  );
  expect(await looked.json()).toMatchObject({
    userCode: device.user_code,
    client: { id: 'centuria-cli', name: 'Centuria command line' },
    scopes: [
      { name: 'agents.read', granted: true },
      { name: 'runs.read', granted: true },
    ],
    address: '127.0.0.1',
    status: 'pending',
  });
  const decided = await ada.fetch(`/api/v1/device/${device.user_code}`, {
    method: 'POST',
    body: { approve: true },
  });
  expect(decided.status).toBe(204);

  const tokens = await oauth.processDeviceCodeResponse(bridge.as, cli, await ask());
  expect(tokens).toMatchObject({ token_type: 'bearer', scope: 'agents.read runs.read' });
  const authorization = `Bearer ${tokens.access_token}`;
  expect((await bridge.fetch('/api/v1/agents', { headers: { authorization } })).status).toBe(200);
  expect((await bridge.fetch('/api/v1/clients', { headers: { authorization } })).status).toBe(403);
});

test('the session of the client is its own and not the browser’s', async () => {
  const tim = await somebody(['admin']);
  const { accessToken } = await deviceTokens(bridge, tim);
  const [session] = await bridge.sessionsOf(tim.username);
  expect(session).toMatchObject({ method: 'device', active: true });
  expect(session?.id).not.toBe(tim.sessionId);
  const owner = await bridge.identity.callers.owner();
  await bridge.identity.sessions.end(tim.sessionId, 'signed out', owner);
  const authorization = `Bearer ${accessToken}`;
  expect((await bridge.fetch('/api/v1/agents', { headers: { authorization } })).status).toBe(200);
});

test('a code that is asked for too often slows its client down, and goes on counting', async () => {
  const { deviceCode, userCode } = await startDevice(bridge);
  expect(await outcome(deviceCode)).toBe('authorization_pending');
  expect(await outcome(deviceCode)).toBe('slow_down');
  const [row] = await bridge.database.query(
    sql<{ interval_seconds: number }>`
      select interval_seconds from device_codes where user_code = ${userCode.replace('-', '')}`,
  );
  expect(row?.interval_seconds).toBe(10);
  await bridge.forgetPolls();
  expect(await outcome(deviceCode)).toBe('authorization_pending');
  await approveDevice(await somebody(['admin']), userCode);
  expect((await poll(deviceCode)).status).toBe(200);
});

test('a code is exchanged once, however many ask at the same time', async () => {
  const tim = await somebody(['admin']);
  const { deviceCode, userCode } = await startDevice(bridge);
  await approveDevice(tim, userCode);
  const answers = await Promise.all(Array.from({ length: 12 }, () => poll(deviceCode)));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  const errors = answers.filter(({ status }) => status !== 200).map(({ body }) => body['error']);
  expect(new Set(errors)).toEqual(new Set(['invalid_grant']));
  expect(await bridge.sessionsOf(tim.username)).toHaveLength(1);
});

test('a code that another session looked up first can not be claimed or decided by this one', async () => {
  const { deviceCode, userCode } = await startDevice(bridge);
  const thief = await somebody(['admin']);
  const path = `/api/v1/device/${userCode}`;
  expect((await ada.fetch(path)).status).toBe(200);
  expect((await thief.fetch(path)).status).toBe(409);
  const decided = await thief.fetch(path, { method: 'POST', body: { approve: true } });
  expect(decided.status).toBe(409);
  expect(await outcome(deviceCode)).toBe('authorization_pending');
});

test('two sessions that look a code up at the same time do not both get it', async () => {
  const { userCode } = await startDevice(bridge);
  const crowd = await Promise.all(Array.from({ length: 6 }, () => somebody(['guest'])));
  const looked = await Promise.all(crowd.map((one) => one.fetch(`/api/v1/device/${userCode}`)));
  expect(looked.filter(({ status }) => status === 200)).toHaveLength(1);
});

test('another client can not exchange a device code, and does not use it up', async () => {
  await bridge.register('other', []);
  const { deviceCode, userCode } = await startDevice(bridge);
  await approveDevice(await somebody(['admin']), userCode);
  expect(await outcome(deviceCode, { client_id: 'other' })).toBe('invalid_grant');
  expect((await poll(deviceCode)).status).toBe(200);
});

test('a refused code is told as such, once', async () => {
  const { deviceCode, userCode } = await startDevice(bridge);
  const tim = await somebody(['admin']);
  await tim.fetch(`/api/v1/device/${userCode}`);
  await tim.fetch(`/api/v1/device/${userCode}`, { method: 'POST', body: { approve: false } });
  const again = await tim.fetch(`/api/v1/device/${userCode}`, {
    method: 'POST',
    body: { approve: true },
  });
  expect(again.status).toBe(409);
  expect(await outcome(deviceCode)).toBe('access_denied');
  expect(await outcome(deviceCode)).toBe('invalid_grant');
});

test('a code that is over is told as such, and nobody can let it in any more', async () => {
  const { deviceCode, userCode } = await startDevice(bridge);
  await bridge.database.query(sql`
    update device_codes set expires_at = now() - interval '1 second'
    where user_code = ${userCode.replace('-', '')}`);
  expect(await outcome(deviceCode)).toBe('expired_token');
  const tim = await somebody(['admin']);
  expect((await tim.fetch(`/api/v1/device/${userCode}`)).status).toBe(404);
});

test('when the session that said yes has ended, its yes counts no more', async () => {
  const tim = await somebody(['admin']);
  const { deviceCode, userCode } = await startDevice(bridge);
  await approveDevice(tim, userCode);
  const owner = await bridge.identity.callers.owner();
  await bridge.identity.sessions.endAll(tim.username, 'stolen', owner);
  expect(await outcome(deviceCode)).toBe('access_denied');
  expect(await bridge.sessionsOf(tim.username)).toEqual([]);
});

test('ten codes a minute can be tried by a session, and the right one is refused after them', async () => {
  const guesser = await somebody(['admin']);
  const { userCode } = await startDevice(bridge);
  const guesses = await Promise.all(
    Array.from({ length: 40 }, () => guesser.fetch('/api/v1/device/BBBB-BBBB')),
  );
  expect(guesses.filter(({ status }) => status === 404)).toHaveLength(10);
  expect(guesses.filter(({ status }) => status === 429)).toHaveLength(30);
  const right = await guesser.fetch(`/api/v1/device/${userCode}`);
  expect(right.status).toBe(429);
  expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(0);
});

test('programs can not let programs in', async () => {
  const { userCode } = await startDevice(bridge);
  const { accessToken } = await deviceTokens(bridge, await somebody(['admin']));
  const { key } = await bridge.principal('clerk', 'user', ['admin']);
  for (const token of [accessToken, key]) {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const looked = await bridge.fetch(`/api/v1/device/${userCode}`, { headers });
    expect(looked.status).toBe(403);
    const decided = await bridge.fetch(`/api/v1/device/${userCode}`, {
      method: 'POST',
      headers,
      body: '{"approve":true}',
    });
    expect(decided.status).toBe(403);
  }
  expect((await bridge.fetch(`/api/v1/device/${userCode}`)).status).toBe(403);
});

test('a scope is narrowed to what the person has, and one of which nothing is left is refused', async () => {
  const { body } = await deviceTokens(bridge, eve, { scope: 'agents.read users.write' });
  expect(body['scope']).toBe('agents.read');
  const { userCode } = await startDevice(bridge, { scope: 'users.write' });
  await eve.fetch(`/api/v1/device/${userCode}`);
  const decided = await eve.fetch(`/api/v1/device/${userCode}`, {
    method: 'POST',
    body: { approve: true },
  });
  expect(decided.status).toBe(422);
});

test('unknown clients and scopes are refused before anything is stored', async () => {
  expect(await begin({ client_id: 'nobody' })).toMatchObject({
    status: 401,
    body: { error: 'invalid_client' },
  });
  expect(await begin({})).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
  expect(await begin({ client_id: 'centuria-cli', scope: 'agents.everything' })).toMatchObject({
    status: 400,
    body: { error: 'invalid_scope' },
  });
});

test('codes are stored as hashes', async () => {
  const { deviceCode } = await startDevice(bridge);
  const rows = await bridge.database.query(sql<{ text: string }>`
    select d::text as text from device_codes d`);
  expect(rows.length).toBeGreaterThan(0);
  expect(rows.filter(({ text }) => text.includes(deviceCode.slice(4)))).toEqual([]);
});
