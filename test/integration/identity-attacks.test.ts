import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId, systemClock } from '../../src/base/base.ts';
import { sql } from '../../src/database/database.ts';
import type { Caller } from '../../src/identity/identity.ts';
import { attackerOf, password, type Answer, type Attacker } from '../support/attacker.ts';
import { openTestBridge, testToken, type TestBridge } from '../support/bridge.ts';
import { until } from '../support/databases.ts';

const nextPassword = 'seven lamps over quiet water';
let bridge: TestBridge;
let attacker: Attacker;
let send: Attacker['send'];
beforeAll(async () => {
  bridge = await openTestBridge({ settings: { loginAttempts: 4 } });
  attacker = attackerOf(bridge);
  ({ send } = attacker);
});
afterAll(() => bridge.end());

const soon = (ms: number) => new Date(Date.now() + ms).toISOString();

async function keyOf(name: string, scopes?: string[]): Promise<string> {
  const asked = { name: 'a program', ...(scopes === undefined ? {} : { scopes }) };
  return (await bridge.client.createApiKeyFor(name, asked)).key;
}

async function withTotp(name: string): Promise<TOTP> {
  const token = await attacker.user(name, ['guest']);
  const begun = await send('POST', '/api/v1/me/totp', { token });
  const totp = new TOTP({ secret: Secret.fromBase32(String(begun.body['secret'])) });
  const code = totp.generate();
  const confirmed = await send('POST', '/api/v1/me/totp/confirm', { token, body: { code } });
  expect(confirmed.status).toBe(200);
  return totp;
}

function login(username: string, more: object = {}): Promise<Answer> {
  return send('POST', '/api/v1/login', { body: { username, password, as: 'client', ...more } });
}

async function ticketOf(username: string): Promise<string> {
  return String((await login(username)).body['ticket']);
}

function answerTo(ticket: string, code: string): Promise<Answer> {
  return send('POST', '/api/v1/login/second-factor', { body: { ticket, code } });
}

test('a key narrowed to users.write can not set the password of the administrator it belongs to', async () => {
  const token = await attacker.user('chief', ['admin']);
  const narrow = await keyOf('chief', ['users.write']);
  for (const credential of [narrow, await keyOf('chief'), token]) {
    const taken = await send('PUT', '/api/v1/principals/CHIEF/password', {
      token: credential,
      body: { password: nextPassword },
    });
    expect(taken.status).toBe(403);
  }
  const other = await attacker.user('deputy', ['admin']);
  expect(other).not.toBe('');
  const beyond = await send('PUT', '/api/v1/principals/deputy/password', {
    token: narrow,
    body: { password: nextPassword },
  });
  expect(beyond.status).toBe(403);
  expect((await login('chief')).status).toBe(200);
});

test('a narrowed key ends no session and revokes no key but itself', async () => {
  await attacker.user('prog', ['guest']);
  const narrow = await keyOf('prog', ['runs.read']);
  const [other] = (await bridge.client.sessions({ user: 'prog' })).items;
  const { info } = await bridge.client.createApiKeyFor('prog', { name: 'another' });
  const drop = (path: string) => send('DELETE', path, { token: narrow });
  expect((await drop(`/api/v1/me/sessions/${other?.id}`)).status).toBe(403);
  expect((await drop(`/api/v1/me/api-keys/${info.id}`)).status).toBe(403);
  expect((await drop(`/api/v1/me/api-keys/${narrow.slice(0, 12)}`)).status).toBe(204);
  expect((await send('GET', '/api/v1/me', { token: narrow })).status).toBe(401);
});

test('who acts for somebody can not sign him out', async () => {
  const token = await attacker.user('boss', ['guest']);
  const actor = await attacker.user('acting', ['guest']);
  const [by, as] = await Promise.all([token, actor].map(callerBy));
  const { accessToken } = await bridge.identity.tokens.delegate(by as Caller, {
    actor: (as as Caller).access,
  });
  const out = await send('DELETE', '/api/v1/me/sessions/current', { token: accessToken });
  expect(out.status).toBe(409);
  expect((await send('GET', '/api/v1/me', { token })).status).toBe(200);
});

async function callerBy(token: string): Promise<Caller> {
  const origin = { address: '127.0.0.1', userAgent: '' };
  return await bridge.identity.callers.whoIs({ kind: 'bearer', token }, origin);
}

test('the owner of the data folder is weakened and taken over by nobody, an administrator either', async () => {
  const token = await attacker.user('mallory', ['admin']);
  const owner = '/api/v1/principals/owner';
  const tries: [string, string, unknown?][] = [
    ['PUT', `${owner}/password`, { password: nextPassword }],
    ['POST', `${owner}/api-keys`, { name: 'mine' }],
    ['PUT', `${owner}/roles/admin`, { expiresAt: soon(600_000) }],
    ['PUT', '/api/v1/principals/OWNER/roles/guest', {}],
    ['DELETE', `${owner}/roles/admin`],
    ['DELETE', `${owner}/roles/ADMIN`],
    ['PATCH', owner, { status: 'disabled' }],
    ['DELETE', `${owner}/totp`],
    ['DELETE', owner],
  ];
  for (const [method, path, body] of tries) {
    const { status } = await send(method, path, { token, ...(body === undefined ? {} : { body }) });
    expect([method, path, [403, 409].includes(status)]).toEqual([method, path, true]);
  }
  expect((await bridge.fetch('/api/v1/principals')).status).toBe(200);
  const { roles, hasPassword, status } = await bridge.client.principal('owner');
  expect({ roles, hasPassword, status }).toEqual({
    roles: [{ name: 'admin' }],
    hasPassword: false,
    status: 'active',
  });
});

test('who may change principals or roles ends only those who do not rank above him', async () => {
  await bridge.client.createRole({
    name: 'helpdesk',
    level: 4,
    permissions: ['users.write', 'roles.write', 'users.read'].map((action) => ({ action })),
  });
  const token = await attacker.user('desk', ['helpdesk']);
  await attacker.user('victim', ['admin']);
  await attacker.user('worker');
  const patch = (name: string) =>
    send('PATCH', `/api/v1/principals/${name}`, { token, body: { status: 'disabled' } });
  expect((await patch('victim')).status).toBe(403);
  expect((await send('DELETE', '/api/v1/principals/victim', { token })).status).toBe(403);
  const revoke = await send('DELETE', '/api/v1/principals/victim/roles/admin', { token });
  expect(revoke.status).toBe(403);
  const raise = await send('PUT', '/api/v1/principals/desk/roles/admin', { token, body: {} });
  expect(raise.status).toBe(403);
  expect((await patch('worker')).status).toBe(200);
});

test('a right on roles is asked in the spelling that roles have', async () => {
  await bridge.client.createRole({
    name: 'caps',
    permissions: [{ action: 'roles.write', pattern: 'GUEST' }],
  });
  const token = await attacker.user('shouter', ['caps', 'guest']);
  const grant = await send('PUT', '/api/v1/principals/shouter/roles/GUEST', { token, body: {} });
  expect(grant.status).toBe(403);
});

test('whoever has the password guesses codes as often as passwords are guessed, and no more', async () => {
  await withTotp('guessed');
  let judged = 0;
  for (let round = 0; round < 4; round += 1) {
    const { status, body } = await login('guessed');
    if (status !== 200) {
      expect(status).toBe(429);
      break;
    }
    const ticket = String(body['ticket']);
    for (const code of ['000000', '000001']) {
      const guess = await send('POST', '/api/v1/login/second-factor', { body: { ticket, code } });
      if (guess.status === 401) judged += 1;
    }
  }
  expect(judged).toBe(4);
  expect((await login('guessed')).status).toBe(429);
});

test('a ticket opens one session, and none after the password has changed', async () => {
  const totp = await withTotp('twice');
  const next = () => totp.generate({ timestamp: Date.now() + 30_000 });
  const first = await ticketOf('twice');
  expect((await answerTo(first, next())).status).toBe(200);
  // So that the same code would be right once more.
  await bridge.database.query(sql`update users set totp_last_step = null where username = 'twice'`);
  expect((await answerTo(first, next())).status).toBe(401);
  await bridge.client.unlockPrincipal('twice');
  const stale = await ticketOf('twice');
  await bridge.client.setPassword('twice', nextPassword, false);
  expect((await answerTo(stale, next())).status).toBe(401);
});

test('a secret pasted into an address is neither logged nor repeated', async () => {
  const token = await attacker.user('paster', ['guest']);
  const key = await keyOf('paster');
  const answers = [
    await send('DELETE', `/api/v1/me/api-keys/${key}`, { token }),
    await send('GET', `/api/v1/agents/${key}`, { token }),
    await send('GET', `/nothing/${token}`, { token }),
    await send('GET', `/api/v1/runs/${testToken}?token=${token}`, { token }),
  ];
  const told = JSON.stringify([answers.map((answer) => answer.text), bridge.logged]);
  expect(told).not.toContain(key);
  expect(told).not.toContain(token.slice(0, 60));
  expect(told).not.toContain(password);
});

interface Stream {
  readonly read: () => string;
  readonly ended: Promise<void>;
}

async function streamOf(token: string): Promise<Stream> {
  const { id } = await bridge.client.startRun({ workflow: 'gated', input: { name: newId() } });
  const leave = new AbortController();
  const response = await fetch(`${bridge.url}/api/v1/runs/${id}/events`, {
    headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
    signal: leave.signal,
  });
  expect(response.status).toBe(200);
  let seen = '';
  const reading = async () => {
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? [])
      seen += chunk;
  };
  const ended = reading();
  await until(() => seen.includes('event: '));
  return { read: () => seen, ended };
}

const endings: Record<string, (name: string, token: string) => Promise<unknown>> = {
  'its session is ended': (name) => bridge.client.endSessions(name),
  'its role is taken away': (name) => bridge.client.revokeRole(name, 'guest'),
  'its role expires': () => systemClock.sleep(3_000),
  'its principal is disabled': (name) =>
    bridge.client.updatePrincipal(name, { status: 'disabled' }),
  'its principal is deleted': (name) => bridge.client.deletePrincipal(name),
  'its token is revoked': (_name, token) => bridge.identity.tokens.revoke(token),
  'its key is compromised': () => bridge.client.rotateSigningKeys('compromised'),
};

test.each(Object.keys(endings))('a stream ends when %s', async (why) => {
  const name = `stream-${why.replaceAll(' ', '-')}`.slice(0, 60);
  const token = await attacker.user(name, ['guest']);
  if (why === 'its role expires') await bridge.client.grantRole(name, 'guest', soon(3_000));
  const stream = await streamOf(token);
  await endings[why]?.(name, token);
  await stream.ended;
  expect(stream.read()).toContain('the stream ends');
});

test('a stream by an API key ends when the key is revoked', async () => {
  await attacker.user('keyed', ['guest']);
  const key = await keyOf('keyed');
  const stream = await streamOf(key);
  await bridge.client.revokeApiKey(key.slice(0, 12));
  await stream.ended;
  expect(stream.read()).toContain('the API key was revoked');
});

test('a stream ends when the one who acts by its token is disabled', async () => {
  const token = await attacker.user('principal-of', ['guest']);
  const actor = await callerBy(await attacker.user('actor-of', ['guest']));
  const given = await bridge.identity.tokens.delegate(await callerBy(token), {
    actor: actor.access,
  });
  const stream = await streamOf(given.accessToken);
  await bridge.client.updatePrincipal('actor-of', { status: 'disabled' });
  await stream.ended;
  expect(stream.read()).toContain('the principal that acts is disabled');
});

test('a role that expires takes its own rights and leaves the others', async () => {
  const token = await attacker.user('mixed', ['guest']);
  await bridge.client.grantRole('mixed', 'monitor', soon(3_000));
  const status = async (path: string) => (await send('GET', path, { token })).status;
  // Until no change is to be told any more: only time takes the role then.
  await until(async () => {
    expect(await status('/api/v1/agents')).toBe(200);
    return (await status('/api/v1/security/metrics')) === 403;
  });
  expect(await status('/api/v1/agents')).toBe(200);
});
