import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import { systemClock, type Clock } from '../base/base.ts';
import { createGuard, displayHost } from './guard.ts';

const token = 'a-token-of-the-data-folder';

function guardAt(host = '127.0.0.1', clock: Clock = systemClock) {
  return createGuard({ token, host, port: () => 8081, clock });
}

/** A clock that stands until it is moved. */
function heldClock() {
  let nowMs = 0;
  return {
    clock: { ...systemClock, nowMs: () => nowMs, monotonicMs: () => nowMs },
    move(ms: number) {
      nowMs += ms;
    },
  };
}

function session(guard = guardAt()) {
  const cookie = guard.exchange(guard.loginCode())?.split(';')[0] ?? '';
  return { guard, cookie };
}

test('the token lets in, and nothing that differs from it does', () => {
  const guard = guardAt();
  const ask = (authorization: string) =>
    guard.whoAsks({ method: 'GET', headers: { authorization } });
  expect(ask(`Bearer ${token}`).kind).toBe('token');
  expect(ask(`bearer ${token}`).kind).toBe('token');
  for (const wrong of [
    `Bearer ${token}x`,
    `Bearer ${token.slice(1)}`,
    `Basic ${token}`,
    'Bearer',
    '',
  ]) {
    expect(() => ask(wrong)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  }
  expect(() => guard.whoAsks({ method: 'GET', headers: {} })).toThrow('a token is needed');
});

test('who asks is named without giving the token away', () => {
  const { id } = guardAt().whoAsks({
    method: 'GET',
    headers: { authorization: `Bearer ${token}` },
  });
  expect(id).toMatch(/^token:[0-9a-f]{8}$/);
});

test('a wrong token is refused even beside a good session', () => {
  const { guard, cookie } = session();
  expect(() =>
    guard.whoAsks({ method: 'GET', headers: { cookie, authorization: 'Bearer wrong' } }),
  ).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
});

test('a login code works once', () => {
  const guard = guardAt();
  const code = guard.loginCode();
  expect(guard.exchange(code)).toMatch(
    /^centuria_session_8081=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/,
  );
  expect(guard.exchange(code)).toBeUndefined();
  expect(guard.exchange('')).toBeUndefined();
});

test('a login code ends after five minutes and a session after twelve hours', () => {
  const { clock, move } = heldClock();
  const guard = guardAt('127.0.0.1', clock);
  const late = guard.loginCode();
  move(5 * 60_000);
  expect(guard.exchange(late)).toBeUndefined();

  const { cookie } = session(guard);
  move(12 * 3_600_000 - 1);
  expect(guard.whoAsks({ method: 'GET', headers: { cookie } }).kind).toBe('session');
  move(1);
  expect(() => guard.whoAsks({ method: 'GET', headers: { cookie } })).toThrow('has ended');
});

test('the twenty-first login code pushes the first out', () => {
  const guard = guardAt();
  const codes = Array.from({ length: 21 }, () => guard.loginCode());
  expect(guard.exchange(codes[0] ?? '')).toBeUndefined();
  expect(guard.exchange(codes[1] ?? '')).toBeDefined();
});

test('a browser changes something only from the page of this server', () => {
  const { guard, cookie } = session();
  const host = '127.0.0.1:8081';
  const post = (headers: Record<string, string>) =>
    guard.whoAsks({ method: 'POST', headers: { cookie, host, ...headers } });
  expect(post({ 'sec-fetch-site': 'same-origin' }).kind).toBe('session');
  expect(post({ origin: `http://${host}` }).kind).toBe('session');
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
    expect(() => post(headers)).toThrow(expect.objectContaining({ code: 'denied' }));
  }
});

test('another port of the same machine can not even read with the cookie', () => {
  const { guard, cookie } = session();
  const get = (site: string) =>
    guard.whoAsks({ method: 'GET', headers: { cookie, 'sec-fetch-site': site } });
  expect(get('none').kind).toBe('session');
  expect(() => get('same-site')).toThrow(expect.objectContaining({ code: 'denied' }));
});

function accepts(bound: string, host: string | undefined): boolean {
  try {
    guardAt(bound).checkHost({ method: 'GET', headers: host === undefined ? {} : { host } });
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
