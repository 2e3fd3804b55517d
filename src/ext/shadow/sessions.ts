/** Connections to the rehearsal's server, and what a failing statement says of the new code. */
import { Client, DatabaseError } from 'pg';
import type { Sql } from '../../database/database.ts';
import type { ExtFinding } from '../types.ts';
import { selectMembers, type MemberRow } from './queries.ts';
import type { ShadowServer } from './shadow-server.ts';

export interface Session {
  query<Row>(statement: Sql<Row>): Promise<Row[]>;
  /** Several statements at once, none with parameters. */
  script(text: string): Promise<void>;
  /** The members of an extension, by their names. */
  members(extension: string): Promise<ReadonlyMap<string, string>>;
}

export interface SessionOptions {
  readonly statementTimeoutMs: number;
  readonly signal?: AbortSignal;
}

/** The server is gone, or the session is: whatever ran in it, it was too much for the server. */
export class SessionLost extends Error {
  override readonly name = 'SessionLost';
}

/**
 * Runs the work in a session of its own, which has loaded no library before. Throws what `pg` throws
 * for a statement, `SessionLost` when the server ended the session, the signal's reason.
 */
export async function inSession<T>(
  shadow: ShadowServer,
  database: string,
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const { signal, statementTimeoutMs } = options;
  signal?.throwIfAborted();
  const client = new Client({
    host: shadow.forward.host,
    port: shadow.forward.port,
    user: 'postgres',
    database,
    connectionTimeoutMillis: 15_000,
    statement_timeout: statementTimeoutMs,
    application_name: 'centuria rehearsal',
  });
  // Told by the statement under way as well.
  client.on('error', () => undefined);
  const abort = (): void => void client.end().catch(() => undefined);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    await client.connect();
    return await work(sessionOf(client));
  } catch (error) {
    signal?.throwIfAborted();
    throw isLoss(error) ? new SessionLost((error as Error).message, { cause: error }) : error;
  } finally {
    signal?.removeEventListener('abort', abort);
    await client.end().catch(() => undefined);
  }
}

function sessionOf(client: Client): Session {
  const query = async <Row>({ text, values }: Sql<Row>): Promise<Row[]> =>
    (await client.query(text, [...values])).rows as Row[];
  return {
    query,
    script: async (text) => void (await client.query(text)),
    async members(extension) {
      await client.query('set search_path = pg_catalog');
      const rows: MemberRow[] = await query(selectMembers(extension));
      await client.query('reset search_path');
      return new Map(rows.map(({ object, definition }) => [object, definition]));
    },
  };
}

function isLoss(error: unknown): boolean {
  if (error instanceof SessionLost) return true;
  if (!(error instanceof DatabaseError)) return isNetwork(error);
  return /^57P0[1-5]/.test(error.code ?? '');
}

function isNetwork(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return 'code' in error
    ? /^(?:ECONN|EPIPE|ENOENT)/.test(String(error.code))
    : /^Connection terminated|^Client has encountered a connection error/.test(error.message);
}

/** The finding for a statement that PostgreSQL refused; `text` is what it was sent. */
export function refusal(
  error: unknown,
  finding: Pick<ExtFinding, 'rule' | 'remedy' | 'file'> & { readonly what: string },
  text?: string,
): ExtFinding {
  if (!(error instanceof DatabaseError) || isLoss(error)) throw error;
  const { what, ...rest } = finding;
  const parts = [error.detail, error.hint, error.where?.split('\n')[0]];
  const more = parts.filter((part) => part !== undefined && part !== '').join('; ');
  const message = `${what}: ${error.message}${more === '' ? '' : ` (${more})`}`;
  const line = text === undefined ? undefined : lineOf(text, error.position);
  return { level: 'refuse', ...rest, message, ...(line === undefined ? {} : { line }) };
}

/** PostgreSQL counts characters from 1. */
function lineOf(text: string, position: string | undefined): number | undefined {
  if (position === undefined) return undefined;
  return [...text].slice(0, Number(position) - 1).filter((one) => one === '\n').length + 1;
}
