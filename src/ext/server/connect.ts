import { Client, DatabaseError } from 'pg';
import { AppError, type Clock, type Log } from '../../base/base.ts';
import type { Sql } from '../../database/database.ts';
import type { ServerAddress } from '../deployment-types.ts';
import type { Forward } from '../host/host.ts';
import { settleSession } from './queries.ts';

const connectMs = 15_000;
const keepAliveMs = 10_000;
/** For statements that look something up; what changes a catalogue brings its own limit. */
const statementMs = 30_000;

/** One connection to one database of the target's server. Types come as `pg` reads them: `int8` is text. */
export interface TargetClient {
  readonly database: string;
  /** The backend's, as the target's kernel counts. */
  readonly pid: number;
  query<Row>(statement: Sql<Row>): Promise<Row[]>;
  /** Sends the text as it is, in one message: several statements, no parameters. */
  script(text: string): Promise<void>;
  close(): Promise<void>;
}

/** What every connection to one server has in common. */
export interface ConnectOptions {
  readonly address: ServerAddress;
  readonly forward: Pick<Forward, 'host' | 'port'>;
  /** For messages: `ssh://db1, /var/run/postgresql:5432`. */
  readonly target: string;
  readonly signal?: AbortSignal | undefined;
  readonly log: Log;
  readonly clock: Clock;
  /** Called once when the connection goes away while nobody waits for an answer, or while somebody does. */
  readonly onLost?: (error: AppError) => void;
}

/** Throws `target_unreachable`, `not_found` (no such database), `denied`. */
export async function connect(database: string, options: ConnectOptions): Promise<TargetClient> {
  const { address, forward, signal, onLost } = options;
  signal?.throwIfAborted();
  const client = new Client({
    host: forward.host,
    port: forward.port,
    user: address.user,
    database,
    // A function, since `pg` takes PGPASSWORD or a password file where it is given no text; without one it
    // is told that by no text coming back.
    password: () => address.password as string,
    application_name: 'centuria ext',
    connectionTimeoutMillis: connectMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    statement_timeout: statementMs,
  });
  let isClosing = false;
  let lost: AppError | undefined;
  const lose = (error?: Error): void => {
    if (isClosing || lost !== undefined) return;
    lost = connectionLost(options.target, database, error);
    onLost?.(lost);
  };
  client.on('error', lose);
  client.on('end', () => lose());
  const attempt = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      signal?.throwIfAborted();
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      throw sqlFailure(error, { target: options.target, database });
    }
  };
  const close = async (): Promise<void> => {
    isClosing = true;
    signal?.removeEventListener('abort', abort);
    await client.end().catch(() => undefined);
  };
  // A statement under way fails with its connection; the server ends it by its limits.
  const abort = (): void => void close();
  try {
    await client.connect();
    // Whose functions and operators a name means must not depend on what a database holds.
    await client.query(`set search_path = pg_catalog, pg_temp; set timezone = 'UTC'`);
    const { rows } = await client.query<{ pid: number }>(plain(settleSession()));
    signal?.throwIfAborted();
    signal?.addEventListener('abort', abort, { once: true });
    return {
      database,
      pid: rows[0]?.pid ?? 0,
      query: <Row>(statement: Sql<Row>) =>
        attempt(async () => (await client.query(plain(statement))).rows as Row[]),
      script: (text) => attempt(async () => void (await client.query(text))),
      close,
    };
  } catch (error) {
    await close();
    signal?.throwIfAborted();
    throw connectFailure(error, options.target, database, address.user);
  }
}

/** Without its name: a pooler in between may give each statement another backend. */
function plain({ text, values }: Sql): { text: string; values: unknown[] } {
  return { text, values: [...values] };
}

function connectFailure(error: unknown, target: string, database: string, user: string): AppError {
  const sqlstate = error instanceof DatabaseError ? error.code : undefined;
  if (sqlstate === '3D000') {
    return new AppError('not_found', `${target} has no database “${database}”`, {
      details: { target, database, sqlstate },
      remedy: 'Name a database that is there.',
    });
  }
  const needsPassword = error instanceof Error && /client password must be/.test(error.message);
  return new AppError(
    'target_unreachable',
    needsPassword
      ? `${target} asks for a password of “${user}”, and none was given`
      : `${target} can not be connected to as “${user}”: ${words(error)}`,
    {
      details: { target, database, user, ...(sqlstate === undefined ? {} : { sqlstate }) },
      remedy:
        needsPassword || sqlstate?.startsWith('28') === true
          ? 'Give the user and the password that pg_hba.conf asks for there.'
          : 'Check that the server runs and listens there; over SSH, that sshd permits forwarding (AllowStreamLocalForwarding, AllowTcpForwarding).',
      retryable: sqlstate === undefined || /^(08|53|57)/.test(sqlstate),
    },
  );
}

function connectionLost(target: string, database: string, error?: Error): AppError {
  return new AppError(
    'target_unreachable',
    `the connection to ${target}, database “${database}”, was lost${error === undefined ? '' : `: ${words(error)}`}`,
    {
      details: { target, database },
      remedy: 'Look at the server and the way to it; what was under way may be done or not.',
    },
  );
}

/** The AppError of what a statement threw; SQLSTATE and the server's words are in its details. */
export function sqlFailure(
  error: unknown,
  { target, database }: { readonly target: string; readonly database: string },
): AppError {
  if (error instanceof AppError) return error;
  if (!(error instanceof DatabaseError)) {
    return connectionLost(target, database, error instanceof Error ? error : undefined);
  }
  const { code: sqlstate = '', detail, hint, where, position } = error;
  const message = `database “${database}”: ${error.message} (SQLSTATE ${sqlstate})`;
  const details = { target, database, sqlstate, detail, hint, where, position };
  if (/^(08|57P0[1-5])/.test(sqlstate)) return connectionLost(target, database, error);
  if (sqlstate === '57014') return new AppError('timeout', message, { details });
  if (sqlstate === '42501') {
    return new AppError('denied', message, {
      details,
      remedy: 'Connect as a superuser of the server: only one may load native code.',
    });
  }
  return new AppError('ext_failed', message, { details });
}

/** Node reports a host with several addresses as an error without a message, but with the code. */
function words(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') return error.message;
  return 'code' in error ? String(error.code) : error.name;
}
