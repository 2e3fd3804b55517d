/** Administration of principals and roles on both databases: what it does, and what it refuses. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sql } from '../../src/database/database.ts';
import { createPrincipals } from '../../src/identity/principals.ts';
import { createRoles } from '../../src/identity/roles.ts';
import type { Principals, Roles } from '../../src/identity/administration.ts';
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

const goodPassword = 'violet otter paints the harbour';
const password = (n: number) => `${'otter harbour violet '.slice(n)} number ${n}`;
const nextPassword = 'seven lamps over quiet water';

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`on the ${driver} database`, () => {
    let fixture: IdentityFixture;
    let principals: Principals;
    let roles: Roles;

    beforeAll(async () => {
      fixture = await openIdentity(driver);
      principals = createPrincipals(fixture.parts);
      roles = createRoles(fixture.parts);
    });
    afterAll(async () => await fixture.close());

    test('a principal is made, shown, changed and removed, and each is told with who did it', async () => {
      const { parts, admin } = fixture;
      const made = await principals.create(
        {
          username: 'Ａda',
          displayName: 'Ada L.',
          email: 'ADA@Example.org',
          roles: ['monitor', 'guest'],
          password: goodPassword,
          mustChangePassword: true,
        },
        admin,
      );
      expect(made).toMatchObject({
        username: 'ada',
        kind: 'user',
        status: 'active',
        displayName: 'Ada L.',
        email: 'ada@example.org',
        roles: [{ name: 'monitor' }, { name: 'guest' }],
        permissions: '17',
        hasPassword: true,
        mustChangePassword: true,
        hasTotp: false,
        passkeys: 0,
        failedAttempts: 0,
      });
      expect(await principals.get('ADA')).toStrictEqual(made);
      expect(await principals.get(made.id.toUpperCase())).toStrictEqual(made);
      const updated = await principals.update('ada', { displayName: 'A', email: null }, admin);
      expect(updated).not.toHaveProperty('email');
      expect(updated.displayName).toBe('A');
      await principals.remove('ada', admin);
      await expect(principals.get('ada')).rejects.toMatchObject({ code: 'not_found' });
      const told = (await eventsOf(parts)).filter(({ user_id: id }) => id === made.id);
      expect(told.map(({ details }) => details['change'])).toStrictEqual([
        'created',
        'updated',
        'removed',
      ]);
      expect(told.every(({ details }) => details['by'] === 'root')).toBe(true);
      expect(fixture.changes.filter((change) => change === `user:${made.id}`)).toHaveLength(3);
    });

    test('names that look alike are one name, and what can be none says what is allowed', async () => {
      const { admin } = fixture;
      await principals.create({ username: 'kelvin', email: 'caf\u00e9@example.org' }, admin);
      const same = ['KELVIN', '\u212aelvin', 'ｋｅｌｖｉｎ'];
      for (const username of same) {
        const again = principals.create({ username }, admin);
        await expect(again).rejects.toMatchObject({ code: 'conflict' });
      }
      for (const email of ['cafe\u0301@EXAMPLE.org', 'ＣＡＦ\u00c9@example.org']) {
        const again = principals.create({ username: 'other', email }, admin);
        await expect(again).rejects.toMatchObject({
          code: 'conflict',
          details: { field: 'email' },
        });
      }
      await expect(principals.get('other')).rejects.toMatchObject({ code: 'not_found' });
      const id = (await principals.get('kelvin')).id;
      for (const username of ['İstanbul', 'naïve', '', '-a', 'a b', 'a'.repeat(64), id, 'a\0b']) {
        const made = principals.create({ username }, admin);
        await expect(made).rejects.toMatchObject({
          code: 'invalid_input',
          remedy: expect.stringContaining('letters a to z'),
        });
      }
      await principals.update('kelvin', { email: '\u0130@example.org' }, admin);
      const other = principals.create({ username: 'other', email: 'i\u0307@example.org' }, admin);
      await expect(other).rejects.toMatchObject({ code: 'conflict' });
      await principals.create({ username: 'other' }, admin);
      const taken = principals.update('other', { email: '\u0130@example.org' }, admin);
      await expect(taken).rejects.toMatchObject({ code: 'conflict' });
    });

    test('a disabled principal has no permission, no session, and is nobody at once', async () => {
      const { parts, admin } = fixture;
      const id = await addUser(parts, 'leaver', ['admin']);
      const caller = await callerOf(parts, 'leaver');
      const sessionId = await addSession(parts, id);
      const info = await principals.update('leaver', { status: 'disabled' }, admin);
      expect(info).toMatchObject({ status: 'disabled', permissions: '0' });
      expect(caller.access.isCurrent).toBe(false);
      expect(await parts.directory.principals.get(id)).toBeUndefined();
      expect(await parts.directory.sessions.get(sessionId)).toBeUndefined();
      const [row] = await parts.database.query(
        sql<{ ok: boolean }>`select check_permission(${id}::uuid, 'agents/spelling', 1) as ok`,
      );
      expect(row?.ok).toBe(false);
      await principals.update('leaver', { status: 'active' }, admin);
      expect(await parts.directory.sessions.get(sessionId)).toBeUndefined();
    });

    test('a role with an end counts until then and no longer', async () => {
      const { parts, admin } = fixture;
      const id = await addUser(parts, 'temp', []);
      const until = new Date(Date.now() + 3_600_000).toISOString();
      const info = await principals.grantRole('temp', 'monitor', until, admin);
      expect(info.roles).toStrictEqual([{ name: 'monitor', expiresAt: until }]);
      expect(info.permissions).toBe('17');
      await parts.database.query(sql`
        update user_roles set expires_at = now() - interval '1 second' where user_id = ${id}::uuid`);
      expect(await principals.get('temp')).toMatchObject({ roles: [], permissions: '0' });
      parts.directory.forgetAll();
      expect((await parts.directory.principals.get(id))?.roles).toStrictEqual([]);
      for (const end of [
        '2001-01-01T00:00:00Z',
        'tomorrow',
        '12/24/2099',
        '2099-13-01T00:00:00Z',
      ]) {
        const grant = principals.grantRole('temp', 'monitor', end, admin);
        await expect(grant).rejects.toMatchObject({ code: 'invalid_input' });
      }
    });

    test('lists come in pages that leave nobody out, and a broken cursor is refused', async () => {
      const { parts } = fixture;
      for (const name of ['p1', 'p2', 'p3', 'p4', 'p5']) await addUser(parts, name, ['system']);
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await principals.list({
          role: 'System',
          limit: 2,
          ...(cursor === undefined ? {} : { cursor }),
        });
        expect(page.items.length).toBeLessThanOrEqual(2);
        seen.push(...page.items.map(({ username }) => username));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(seen).toStrictEqual(['p1', 'p2', 'p3', 'p4', 'p5']);
      const wrong = [
        { cursor: '!' },
        { cursor: 'W10' },
        { limit: 0 },
        { limit: 501 },
        { limit: 1.5 },
      ];
      for (const filter of wrong) {
        await expect(principals.list(filter)).rejects.toMatchObject({ code: 'invalid_input' });
      }
      const agents = await principals.list({ kind: 'agent' });
      expect(agents.items).toStrictEqual([]);
    });

    test('nobody gives a role, a permission or a credential beyond what he has himself', async () => {
      const { parts, admin } = fixture;
      await roles.create(
        {
          name: 'reviewer',
          level: 3,
          permissions: [
            { action: 'agents.execute', pattern: 'review-*' },
            { action: 'roles.write' },
            { action: 'users.write' },
          ],
        },
        admin,
      );
      await roles.create({ name: 'team', level: 5 }, admin);
      await addUser(parts, 'grantor', ['reviewer']);
      const grantor = await callerOf(parts, 'grantor');
      const allow = (action: string, pattern: string) =>
        roles.allow('team', action, pattern, grantor);
      await expect(allow('agents.execute', 'review-x')).resolves.toMatchObject({
        permissions: [{ action: 'agents.execute', pattern: 'review-x' }],
      });
      await expect(allow('agents.execute', 'review-*')).resolves.toBeDefined();
      await expect(allow('agents.execute', 'review-**-b')).resolves.toBeDefined();
      for (const pattern of ['*', '**', 'review*', 'rev*', '*-x']) {
        await expect(allow('agents.execute', pattern)).rejects.toMatchObject({
          code: 'denied',
        });
      }
      await expect(allow('agents.read', 'review-x')).rejects.toMatchObject({ code: 'denied' });
      await expect(allow('read', '*')).rejects.toMatchObject({ code: 'denied' });
      await addUser(parts, 'junior', []);
      await expect(
        principals.grantRole('junior', 'team', undefined, grantor),
      ).resolves.toMatchObject({ roles: [{ name: 'team' }] });
      for (const role of ['admin', 'guest', 'agent']) {
        const grant = principals.grantRole('junior', role, undefined, grantor);
        await expect(grant).rejects.toMatchObject({ code: 'denied' });
        const create = principals.create({ username: 'tool', roles: [role] }, grantor);
        await expect(create).rejects.toMatchObject({ code: 'denied' });
      }
      // The same person with a narrowed credential gives no more than that.
      const narrowed = await callerOf(parts, 'grantor', ['roles.write']);
      const grant = principals.grantRole('junior', 'reviewer', undefined, narrowed);
      await expect(grant).rejects.toMatchObject({ code: 'denied' });
      const ranked = roles.create({ name: 'chief', level: 1 }, grantor);
      await expect(ranked).rejects.toMatchObject({ code: 'denied' });
      // Whoever sets a password can use it.
      const takeOver = principals.setPassword('root', goodPassword, {}, grantor);
      await expect(takeOver).rejects.toMatchObject({ code: 'denied' });
    });

    test('roles of the system stay, and others can be changed and removed', async () => {
      const { parts, admin } = fixture;
      for (const change of [
        () => roles.allow('agent', 'roles.write', '*', admin),
        () => roles.disallow('ADMIN', 'admin', '*', admin),
        () => roles.remove('guest', admin),
      ]) {
        await expect(change()).rejects.toMatchObject({ code: 'conflict' });
      }
      await roles.create({ name: 'Crew', description: 'On board' }, admin);
      await expect(roles.create({ name: 'crew' }, admin)).rejects.toMatchObject({
        code: 'conflict',
      });
      await roles.allow('crew', 'runs.read', 'nightly-*', admin);
      await roles.allow('crew', 'status.read', '*', admin);
      expect(await roles.get('crew')).toStrictEqual({
        name: 'crew',
        level: 5,
        isSystem: false,
        description: 'On board',
        mask: String(2 ** 27),
        permissions: [
          { action: 'runs.read', pattern: 'nightly-*' },
          { action: 'status.read', pattern: '*' },
        ],
        members: 0,
      });
      await expect(roles.allow('crew', 'runs.reed', '*', admin)).rejects.toMatchObject({
        code: 'invalid_input',
        remedy: 'Did you mean runs.read?',
      });
      await expect(roles.allow('crew', 'read', 'a*', admin)).rejects.toMatchObject({
        code: 'invalid_input',
      });
      await roles.disallow('crew', 'runs.read', 'nightly-*', admin);
      await expect(roles.disallow('crew', 'runs.read', 'x', admin)).rejects.toMatchObject({
        code: 'not_found',
      });
      await addUser(parts, 'sailor', ['crew']);
      const sailor = await callerOf(parts, 'sailor');
      await roles.remove('crew', admin);
      expect(sailor.access.isCurrent).toBe(false);
      expect((await callerOf(parts, 'sailor')).access.roles).toStrictEqual([]);
      await expect(roles.get('crew')).rejects.toMatchObject({ code: 'not_found' });
      const told = (await eventsOf(parts, 'role_changed')).map(({ details }) => details['change']);
      expect(told).toContain('removed');
    });

    test('the last one who may change roles for good can not go, by whatever way', async () => {
      const { parts, admin } = fixture;
      await parts.database.query(sql`delete from users where username <> 'root'`);
      const soon = new Date(Date.now() + 3_600_000).toISOString();
      await addUser(parts, 'weekend', []);
      await principals.grantRole('weekend', 'admin', soon, admin);
      for (const last of [
        () => principals.revokeRole('root', 'admin', admin),
        () => principals.grantRole('root', 'admin', soon, admin),
        () => principals.update('root', { status: 'disabled' }, admin),
        () => principals.remove('root', admin),
      ]) {
        await expect(last()).rejects.toMatchObject({ code: 'conflict' });
      }
      expect(await principals.get('root')).toMatchObject({
        status: 'active',
        roles: [{ name: 'admin' }],
      });
      await principals.grantRole('weekend', 'admin', undefined, admin);
      await principals.revokeRole('root', 'admin', admin);
      const weekend = await callerOf(parts, 'weekend');
      await principals.grantRole('root', 'admin', undefined, weekend);
    });

    test('of administrators who remove each other at once exactly one stays', async () => {
      const { parts } = fixture;
      const names = ['a1', 'a2', 'a3', 'a4', 'a5', 'a6'];
      for (let round = 0; round < 5; round += 1) {
        await parts.database.query(sql`delete from users where username <> 'root'`);
        for (const name of names) await addUser(parts, name, ['admin']);
        const callers = await Promise.all(names.map((name) => callerOf(parts, name)));
        await parts.database.query(sql`
          update users set status = 'disabled' where username = 'root'`);
        // Each has the next one go, by one way or the other.
        const ended = await Promise.allSettled(
          callers.map((caller, n) => {
            const next = names[(n + 1) % names.length] ?? '';
            return n % 2 === 0
              ? principals.revokeRole(next, 'admin', caller)
              : principals.update(next, { status: 'disabled' }, caller);
          }),
        );
        await parts.database.query(sql`update users set status = 'active' where username = 'root'`);
        const lost = ended.filter((result) => result.status === 'rejected');
        expect(lost.map(({ reason }) => reason.code)).toStrictEqual(['conflict']);
      }
    });

    test('the owner of the data folder stays', async () => {
      const { parts, admin } = fixture;
      await addUser(parts, 'owner', ['admin']);
      await expect(principals.remove('owner', admin)).rejects.toMatchObject({ code: 'conflict' });
    });

    test('a password is set and changed under the rules, and ends the sessions', async () => {
      const { parts, admin } = fixture;
      const id = await addUser(parts, 'pia', ['guest']);
      for (const bad of ['short', 'pia pia pia pia pia pia', 'aaaaaaaaaaaaaaaaaaaaaa']) {
        const set = principals.setPassword('pia', bad, {}, admin);
        await expect(set).rejects.toMatchObject({ code: 'invalid_input' });
      }
      await principals.setPassword('pia', goodPassword, { mustChange: true }, admin);
      const [kept, other] = [await addSession(parts, id), await addSession(parts, id)];
      const pia = await callerOf(parts, 'pia', undefined, kept);
      const wrong = principals.changePassword(pia, 'not the one that it is', nextPassword, origin);
      await expect(wrong).rejects.toMatchObject({ code: 'unauthenticated' });
      await principals.changePassword(pia, goodPassword, nextPassword, origin);
      expect(await parts.directory.sessions.get(kept)).toBeDefined();
      expect(await parts.directory.sessions.get(other)).toBeUndefined();
      expect(await principals.get('pia')).toMatchObject({ mustChangePassword: false });
      const back = principals.changePassword(pia, nextPassword, goodPassword, origin);
      await expect(back).rejects.toMatchObject({ details: { rule: 'previous' } });
      const told = await eventsOf(parts, 'password_changed');
      expect(told.filter(({ user_id: user }) => user === id)).toHaveLength(2);
    });

    test('of former passwords the last five are refused, and older ones are not', async () => {
      const { parts, admin } = fixture;
      const id = await addUser(parts, 'mnemosyne', []);
      for (let n = 1; n <= 6; n += 1) {
        await principals.setPassword('mnemosyne', password(n), {}, admin);
      }
      for (let n = 2; n <= 6; n += 1) {
        const again = principals.setPassword('mnemosyne', password(n), {}, admin);
        await expect(again).rejects.toMatchObject({ details: { rule: 'previous' } });
      }
      const [row] = await parts.database.query(sql<{ kept: number }>`
        select count(*)::integer as kept from password_history where user_id = ${id}::uuid`);
      expect(row?.kept).toBe(5);
      await principals.setPassword('mnemosyne', password(1), {}, admin);
    });

    test('wrong present passwords are counted and lock, until somebody unlocks', async () => {
      const { parts, admin } = fixture;
      const lockRules = {
        maxFailures: 3,
        forgetAfterMs: 60_000,
        firstLockMs: 60_000,
        longestLockMs: 60_000,
      };
      const strict = createPrincipals(parts, { lockRules });
      await addUser(parts, 'guessed', []);
      await strict.setPassword('guessed', goodPassword, {}, admin);
      const thief = await callerOf(parts, 'guessed');
      for (let tries = 1; tries <= 3; tries += 1) {
        const guess = strict.changePassword(thief, `a guess ${tries}`, nextPassword, origin);
        await expect(guess).rejects.toMatchObject({ code: 'unauthenticated' });
      }
      const right = strict.changePassword(thief, goodPassword, nextPassword, origin);
      await expect(right).rejects.toMatchObject({ code: 'limit_exceeded' });
      expect(await strict.get('guessed')).toMatchObject({
        failedAttempts: 3,
        lockedUntil: expect.any(String),
      });
      await strict.unlock('guessed', admin);
      expect(await strict.get('guessed')).toMatchObject({ failedAttempts: 0 });
      await strict.changePassword(thief, goodPassword, nextPassword, origin);
    });

    test('agents get principals of their own, once', async () => {
      const { parts } = fixture;
      await addUser(parts, 'ada-person', []);
      await principals.ensureAgents(['spelling', 'links', 'ada-person', 'x'.repeat(64)]);
      await principals.ensureAgents(['spelling', 'links']);
      const { items } = await principals.list({ kind: 'agent' });
      expect(items.map(({ username }) => username)).toStrictEqual(['links', 'spelling']);
      expect(items[0]).toMatchObject({ permissions: '7', hasPassword: false });
      expect(await principals.get('ada-person')).toMatchObject({ kind: 'user', roles: [] });
    });

    test('no event and no answer holds a password or its hash', async () => {
      const { parts } = fixture;
      const told = JSON.stringify(await eventsOf(parts));
      expect(told).not.toContain('$argon2');
      expect(told).not.toContain(goodPassword);
      const { items } = await principals.list({ limit: 500 });
      expect(JSON.stringify(items)).not.toContain('argon2');
    });
  });
}
