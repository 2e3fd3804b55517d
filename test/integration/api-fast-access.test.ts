import { afterAll, beforeAll, expect, test } from 'vitest';
import { signIn } from '../support/a2a.ts';
import { openTestBridge, type TestBridge } from '../support/bridge.ts';

let bridge: TestBridge;
beforeAll(async () => {
  bridge = await openTestBridge();
});
afterAll(async () => {
  await bridge.end();
});

const address = '/api/v1/me/access?action=agents.read';

/** What a caller sees, without what differs from one answer to the next. */
async function seen(path: string, headers: Record<string, string> = {}) {
  const answer = await bridge.fetch(path, { headers });
  const names = [...answer.headers.keys()].toSorted();
  return { status: answer.status, names, body: await answer.json() };
}

/** How often the address may still ask. */
async function left(headers: Record<string, string> = {}): Promise<number> {
  const answer = await bridge.fetch(address, { headers });
  return Number(/r=(\d+)/.exec(answer.headers.get('ratelimit') ?? '')?.[1]);
}

test('the short way answers as the usual way does, to the last header', async () => {
  await seen(address);
  const short = await seen(address);
  // A request that names itself goes the usual way.
  const usual = await seen(address, { 'x-request-id': 'the-usual-way' });
  expect(short).toEqual(usual);
  expect(short).toMatchObject({ status: 200, body: { allowed: true, reason: '' } });
});

test('a request is counted once, whichever way it goes', async () => {
  const before = await left();
  await left({ 'x-request-id': 'the-usual-way' });
  await left();
  expect(await left()).toBe(before - 3);
});

test('who is not known, not allowed, or asks for what there is not, is told so', async () => {
  const nobody = await bridge.fetch(address, { headers: { authorization: 'Bearer wrong' } });
  expect(nobody.status).toBe(401);
  expect((await bridge.fetch('/api/v1/me/access?action=nothing.at.all')).status).toBe(422);
  expect((await bridge.fetch(`${address}&resource=a%2Fb`)).status).toBe(200);
  expect((await bridge.fetch(`${address}&other=1`)).status).toBe(422);
});

test('rights that became stale under a request are read again, unless its credential counts no more', async () => {
  const { callers, principals, roles } = bridge.identity;
  const owner = await callers.owner();
  const token = await signIn(bridge, 'mara', ['monitor']);
  const origin = { address: null, userAgent: '' };
  const mara = await callers.whoIs({ kind: 'bearer', token }, origin);
  expect(await callers.renewed(mara)).toBe(mara);
  await roles.create({ name: 'of-others', permissions: [] }, owner);
  expect(mara.access.isCurrent).toBe(false);
  const again = await callers.renewed(mara);
  expect(again.access).toMatchObject({ isCurrent: true, roles: ['monitor'] });
  await principals.update('mara', { status: 'disabled' }, owner);
  await expect(callers.renewed(again)).rejects.toMatchObject({ code: 'unauthenticated' });
});
