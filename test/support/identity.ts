/** Identity on a real, migrated database: its parts as a server has them, and callers with rights of their own. */
import { randomBytes } from 'node:crypto';
import { newId, systemClock } from '../../src/base/base.ts';
import { sql, type Database } from '../../src/database/database.ts';
import type { Caller } from '../../src/identity/access.ts';
import { createDirectory } from '../../src/identity/directory.ts';
import type { Parts } from '../../src/identity/parts.ts';
import { createPasswordHasher, leastParameters } from '../../src/identity/passwords.ts';
import { allBits, maskOfActions } from '../../src/identity/permissions.ts';
import type { ChangeKind } from '../../src/identity/queries.ts';
import { createSealer } from '../../src/identity/seal.ts';
import { openStore, type TestStore } from './coordination.ts';
import { silentLog } from './databases.ts';

export interface IdentityFixture extends TestStore {
  readonly parts: Parts;
  /** What this process was told to forget, as `kind:subject`. */
  readonly changes: string[];
  /** An active administrator, without a password. */
  readonly admin: Caller;
  /** Parts of another process on the same database; not on the embedded driver. */
  otherParts(): Promise<Parts>;
}

export const origin = { address: '192.0.2.7', userAgent: 'a test' } as const;

export async function openIdentity(driver: Database['driver']): Promise<IdentityFixture> {
  const store = await openStore(driver);
  const masterKey = randomBytes(32);
  const changes: string[] = [];
  const parts = partsOn(store.database, masterKey, changes);
  await addUser(parts, 'root', ['admin']);
  const admin = await callerOf(parts, 'root');
  return {
    ...store,
    parts,
    changes,
    admin,
    otherParts: async () => partsOn(await store.another(), masterKey, []),
  };
}

function partsOn(database: Database, masterKey: Uint8Array, changes: string[]): Parts {
  const directory = createDirectory(database, systemClock);
  const sealer = createSealer(masterKey);
  return {
    database,
    clock: systemClock,
    log: silentLog,
    directory,
    applyChange(kind: ChangeKind, subject: string) {
      changes.push(`${kind}:${subject}`);
      directory.forget(kind, subject);
    },
    hasher: createPasswordHasher({
      parameters: leastParameters,
      concurrency: 2,
      capacity: 64,
      decoyKey: sealer.derive('decoys', 32),
    }),
    breached: undefined,
    sealer,
    ownerName: 'owner',
  };
}

/** A user with roles, written past every rule: what tests begin with. Gives the id. */
export async function addUser(
  { database }: Parts,
  username: string,
  roles: readonly string[],
): Promise<string> {
  const userId = newId();
  await database.query(sql`
    insert into users (user_id, username) values (${userId}::uuid, ${username})`);
  await database.query(sql`
    insert into user_roles (user_id, role_id)
    select ${userId}::uuid, role_id from roles where role_name = any(${roles}::text[])`);
  return userId;
}

/** The user at a door, by a credential narrowed to `scopes` where they are given. */
export async function callerOf(
  { database, directory }: Parts,
  username: string,
  scopes?: readonly string[],
  sessionId?: string,
): Promise<Caller> {
  const [row] = await database.query(
    sql<{ user_id: string }>`select user_id from users where username = ${username}`,
  );
  const access = row === undefined ? undefined : await directory.principals.get(row.user_id);
  if (access === undefined) throw new Error(`${username} is nobody who may come in`);
  return {
    access,
    kind: 'session',
    id: 'a session of a test',
    sessionId,
    within: scopes === undefined ? allBits : maskOfActions(scopes),
    actor: undefined,
    audience: undefined,
    untilMs: Infinity,
    limit: undefined,
  };
}

/** An open session of a user, written past the login. */
export async function addSession({ database }: Parts, userId: string): Promise<string> {
  const sessionId = newId();
  await database.query(sql`
    insert into user_sessions (session_id, user_id, jwt_token_id, expires_at, login_method)
    values (${sessionId}::uuid, ${userId}::uuid, ${sessionId}::text, now() + interval '1 hour', 'test')`);
  return sessionId;
}

export interface WrittenEvent {
  readonly type: string;
  readonly risk: number;
  readonly user_id: string | null;
  readonly username: string | null;
  readonly details: Record<string, unknown>;
}

/** Security events in their order. */
export async function eventsOf({ database }: Parts, type?: string): Promise<WrittenEvent[]> {
  return database.query(sql<WrittenEvent>`
    select event_type as type, risk_score::integer as risk, user_id, username, details
    from security_events where ${type ?? null}::text is null or event_type = ${type ?? null}::text
    order by occurred_at, event_id`);
}
