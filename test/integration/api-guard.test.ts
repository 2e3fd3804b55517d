import { hostname } from 'node:os';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createGuard, displayHost, type Asked, type Guard } from '../../src/api/guard.ts';
import { systemClock, type Clock } from '../../src/base/base.ts';
import { openTestBridge, testToken as token, type TestBridge } from '../support/bridge.ts';

let bridge: TestBridge;
beforeAll(async () => {
  bridge = await openTestBridge();
});
afterAll(async () => {
  await bridge.end();
});

const publicUrl = () => 'http://127.0.0.1:8081';

function guardAt(host = '127.0.0.1', clock: Clock = systemClock): Guard {
  return createGuard({ identity: bridge.identity, host, port: () => 8081, publicUrl, clock });
}

function asked(method: string, headers: Record<string, string>): Asked {
  return { method, headers, ip: '127.0.0.1', url: '/api/v1/agents' };
}

/** As a promise, whether or not memory knew the answer. */
async function whoAsks(guard: Guard, method: string, headers: Record<string, string>) {
  return await guard.whoAsks(asked(method, headers));
}

async function session(guard = guardAt()) {
  const cookie = (await guard.exchange(guard.loginCode(), asked('GET', {})))?.split(';')[0] ?? '';
  return { guard, cookie };
}

test('the token of the data folder lets in, and nothing that differs from it does', async () => {
  const guard = guardAt();
  const ask = (authorization: string) => whoAsks(guard, 'GET', { authorization });
  expect((await ask(`Bearer ${token}`)).kind).toBe('owner');
  expect((await ask(`bearer ${token}`)).kind).toBe('owner');
  for (const wrong of [
    `Bearer ${token}x`,
    `Bearer ${token.slice(1)}`,
    `Basic ${token}`,
    'Bearer',
    '',
  ]) {
    await expect(ask(wrong)).rejects.toMatchObject({ code: 'unauthenticated' });
  }
  await expect(whoAsks(guard, 'GET', {})).rejects.toThrow('a credential is needed');
});

test('who asks is named without giving the token away', async () => {
  const { id } = await whoAsks(guardAt(), 'GET', { authorization: `Bearer ${token}` });
  expect(id).toMatch(/^token:[0-9a-f]{8}$/);
});

test('a wrong token is refused even beside a good session', async () => {
  const { guard, cookie } = await session();
  const both = whoAsks(guard, 'GET', { cookie, authorization: 'Bearer wrong' });
  await expect(both).rejects.toMatchObject({ code: 'unauthenticated' });
});

test('a login code works once', async () => {
  const guard = guardAt();
  const code = guard.loginCode();
  const exchange = (given: string) => guard.exchange(given, asked('GET', {}));
  expect(await exchange(code)).toMatch(
    /^centuria_session_8081=[\w.-]+; Path=\/; HttpOnly; SameSite=Strict; Max-Age=\d+$/,
  );
  expect(await exchange(code)).toBeUndefined();
  expect(await exchange('')).toBeUndefined();
});

test('a login code ends after five minutes', async () => {
  let nowMs = 0;
  const guard = guardAt('127.0.0.1', { ...systemClock, monotonicMs: () => nowMs });
  const code = guard.loginCode();
  nowMs = 5 * 60_000;
  expect(await guard.exchange(code, asked('GET', {}))).toBeUndefined();
});

test('the twenty-first login code pushes the first out', async () => {
  const guard = guardAt();
  const codes = Array.from({ length: 21 }, () => guard.loginCode());
  expect(await guard.exchange(codes[0] ?? '', asked('GET', {}))).toBeUndefined();
  expect(await guard.exchange(codes[1] ?? '', asked('GET', {}))).toBeDefined();
});

test('a browser changes something only from the page of this server', async () => {
  const { guard, cookie } = await session();
  const host = '127.0.0.1:8081';
  const post = (headers: Record<string, string>) =>
    whoAsks(guard, 'POST', { cookie, host, ...headers });
  expect((await post({ 'sec-fetch-site': 'same-origin' })).kind).toBe('session');
  expect((await post({ origin: `http://${host}` })).kind).toBe('session');
  const refused = [
    {},
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'none' },
    { origin: 'http://127.0.0.1:3000' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site', origin: `http://${host}` },
  ];
  for (const headers of refused) {
    await expect(post(headers)).rejects.toMatchObject({ code: 'denied' });
  }
});

test('another port of the same machine can not even read with the cookie', async () => {
  const { guard, cookie } = await session();
  const get = (site: string) => whoAsks(guard, 'GET', { cookie, 'sec-fetch-site': site });
  expect((await get('none')).kind).toBe('session');
  await expect(get('same-site')).rejects.toMatchObject({ code: 'denied' });
});

function accepts(bound: string, host: string | undefined): boolean {
  try {
    guardAt(bound).checkHost(asked('GET', host === undefined ? {} : { host }));
    return true;
  } catch {
    return false;
  }
}

test.each(['127.0.0.1:8081', 'localhost:8081', 'LOCALHOST', '[::1]:8081', '127.8.0.1'])(
  'a server on loopback answers for %s',
  (host) => {
    expect(accepts('127.0.0.1', host)).toBe(true);
  },
);

test.each([
  'evil.example',
  '127.0.0.1.evil.example',
  'localhost.evil.example',
  '10.0.0.7',
  '',
  undefined,
  'a b',
  '127.0.0.1:8081:1',
  'user@127.0.0.1',
])('a server on loopback does not answer for %s, which may have been pointed at it', (host) => {
  expect(accepts('127.0.0.1', host)).toBe(false);
});

test('a server elsewhere answers for the name or the addresses it is bound to', () => {
  expect(accepts('bridge.internal', 'bridge.internal:8081')).toBe(true);
  expect(accepts('bridge.internal', '10.0.0.7')).toBe(false);
  expect(accepts('0.0.0.0', '10.0.0.7:8081')).toBe(true);
  expect(accepts('0.0.0.0', hostname())).toBe(true);
  expect(accepts('0.0.0.0', 'evil.example')).toBe(false);
});

test('links name an address that a browser can open', () => {
  expect(displayHost('0.0.0.0')).toBe('127.0.0.1');
  expect(displayHost('::1')).toBe('[::1]');
  expect(displayHost('bridge.internal')).toBe('bridge.internal');
});
