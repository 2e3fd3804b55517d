import { Type } from 'typebox';
import { AppError } from '../base/base.ts';
import type { ApiKeyInfo, Caller, Identity } from '../identity/identity.ts';
import { answers } from './answers.ts';
import { assertInPerson, callerOf, nameOf } from './callers.ts';
import type { Http } from './http.ts';
import { apiKeyRequestSchema, page } from './identity-requests.ts';
import { apiKeyPageSchema, newApiKeySchema } from './identity-schemas.ts';
import { nameParam, plainText } from './parameters.ts';
import type { RouteParts } from './parts.ts';

const querystring = Type.Object(page, { additionalProperties: false });
const idParam = Type.Object({ id: plainText });

/** API keys of everybody, and the caller's own. A key is shown once, when it is made. */
export function apiKeyRoutes(app: Http, { identity }: RouteParts): void {
  administeredRoutes(app, identity);
  ownRoutes(app, identity);
}

function administeredRoutes(app: Http, { apiKeys }: Identity): void {
  const tags = ['api keys'];

  app.get(
    '/api/v1/principals/:name/api-keys',
    {
      config: { action: 'users.read', resource: nameOf },
      schema: {
        tags,
        operationId: 'listApiKeysOf',
        summary: 'The API keys of a principal, revoked ones too.',
        params: nameParam,
        querystring,
        response: answers({ 200: apiKeyPageSchema }),
      },
    },
    (request) => apiKeys.list({ ...request.query, user: nameOf(request) }),
  );

  app.post(
    '/api/v1/principals/:name/api-keys',
    {
      config: { action: 'users.write', resource: nameOf },
      schema: {
        tags,
        operationId: 'createApiKeyFor',
        summary: 'A new API key for a principal: an agent, or a program of a user.',
        params: nameParam,
        body: apiKeyRequestSchema,
        response: answers({ 201: newApiKeySchema }),
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      assertInPerson(caller);
      return reply.code(201).send(await apiKeys.create(nameOf(request), request.body, caller));
    },
  );

  app.get(
    '/api/v1/api-keys',
    {
      config: { action: 'users.read' },
      schema: {
        tags,
        operationId: 'listApiKeys',
        summary: 'The API keys of everybody, revoked ones too.',
        querystring,
        response: answers({ 200: apiKeyPageSchema }),
      },
    },
    (request) => apiKeys.list(request.query),
  );

  app.delete(
    '/api/v1/api-keys/:id',
    {
      // Whose it is stands in the row only, so this asks for the right over everybody.
      config: { action: 'users.write' },
      schema: {
        tags,
        operationId: 'revokeApiKey',
        summary: 'Revokes an API key, by its id or prefix; it is refused from the next request on.',
        params: idParam,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      await apiKeys.revoke(request.params.id, callerOf(request));
      return reply.code(204).send();
    },
  );
}

function ownRoutes(app: Http, identity: Identity): void {
  const { apiKeys } = identity;
  const tags = ['me'];
  const config = { action: 'self' } as const;

  app.get(
    '/api/v1/me/api-keys',
    {
      config,
      schema: {
        tags,
        operationId: 'listMyApiKeys',
        summary: 'Your API keys, revoked ones too.',
        querystring,
        response: answers({ 200: apiKeyPageSchema }),
      },
    },
    (request) => apiKeys.list({ ...request.query, user: callerOf(request).access.userId }),
  );

  app.post(
    '/api/v1/me/api-keys',
    {
      config,
      schema: {
        tags,
        operationId: 'createMyApiKey',
        summary: 'A new API key of your own, with your rights or fewer.',
        body: apiKeyRequestSchema,
        response: answers({ 201: newApiKeySchema }),
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      assertInPerson(caller);
      const made = await apiKeys.create(caller.access.userId, request.body, caller);
      return reply.code(201).send(made);
    },
  );

  app.delete(
    '/api/v1/me/api-keys/:id',
    {
      config,
      schema: {
        tags,
        operationId: 'revokeMyApiKey',
        summary: 'Revokes one of your API keys, by its id or prefix.',
        params: idParam,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      const key = await ownKey(identity, caller, request.params.id);
      // A program may give its own key back, and no other.
      if (caller.id !== `api_key:${key.prefix}`) assertInPerson(caller);
      await apiKeys.revoke(key.id, caller);
      return reply.code(204).send();
    },
  );
}

/** The caller's key; another's is as unknown as none. */
async function ownKey({ apiKeys }: Identity, caller: Caller, given: string): Promise<ApiKeyInfo> {
  for (let cursor: string | undefined; ;) {
    const found = await apiKeys.list({
      user: caller.access.userId,
      limit: 500,
      ...(cursor === undefined ? {} : { cursor }),
    });
    const own = found.items.find(({ id, prefix }) => id === given || prefix === given);
    if (own !== undefined) return own;
    cursor = found.nextCursor;
    if (cursor === undefined) break;
  }
  // Somebody may have pasted the whole key.
  throw new AppError('not_found', `you have no API key ${given.slice(0, 12)}`, {
    remedy: 'GET /api/v1/me/api-keys lists them.',
  });
}
