/** Sessions, API keys and second factors on both databases: what is given, shown and taken back. */
import { createHash } from 'node:crypto';
import { TOTP } from 'otpauth';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sql } from '../../src/database/database.ts';
import type {
  ApiKeys,
  Principals,
  Roles,
  SecondFactors,
  Sessions,
} from '../../src/identity/administration.ts';
import { createApiKeys } from '../../src/identity/api-keys.ts';
import { createPrincipals } from '../../src/identity/principals.ts';
import { createRoles } from '../../src/identity/roles.ts';
import { createSecondFactors } from '../../src/identity/second-factors.ts';
import { createSessions } from '../../src/identity/sessions.ts';
import { registerPasskey } from '../support/authenticator.ts';
import { drivers, unavailable } from '../support/databases.ts';
import {
  addSession,
  addUser,
  callerOf,
  eventsOf,
  openIdentity,
  origin,
  type IdentityFixture,
} from '../support/identity.ts';

const pageOrigin = 'http://localhost:8081';
const publicUrl = () => pageOrigin;
const goodPassword = 'violet otter paints the harbour';
const codeOf = (secret: string, timestamp: number) => new TOTP({ secret }).generate({ timestamp });

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`on the ${driver} database`, () => {
    let fixture: IdentityFixture;
    let principals: Principals;
    let roles: Roles;
    let sessions: Sessions;
    let apiKeys: ApiKeys;
    let factors: SecondFactors;

    beforeAll(async () => {
      fixture = await openIdentity(driver);
      principals = createPrincipals(fixture.parts);
      roles = createRoles(fixture.parts);
      sessions = createSessions(fixture.parts);
      apiKeys = createApiKeys(fixture.parts);
      factors = createSecondFactors(fixture.parts, { publicUrl });
    });
    afterAll(async () => await fixture.close());

    test('sessions are listed by user and page, and end at once, each told', async () => {
      const { parts, admin } = fixture;
      const id = await addUser(parts, 'ann', ['guest']);
      const open = [await addSession(parts, id), await addSession(parts, id), await addSession(parts, id)]; // prettier-ignore
      const first = await sessions.list({ user: 'ANN', limit: 2 });
      expect(first.items.map((session) => session.id)).toStrictEqual([open[2], open[1]]);
      const rest = await sessions.list({ user: 'ann', limit: 2, cursor: first.nextCursor ?? '' });
      expect(rest).toMatchObject({ items: [{ id: open[0], isActive: true }] });
      expect(rest.nextCursor).toBeUndefined();
      expect(await parts.directory.sessions.get(open[0] ?? '')).toBeDefined();
      await sessions.end(open[0] ?? '', 'a lost laptop', admin);
      expect(await parts.directory.sessions.get(open[0] ?? '')).toBeUndefined();
      for (const gone of [open[0] ?? '', 'nonsense', '']) {
        const end = sessions.end(gone, 'again', admin);
        await expect(end).rejects.toMatchObject({ code: 'not_found' });
      }
      expect(await sessions.endAll('ann', 'all of them', admin, open[1])).toBe(1);
      const left = await sessions.list({ user: 'ann', onlyActive: true });
      expect(left.items.map((session) => session.id)).toStrictEqual([open[1]]);
      const told = await eventsOf(parts, 'session_ended');
      expect(told.map(({ details }) => details['reason'])).toStrictEqual([
        'a lost laptop',
        'all of them',
      ]);
    });

    test('events outlive the sessions and users that they speak of', async () => {
      const { parts, admin } = fixture;
      const id = await addUser(parts, 'gone', ['guest']);
      const session = await addSession(parts, id);
      await sessions.end(session, 'the end', admin);
      await parts.database.query(
        sql`delete from user_sessions where session_id = ${session}::uuid`,
      );
      await principals.remove('gone', admin);
      const told = await eventsOf(parts);
      expect(told.filter((event) => event.user_id === id)).toHaveLength(2);
    });

    test('an API key is shown once, stored as a hash, and listed without its secret', async () => {
      const { parts, admin } = fixture;
      await addUser(parts, 'bot', ['agent']);
      const soon = new Date(Date.now() + 3_600_000).toISOString();
      const { key, info } = await apiKeys.create(
        'bot',
        {
          name: 'nightly',
          scopes: ['agents.execute', 'runs.read'],
          allowedNetworks: ['192.0.2.0/24', '2001:db8::/32'],
          expiresAt: soon,
        },
        admin,
      );
      expect(key).toMatch(/^cnt_[a-z2-7]{8}_[A-Za-z0-9_-]{43}$/);
      expect(info).toMatchObject({
        username: 'bot',
        prefix: key.slice(0, 12),
        scopes: ['agents.execute', 'runs.read'],
        allowedNetworks: ['192.0.2.0/24', '2001:db8::/32'],
        rateLimitPerMinute: 1_000,
        expiresAt: soon,
      });
      const [row] = await parts.database.query(sql<{ key_hash: Uint8Array }>`
        select key_hash from api_keys where key_id = ${info.id}::uuid`);
      const hash = createHash('sha256').update(key).digest('hex');
      expect(Buffer.from(row?.key_hash ?? []).toString('hex')).toBe(hash);
      const { items } = await apiKeys.list({ user: 'bot' });
      expect(items).toStrictEqual([info]);
      const secret = key.slice(13);
      expect(JSON.stringify([items, await eventsOf(parts)])).not.toContain(secret);
      await apiKeys.revoke(info.prefix, admin);
      expect(fixture.changes).toContain(`api_key:${info.prefix}`);
      expect((await apiKeys.list({ user: 'bot' })).items[0]).toHaveProperty('revokedAt');
      const wrong = apiKeys.revoke(`cnt_aaaaaaaa_${secret}`, admin);
      await expect(wrong).rejects.toSatisfy((error) => !String(error).includes(secret));
    });

    test('what can be no key is refused, field by field', async () => {
      const { admin } = fixture;
      const over = '2020-01-01T00:00:00Z';
      for (const key of [
        { name: '' },
        { name: 'k', scopes: [] },
        { name: 'k', scopes: ['agents.exekute'] },
        { name: 'k', allowedNetworks: ['192.0.2.1/24'] },
        { name: 'k', allowedNetworks: [] },
        { name: 'k', rateLimitPerMinute: 0 },
        { name: 'k', rateLimitPerMinute: 2.5 },
        { name: 'k', expiresAt: over },
      ]) {
        const made = apiKeys.create('root', key, admin);
        await expect(made).rejects.toMatchObject({ code: 'invalid_input' });
      }
    });

    test('a key has no more rights than its principal and than who makes it', async () => {
      const { parts, admin } = fixture;
      await roles.create(
        {
          name: 'desk',
          level: 4,
          permissions: [{ action: 'users.write' }, { action: 'agents.execute', pattern: 'help-*' }],
        },
        admin,
      );
      await addUser(parts, 'desk', ['desk']);
      await addUser(parts, 'visitor', ['guest']);
      const desk = await callerOf(parts, 'desk');
      const beyond = apiKeys.create('visitor', { name: 'k', scopes: ['users.write'] }, admin);
      await expect(beyond).rejects.toMatchObject({ code: 'denied' });
      const forRoot = apiKeys.create('root', { name: 'k', scopes: ['users.write'] }, desk);
      await expect(forRoot).rejects.toMatchObject({ code: 'denied' });
      await expect(apiKeys.create('desk', { name: 'own' }, desk)).resolves.toBeDefined();
      const narrowed = await callerOf(parts, 'desk', ['agents.execute']);
      const wider = apiKeys.create('desk', { name: 'wide' }, narrowed);
      await expect(wider).rejects.toMatchObject({ code: 'denied' });
      const same = { name: 'narrow', scopes: ['agents.execute'] };
      await expect(apiKeys.create('desk', same, narrowed)).resolves.toBeDefined();
    });

    test('an authenticator takes effect with its first code and goes with a proof only', async () => {
      const { parts, admin } = fixture;
      await addUser(parts, 'tess', ['guest']);
      await principals.setPassword('tess', goodPassword, {}, admin);
      const tess = await callerOf(parts, 'tess');
      const { secret, uri } = await factors.beginTotp(tess);
      expect(uri).toContain('otpauth://totp/');
      await expect(factors.confirmTotp(tess, '000 00')).rejects.toMatchObject({
        code: 'unauthenticated',
      });
      expect(await principals.get('tess')).toMatchObject({ hasTotp: false });
      const nowMs = Date.now();
      const { recoveryCodes } = await factors.confirmTotp(tess, codeOf(secret, nowMs));
      expect(new Set(recoveryCodes).size).toBe(10);
      expect(await principals.get('tess')).toMatchObject({ hasTotp: true });
      await expect(factors.beginTotp(tess)).rejects.toMatchObject({ code: 'conflict' });
      // With a second factor a shorter password will do.
      await principals.setPassword('tess', 'otter ten', {}, admin);
      const stored = await parts.database.query(sql<{ sealed: Uint8Array }>`
        select totp_secret as sealed from users where username = 'tess'`);
      expect(Buffer.from(stored[0]?.sealed ?? []).toString('latin1')).not.toContain(secret);
      await expect(factors.removeTotp('tess', tess)).rejects.toMatchObject({
        code: 'unauthenticated',
      });
      // The very code that turned it on is used up.
      const used = factors.removeTotp('tess', tess, { code: codeOf(secret, nowMs), origin });
      await expect(used).rejects.toMatchObject({ code: 'unauthenticated' });
      const recovery = recoveryCodes[3]?.toLowerCase() ?? '';
      await factors.removeTotp('tess', tess, { code: recovery, origin });
      expect(await principals.get('tess')).toMatchObject({
        hasTotp: false,
        mustChangePassword: true,
      });
      const left = await parts.database.query(sql`select 1 from recovery_codes`);
      expect(left).toStrictEqual([]);
    });

    test('an administrator takes away the authenticator of somebody below, and nobody else does', async () => {
      const { parts, admin } = fixture;
      await addUser(parts, 'lost', ['monitor']);
      const lost = await callerOf(parts, 'lost');
      const { secret } = await factors.beginTotp(lost);
      await factors.confirmTotp(lost, codeOf(secret, Date.now()));
      await addUser(parts, 'peer', ['guest']);
      const peer = await callerOf(parts, 'peer');
      await expect(factors.removeTotp('lost', peer)).rejects.toMatchObject({ code: 'denied' });
      await factors.removeTotp('lost', admin);
      expect(await principals.get('lost')).toMatchObject({ hasTotp: false });
      const again = factors.removeTotp('lost', admin);
      await expect(again).rejects.toMatchObject({ code: 'not_found' });
    });

    test('guesses at the code of an open session lock as wrong passwords do', async () => {
      const { parts } = fixture;
      const lockRules = {
        maxFailures: 3,
        forgetAfterMs: 60_000,
        firstLockMs: 60_000,
        longestLockMs: 60_000,
      };
      const strict = createSecondFactors(parts, { publicUrl, lockRules });
      await addUser(parts, 'stolen', []);
      const thief = await callerOf(parts, 'stolen');
      const { secret } = await strict.beginTotp(thief);
      const { recoveryCodes } = await strict.confirmTotp(thief, codeOf(secret, Date.now()));
      const guesses = Array.from({ length: 20 }, (_, n) =>
        strict.removeTotp('stolen', thief, { code: String(n).padStart(6, '0'), origin }),
      );
      const codes = (await Promise.allSettled(guesses)).map((result) =>
        result.status === 'rejected' ? result.reason.code : 'passed',
      );
      expect(codes.filter((code) => code === 'unauthenticated')).toHaveLength(3);
      expect(codes.filter((code) => code === 'limit_exceeded')).toHaveLength(17);
      const right = { code: recoveryCodes[0] ?? '', origin };
      await expect(strict.removeTotp('stolen', thief, right)).rejects.toMatchObject({
        code: 'limit_exceeded',
      });
    });

    test('a passkey is registered with a challenge that counts once and for one person', async () => {
      const { parts, admin } = fixture;
      await addUser(parts, 'kay', []);
      await addUser(parts, 'eve', []);
      const [kay, eve] = [await callerOf(parts, 'kay'), await callerOf(parts, 'eve')];
      const { challenge, options } = await factors.passkeyRegistration(kay, origin);
      const asked = (options as { challenge: string }).challenge;
      const answer = registerPasskey(asked, pageOrigin);
      const stolen = factors.addPasskey(eve, challenge, answer, 'mine');
      await expect(stolen).rejects.toMatchObject({ code: 'token_invalid' });
      const added = await factors.addPasskey(kay, challenge, answer, 'laptop');
      expect(added).toMatchObject({ name: 'laptop', backedUp: false });
      const other = registerPasskey(asked, pageOrigin);
      const twice = factors.addPasskey(kay, challenge, other, 'again');
      await expect(twice).rejects.toMatchObject({ code: 'token_invalid' });
      expect(await factors.passkeys('kay')).toStrictEqual([added]);
      expect(await principals.get('kay')).toMatchObject({ passkeys: 1 });
      const wrong = factors.removePasskey('kay', 'nonsense', admin);
      await expect(wrong).rejects.toMatchObject({ code: 'not_found' });
      await factors.removePasskey('kay', added.id, kay);
      expect(await factors.passkeys('kay')).toStrictEqual([]);
    });
  });
}
