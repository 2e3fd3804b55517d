/** The OAuth server without HTTP: which grant is asked for, by whom, and what comes of it. */
import type { Caller } from './access.ts';
import { authorize } from './access.ts';
import { createCodeFlow } from './authorization.ts';
import { createDeviceFlow } from './device-login.ts';
import type { IssuedTokens, SignIn, Tokens } from './doors.ts';
import { secretHash } from './issue.ts';
import { createOAuthClients } from './oauth-clients.ts';
import { oauthError, refusedAs } from './oauth-errors.ts';
import { createClientDoor, needed, type RequestParts } from './oauth-requests.ts';
import { narrowResource, narrowScope, resourceFrom, scopeNames } from './oauth-scope.ts';
import type { ClientRequest, OAuth, TokenAnswer } from './oauth-types.ts';
import type { RateLimiter } from './limits.ts';
import type { CallerDoor } from './callers.ts';
import { actions, allBits } from './permissions.ts';
import { selectRefreshToken } from './session-queries.ts';
import { accessTokenUrn, createExchange } from './token-exchange.ts';

export interface OAuthParts extends RequestParts {
  readonly callers: CallerDoor;
  readonly signIn: Pick<SignIn, 'open' | 'refresh'>;
  readonly tokens: Tokens;
  readonly limits: RateLimiter;
}

const tokenPath = '/oauth/token';
const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code';
const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange';
const proofAlgorithms = ['ES256', 'EdDSA'];

export function createOAuth(parts: OAuthParts): OAuth {
  const { publicUrl, tokens } = parts;
  const door = createClientDoor(parts);
  const devices = createDeviceFlow(parts);
  const codes = createCodeFlow(parts);
  const exchange = createExchange(parts);

  /** What every grant of a registered client has in common. */
  async function publicRequest(request: ClientRequest, path: string) {
    const { client_id: clientId } = await door.publicClient(request);
    const boundTo = await door.provedKey(request, path);
    const resource = resourceFrom(request.parameters.get('resource'), publicUrl());
    const scope = scopeNames(request.parameters.get('scope'))?.join(' ');
    return { ...request.origin, clientId, boundTo, resource, scope };
  }

  /** Whatever is wrong with the request is said before the token is used up. */
  async function refresh(request: ClientRequest): Promise<IssuedTokens> {
    const asked = await publicRequest(request, tokenPath);
    const refreshToken = needed(request, 'refresh_token');
    const [row] = await parts.database.query(selectRefreshToken(secretHash(refreshToken)));
    const isOwn = row?.is_live === true && row.client_id === asked.clientId;
    const granted = isOwn ? row : undefined;
    if (granted !== undefined && granted.bound_to === null && asked.boundTo !== undefined) {
      throw oauthError('invalid_grant', 'the refresh token is not bound to a key; sign in again');
    }
    const resource = granted?.resource ?? undefined;
    const audience =
      asked.resource === undefined ? undefined : narrowResource(resource, asked.resource);
    const scope = granted === undefined ? undefined : await refreshScope(asked.scope, granted);
    return refusedAs('invalid_grant', () =>
      parts.signIn.refresh({
        ...request.origin,
        refreshToken,
        clientId: asked.clientId,
        ...(asked.boundTo === undefined ? {} : { boundTo: asked.boundTo }),
        ...(scope === undefined ? {} : { scope }),
        ...(audience === undefined ? {} : { audience }),
      }),
    );
  }

  /** Never more than was granted, nor than the principal still has. */
  async function refreshScope(
    asked: string | undefined,
    granted: { readonly user_id: string; readonly scope: string | null },
  ): Promise<string | undefined> {
    const before = granted.scope?.split(' ');
    if (before !== undefined && asked?.split(' ').some((name) => !before.includes(name))) {
      throw oauthError('invalid_scope', 'the scope is more than was granted');
    }
    const access = await parts.directory.principals.get(granted.user_id);
    if (access === undefined) throw oauthError('invalid_grant', 'the principal is disabled');
    return narrowScope(asked ?? granted.scope ?? undefined, { access, within: allBits });
  }

  async function grant(request: ClientRequest): Promise<IssuedTokens> {
    const type = needed(request, 'grant_type');
    switch (type) {
      case 'authorization_code':
        return codes.exchange(request, await publicRequest(request, tokenPath));
      case 'refresh_token':
        return refresh(request);
      case deviceGrant:
        return devices.exchange(request, await publicRequest(request, tokenPath));
      case exchangeGrant:
      case 'client_credentials': {
        const client = await door.clientCaller(request);
        if (client === undefined && request.parameters.has('client_id')) {
          await door.publicClient(request);
        }
        const jkt = await door.provedKey(request, tokenPath);
        return type === exchangeGrant
          ? exchange.exchange(request, client, jkt)
          : exchange.clientCredentials(request, client, jkt);
      }
      default:
        throw oauthError('unsupported_grant_type', 'the grant is none of this server');
    }
  }

  return {
    metadata: () => serverMetadata(publicUrl()),
    resourceMetadata: (path) => ({
      resource: `${publicUrl()}${path}`,
      authorization_servers: [publicUrl()],
      scopes_supported: actions,
      bearer_methods_supported: ['header'],
      dpop_signing_alg_values_supported: proofAlgorithms,
      resource_name: 'Centuria',
    }),

    async token(request) {
      const issued = await grant(request);
      const isExchange = request.parameters.get('grant_type') === exchangeGrant;
      return {
        ...answerFrom(issued),
        ...(isExchange ? { issued_token_type: accessTokenUrn } : {}),
      };
    },

    beginDevice: async (request) =>
      devices.begin(await publicRequest(request, '/oauth/device_authorization')),
    devices,
    authorization: codes,
    clients: createOAuthClients(parts),
    clientCaller: door.clientCaller,

    async introspect(caller: Caller, token: string) {
      const told = await tokens.introspect(token);
      if (!told.active || told.sub === caller.access.userId) return told;
      return authorize(caller, 'audit.read').allowed ? told : { active: false };
    },
  };
}

/** RFC 8414. The issuer is where this document is found; nobody registers by himself (RFC 7591). */
function serverMetadata(url: string): Readonly<Record<string, unknown>> {
  return {
    issuer: url,
    authorization_endpoint: `${url}/oauth/authorize`,
    token_endpoint: `${url}${tokenPath}`,
    device_authorization_endpoint: `${url}/oauth/device_authorization`,
    introspection_endpoint: `${url}/oauth/introspect`,
    revocation_endpoint: `${url}/oauth/revoke`,
    jwks_uri: `${url}/oauth/jwks`,
    scopes_supported: actions,
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: [
      'authorization_code',
      'refresh_token',
      'client_credentials',
      deviceGrant,
      exchangeGrant,
    ],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none', 'client_secret_basic', 'client_secret_post'],
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    revocation_endpoint_auth_methods_supported: ['none'],
    dpop_signing_alg_values_supported: proofAlgorithms,
    authorization_response_iss_parameter_supported: true,
  };
}

function answerFrom(issued: IssuedTokens): TokenAnswer {
  return {
    access_token: issued.accessToken,
    token_type: issued.tokenType,
    expires_in: issued.expiresInSeconds,
    ...(issued.refreshToken === undefined ? {} : { refresh_token: issued.refreshToken }),
    ...(issued.scope === undefined ? {} : { scope: issued.scope }),
  };
}
