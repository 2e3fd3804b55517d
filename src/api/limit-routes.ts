import { Type } from 'typebox';
import type { FastifyRequest } from 'fastify';
import { answers } from './answers.ts';
import { callerOf, namedInPath } from './callers.ts';
import { sendTagged } from './etag.ts';
import type { Http } from './http.ts';
import { page } from './identity-requests.ts';
import {
  breakerPageSchema,
  breakerSchema,
  breakerStates,
  budgetChangeSchema,
  budgetPageSchema,
  budgetSchema,
  budgetUsePageSchema,
} from './limit-schemas.ts';
import { nameParam, plainText } from './parameters.ts';
import type { RouteParts } from './parts.ts';
import { oneOf } from './schema-terms.ts';

const keyOf = ({ params }: FastifyRequest) => (params as { readonly key?: string }).key;

/** What holds for the whole fleet: circuit breakers, and budgets that runs share. */
export function limitRoutes(app: Http, parts: RouteParts): void {
  breakerRoutes(app, parts);
  budgetRoutes(app, parts);
  budgetChangeRoutes(app, parts);
}

function breakerRoutes(app: Http, { breakers }: RouteParts): void {
  app.get(
    '/api/v1/breakers',
    {
      config: { action: 'limits.read' },
      schema: {
        tags: ['limits'],
        operationId: 'listBreakers',
        summary: 'The circuit breaker of every agent, model and tool that has ever failed, by key.',
        querystring: Type.Object(
          { state: Type.Optional(oneOf(breakerStates)), ...page },
          { additionalProperties: false },
        ),
        response: answers({ 200: breakerPageSchema }),
      },
    },
    async (request, reply) =>
      sendTagged(request, reply, { ...(await breakers.list(request.query)) }),
  );

  app.post(
    '/api/v1/breakers/:key/reset',
    {
      config: { action: 'limits.write', resource: keyOf },
      schema: {
        tags: ['limits'],
        operationId: 'resetBreaker',
        summary: 'Closes a circuit breaker: the next call goes through at once.',
        params: Type.Object({
          key: Type.String({ ...plainText, maxLength: 220, description: 'agent:NAME, …' }),
        }),
        response: answers({ 200: breakerSchema }),
      },
    },
    (request) => breakers.reset(request.params.key, callerOf(request).access.username),
  );
}

function budgetRoutes(app: Http, { budgets }: RouteParts): void {
  app.get(
    '/api/v1/budgets',
    {
      config: { action: 'limits.read' },
      schema: {
        tags: ['limits'],
        operationId: 'listBudgets',
        summary: 'The budgets by name, with what is used and set aside of each.',
        querystring: Type.Object(page, { additionalProperties: false }),
        response: answers({ 200: budgetPageSchema }),
      },
    },
    async (request, reply) =>
      sendTagged(request, reply, { ...(await budgets.list(request.query)) }),
  );

  app.get(
    '/api/v1/budgets/:name',
    {
      config: { action: 'limits.read', resource: namedInPath },
      schema: {
        tags: ['limits'],
        operationId: 'getBudget',
        summary: 'A budget, with what is used and set aside of it.',
        params: nameParam,
        response: answers({ 200: budgetSchema }),
      },
    },
    async (request, reply) => sendTagged(request, reply, await budgets.get(request.params.name)),
  );

  app.get(
    '/api/v1/budgets/:name/use',
    {
      config: { action: 'limits.read', resource: namedInPath },
      schema: {
        tags: ['limits'],
        operationId: 'listBudgetUse',
        summary: 'Who used how much of a budget in this period, or how much was used in each.',
        params: nameParam,
        querystring: Type.Object(
          {
            by: Type.Optional(oneOf(['run', 'agent', 'period'])),
            ...page,
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: budgetUsePageSchema }),
      },
    },
    (request) => budgets.use(request.params.name, request.query),
  );
}

function budgetChangeRoutes(app: Http, { budgets }: RouteParts): void {
  app.patch(
    '/api/v1/budgets/:name',
    {
      config: { action: 'limits.write', resource: namedInPath },
      schema: {
        tags: ['limits'],
        operationId: 'setBudget',
        summary: 'Makes a budget, or changes what is given of it; null takes a limit away.',
        params: nameParam,
        body: budgetChangeSchema,
        response: answers({ 200: budgetSchema }),
      },
    },
    (request) => budgets.set(request.params.name, request.body, callerOf(request).access.username),
  );

  app.delete(
    '/api/v1/budgets/:name',
    {
      config: { action: 'limits.write', resource: namedInPath },
      schema: {
        tags: ['limits'],
        operationId: 'deleteBudget',
        summary: 'Deletes a budget with all that is known of its use.',
        params: nameParam,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      await budgets.remove(request.params.name, callerOf(request).access.username);
      return reply.code(204).send();
    },
  );
}
