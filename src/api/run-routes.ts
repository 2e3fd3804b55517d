import { Type } from 'typebox';
import { AppError, isId, suggest } from '../base/base.ts';
import { answers } from './answers.ts';
import { assertAllowed, type Caller } from '../identity/identity.ts';
import type { RunDetail } from '../coordination/coordination.ts';
import { sendTagged } from './etag.ts';
import { assertMay, callerOf, mayRead, namedInPath } from './callers.ts';
import type { Http } from './http.ts';
import { cursorText, idempotencyHeader, nameParam, plainText, runParam } from './parameters.ts';
import type { RouteParts } from './parts.ts';
import { oneOf } from './schema-terms.ts';
import {
  cancelRunSchema,
  runDetailSchema,
  runPageSchema,
  runPlanSchema,
  runStatuses,
  runSummarySchema,
  startRunSchema,
  workflowListSchema,
  workflowSchema,
} from './run-schemas.ts';

/** Workflows and runs. What happens in a run over time is in run-event-routes.ts. */
export function runRoutes(app: Http, parts: RouteParts): void {
  workflowRoutes(app, parts);
  startRoute(app, parts);
  readRoutes(app, parts);
  changeRoutes(app, parts);
}

function workflowRoutes(app: Http, { coordination }: RouteParts): void {
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

function startRoute(app: Http, { coordination }: RouteParts): void {
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
      };
      if (request.query.plan === true) return reply.send(await coordination.plan(start));
      const run = await coordination.start(start);
      return reply.code(201).header('location', `/api/v1/runs/${run.id}`).send(run);
    },
  );
}

function readRoutes(app: Http, { coordination }: RouteParts): void {
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
    (request) => visible(request, coordination),
  );
}

function changeRoutes(app: Http, { coordination }: RouteParts): void {
  app.post(
    '/api/v1/runs/:id/cancel',
    {
      config: { action: 'runs.write', some: true },
      schema: {
        tags: ['runs'],
        operationId: 'cancelRun',
        summary: 'Asks a run to stop; its attempts under way are ended.',
        params: runParam,
        body: cancelRunSchema,
        response: answers({ 202: runSummarySchema }),
      },
    },
    async (request, reply) => {
      const reason = request.body.reason ?? 'asked for over HTTP';
      const id = await changeable(request, coordination);
      return reply.code(202).send(await coordination.cancel(id, reason));
    },
  );

  app.post(
    '/api/v1/runs/:id/retry',
    {
      config: { action: 'runs.write', some: true },
      schema: {
        tags: ['runs'],
        operationId: 'retryRun',
        summary: 'Tries what failed, was cancelled or skipped again; what completed is kept.',
        params: runParam,
        response: answers({ 202: runSummarySchema }),
      },
    },
    async (request, reply) =>
      reply.code(202).send(await coordination.retry(await changeable(request, coordination))),
  );
}

interface AskedForRun {
  readonly caller: Caller | undefined;
  readonly params: { readonly id: string };
}

/** A run that the caller may see. */
async function visible(
  request: AskedForRun,
  coordination: RouteParts['coordination'],
): Promise<RunDetail> {
  const run = await coordination.get(runId(request.params.id));
  assertMay(request, 'runs.read', run.workflow);
  return run;
}

/** The id of a run that the caller may change. */
async function changeable(
  request: AskedForRun,
  coordination: RouteParts['coordination'],
): Promise<string> {
  const id = runId(request.params.id);
  const { workflow } = await coordination.get(id);
  assertMay(request, 'runs.write', workflow);
  return id;
}

/** The id of a run in lower case; what can not be one names no run. */
export function runId(given: string): string {
  if (isId(given)) return given.toLowerCase();
  throw new AppError('run_not_found', `there is no run ${JSON.stringify(given)}`, {
    details: { run: given },
    remedy: 'GET /api/v1/runs lists them; an id looks like 01930d5c-7b6e-7c3a-9f52-3b1f0c6d8e42.',
  });
}
