/** The users, sessions and tokens that identity is measured with, written past the doors in bulk. */
import { hash } from '@node-rs/argon2';
import { createLog, newId, systemClock } from '../../src/base/base.ts';
import { sql, type Database } from '../../src/database/database.ts';
import { createDirectory } from '../../src/identity/directory.ts';
import { issueAccessToken } from '../../src/identity/issue.ts';
import { openKeyRing } from '../../src/identity/key-ring.ts';
import { leastParameters } from '../../src/identity/passwords.ts';
import { createSealer } from '../../src/identity/seal.ts';

export const log = createLog({ level: 'error' });
/** OWASP's floor for Argon2id, ours and the peer's. The package's default kind is Argon2id. */
export const hashCosts = {
  memoryCost: leastParameters.memoryKiB,
  timeCost: leastParameters.iterations,
  parallelism: leastParameters.parallelism,
} as const;
export const password = 'a right password of a measurement';
export const wrongPassword = 'a wrong password of a measurement';
export const users = 20_000;
export const userName = (number: number): string => `bench-${number}`;

const sessionMs = 3_600_000;

/** All have the role guest and one password: hashing it 20,000 times would take five minutes. Gives the hash. */
export async function addUsers(database: Database): Promise<string> {
  const phc = await hash(password, hashCosts);
  await database.query(
    sql`insert into users (username, password_hash)
      select 'bench-' || number, ${phc} from generate_series(1, ${users}::integer) as made (number)`,
    { timeoutMs: 120_000 },
  );
  await database.query(
    sql`insert into user_roles (user_id, role_id)
      select user_id, (select role_id from roles where role_name = 'guest')
      from users where username like 'bench-%'`,
    { timeoutMs: 120_000 },
  );
  await database.query(sql`analyze users, user_roles`, { timeoutMs: 60_000 });
  return phc;
}

export interface Session {
  readonly sessionId: string;
  readonly token: string;
}

/** Open sessions of `count` users, one each, with a token that this deployment's own key has signed. */
export async function addSessions(
  database: Database,
  masterKey: Uint8Array,
  count: number,
): Promise<Session[]> {
  const ids = Array.from({ length: count }, () => newId());
  const rows = await database.query(
    sql<{ session_id: string; user_id: string }>`
      insert into user_sessions (session_id, user_id, jwt_token_id, expires_at, login_method)
      select made.id, u.user_id, made.id::text, now() + ${sessionMs} * interval '1 millisecond', 'bench'
      from unnest(${ids}::uuid[]) with ordinality as made (id, number)
      join users u on u.username = 'bench-' || made.number
      returning session_id, user_id`,
    { timeoutMs: 120_000 },
  );
  const [named] = await database.query(
    sql<{ value: string }>`select value from identity_settings where name = 'issuer'`,
  );
  const sealer = createSealer(masterKey);
  const keyRing = await openKeyRing({ database, sealer, clock: systemClock, log });
  // All are guests alike: of what is in a token, only who it is differs.
  const [first] = rows;
  const directory = createDirectory(database, systemClock);
  const access = await directory.principals.get(first?.user_id ?? '');
  if (named === undefined || access === undefined) throw new Error('there is no deployment here');
  const parts = { keyRing, clock: systemClock, issuer: named.value };
  const sessions = rows.map(({ session_id: sessionId, user_id: userId }) => ({
    sessionId,
    token: issueAccessToken(parts, {
      access: { ...access, userId },
      sessionId,
      lifetimeMs: sessionMs,
      latestMs: Date.now() + sessionMs,
      clientId: 'centuria-cli',
    }).token,
  }));
  keyRing.close();
  return sessions;
}
