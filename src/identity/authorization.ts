/** Letting in a client that sends its user's browser here: the code and its exchange (RFC 6749, 4.1; RFC 7636). */
import { createHash, randomBytes } from 'node:crypto';
import { AppError, newId, toAppError } from '../base/base.ts';
import type { Caller } from './access.ts';
import { browserSession } from './device-login.ts';
import type { IssuedTokens, Origin, SignIn } from './doors.ts';
import { secretHash } from './issue.ts';
import { isRegistered } from './oauth-clients.ts';
import { oauthCodeOf, oauthError, refusedAs } from './oauth-errors.ts';
import {
  endReusedSession,
  insertAuthorizationCode,
  selectClient,
  selectOnlyUse,
  takeAuthorizationCode,
  type ClientRow,
  type TakenCodeRow,
} from './oauth-queries.ts';
import { needed } from './oauth-requests.ts';
import {
  askedScopes,
  heldBy,
  narrowResource,
  narrowScope,
  resourceFrom,
  scopeNames,
} from './oauth-scope.ts';
import type {
  Authorization,
  AuthorizationQuestion,
  ClientRequest,
  Parameters,
} from './oauth-types.ts';
import type { Parts } from './parts.ts';
import { allBits, noBits } from './permissions.ts';

export interface AuthorizationParts extends Parts {
  readonly signIn: Pick<SignIn, 'open'>;
  readonly publicUrl: () => string;
}

const lifetimeMs = 60_000;

export interface CodeFlow extends Authorization {
  exchange(
    request: ClientRequest,
    asked: Origin & {
      readonly clientId: string;
      readonly resource: string | undefined;
      readonly boundTo: string | undefined;
    },
  ): Promise<IssuedTokens>;
}

/** Whom to answer, known before anything else is read. */
interface Target {
  readonly client: ClientRow;
  readonly redirectUri: string;
  readonly state: string | undefined;
}

interface Asked {
  readonly codeChallenge: string;
  readonly scope: string | undefined;
  readonly resource: string | undefined;
  readonly boundTo: string | undefined;
}

export function createCodeFlow(parts: AuthorizationParts): CodeFlow {
  const { database, clock, directory, publicUrl } = parts;

  /** Throws what only the person may be told: nobody is redirected to an address that is not the client's. */
  async function targetOf(parameters: Parameters, repeated: readonly string[]): Promise<Target> {
    const twice = repeated.find((name) => name === 'client_id' || name === 'redirect_uri');
    if (twice !== undefined) throw oauthError('invalid_request', `${twice} is given twice`);
    const [client] = await database.query(selectClient(needed({ parameters }, 'client_id')));
    if (client === undefined) throw oauthError('invalid_client', 'the client is not known');
    const redirectUri = needed({ parameters }, 'redirect_uri');
    if (!isRegistered(redirectUri, client.redirect_uris)) {
      throw oauthError('invalid_request', 'the redirect URI is none of the client’s');
    }
    const state = repeated.includes('state') ? undefined : parameters.get('state');
    return { client, redirectUri, state };
  }

  function askedOf(parameters: Parameters, repeated: readonly string[]): Asked {
    const [twice] = repeated;
    if (twice !== undefined) throw oauthError('invalid_request', 'a parameter is given twice');
    if (parameters.get('response_type') !== 'code') {
      throw oauthError('unsupported_response_type', 'response_type must be code');
    }
    if ((parameters.get('response_mode') ?? 'query') !== 'query') {
      throw oauthError('invalid_request', 'response_mode must be query');
    }
    if (parameters.has('request') || parameters.has('request_uri')) {
      throw oauthError('invalid_request', 'parameters in a request object are not read here');
    }
    const codeChallenge = parameters.get('code_challenge') ?? '';
    const isS256 = parameters.get('code_challenge_method') === 'S256';
    if (!isS256 || !/^[A-Za-z0-9_-]{43}$/.test(codeChallenge)) {
      throw oauthError('invalid_request', 'PKCE with code_challenge_method S256 is needed');
    }
    const boundTo = parameters.get('dpop_jkt');
    if (boundTo !== undefined && !/^[A-Za-z0-9_-]{43}$/.test(boundTo)) {
      throw oauthError('invalid_request', 'dpop_jkt is no thumbprint');
    }
    const scope = scopeNames(parameters.get('scope'))?.join(' ');
    const resource = resourceFrom(parameters.get('resource'), publicUrl());
    return { codeChallenge, scope, resource, boundTo };
  }

  /** RFC 9207 adds `iss`, so that a client of several servers knows whose answer it is. */
  function answerTo({ redirectUri, state }: Target, answer: Record<string, string>): string {
    const query = new URLSearchParams(answer);
    if (state !== undefined) query.set('state', state);
    query.set('iss', publicUrl());
    return `${redirectUri}${redirectUri.includes('?') ? '&' : '?'}${query.toString()}`;
  }

  function refused(thrown: unknown, target: Target | undefined): AuthorizationQuestion {
    const error = toAppError(thrown);
    if (!('error' in error.details)) throw thrown;
    const [code, description] = [oauthCodeOf(error), error.message];
    const told = { outcome: 'refused' as const, error: code, description };
    if (target === undefined) return told;
    const answer = { error: code, error_description: description };
    return { ...told, redirectTo: answerTo(target, answer) };
  }

  /** What is asked, and of whom; without a caller nothing counts as his to give. */
  async function question(
    parameters: Parameters,
    repeated: readonly string[],
    caller: Caller | undefined,
  ): Promise<{
    readonly question: AuthorizationQuestion;
    readonly good?: { readonly target: Target; readonly asked: Asked };
  }> {
    let target: Target | undefined;
    try {
      target = await targetOf(parameters, repeated);
      const asked = askedOf(parameters, repeated);
      if (caller !== undefined) narrowScope(asked.scope, caller);
      const scopes = askedScopes(asked.scope, caller === undefined ? noBits : heldBy(caller));
      return {
        question: {
          outcome: 'ask',
          client: { id: target.client.client_id, name: target.client.client_name },
          redirectUri: target.redirectUri,
          ...(scopes === undefined ? {} : { scopes }),
          ...(asked.resource === undefined ? {} : { resource: asked.resource }),
        },
        good: { target, asked },
      };
    } catch (error) {
      return { question: refused(error, target) };
    }
  }

  async function issueCode({ client, redirectUri }: Target, asked: Asked, caller: Caller) {
    const code = `cnc_${randomBytes(32).toString('base64url')}`;
    await database.query(
      insertAuthorizationCode({
        hash: secretHash(code),
        clientId: client.client_id,
        userId: caller.access.userId,
        approvedBy: browserSession(caller),
        redirectUri,
        codeChallenge: asked.codeChallenge,
        scope: narrowScope(asked.scope, caller) ?? null,
        resource: asked.resource ?? null,
        boundTo: asked.boundTo ?? null,
        lifetimeMs,
      }),
    );
    return code;
  }

  async function endReused(sessionId: string): Promise<AppError> {
    await database.query(endReusedSession(sessionId));
    parts.applyChange('session', sessionId);
    return unknownCode();
  }

  const exchange: CodeFlow['exchange'] = async (request, asked) => {
    const hash = secretHash(needed(request, 'code'));
    const uri = needed(request, 'redirect_uri');
    const verifier = needed(request, 'code_verifier');
    const sessionId = newId(clock);
    const [row] = await database.query(takeAuthorizationCode(hash, sessionId));
    if (row === undefined) throw unknownCode();
    if (row.before !== null) throw await endReused(row.before);
    // A code that comes with something wrong has been seen by others, and is used up like any.
    const fits = row.is_live && row.client_id === asked.clientId && row.redirect_uri === uri;
    if (!fits || !isVerified(row, verifier)) throw unknownCode();
    if (row.bound_to !== null && row.bound_to !== asked.boundTo) {
      throw oauthError('invalid_dpop_proof', 'the code is bound to another key');
    }
    const approver =
      row.approved_by === null ? undefined : await directory.sessions.get(row.approved_by);
    const access = await directory.principals.get(row.user_id);
    if (approver === undefined || access === undefined) throw unknownCode();
    const scope = narrowScope(row.scope ?? undefined, { access, within: allBits });
    const audience = narrowResource(row.resource ?? undefined, asked.resource);
    const tokens = await refusedAs('invalid_grant', () =>
      parts.signIn.open(row.user_id, 'authorization_code', {
        address: asked.address,
        userAgent: asked.userAgent,
        as: 'client',
        clientId: asked.clientId,
        sessionId,
        ...(asked.boundTo === undefined ? {} : { boundTo: asked.boundTo }),
        ...(scope === undefined ? {} : { scope }),
        ...(audience === undefined ? {} : { audience }),
      }),
    );
    // Whoever came second before the session was there could not end it.
    const [only] = await database.query(selectOnlyUse(hash, sessionId));
    if (only === undefined) throw await endReused(sessionId);
    return tokens;
  };

  return {
    exchange,
    check: async (parameters, repeated) =>
      (await question(parameters, repeated, undefined)).question,

    async look(parameters, repeated, caller) {
      browserSession(caller);
      return (await question(parameters, repeated, caller)).question;
    },

    async decide(parameters, approve, caller) {
      browserSession(caller);
      const found = await question(parameters, [], caller);
      if (found.good === undefined) {
        if (found.question.outcome === 'refused') return refusalOf(found.question);
        throw new AppError('internal', 'a question that may be asked has no answer');
      }
      const { target, asked } = found.good;
      const answer: Record<string, string> = approve
        ? { code: await issueCode(target, asked, caller) }
        : { error: 'access_denied', error_description: 'the person refused' };
      return { redirectTo: answerTo(target, answer) };
    },
  };
}

/** Where the client hears of it; nowhere when its address is not to be trusted. */
function refusalOf({
  error,
  description,
  redirectTo,
}: Extract<AuthorizationQuestion, { outcome: 'refused' }>): { redirectTo: string } {
  if (redirectTo !== undefined) return { redirectTo };
  throw new AppError('invalid_input', description, { details: { error } });
}

function isVerified({ code_challenge: challenge }: TakenCodeRow, verifier: string): boolean {
  if (!/^[A-Za-z0-9._~-]{43,128}$/.test(verifier)) return false;
  return createHash('sha256').update(verifier).digest('base64url') === challenge;
}

function unknownCode(): AppError {
  return oauthError('invalid_grant', 'the code is unknown, over, used, or not for this request');
}
