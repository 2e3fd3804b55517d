/** Who can do what, what was seen, and the faults that no schema may have again, on both databases. */
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sql } from '../../src/database/database.ts';
import { createAccessQuestions } from '../../src/identity/access-questions.ts';
import { authorize } from '../../src/identity/access.ts';
import type { AccessQuestions, Roles } from '../../src/identity/administration.ts';
import { maskOf, maskValue, type Action } from '../../src/identity/permissions.ts';
import { createRoles } from '../../src/identity/roles.ts';
import {
  createSecurityEvents,
  type SecurityEventsPart,
} from '../../src/identity/security-events.ts';
import { drivers, unavailable } from '../support/databases.ts';
import {
  addUser,
  callerOf,
  eventsOf,
  openIdentity,
  origin,
  type IdentityFixture,
} from '../support/identity.ts';

const refused = { allowed: false, reason: 'no role of it grants it' };

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`on the ${driver} database`, () => {
    let fixture: IdentityFixture;
    let questions: AccessQuestions;
    let roles: Roles;
    let events: SecurityEventsPart;

    beforeAll(async () => {
      fixture = await openIdentity(driver);
      questions = createAccessQuestions(fixture.parts);
      roles = createRoles(fixture.parts);
      events = createSecurityEvents(fixture.parts);
    });
    afterAll(async () => {
      await events.close();
      await fixture.close();
    });

    test('SQL, the questions and authorize agree, whatever the roles, patterns and resources', async () => {
      const { parts } = fixture;
      const { database, directory } = parts;
      const letter = fc.constantFrom('a', 'a', 'a', '_', '%', '\\', '/', 'é');
      const word = fc.array(letter, { minLength: 1, maxLength: 3 }).map((all) => all.join(''));
      const pattern = fc
        .array(fc.oneof(word, fc.constant('*')), { minLength: 1, maxLength: 3 })
        .map((pieces) => pieces.join('').replaceAll(/\*+/g, '*'));
      // Few, so that what is asked is often what is granted: two kinds, and wide bits that imply them.
      const narrow = ['agents.execute', 'agents.write', 'runs.read'] as const;
      const some = [...narrow, 'read', 'execute', 'admin', 'keys.read'] as const;
      const permission = fc.oneof(
        fc.record({ action: fc.constantFrom(...narrow), pattern }),
        fc.record({ action: fc.constantFrom(...narrow), pattern }),
        fc.record({ action: fc.constantFrom(...some), pattern: fc.constant('*') }),
      );
      const userId = await addUser(parts, 'anybody', ['drawn']);
      let round = 0;
      const property = fc.asyncProperty(
        fc.array(permission, { minLength: 1, maxLength: 5 }),
        fc.constantFrom('active', 'active', 'active', 'disabled'),
        fc.array(fc.tuple(fc.constantFrom(...some), fc.option(word, { nil: undefined })), {
          minLength: 1,
          maxLength: 10,
        }),
        async (permissions, status, asked) => {
          round += 1;
          const name = `drawn-${round}`;
          await roles.create({ name, permissions }, fixture.admin);
          await database.query(sql`delete from user_roles where user_id = ${userId}::uuid`);
          await database.query(sql`
            insert into user_roles (user_id, role_id)
            select ${userId}::uuid, role_id from roles where role_name = ${name}`);
          await database.query(sql`
            update users set status = ${status} where user_id = ${userId}::uuid`);
          directory.forgetAll();
          const isKnown = (await directory.principals.get(userId)) !== undefined;
          // Drawn words seldom match a pattern; one made of each does.
          const meant = permissions.map(
            (given) => [given.action, given.pattern.replaceAll('*', 'a')] as const,
          );
          for (const [action, resource] of [...asked, ...meant]) {
            const inMemory =
              isKnown && authorize(await callerOf(parts, 'anybody'), action, resource).allowed;
            const type = action.split('.')[0] ?? '';
            const path = resource === undefined ? type : `${type}/${resource}`;
            const [row] = await database.query(sql<{ allowed: boolean }>`
              select check_permission(${userId}::uuid, ${path}, ${maskValue(maskOf(action))}::bigint)
                as allowed`);
            const { allowed } = await questions.check('anybody', action, resource);
            const able = await questions.who(action, resource, 500);
            const isAble = able.some(({ username }) => username === 'anybody');
            expect({ action, resource, sql: row?.allowed, allowed, isAble }).toStrictEqual({
              action,
              resource,
              sql: inMemory,
              allowed: inMemory,
              isAble: inMemory,
            });
          }
          // The system holds 256 roles at most.
          await roles.remove(name, fixture.admin);
        },
      );
      await fc.assert(property, { numRuns: 30 });
    });

    test('what somebody can do is told with the role that allows it', async () => {
      const { parts, admin } = fixture;
      await roles.create(
        {
          name: 'helper',
          permissions: [{ action: 'agents.execute', pattern: 'help-*' }, { action: 'status.read' }],
        },
        admin,
      );
      await addUser(parts, 'hal', ['helper']);
      expect(await questions.can('hal')).toStrictEqual({
        username: 'hal',
        status: 'active',
        roles: ['helper'],
        everywhere: ['status.read'],
        some: [{ action: 'agents.execute', pattern: 'help-*', role: 'helper' }],
        mask: String(2 ** 27),
      });
      expect(await questions.check('hal', 'agents.execute', 'help-me')).toStrictEqual({
        allowed: true,
        reason: 'helper grants it on help-*',
      });
      expect(await questions.check('hal', 'agents.execute', undefined)).toStrictEqual({
        allowed: false,
        reason: 'helper grants it on help-* only',
      });
      expect(await questions.check('hal', 'users.read', undefined)).toStrictEqual(refused);
      expect(await questions.who('agents.execute', 'help-me')).toStrictEqual([
        { username: 'hal', kind: 'user', by: ['helper'] },
        { username: 'root', kind: 'user', by: ['admin'] },
      ]);
      const unknown = questions.check('hal', 'agents.exec', undefined);
      await expect(unknown).rejects.toMatchObject({ code: 'invalid_input' });
      await expect(questions.can('nobody')).rejects.toMatchObject({ code: 'not_found' });
    });

    test('many refusals alike are one event with a count, found by its filters', async () => {
      const { parts } = fixture;
      const id = await addUser(parts, 'prober', []);
      const prober = await callerOf(parts, 'prober');
      const probe = (action: Action) => events.denied(prober, action, 'x', refused, origin);
      for (let n = 0; n < 50; n += 1) probe('users.read');
      await events.flush();
      for (let n = 0; n < 50; n += 1) probe('users.read');
      probe('roles.read');
      events.flood('203.0.113.9');
      events.limited('login', { address: '203.0.113.9', userAgent: '' }, undefined);
      await events.flush();
      const { items } = await events.list({ user: 'prober' });
      const counts = items.map(({ details }) => [details['action'], details['count']]);
      expect(counts.toSorted()).toStrictEqual([
        ['roles.read', 1],
        ['users.read', 100],
      ]);
      expect(items[0]).toMatchObject({
        type: 'permission_denied',
        severity: 3,
        userId: id,
        username: 'prober',
        address: '192.0.2.7',
      });
      const risky = await events.list({ minRisk: 60 });
      expect(risky.items.map(({ type }) => type)).toStrictEqual(['ddos_detected']);
      expect((await events.list({ user: 'nobody at all' })).items).toStrictEqual([]);
      expect((await events.list({ since: '2999-01-01' })).items).toStrictEqual([]);
      for (const filter of [{ type: 'login_sucess' }, { since: 'soon' }, { cursor: 'W10' }]) {
        await expect(events.list(filter)).rejects.toMatchObject({ code: 'invalid_input' });
      }
    });

    test('pages of events leave none out, also of those at the same moment', async () => {
      const { parts } = fixture;
      await parts.database.query(sql`
        insert into security_events (event_type, severity, username, occurred_at)
        select 'login_failure', 3, 'same-moment', timestamptz '2026-01-01 00:00:00.123457Z' + (n / 3) * interval '1 microsecond'
        from generate_series(1, 10) as n`);
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await events.list({
          user: 'same-moment',
          limit: 3,
          ...(cursor === undefined ? {} : { cursor }),
        });
        seen.push(...page.items.map(({ id }) => id));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(seen).toHaveLength(10);
      expect(new Set(seen).size).toBe(10);
    });

    test('a full buffer drops no request and says how many refusals it could not keep', async () => {
      const { parts } = fixture;
      const small = createSecurityEvents(parts, { capacity: 5 });
      for (let n = 0; n < 20; n += 1) small.flood(`198.51.100.${n}`);
      await small.close();
      const told = await eventsOf(parts, 'suspicious_activity');
      expect(told.map(({ details }) => details['count'])).toStrictEqual([15]);
      const floods = (await eventsOf(parts, 'ddos_detected')).filter(
        ({ details }) => details['count'] === 1,
      );
      expect(floods.length).toBeGreaterThanOrEqual(5);
    });

    test('the measures of both views are given, unknown ones as null', async () => {
      const { performance, health } = await events.metrics();
      expect(performance.map(({ metric }) => metric)).toStrictEqual([
        'authentication_latency',
        'session_creation_rate',
        'concurrent_sessions',
      ]);
      expect(performance[0]).toMatchObject({ avg: null, p95: null, samples: 0, unit: 'ms' });
      expect(health.map(({ component, status }) => [component, status])).toStrictEqual([
        ['database_performance', 'unknown'],
        ['connection_capacity', 'healthy'],
      ]);
    });

    test('failed logins are counted, lock the name, and the password is not ignored', async () => {
      const { parts } = fixture;
      const { database, hasher } = parts;
      const hash = await hasher.hash('violet otter paints the harbour');
      await database.query(
        sql`insert into users (username, password_hash) values ('real', ${hash})`,
      );
      const sign = (computed: string) =>
        database.query(sql<{ username: string }>`
          select username from authenticate_user('REAL', ${computed})`);
      expect(await sign(hash)).toStrictEqual([{ username: 'real' }]);
      for (let n = 0; n < 10; n += 1) expect(await sign(`wrong ${n}`)).toStrictEqual([]);
      expect(await sign(hash)).toStrictEqual([]);
      const told = await eventsOf(parts, 'account_locked');
      expect(told.map(({ username }) => username)).toStrictEqual(['real']);
      expect(JSON.stringify(await eventsOf(parts))).not.toContain('argon2');
    });

    test('nobody exists after the migrations, so no password of anybody is known', async () => {
      const { database } = fixture.parts;
      const fresh = await database.query(sql<{ username: string }>`
        select username from users where created_at < (select min(created_at) from users where username = 'root')`);
      expect(fresh).toStrictEqual([]);
    });

    test('no index holds a moment that passes, and nothing refers to a session or user from an event', async () => {
      const { database } = fixture.parts;
      const indexes = await database.query(sql<{ predicate: string }>`
        select pg_get_expr(indpred, indrelid) as predicate from pg_index
        where indpred is not null and pg_get_expr(indpred, indrelid) ~* '[a-z_][(]|current_'`);
      expect(indexes).toStrictEqual([]);
      const keys = await database.query(sql<{ conname: string }>`
        select conname from pg_constraint where contype = 'f' and conrelid = 'security_events'::regclass`);
      expect(keys).toStrictEqual([]);
    });
  });
}
