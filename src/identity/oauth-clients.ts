/** Public OAuth clients: programs that people let in, and the addresses that codes may be sent to. */
import { AppError, newId } from '../base/base.ts';
import { tellOf } from './administering.ts';
import { checkText } from './names.ts';
import {
  countClients,
  deleteClient,
  endSessionsOfClient,
  insertClient,
  selectClients,
  type ClientRow,
} from './oauth-queries.ts';
import type { OAuthClientInfo, OAuthClients } from './oauth-types.ts';
import { pageOf, pageSize, readCursor } from './pages.ts';
import type { Parts } from './parts.ts';

/** The command line's client, which every database has. */
export const builtInClient = 'centuria-cli';
const idShape = /^[a-z0-9][a-z0-9._-]{0,62}$/;
const mostClients = 1_000;
const mostRedirects = 20;
const mostUriCharacters = 1_000;
const mostNameCharacters = 100;

export function createOAuthClients(parts: Parts): OAuthClients {
  const { database, applyChange } = parts;
  return {
    async list({ limit, cursor }) {
      const size = pageSize(limit);
      const [after] = readCursor(cursor, [/^[\x21-\x7e]{1,200}$/]) ?? [];
      const rows = await database.query(selectClients(after ?? null, size + 1));
      return pageOf(rows, size, infoFrom, ({ client_id: id }) => [id]);
    },

    async create(client, by) {
      const id = client.id ?? newId();
      if (!idShape.test(id)) {
        throw wrong('id', `${JSON.stringify(id.slice(0, 80))} can be no id of a client`, {
          remedy: 'Use 1 to 63 of a to z, digits and . _ -, beginning with a letter or digit.',
        });
      }
      const name = checkText('name', client.name, mostNameCharacters);
      const redirectUris = [...new Set(client.redirectUris ?? [])];
      if (redirectUris.length > mostRedirects) {
        throw wrong('redirectUris', `a client has at most ${mostRedirects} redirect URIs`);
      }
      for (const uri of redirectUris) checkRedirectUri(uri);
      return database.transaction(async (transaction) => {
        const [count] = await transaction.query(countClients());
        if ((count?.total ?? 0) >= mostClients) {
          throw new AppError('limit_exceeded', `there are ${mostClients} clients already`, {
            details: { most: mostClients },
            retryable: false,
            remedy: 'Delete some that are not used.',
          });
        }
        const row = { id, name, redirectUris, createdBy: by.access.userId };
        const [made] = await transaction.query(insertClient(row));
        if (made === undefined) {
          throw new AppError('conflict', `the client ${id} exists already`, {
            details: { field: 'id', value: id },
          });
        }
        await tellOf(transaction, parts, by, {
          type: 'credential_changed',
          severity: 2,
          details: { change: 'OAuth client registered', client: id, name, redirectUris },
        });
        return infoFrom(made);
      });
    },

    async remove(id, by) {
      if (id === builtInClient) {
        throw new AppError('conflict', `${builtInClient} is built in and stays`);
      }
      const ended = await database.transaction(async (transaction) => {
        const [removed] = await transaction.query(deleteClient(id));
        if (removed === undefined) {
          throw new AppError('not_found', `there is no client ${JSON.stringify(id.slice(0, 80))}`);
        }
        const sessions = await transaction.query(endSessionsOfClient(id));
        await tellOf(transaction, parts, by, {
          type: 'credential_changed',
          severity: 2,
          details: { change: 'OAuth client deleted', client: id, sessions: sessions.length },
        });
        return sessions;
      });
      for (const { session_id: session } of ended) applyChange('session', session);
    },
  };
}

/** Scheme and host of an address on the client's own machine, and what follows the port. */
const loopback = /^(http:\/\/(?:127\.0\.0\.1|\[::1\]|localhost))(?::\d{1,5})?((?:[/?].*)?)$/;

/**
 * Whether a client may be answered at this address: one that is registered, character by character,
 * except for the port of a loopback address (RFC 8252, 7.3). Nothing is normalised before.
 */
export function isRegistered(uri: string, registered: readonly string[]): boolean {
  if (registered.includes(uri)) return true;
  const asked = withoutPort(uri);
  return asked !== undefined && registered.some((known) => withoutPort(known) === asked);
}

function withoutPort(uri: string): string | undefined {
  const [, host, rest] = loopback.exec(uri) ?? [];
  return host === undefined || !URL.canParse(uri) ? undefined : `${host}${rest ?? ''}`;
}

function checkRedirectUri(uri: string): void {
  const isText = uri.length <= mostUriCharacters && /^[\x21-\x5b\x5d-\x7e]+$/.test(uri);
  const url = isText ? URL.parse(uri) : null;
  const isPlain = url !== null && !uri.includes('#') && url.username === '' && url.password === '';
  if (isPlain && (url.protocol === 'https:' || loopback.test(uri))) return;
  throw wrong('redirectUris', `${JSON.stringify(uri.slice(0, 200))} can be no redirect URI`, {
    remedy: 'Use https, or http at 127.0.0.1, [::1] or localhost; no fragment, no user name.',
  });
}

function wrong(field: string, message: string, options: { remedy?: string } = {}): AppError {
  return new AppError('invalid_input', message, { ...options, details: { field } });
}

function infoFrom(row: ClientRow): OAuthClientInfo {
  return {
    id: row.client_id,
    name: row.client_name,
    redirectUris: row.redirect_uris,
    isBuiltIn: row.client_id === builtInClient,
    createdAt: row.created_at.toISOString(),
  };
}
