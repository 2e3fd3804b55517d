import { decodeJwt } from 'jose';
import * as oauth from 'oauth4webapi';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  accessTokenUrn,
  basic,
  bound,
  cli,
  deviceTokens,
  exchangeGrant,
  insecure,
  newKey,
  openOAuthBridge,
  proofFor,
  type Answer,
  type Key,
  type OAuthBridge,
  type Person,
} from '../support/oauth.ts';

let bridge: OAuthBridge;
let ada: Person;
let guest: Person;
const secrets = new Map<string, { userId: string; key: string }>();
beforeAll(async () => {
  bridge = await openOAuthBridge();
  ada = await bridge.person('ada', ['admin']);
  guest = await bridge.person('guest-1', ['guest']);
  for (const name of ['lead', 'spelling', 'links', 'third', 'fourth', 'fifth']) {
    secrets.set(name, await bridge.principal(name, 'agent', ['agent']));
  }
});
afterAll(async () => {
  await bridge.end();
});

type Form = Readonly<Record<string, string>>;
const as = (name: string) => basic(name, secrets.get(name)?.key ?? '');
const idOf = (name: string) => secrets.get(name)?.userId;
const status = async (token: unknown, path = '/api/v1/agents') =>
  (await bridge.fetch(path, { headers: { authorization: `Bearer ${String(token)}` } })).status;
const tokensOf = (person: Person, form: Form = {}) => deviceTokens(bridge, person, form);

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const revoke = (token: string) =>
  oauth.revocationRequest(bridge.as, cli, oauth.None(), token, insecure);
const refresh = (token: string) =>
  bridge.post('/oauth/token', {
    grant_type: 'refresh_token',
    client_id: 'centuria-cli',
    refresh_token: token,
  });

function exchange(subject: string, more: Form = {}, headers?: Record<string, string>) {
  const form = {
    grant_type: exchangeGrant,
    subject_token: subject,
    subject_token_type: accessTokenUrn,
    ...more,
  };
  return bridge.post('/oauth/token', form, headers);
}

/** A token of an agent's own, bound to the key. */
async function agentToken(name: string, key: Key): Promise<string> {
  const headers = { ...as(name), dpop: await proofFor(bridge, key) };
  const answer = await bridge.post('/oauth/token', { grant_type: 'client_credentials' }, headers);
  return String(answer.body['access_token']);
}

test('an agent acts for a person with a token that names both, and never with more rights', async () => {
  const { accessToken } = await tokensOf(guest);
  const given = await exchange(accessToken, {}, as('spelling'));
  expect(given).toMatchObject({
    status: 200,
    body: { issued_token_type: accessTokenUrn, token_type: 'Bearer' },
  });
  const claims = decodeJwt(String(given.body['access_token']));
  expect(claims).toMatchObject({ sub: guest.userId, act: { sub: idOf('spelling') } });
  expect(await status(given.body['access_token'])).toBe(200);
  const start = await bridge.fetch('/api/v1/agents/spelling/invoke', {
    method: 'POST',
    headers: {
      authorization: `Bearer ${String(given.body['access_token'])}`,
      'content-type': 'application/json',
    },
    body: '{"input":{}}',
  });
  expect(start.status).toBe(403);
});

test('a chain of actors grows inwards up to four, and no further', async () => {
  let { accessToken } = await tokensOf(ada, { scope: 'agents.read' });
  const chain = ['lead', 'spelling', 'links', 'third'];
  for (const name of chain) {
    const { body } = await exchange(accessToken, {}, as(name));
    accessToken = String(body['access_token']);
  }
  expect(await status(accessToken)).toBe(200);
  const { act } = decodeJwt(accessToken) as { act: unknown };
  expect(act).toEqual({
    sub: idOf('third'),
    act: { sub: idOf('links'), act: { sub: idOf('spelling'), act: { sub: idOf('lead') } } },
  });
  const beyond = await exchange(accessToken, {}, as('fourth'));
  expect(beyond).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
});

test('a delegated token ends with the session that it came from, and with the one who acts', async () => {
  const { accessToken, refreshToken } = await tokensOf(ada);
  const first = await exchange(accessToken, {}, as('lead'));
  const second = await exchange(String(first.body['access_token']), {}, as('fifth'));
  expect(await status(second.body['access_token'])).toBe(200);
  const owner = await bridge.identity.callers.owner();
  await bridge.identity.principals.update('fifth', { status: 'disabled' }, owner);
  expect(await status(second.body['access_token'])).toBe(401);
  expect(await status(first.body['access_token'])).toBe(200);
  await bridge.post('/oauth/revoke', { token: refreshToken });
  expect(await status(first.body['access_token'])).toBe(401);
});

test('a scope can be narrowed and not widened on the way', async () => {
  const { accessToken } = await tokensOf(ada, { scope: 'agents.read' });
  const wider = await exchange(accessToken, { scope: 'agents.read users.read' }, as('lead'));
  expect(wider.body['scope']).toBe('agents.read');
  const nothing = await exchange(accessToken, { scope: 'users.read' }, as('lead'));
  expect(nothing).toMatchObject({ status: 400, body: { error: 'invalid_scope' } });
});

test('a token for one resource is not exchanged for another', async () => {
  const resource = `${bridge.url}/api/v1/agents`;
  const { accessToken } = await tokensOf(ada);
  const narrowed = await exchange(accessToken, { resource }, as('lead'));
  const narrow = String(narrowed.body['access_token']);
  expect(await status(narrow)).toBe(200);
  expect(await status(narrow, '/api/v1/runs')).toBe(403);
  const again = await exchange(narrow, { audience: `${bridge.url}/api/v1/runs` }, as('lead'));
  expect(again.body['error']).toBe('invalid_target');
  const foreign = await exchange(accessToken, { resource: 'https://evil.example/' }, as('lead'));
  expect(foreign.body['error']).toBe('invalid_target');
  const deployment = { audience: bridge.identity.tokens.issuer };
  expect((await exchange(accessToken, deployment, as('lead'))).status).toBe(200);
  const kept = await exchange(narrow, deployment, as('lead'));
  expect(await status(kept.body['access_token'], '/api/v1/runs')).toBe(403);
});

test('the result is bound to the key of the actor’s token, and a bound subject needs its own proof', async () => {
  const [lead, spelling] = await Promise.all([newKey(), newKey()]);
  const { accessToken } = await tokensOf(ada);
  const first = await exchange(
    accessToken,
    {},
    { ...as('lead'), dpop: await proofFor(bridge, lead) },
  );
  const subject = String(first.body['access_token']);
  expect(first.body['token_type']).toBe('DPoP');
  const actor = {
    actor_token: await agentToken('spelling', spelling),
    actor_token_type: accessTokenUrn,
  };
  expect((await exchange(subject, actor)).body['error']).toBe('invalid_dpop_proof');
  const wrong = await exchange(subject, actor, { dpop: await proofFor(bridge, spelling) });
  expect(wrong.body['error']).toBe('invalid_dpop_proof');
  const given = await exchange(subject, actor, { dpop: await proofFor(bridge, lead) });
  expect(given).toMatchObject({ status: 200, body: { token_type: 'DPoP' } });
  const token = String(given.body['access_token']);
  const read = async (key: Key) => {
    const headers = await bound(bridge, token, key, '/api/v1/agents');
    return (await bridge.fetch('/api/v1/agents', { headers })).status;
  };
  expect(await read(spelling)).toBe(200);
  expect(await read(lead)).toBe(401);
});

test('a client names as actor only itself and agents that it may call', async () => {
  const { accessToken } = await tokensOf(ada);
  const { key } = await bridge.principal('clerk', 'user', ['guest']);
  const blamed = await exchange(accessToken, { actor: 'spelling' }, basic('clerk', key));
  expect(blamed).toMatchObject({ status: 400, body: { error: 'unauthorized_client' } });
  const own = await exchange(accessToken, { actor: 'clerk' }, basic('clerk', key));
  expect(own.status).toBe(200);
  const called = await exchange(accessToken, { actor: 'spelling' }, as('lead'));
  expect(decodeJwt(String(called.body['access_token']))).toMatchObject({
    act: { sub: idOf('spelling') },
  });
});

test('an exchange without anybody who acts, or with what is no token of ours, is refused', async () => {
  const { accessToken, refreshToken } = await tokensOf(ada);
  const mine = { actor_token: accessToken, actor_token_type: accessTokenUrn };
  const { body } = await exchange(accessToken, {}, as('lead'));
  const refused: Answer[] = [
    await exchange(accessToken),
    await exchange(accessToken, { client_id: 'centuria-cli' }),
    await exchange(refreshToken, {}, as('lead')),
    await exchange('x.y.z', {}, as('lead')),
    await exchange(`${accessToken}x`, {}, as('lead')),
    await exchange(accessToken, { subject_token_type: 'urn:x' }, as('lead')),
    await exchange(accessToken, { requested_token_type: 'urn:x' }, as('lead')),
    await exchange(accessToken, { actor_token: accessToken }),
    await exchange(accessToken, { actor_token_type: accessTokenUrn }),
    await exchange(accessToken, { ...mine, actor: 'lead' }),
    await exchange(accessToken, { ...mine, actor_token: String(body['access_token']) }),
    await exchange(accessToken, { actor: 'nobody' }, as('lead')),
  ];
  for (const answer of refused) {
    expect([answer.status, answer.body['error']]).toEqual([400, 'invalid_request']);
  }
});

test('introspection tells of one’s own tokens, and of others’ to who may read the audit', async () => {
  const hers = await tokensOf(ada, { scope: 'agents.read' });
  const his = await tokensOf(guest);
  const look = (token: string, headers: Record<string, string>) =>
    bridge.post('/oauth/introspect', { token }, headers);
  const all = await tokensOf(ada);

  expect((await look(hers.accessToken, bearer(hers.accessToken))).body).toMatchObject({
    active: true,
    sub: ada.userId,
    username: 'ada',
    client_id: 'centuria-cli',
    token_type: 'Bearer',
    scope: 'agents.read',
  });
  expect((await look(his.refreshToken, bearer(his.accessToken))).body).toMatchObject({
    active: true,
    sub: guest.userId,
  });
  expect((await look(hers.accessToken, bearer(his.accessToken))).body).toEqual({ active: false });
  expect((await look(his.accessToken, bearer(hers.accessToken))).body).toEqual({ active: false });
  expect((await look(his.accessToken, bearer(all.accessToken))).body).toMatchObject({
    active: true,
  });
  expect((await look('nonsense', bearer(all.accessToken))).body).toEqual({ active: false });
  expect(await look(his.accessToken, {})).toMatchObject({
    status: 401,
    body: { error: 'invalid_client' },
  });
  const { key } = await bridge.principal('auditor', 'user', ['monitor']);
  const auditor: oauth.Client = { client_id: 'auditor' };
  const secret = oauth.ClientSecretBasic(key);
  const asked = await oauth.introspectionRequest(
    bridge.as,
    auditor,
    secret,
    his.accessToken,
    insecure,
  );
  const told = await oauth.processIntrospectionResponse(bridge.as, auditor, asked);
  expect(told).toMatchObject({ active: true, username: 'guest-1' });
});

test('whoever holds a token takes it back', async () => {
  const { accessToken, refreshToken } = await tokensOf(ada);
  await oauth.processRevocationResponse(await revoke(accessToken));
  expect(await status(accessToken)).toBe(401);
  const next = await refresh(refreshToken);
  expect(await status(next.body['access_token'])).toBe(200);
  await oauth.processRevocationResponse(await revoke(String(next.body['refresh_token'])));
  expect(await status(next.body['access_token'])).toBe(401);
  await oauth.processRevocationResponse(await revoke('nonsense'));
});
