/** What the pages ask for people: letting devices and programs in, and which programs there are. */
import { Type } from 'typebox';
import { answers } from './answers.ts';
import { callerOf, originOf } from './callers.ts';
import type { Http } from './http.ts';
import { queryOf, readParameters, unchecked } from './oauth-forms.ts';
import {
  authorizationDecision,
  authorizationQuery,
  authorizationQuestionSchema,
  clientPageSchema,
  clientParam,
  clientSchema,
  deviceDecision,
  deviceParam,
  deviceQuestionSchema,
  newClientSchema,
  redirectSchema,
} from './oauth-schemas.ts';
import { cursorText } from './parameters.ts';
import type { RouteParts } from './parts.ts';

export function oauthPageRoutes(app: Http, parts: RouteParts): void {
  questionRoutes(app, parts);
  deviceRoutes(app, parts);
  registeredClientRoutes(app, parts);
}

function questionRoutes(app: Http, { identity }: RouteParts): void {
  app.get(
    '/api/v1/authorization',
    {
      config: { action: 'self' },
      ...unchecked,
      schema: {
        tags: ['oauth'],
        operationId: 'getAuthorization',
        summary: 'What a client asks of the person, by the parameters of its request.',
        querystring: authorizationQuery,
        response: answers({ 200: authorizationQuestionSchema }),
      },
    },
    (request) => {
      const { parameters, repeated } = readParameters(queryOf(request));
      return identity.oauth.authorization.look(parameters, repeated, callerOf(request));
    },
  );
  app.post(
    '/api/v1/authorization',
    {
      config: { action: 'self' },
      schema: {
        tags: ['oauth'],
        operationId: 'decideAuthorization',
        summary: 'Lets the client in or not; says where the browser goes next.',
        body: authorizationDecision,
        response: answers({ 200: redirectSchema }),
      },
    },
    (request) => {
      const { approve, ...rest } = request.body;
      const given = Object.entries(rest).filter(
        (entry) => typeof entry[1] === 'string' && entry[1],
      );
      const parameters = new Map(given as [string, string][]);
      return identity.oauth.authorization.decide(parameters, approve, callerOf(request));
    },
  );
}

function deviceRoutes(app: Http, { identity }: RouteParts): void {
  app.get(
    '/api/v1/device/:code',
    {
      config: { action: 'self' },
      exposeHeadRoute: false,
      schema: {
        tags: ['oauth'],
        operationId: 'getDevice',
        summary: 'Which device waits with this code; claims it for this browser session.',
        params: deviceParam,
        response: answers({ 200: deviceQuestionSchema }),
      },
    },
    (request) =>
      identity.oauth.devices.look(request.params.code, callerOf(request), originOf(request)),
  );
  app.post(
    '/api/v1/device/:code',
    {
      config: { action: 'self' },
      schema: {
        tags: ['oauth'],
        operationId: 'decideDevice',
        summary: 'Lets the device in or not.',
        params: deviceParam,
        body: deviceDecision,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      const { approve } = request.body;
      const { code } = request.params;
      const origin = originOf(request);
      await identity.oauth.devices.decide(code, approve, callerOf(request), origin);
      return reply.code(204).send();
    },
  );
}

function registeredClientRoutes(app: Http, { identity }: RouteParts): void {
  app.get(
    '/api/v1/clients',
    {
      config: { action: 'clients.read' },
      schema: {
        tags: ['oauth'],
        operationId: 'listClients',
        summary: 'Programs that people may let in.',
        querystring: Type.Object(
          {
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500 })),
            cursor: Type.Optional(cursorText),
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: clientPageSchema }),
      },
    },
    (request) => identity.oauth.clients.list(request.query),
  );
  app.post(
    '/api/v1/clients',
    {
      config: { action: 'clients.write' },
      schema: {
        tags: ['oauth'],
        operationId: 'createClient',
        summary: 'Registers a program by its redirect URIs.',
        body: newClientSchema,
        response: answers({ 201: clientSchema }),
      },
    },
    async (request, reply) => {
      const client = await identity.oauth.clients.create(request.body, callerOf(request));
      const path = `/api/v1/clients/${encodeURIComponent(client.id)}`;
      return reply.code(201).header('location', path).send(client);
    },
  );
  app.delete(
    '/api/v1/clients/:id',
    {
      config: { action: 'clients.write' },
      schema: {
        tags: ['oauth'],
        operationId: 'deleteClient',
        summary: 'Deletes a program and ends its sessions.',
        params: clientParam,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      await identity.oauth.clients.remove(request.params.id, callerOf(request));
      return reply.code(204).send();
    },
  );
}
