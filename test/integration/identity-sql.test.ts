import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId } from '../../src/base/base.ts';
import { sql } from '../../src/database/database.ts';
import { deleteExpired } from '../../src/identity/queries.ts';
import { drivers, unavailable } from '../support/databases.ts';
import {
  addSession,
  addUser,
  eventsOf,
  openIdentity,
  type IdentityFixture,
} from '../support/identity.ts';

const hash = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$dGhlIGhhc2ggb2YgYSBwYXNzd29yZA';

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`on the ${driver} database`, () => {
    let fixture: IdentityFixture;
    beforeAll(async () => {
      fixture = await openIdentity(driver);
    });
    afterAll(() => fixture.close());
    beforeEach(() => run(`delete from login_attempts; delete from users where username <> 'root'`));

    const query = <Row>(text: TemplateStringsArray, ...values: readonly unknown[]) =>
      fixture.parts.database.query(sql<Row>(text, ...(values as never[])));
    const run = (script: string) => fixture.parts.database.script(script);

    async function withPassword(name: string, roles: readonly string[] = ['guest']) {
      const id = await addUser(fixture.parts, name, roles);
      await query`update users set password_hash = ${hash} where user_id = ${id}::uuid`;
      return id;
    }
    interface Authenticated {
      readonly username: string;
      readonly salt: string;
      readonly permission_bitmask: bigint;
    }
    const authenticate = (name: string | null, given: string | null) =>
      query<Authenticated>`select * from authenticate_user(${name}, ${given})`;

    const locks = () => query<{ failed_attempts: number; lockouts: number; seconds: number }>`
      select failed_attempts, lockouts,
        round(extract(epoch from locked_until - last_failed_at))::integer as seconds
      from login_attempts order by username`;

    test('authenticate_user verifies, by the name in any spelling, and tells what was asked for', async () => {
      await withPassword('alice');
      for (const name of ['alice', 'ALICE', 'ａｌｉｃｅ']) {
        expect(await authenticate(name, hash)).toMatchObject([
          { username: 'alice', salt: 'c2FsdHNhbHRzYWx0c2FsdA', permission_bitmask: 1n },
        ]);
      }
      expect(await authenticate('alice', hash.slice(0, -1))).toEqual([]);
      expect(await authenticate('alice', '')).toEqual([]);
    });

    test('authenticate_user takes what is no name and no hash for wrong, and fails at nothing', async () => {
      await addUser(fixture.parts, 'nopass', []);
      const odd = [
        'x'.repeat(10_000),
        'ﷺ'.repeat(600),
        '\u202e',
        "'; drop table users; --",
        '%',
        '',
        null,
      ];
      for (const name of ['nopass', ...odd]) {
        for (const given of [null, '', 'x'.repeat(10_000)]) {
          expect(await authenticate(name, given)).toEqual([]);
        }
      }
    });

    test('ten wrong tries lock a name, known or not, for a while that doubles; then it opens', async () => {
      await withPassword('known');
      for (const name of ['known', 'unknown']) {
        for (let tries = 1; tries <= 10; tries += 1) await authenticate(name, 'wrong');
        expect(await authenticate(name, hash)).toEqual([]);
      }
      expect(await locks()).toEqual([
        { failed_attempts: 10, lockouts: 1, seconds: 60 },
        { failed_attempts: 10, lockouts: 1, seconds: 60 },
      ]);
      await run(`update login_attempts set locked_until = now() - interval '1 second'`);
      for (let tries = 1; tries <= 10; tries += 1) await authenticate('known', 'wrong');
      expect((await locks())[0]).toEqual({ failed_attempts: 10, lockouts: 2, seconds: 120 });
      await run(`update login_attempts set locked_until = now() - interval '1 second'`);
      expect(await authenticate('known', hash)).toHaveLength(1);
      expect(await locks()).toHaveLength(1);
    });

    test('of many wrong tries at once exactly ten are judged, and the right one after them is not', async () => {
      await withPassword('raced');
      await run('delete from security_events');
      await Promise.all(Array.from({ length: 60 }, () => authenticate('raced', 'wrong')));
      expect(await authenticate('raced', hash)).toEqual([]);
      expect(await eventsOf(fixture.parts, 'account_locked')).toHaveLength(1);
      const [row] = await query<{
        failed_attempts: number;
      }>`select failed_attempts from login_attempts`;
      expect(row).toEqual({ failed_attempts: 10 });
    });

    test('a right password beside a second factor does not forget the wrong tries', async () => {
      await withPassword('two');
      await run(`update users set totp_secret = '\\x00' where username = 'two'`);
      await authenticate('two', 'wrong');
      expect(await authenticate('two', hash)).toHaveLength(1);
      const [row] = await query<{
        failed_attempts: number;
      }>`select failed_attempts from login_attempts`;
      expect(row).toEqual({ failed_attempts: 1 });
    });

    test('a disabled user does not authenticate, is permitted nothing, and has no grant', async () => {
      const id = await withPassword('gone', ['admin']);
      await run(`update users set status = 'disabled' where username = 'gone'`);
      expect(await authenticate('gone', hash)).toEqual([]);
      const [row] = await query`
        select check_permission(${id}::uuid, 'agents/a', 1) as may, permission_bitmask as bits, permissions, status
        from user_permissions_mv where user_id = ${id}::uuid`;
      expect(row).toEqual({ may: false, bits: 0n, permissions: [], status: 'disabled' });
    });

    test('validate_session counts a session that is open, and no other', async () => {
      const id = await addUser(fixture.parts, 'sess', ['guest']);
      const counts = async (jti: string | null) =>
        (await query`select * from validate_session(${jti})`).length === 1;
      const open = await addSession(fixture.parts, id);
      expect(await counts(`${open}.abc`)).toBe(true);
      for (const odd of [
        null,
        '',
        '.',
        `.${open}`,
        `${open.slice(1)}.a`,
        'x'.repeat(10_000),
        '%',
        newId(),
      ]) {
        expect([odd, await counts(odd)]).toEqual([odd, false]);
      }
      await query`insert into revoked_tokens values (${`${open}.r`}, now() + interval '1 hour')`;
      expect([await counts(`${open}.r`), await counts(`${open}.s`)]).toEqual([false, true]);
      const ends = [
        `update user_sessions set is_active = false`,
        `update user_sessions set expires_at = now()`,
        `update users set status = 'disabled' where username = 'sess'`,
      ];
      for (const end of ends) {
        await run(`delete from user_sessions;
          update users set status = 'active' where username = 'sess'`);
        const session = await addSession(fixture.parts, id);
        expect(await counts(session)).toBe(true);
        await run(end);
        expect([end, await counts(session)]).toEqual([end, false]);
      }
    });

    test('check_permission asks a wide bit for what it means on the type, and no bit on another type', async () => {
      const id = await addUser(fixture.parts, 'wide-reader', ['guest']);
      const may = async (resource: string, mask: bigint) => {
        const [row] = await query<{ may: boolean }>`
          select check_permission(${id}::uuid, ${resource}, ${mask}::bigint) as may`;
        return row?.may;
      };
      expect(await may('agents/spelling', 1n)).toBe(true);
      expect(await may('users/bob', 1n)).toBe(false);
      expect(await may('agents/spelling', 1n << 6n)).toBe(true);
      expect(await may('workflows/spelling', 1n << 6n)).toBe(false);
    });

    test('check_permission reads patterns letter by letter, and masks to their last bit', async () => {
      const id = await addUser(fixture.parts, 'pat', []);
      await run(`
        insert into roles (role_name, role_level) values ('patterned', 5) on conflict do nothing;
        insert into permissions (permission_name, resource_type, resource_pattern, action, permission_value)
        values ('p1', 'agents', 'a_b%c\\d*/e', 'read', 64), ('p2', 'runs', '*', 'top', (1::bigint << 63))
        on conflict do nothing;
        insert into role_permissions select role_id, permission_id from roles, permissions
          where role_name = 'patterned' and permission_name in ('p1', 'p2') on conflict do nothing;
        insert into user_roles select '${id}', role_id from roles where role_name = 'patterned'`);
      const may = async (resource: string | null, mask: bigint | null) =>
        (
          await query<{ may: boolean }>`
          select check_permission(${id}::uuid, ${resource}, ${mask}::bigint) as may`
        )[0]?.may;
      expect(await may('agents/a_b%c\\d/e', 64n)).toBe(true);
      expect(await may('agents/a_b%c\\d and more/e', 64n)).toBe(true);
      for (const other of [
        'agents/aXb%c\\d/e',
        'agents/a_bXc\\d/e',
        'agents/a_b%cd/e',
        'agents/A_b%c\\d/e',
        'runs/a_b%c\\d/e',
        'agents',
        'agents/',
        '',
        null,
      ]) {
        expect([other, await may(other, 64n)]).toEqual([other, false]);
      }
      const top = -(2n ** 63n);
      expect(await may('runs/x', top)).toBe(true);
      expect(await may('agents/a_b%c\\d/e', top | 64n)).toBe(true);
      expect(await may('agents/elsewhere', top | 64n)).toBe(false);
      for (const none of [0n, null, -1n, 1n << 62n]) expect(await may('runs/x', none)).toBe(false);
      await run(`update user_roles set expires_at = now() where user_id = '${id}'`);
      expect(await may('runs/x', top)).toBe(false);
    });

    test('user_permissions_mv is what counts at the moment it is read', async () => {
      const id = await addUser(fixture.parts, 'fresh', []);
      const role = `(select role_id from roles where role_name = 'fresh-role')`;
      const bits = async () =>
        (
          await query<{ bits: bigint }>`
          select permission_bitmask as bits from user_permissions_mv where user_id = ${id}::uuid`
        )[0]?.bits;
      const steps: [string, bigint][] = [
        [`insert into roles (role_name, role_level) values ('fresh-role', 5)`, 0n],
        [`insert into user_roles (user_id, role_id) values ('${id}', ${role})`, 0n],
        [
          `insert into role_permissions select ${role}, permission_id from permissions where permission_name = 'read'`,
          1n,
        ],
        [
          `insert into permissions (permission_name, resource_type, action, permission_value) values ('odd', 'odd', 'odd', 1::bigint << 40);
          insert into role_permissions select ${role}, permission_id from permissions where permission_name = 'odd'`,
          1n | (1n << 40n),
        ],
        [
          `update permissions set permission_value = 1::bigint << 41 where permission_name = 'odd'`,
          1n | (1n << 41n),
        ],
        [`update users set status = 'disabled' where user_id = '${id}'`, 0n],
        [`update users set status = 'active' where user_id = '${id}'`, 1n | (1n << 41n)],
        [`delete from permissions where permission_name = 'odd'`, 1n],
        [`update user_roles set expires_at = now() where user_id = '${id}'`, 0n],
        [`update user_roles set expires_at = null where user_id = '${id}'`, 1n],
        [`delete from roles where role_name = 'fresh-role'`, 0n],
      ];
      for (const [step, expected] of steps) {
        await run(step);
        expect([step, await bits()]).toEqual([step, expected]);
      }
    });

    test('every change by hand is announced, also a row that moves and a table that is emptied', async () => {
      const [a, b] = [
        await addUser(fixture.parts, 'hand-a', ['guest']),
        await addUser(fixture.parts, 'hand-b', []),
      ];
      const session = await addSession(fixture.parts, a);
      await run(
        `insert into api_keys (user_id, name, key_prefix, key_hash) values ('${a}', 'k', 'cnt_aaaaaaaa', '\\x00')`,
      );
      const changes: [string, string[]][] = [
        [
          `update user_roles set user_id = '${b}' where user_id = '${a}'`,
          [`user:${a}`, `user:${b}`],
        ],
        [
          `update api_keys set key_prefix = 'cnt_bbbbbbbb'`,
          ['api_key:cnt_aaaaaaaa', 'api_key:cnt_bbbbbbbb'],
        ],
        [`update api_keys set user_id = '${b}'`, ['api_key:cnt_bbbbbbbb']],
        [
          `update user_sessions set user_id = '${b}' where session_id = '${session}'`,
          [`session:${session}`],
        ],
        [`update users set status = 'disabled' where user_id = '${a}'`, [`user:${a}`]],
        [`insert into revoked_tokens values ('a.jti', now() + interval '1 hour')`, ['token:a.jti']],
        [`truncate api_keys`, ['api_key:cnt_bbbbbbbb']],
        [`truncate user_sessions cascade`, [`session:${session}`]],
        [`truncate user_roles`, ['roles:']],
        [`delete from users where user_id = '${a}'`, [`user:${a}`]],
      ];
      for (const [change, told] of changes) {
        await run(`delete from identity_changes; ${change}`);
        const rows = await query<{ told: string }>`
          select distinct kind || ':' || subject as told from identity_changes order by 1`;
        expect([change, rows.map((row) => row.told)]).toEqual([change, told.toSorted()]);
      }
      await addUser(fixture.parts, 'root2', ['admin']);
    });

    test('what is over is deleted in its time: sessions, tries, and events by their severity', async () => {
      await run(`delete from security_events;
        insert into security_events (event_type, severity, occurred_at, username) values
          ('login_success', 1, now() - interval '29 days', 'keep'), ('login_success', 2, now() - interval '31 days', 'drop'),
          ('login_failure', 3, now() - interval '89 days', 'keep'), ('login_failure', 3, now() - interval '91 days', 'drop')`);
      const id = await addUser(fixture.parts, 'old', []);
      await addSession(fixture.parts, id);
      const [dropped, kept] = [
        await addSession(fixture.parts, id),
        await addSession(fixture.parts, id),
      ];
      await run(`update user_sessions set expires_at = now() - interval '31 days' where session_id = '${dropped}';
        update user_sessions set expires_at = now() - interval '29 days' where session_id = '${kept}'`);
      const [row] = await fixture.parts.database.query(deleteExpired(100));
      expect(row?.deleted).toBe(3);
      expect(
        await query`select username, count(*)::integer as n from security_events group by 1`,
      ).toEqual([{ username: 'keep', n: 2 }]);
      const [left] = await query<{ n: number }>`select count(*)::integer as n from user_sessions`;
      expect(left?.n).toBe(2);
    });

    test('the views say what was measured, and unknown where nothing was', async () => {
      await run('delete from security_events; delete from user_sessions');
      const health = async () =>
        (
          await query<{ status: string; value: number | null }>`
          select status, value from binary_integration_health where component = 'database_performance'`
        )[0];
      const latency = async () =>
        (
          await query`select avg, p95, sample_size from auth_performance_metrics where metric = 'authentication_latency'`
        )[0];
      expect(await health()).toEqual({ status: 'unknown', value: null });
      expect(await latency()).toEqual({ avg: null, p95: null, sample_size: 0n });
      for (const [ms, status] of [
        [24, 'healthy'],
        [25, 'warning'],
        [49, 'warning'],
        [50, 'critical'],
      ] as const) {
        await run(`delete from security_events; insert into security_events (event_type, severity, database_ms, authentication_ms)
          values ('login_success', 1, ${ms}, ${ms})`);
        expect(await health()).toEqual({ status, value: ms });
        expect(await latency()).toEqual({ avg: ms, p95: ms, sample_size: 1n });
      }
      expect(
        await query`select status from binary_integration_health where component = 'connection_capacity'`,
      ).toEqual([{ status: 'healthy' }]);
    });
  });
}
