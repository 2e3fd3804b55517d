/** Which client sends a request, and which key it holds. */
import { createHash } from 'node:crypto';
import { AppError } from '../base/base.ts';
import { apiKeyMark } from './api-key-door.ts';
import type { Caller } from './access.ts';
import type { Callers, RequestLimits } from './doors.ts';
import { verifyProof, type ReplayStore } from './dpop.ts';
import { foldName } from './names.ts';
import { oauthError, refusedAs } from './oauth-errors.ts';
import { selectClient, type ClientRow } from './oauth-queries.ts';
import type { ClientRequest } from './oauth-types.ts';
import type { Parts } from './parts.ts';
import { claimNonce } from './queries.ts';

export interface RequestParts extends Parts {
  readonly callers: Pick<Callers, 'whoIs'>;
  readonly requestLimits: Pick<RequestLimits, 'caller'>;
  readonly publicUrl: () => string;
}

export interface ClientDoor {
  /** A registered client, which has no secret. Throws `invalid_client`, `unauthorized_client`. */
  publicClient(request: ClientRequest): Promise<ClientRow>;
  /** A principal by its name or id and one of its API keys; undefined without a secret. Throws `invalid_client`. */
  clientCaller(request: ClientRequest): Promise<Caller | undefined>;
  /** The thumbprint of the key that the request proves; undefined without a proof. Throws `invalid_dpop_proof`. */
  provedKey(request: ClientRequest, path: string): Promise<string | undefined>;
}

export function createClientDoor(parts: RequestParts): ClientDoor {
  const { database, clock } = parts;
  const replay: ReplayStore = {
    async claim(id, untilMs) {
      const hash = createHash('sha256').update(`dpop ${id}`).digest();
      const [claimed] = await database.query(claimNonce(hash, untilMs - clock.nowMs()));
      return claimed !== undefined;
    },
  };

  return {
    async publicClient(request) {
      if (secretOf(request) !== undefined) {
        throw oauthError('unauthorized_client', 'this grant is for registered clients', {
          remedy: 'With an API key, use client_credentials or token exchange.',
        });
      }
      const [client] = await database.query(selectClient(needed(request, 'client_id')));
      if (client === undefined) throw oauthError('invalid_client', 'the client is not known');
      return client;
    },

    async clientCaller(request) {
      const shown = secretOf(request);
      if (shown === undefined) return undefined;
      return refusedAs('invalid_client', async () => {
        if (!shown.secret.startsWith(apiKeyMark)) throw wrongSecret();
        const credential = { kind: 'bearer', token: shown.secret } as const;
        const caller = await parts.callers.whoIs(credential, request.origin);
        const { userId, username } = caller.access;
        const id = foldName(shown.id);
        if (id !== username && id !== userId) throw wrongSecret();
        await parts.requestLimits.caller(caller, request.origin);
        return caller;
      });
    },

    async provedKey({ proof }, path) {
      if (proof === undefined) return undefined;
      const url = `${parts.publicUrl()}${path}`;
      const checked = { method: 'POST', url, nowMs: clock.nowMs(), replay };
      const { jkt } = await refusedAs('invalid_dpop_proof', () => verifyProof(proof, checked));
      return jkt;
    },
  };
}

/** A parameter that the request can't do without. */
export function needed({ parameters }: Pick<ClientRequest, 'parameters'>, name: string): string {
  const value = parameters.get(name);
  if (value !== undefined) return value;
  throw oauthError('invalid_request', `the parameter ${name} is needed`);
}

/** RFC 6749, 2.3: one way to authenticate in a request, never two. */
function secretOf(request: ClientRequest): { id: string; secret: string } | undefined {
  const { authorization, parameters } = request;
  const secret = parameters.get('client_secret');
  if (authorization === undefined) {
    return secret === undefined ? undefined : { id: needed(request, 'client_id'), secret };
  }
  const basic = basicCredentials(authorization);
  if (secret !== undefined) {
    throw oauthError('invalid_request', 'the client authenticates in two ways at once');
  }
  const named = parameters.get('client_id');
  if (named !== undefined && named !== basic.id) {
    throw oauthError('invalid_request', 'client_id is not the client of the Authorization header');
  }
  return basic;
}

/** RFC 6749, 2.3.1: both halves are form-encoded before they are joined. */
function basicCredentials(header: string): { id: string; secret: string } {
  const [, encoded] = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header) ?? [];
  if (encoded === undefined) {
    throw oauthError('invalid_client', 'clients authenticate with Basic, or in the body');
  }
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  try {
    const [id, secret] = [text.slice(0, colon), text.slice(colon + 1)].map((half) =>
      decodeURIComponent(half.replaceAll('+', ' ')),
    );
    if (colon > 0 && id !== undefined && secret !== undefined) return { id, secret };
  } catch {
    // Told below: a half that does not decode is no credential.
  }
  throw oauthError('invalid_client', 'the Authorization header holds no name and secret');
}

function wrongSecret(): AppError {
  return new AppError('unauthenticated', 'the secret is no API key of the client');
}
