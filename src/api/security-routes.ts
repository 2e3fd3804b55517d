import { Type } from 'typebox';
import { answers } from './answers.ts';
import { assertInPerson, callerOf } from './callers.ts';
import type { Http } from './http.ts';
import { page, rotateKeysSchema } from './identity-requests.ts';
import {
  securityEventPageSchema,
  securityMetricsSchema,
  signingKeyListSchema,
} from './identity-schemas.ts';
import { plainText } from './parameters.ts';
import type { RouteParts } from './parts.ts';
import { time } from './schema-terms.ts';

const tags = ['security'];

/** What was seen at the doors, how they do, and the keys that tokens are signed with. */
export function securityRoutes(app: Http, { identity }: RouteParts): void {
  const { events, tokens } = identity;

  app.get(
    '/api/v1/security/events',
    {
      config: { action: 'audit.read' },
      schema: {
        tags,
        operationId: 'listSecurityEvents',
        summary: 'Security events, newest first.',
        querystring: Type.Object(
          {
            type: Type.Optional(plainText),
            user: Type.Optional(plainText),
            minRisk: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
            since: Type.Optional(time),
            ...page,
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: securityEventPageSchema }),
      },
    },
    (request) => events.list(request.query),
  );

  app.get(
    '/api/v1/security/metrics',
    {
      config: { action: 'monitor' },
      schema: {
        tags,
        operationId: 'getSecurityMetrics',
        summary:
          'Latency of sign-ins, sessions, health of the database, and this process’s memory.',
        response: answers({ 200: securityMetricsSchema }),
      },
    },
    async () => ({ ...(await events.metrics()), process: identity.status() }),
  );

  app.get(
    '/api/v1/security/keys',
    {
      config: { action: 'keys.read' },
      schema: {
        tags,
        operationId: 'listSigningKeys',
        summary: 'The signing keys with their times; never the keys themselves.',
        response: answers({ 200: signingKeyListSchema }),
      },
    },
    async () => ({ items: [...tokens.keys()] }),
  );

  app.post(
    '/api/v1/security/keys/rotate',
    {
      config: { action: 'keys.write' },
      schema: {
        tags,
        operationId: 'rotateSigningKeys',
        summary: 'A new signing key. `compromised`: the present ones stop counting at once.',
        body: rotateKeysSchema,
        response: answers({ 200: signingKeyListSchema }),
      },
    },
    async (request, reply) => {
      assertInPerson(callerOf(request));
      await tokens.rotateKeys(request.body.reason);
      return reply.send({ items: [...tokens.keys()] });
    },
  );
}
