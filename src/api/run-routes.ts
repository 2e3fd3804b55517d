import { Type } from 'typebox';
import { AppError, suggest } from '../base/base.ts';
import { answers } from './answers.ts';
import { assertAllowed } from '../identity/identity.ts';
import { sendTagged } from './etag.ts';
import { assertMay, callerOf, mayRead, namedInPath, renew } from './callers.ts';
import type { CalledRun } from '../coordination/coordination.ts';
import type { Http } from './http.ts';
import { cursorText, idempotencyHeader, nameParam, plainText, runParam } from './parameters.ts';
import type { RouteParts } from './parts.ts';
import { oneOf } from './schema-terms.ts';
import { asker, mayCall, runFor } from './run-access.ts';
import { runChangeRoutes } from './run-change-routes.ts';
import { runEventRoutes } from './run-event-routes.ts';
import { runQuestionRoutes } from './run-question-routes.ts';
import {
  calledRunsSchema,
  runDetailSchema,
  runPageSchema,
  runPlanSchema,
  runStatuses,
  runSummarySchema,
  startRunSchema,
} from './run-schemas.ts';
import { workflowListSchema, workflowSchema } from './workflow-schemas.ts';

/** Workflows and runs: all that is asked about them and of them. */
export function runRoutes(app: Http, parts: RouteParts): void {
  workflowRoutes(app, parts);
  startRoute(app, parts);
  readRoutes(app, parts);
  runChangeRoutes(app, parts);
  runQuestionRoutes(app, parts);
  runEventRoutes(app, parts);
}

function workflowRoutes(app: Http, parts: RouteParts): void {
  const { coordination } = parts;
  app.get(
    '/api/v1/workflows',
    {
      config: { action: 'workflows.read', some: true },
      schema: {
        tags: ['workflows'],
        operationId: 'listWorkflows',
        summary: 'Every workflow that loads, and what is wrong with the others.',
        response: answers({ 200: workflowListSchema }),
      },
    },
    async (request, reply) => {
      const { definitions, problems } = await coordination.workflows();
      await renew(request, parts);
      const items = definitions.filter(({ name }) => mayRead(request, 'workflows.read', name));
      return sendTagged(request, reply, { items, problems });
    },
  );

  app.get(
    '/api/v1/workflows/:name',
    {
      config: { action: 'workflows.read', resource: namedInPath },
      schema: {
        tags: ['workflows'],
        operationId: 'getWorkflow',
        summary: 'The definition of a workflow.',
        params: nameParam,
        response: answers({ 200: workflowSchema }),
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const { definitions } = await coordination.workflows();
      const found = definitions.find((definition) => definition.name === name);
      if (found !== undefined) return sendTagged(request, reply, found);
      const near = suggest(
        name,
        definitions.map((definition) => definition.name),
      );
      throw new AppError('workflow_not_found', `there is no workflow ${name}`, {
        details: { workflow: name },
        remedy: near === undefined ? 'GET /api/v1/workflows lists them.' : `Did you mean ${near}?`,
      });
    },
  );
}

function startRoute(app: Http, parts: RouteParts): void {
  const { coordination } = parts;
  app.post(
    '/api/v1/runs',
    {
      config: { action: 'workflows.execute', some: true },
      schema: {
        tags: ['runs'],
        operationId: 'startRun',
        summary: 'Starts a run of a workflow; with plan=true only says what it would do.',
        headers: idempotencyHeader,
        querystring: Type.Object(
          {
            plan: Type.Optional(
              Type.Boolean({ description: 'true: nothing is started; the answer is a RunPlan' }),
            ),
          },
          { additionalProperties: false },
        ),
        body: startRunSchema,
        response: answers({ 200: runPlanSchema, 201: runSummarySchema }),
      },
    },
    async (request, reply) => {
      const { workflow, input, priority } = request.body;
      assertMay(request, 'workflows.execute', workflow);
      const idempotencyKey = request.headers['idempotency-key'];
      const start = {
        workflow,
        input: input ?? {},
        ...(priority === undefined ? {} : { priority }),
        ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
        startedBy: asker(request),
        mayCall: mayCall(request, parts),
      };
      if (request.query.plan === true) return reply.send(await coordination.plan(start));
      const run = await coordination.start(start);
      return reply.code(201).header('location', `/api/v1/runs/${run.id}`).send(run);
    },
  );
}

function readRoutes(app: Http, parts: RouteParts): void {
  const { coordination } = parts;
  app.get(
    '/api/v1/runs',
    {
      config: { action: 'runs.read', some: true },
      schema: {
        tags: ['runs'],
        operationId: 'listRuns',
        summary: 'Runs, newest first.',
        querystring: Type.Object(
          {
            status: Type.Optional(oneOf(runStatuses)),
            workflow: Type.Optional(plainText),
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
            cursor: Type.Optional(cursorText),
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: runPageSchema }),
      },
    },
    (request) => {
      const caller = callerOf(request);
      const { workflow } = request.query;
      if (workflow !== undefined) assertMay(request, 'runs.read', workflow);
      else assertAllowed(caller, 'runs.read');
      return coordination.list(request.query);
    },
  );

  app.get(
    '/api/v1/runs/:id',
    {
      config: { action: 'runs.read', some: true },
      schema: {
        tags: ['runs'],
        operationId: 'getRun',
        summary: 'A run with its tasks, input and output.',
        params: runParam,
        response: answers({ 200: runDetailSchema }),
      },
    },
    (request) => runFor(request, parts, 'runs.read'),
  );

  app.get(
    '/api/v1/runs/:id/calls',
    {
      config: { action: 'runs.read', some: true },
      schema: {
        tags: ['runs'],
        operationId: 'listRunCalls',
        summary:
          'The runs that the agents of a run asked for, and those below them; at most 1,000.',
        params: runParam,
        response: answers({ 200: calledRunsSchema }),
      },
    },
    (request) => calledBy(request, parts),
  );
}

async function calledBy(
  request: Parameters<typeof runFor>[0],
  parts: RouteParts,
): Promise<{ items: CalledRun[] }> {
  const { id } = await runFor(request, parts, 'runs.read');
  return { items: [...(await parts.coordination.calls(id))] };
}
