import { Type } from 'typebox';
import { assertAllowed } from '../identity/identity.ts';
import { answers } from './answers.ts';
import { assertMay, callerOf } from './callers.ts';
import {
  failureGroupSchema,
  failurePageSchema,
  pruneReportSchema,
  pruneSchema,
  retriedFailuresSchema,
  retryFailuresSchema,
} from './failure-schemas.ts';
import type { Http } from './http.ts';
import { cursorText, plainText } from './parameters.ts';
import type { RouteParts } from './parts.ts';
import { runPageSchema } from './run-schemas.ts';

const tags = ['runs'];
const dayMs = 86_400_000;
const fingerprintParam = Type.Object({
  fingerprint: Type.String({
    minLength: 1,
    maxLength: 64,
    pattern: '^[\\x21-\\x7e]+$',
    description: 'Equal for runs that failed in the same way',
  }),
});
const limit = Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 }));
const cursor = Type.Optional(cursorText);

/** Failed runs by how they failed, and forgetting old ones. A group is of all workflows, and so is the right that it needs. */
export function failureRoutes(app: Http, parts: RouteParts): void {
  readRoutes(app, parts);
  changeRoutes(app, parts);
  pruneRoute(app, parts);
}

function readRoutes(app: Http, { failures }: RouteParts): void {
  app.get(
    '/api/v1/failures',
    {
      config: { action: 'runs.read' },
      schema: {
        tags,
        operationId: 'listFailures',
        summary: 'Failed runs by how they failed, the latest first.',
        querystring: Type.Object(
          {
            dismissed: Type.Optional(
              Type.Boolean({ description: 'true: those that were dismissed as well' }),
            ),
            limit,
            cursor,
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: failurePageSchema }),
      },
    },
    (request) => failures.list(request.query),
  );

  app.get(
    '/api/v1/failures/:fingerprint',
    {
      config: { action: 'runs.read' },
      schema: {
        tags,
        operationId: 'getFailure',
        summary: 'One kind of failure: how many, since when, in which workflows.',
        params: fingerprintParam,
        response: answers({ 200: failureGroupSchema }),
      },
    },
    (request) => failures.get(request.params.fingerprint),
  );

  app.get(
    '/api/v1/failures/:fingerprint/runs',
    {
      config: { action: 'runs.read', some: true },
      schema: {
        tags,
        operationId: 'listFailureRuns',
        summary: 'The runs that failed so, newest failure first.',
        params: fingerprintParam,
        querystring: Type.Object(
          { workflow: Type.Optional(plainText), limit, cursor },
          { additionalProperties: false },
        ),
        response: answers({ 200: runPageSchema }),
      },
    },
    (request) => {
      const { workflow } = request.query;
      if (workflow === undefined) assertAllowed(callerOf(request), 'runs.read');
      else assertMay(request, 'runs.read', workflow);
      return failures.runs(request.params.fingerprint, request.query);
    },
  );
}

function changeRoutes(app: Http, { failures }: RouteParts): void {
  app.post(
    '/api/v1/failures/:fingerprint/retry',
    {
      config: { action: 'runs.write', some: true },
      schema: {
        tags,
        operationId: 'retryFailures',
        summary: 'Tries the runs that failed so again, the newest 500 at most.',
        params: fingerprintParam,
        body: retryFailuresSchema,
        response: answers({ 202: retriedFailuresSchema }),
      },
    },
    async (request, reply) => {
      const { workflow } = request.body;
      const caller = callerOf(request);
      if (workflow === undefined) assertAllowed(caller, 'runs.write');
      else assertMay(request, 'runs.write', workflow);
      const { fingerprint } = request.params;
      const by = caller.access.username;
      return reply.code(202).send(await failures.retry(fingerprint, { ...request.body, by }));
    },
  );

  app.post(
    '/api/v1/failures/:fingerprint/dismiss',
    {
      config: { action: 'runs.write' },
      schema: {
        tags,
        operationId: 'dismissFailure',
        summary: 'Shows it no more until it happens again.',
        params: fingerprintParam,
        response: answers({ 200: failureGroupSchema }),
      },
    },
    (request) => failures.dismiss(request.params.fingerprint, callerOf(request).access.username),
  );
}

function pruneRoute(app: Http, { prune }: RouteParts): void {
  app.post(
    '/api/v1/runs/prune',
    {
      config: { action: 'system' },
      schema: {
        tags,
        operationId: 'pruneRuns',
        summary:
          'Forgets runs that began so long ago and have ended, by whole months; with plan=true only says which.',
        querystring: Type.Object(
          { plan: Type.Optional(Type.Boolean({ description: 'true: nothing is deleted' })) },
          { additionalProperties: false },
        ),
        body: pruneSchema,
        response: answers({ 200: pruneReportSchema }),
      },
    },
    (request) =>
      prune({
        olderThanMs: request.body.olderThanDays * dayMs,
        plan: request.query.plan === true,
      }),
  );
}
