/** Tokens for those who act for somebody (RFC 8693), and for principals with API keys. */
import { AppError, toAppError } from '../base/base.ts';
import { authorize, type Access, type Caller } from './access.ts';
import { findPrincipal } from './administering.ts';
import type { CallerDoor } from './callers.ts';
import type { IssuedTokens, Tokens } from './doors.ts';
import { oauthError, refusedAs } from './oauth-errors.ts';
import { needed } from './oauth-requests.ts';
import { narrowResource, narrowScope, resourceFrom } from './oauth-scope.ts';
import type { ClientRequest, Parameters } from './oauth-types.ts';
import type { Parts } from './parts.ts';

export const accessTokenUrn = 'urn:ietf:params:oauth:token-type:access_token';

export interface ExchangeParts extends Parts {
  readonly callers: Pick<CallerDoor, 'inspect'>;
  readonly tokens: Pick<Tokens, 'delegate' | 'forAgent' | 'issuer'>;
  readonly publicUrl: () => string;
}

export interface Exchange {
  /** `client` is the principal that authenticated, `jkt` the key that the request proves. */
  exchange(
    request: ClientRequest,
    client: Caller | undefined,
    jkt: string | undefined,
  ): Promise<IssuedTokens>;
  clientCredentials(
    request: ClientRequest,
    client: Caller | undefined,
    jkt: string | undefined,
  ): Promise<IssuedTokens>;
}

interface Presented {
  readonly caller: Caller;
  readonly boundTo: string | undefined;
}

export function createExchange(parts: ExchangeParts): Exchange {
  const { callers, tokens, directory } = parts;

  async function presented(parameters: Parameters, name: string): Promise<Presented | undefined> {
    const token = parameters.get(`${name}_token`);
    const type = parameters.get(`${name}_token_type`);
    if (token === undefined) {
      if (type === undefined) return undefined;
      throw oauthError('invalid_request', `${name}_token_type stands without ${name}_token`);
    }
    if (type !== accessTokenUrn) {
      throw oauthError('invalid_request', `${name}_token_type must be ${accessTokenUrn}`);
    }
    // RFC 8693, 2.2.2 has one code for whatever is wrong with either token.
    const { caller, claims } = await refusedAs('invalid_request', () => callers.inspect(token));
    return { caller, boundTo: claims.cnf?.jkt };
  }

  /** Who will act: the holder of the actor's token, the client, or an agent that the client may call. */
  async function actorOf(
    parameters: Parameters,
    actor: Presented | undefined,
    client: Caller | undefined,
  ): Promise<Access> {
    const named = parameters.get('actor');
    if (actor !== undefined) {
      if (named !== undefined) {
        throw oauthError('invalid_request', 'actor and actor_token name one who acts, not two');
      }
      if (actor.caller.actor !== undefined) {
        throw oauthError('invalid_request', 'the token of the one who acts must be his own');
      }
      return actor.caller.access;
    }
    if (client === undefined) {
      throw oauthError('invalid_request', 'an actor_token or the client’s own secret is needed');
    }
    if (named === undefined) return client.access;
    return namedActor(named, client);
  }

  /** Named falsely, an actor would be blamed for what another one does. */
  async function namedActor(named: string, client: Caller): Promise<Access> {
    const { user_id: userId, username } = await refusedAs('invalid_request', () =>
      findPrincipal(parts.database, named),
    );
    const isOwn = userId === client.access.userId;
    if (!isOwn && !authorize(client, 'agents.execute', username).allowed) {
      throw oauthError('unauthorized_client', 'the client may not let this principal act');
    }
    const access = await directory.principals.get(userId);
    if (access !== undefined) return access;
    throw oauthError('invalid_request', 'the principal that shall act is disabled');
  }

  function targetOf(parameters: Parameters, within: string | undefined): string | undefined {
    const [audience, resource] = [parameters.get('audience'), parameters.get('resource')];
    if (audience !== undefined && resource !== undefined && audience !== resource) {
      throw oauthError('invalid_target', 'audience and resource name two targets');
    }
    const asked = resource ?? audience;
    const own = asked === tokens.issuer ? undefined : resourceFrom(asked, parts.publicUrl());
    return narrowResource(within, own);
  }

  return {
    async exchange(request, client, jkt) {
      const { parameters } = request;
      const wanted = parameters.get('requested_token_type') ?? accessTokenUrn;
      if (wanted !== accessTokenUrn) {
        throw oauthError('invalid_request', `requested_token_type can only be ${accessTokenUrn}`);
      }
      needed(request, 'subject_token');
      const subject = await presented(parameters, 'subject');
      if (subject === undefined) throw new AppError('internal', 'the subject has no token');
      const actor = await presented(parameters, 'actor');
      // Else whoever copied a bound token would get one that his own key opens.
      if (subject.boundTo !== undefined && subject.boundTo !== jkt) {
        throw oauthError('invalid_dpop_proof', 'the subject’s token needs a proof of its key');
      }
      const boundTo = actor?.boundTo ?? jkt;
      const audience = targetOf(parameters, subject.caller.audience);
      const scope = narrowScope(parameters.get('scope'), subject.caller);
      return delegated(() =>
        actorOf(parameters, actor, client).then((acting) =>
          tokens.delegate(subject.caller, {
            actor: acting,
            ...(scope === undefined ? {} : { scope }),
            ...(audience === undefined ? {} : { audience }),
            ...(boundTo === undefined ? {} : { boundTo }),
          }),
        ),
      );
    },

    async clientCredentials({ parameters }, client, jkt) {
      if (client === undefined) {
        throw oauthError('invalid_client', 'a principal and one of its API keys are needed', {
          remedy: 'Send them as client_id and client_secret: centuria token create.',
        });
      }
      if (client.access.kind === 'agent' && jkt === undefined) {
        throw oauthError('invalid_dpop_proof', 'tokens of agents are bound to a key', {
          remedy: 'Send a DPoP header (RFC 9449).',
        });
      }
      const scope = narrowScope(parameters.get('scope'), client);
      const audience = targetOf(parameters, client.audience);
      return delegated(() =>
        tokens.forAgent(client, {
          ...(jkt === undefined ? {} : { boundTo: jkt }),
          ...(scope === undefined ? {} : { scope }),
          ...(audience === undefined ? {} : { audience }),
        }),
      );
    },
  };
}

/** What the tokens' part refuses, as the protocol says it. */
async function delegated(step: () => Promise<IssuedTokens>): Promise<IssuedTokens> {
  try {
    return await step();
  } catch (thrown) {
    const cause = toAppError(thrown);
    const isScope = typeof cause.details['scope'] === 'string';
    return refusedAs(isScope ? 'invalid_scope' : 'invalid_request', () => {
      throw thrown;
    });
  }
}
