/** OAuth 2.1 over HTTP: what clients call. What pages ask for people is in oauth-page-routes.ts. */
import { originOf } from './callers.ts';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AppError } from '../base/base.ts';
import type { Caller, ClientRequest, Introspection } from '../identity/identity.ts';
import { oauthError } from '../identity/identity.ts';
import { answers } from './answers.ts';
import type { Http } from './http.ts';
import { formOf, formType, queryOf, readParameters, speakOAuth, unchecked } from './oauth-forms.ts';
import {
  authorizationQuery,
  deviceAuthorizationSchema,
  deviceForm,
  introspectionSchema,
  jwksSchema,
  metadataSchema,
  tokenForm,
  tokenOnlyForm,
  tokenSchema,
} from './oauth-schemas.ts';
import type { RouteParts } from './parts.ts';

const open = { config: { open: true } };
const keysForSeconds = 300;

export function oauthRoutes(app: Http, parts: RouteParts): void {
  metadataRoutes(app, parts);
  void app.register(async (scope: Http) => {
    speakOAuth(scope, parts.log);
    clientRoutes(scope, parts);
  });
  authorizeRoute(app, parts);
}

function metadataRoutes(app: Http, { identity }: RouteParts): void {
  const documents = {
    '/.well-known/oauth-authorization-server': () => identity.oauth.metadata(),
    '/.well-known/oauth-protected-resource': () => identity.oauth.resourceMetadata(''),
    '/.well-known/oauth-protected-resource/mcp': () => identity.oauth.resourceMetadata('/mcp'),
  };
  for (const [path, document] of Object.entries(documents)) {
    const [, what = ''] = /\/oauth-([\w/-]+)$/.exec(path) ?? [];
    app.get(
      path,
      {
        ...open,
        schema: {
          tags: ['oauth'],
          operationId: `getOAuth${what.replaceAll(/(?:^|[/-])(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
          summary: 'What this server takes and gives, for clients (RFC 8414, RFC 9728).',
          security: [],
          response: answers({ 200: metadataSchema }),
        },
      },
      async () => document(),
    );
  }
  app.get(
    '/oauth/jwks',
    {
      ...open,
      schema: {
        tags: ['oauth'],
        operationId: 'getKeys',
        summary: 'The public keys that access tokens are signed with (RFC 7517).',
        security: [],
        response: answers({ 200: jwksSchema }),
      },
    },
    async (_request, reply) => {
      void reply.header('cache-control', `public, max-age=${keysForSeconds}`);
      return identity.tokens.jwks();
    },
  );
}

function requestOf(request: FastifyRequest): ClientRequest {
  return {
    parameters: formOf(request),
    authorization: request.headers.authorization,
    proof: proofOf(request),
    origin: originOf(request),
  };
}

function clientRoutes(app: Http, parts: RouteParts): void {
  const { identity } = parts;
  const form = { consumes: [formType], tags: ['oauth'], security: [] };
  app.post(
    '/oauth/token',
    {
      ...open,
      ...unchecked,
      schema: {
        ...form,
        operationId: 'getToken',
        summary: 'Exchanges a grant for tokens (RFC 6749, RFC 8628, RFC 8693).',
        body: tokenForm,
        response: answers({ 200: tokenSchema }),
      },
    },
    (request) => identity.oauth.token(requestOf(request)),
  );

  app.post(
    '/oauth/device_authorization',
    {
      ...open,
      ...unchecked,
      schema: {
        ...form,
        operationId: 'beginDeviceLogin',
        summary: 'Begins a login on another screen (RFC 8628).',
        body: deviceForm,
        response: answers({ 200: deviceAuthorizationSchema }),
      },
    },
    (request) => identity.oauth.beginDevice(requestOf(request)),
  );

  app.post(
    '/oauth/introspect',
    {
      ...open,
      ...unchecked,
      schema: {
        ...form,
        operationId: 'introspectToken',
        summary: 'Tells what a token is: the caller’s own, or any for who may read the audit.',
        body: tokenOnlyForm,
        response: answers({ 200: introspectionSchema }),
      },
    },
    (request) => introspect(request, requestOf(request), parts),
  );

  app.post(
    '/oauth/revoke',
    {
      ...open,
      ...unchecked,
      schema: {
        ...form,
        operationId: 'revokeToken',
        summary: 'Takes a token back; whoever holds it may (RFC 7009).',
        body: tokenOnlyForm,
        response: answers({ 200: Type.Object({}) }),
      },
    },
    async (request, reply) => {
      await identity.tokens.revoke(tokenOf(request));
      return reply.code(200).send({});
    },
  );
}

async function introspect(
  request: FastifyRequest,
  client: ClientRequest,
  parts: RouteParts,
): Promise<Record<string, unknown>> {
  const caller = await introspecting(request, client, parts);
  return introspectionJson(await parts.identity.oauth.introspect(caller, tokenOf(request)));
}

/** A principal by any credential of his, or a client by its secret. */
async function introspecting(
  request: FastifyRequest,
  client: ClientRequest,
  { guard, identity }: RouteParts,
): Promise<Caller> {
  const isDoor = /^(bearer|dpop) /i.test(client.authorization ?? '');
  const caller = isDoor ? await guard.whoAsks(request) : await identity.oauth.clientCaller(client);
  if (caller === undefined) throw oauthError('invalid_client', 'a credential is needed');
  // A client's secret was counted as it was looked at.
  if (isDoor) await identity.limits.caller(caller, originOf(request));
  return caller;
}

function tokenOf(request: FastifyRequest): string {
  const token = formOf(request).get('token');
  if (token !== undefined) return token;
  throw oauthError('invalid_request', 'the parameter token is needed');
}

/** Node joins two headers of this name with a comma, which no proof holds. */
function proofOf({ headers }: FastifyRequest): string | undefined {
  const proof = headers['dpop'];
  return Array.isArray(proof) ? proof.join(',') : proof;
}

/** RFC 7662, 2.2 writes names apart from ours. */
function introspectionJson(told: Introspection): Record<string, unknown> {
  if (!told.active) return { active: false };
  const { clientId, tokenType, ...rest } = told;
  return {
    ...rest,
    ...(clientId === undefined ? {} : { client_id: clientId }),
    ...(tokenType === undefined ? {} : { token_type: tokenType }),
  };
}

function authorizeRoute(app: Http, { identity }: RouteParts): void {
  app.get(
    '/oauth/authorize',
    {
      ...open,
      ...unchecked,
      exposeHeadRoute: false,
      schema: {
        tags: ['oauth'],
        operationId: 'authorize',
        summary: 'Where clients send browsers: on to the question, or back with what is wrong.',
        security: [],
        querystring: authorizationQuery,
        response: { 303: { description: 'On to the page, or back to the client' }, ...answers({}) },
      },
    },
    async (request, reply) => {
      const query = queryOf(request);
      const { parameters, repeated } = readParameters(query);
      const found = await identity.oauth.authorization.check(parameters, repeated);
      if (found.outcome === 'ask') return reply.redirect(`/authorize?${query}`, 303);
      if (found.redirectTo !== undefined) return reply.redirect(found.redirectTo, 303);
      throw new AppError('usage', found.description, {
        details: { error: found.error },
        remedy: 'The program that sent you here asked in a wrong way; nothing was sent to it.',
      });
    },
  );
}
