import { answers } from './answers.ts';
import type { Http } from './http.ts';
import { runParam } from './parameters.ts';
import type { RouteParts } from './parts.ts';
import { assertMay } from './callers.ts';
import { asker, mayCall, runFor } from './run-access.ts';
import {
  cancelRunSchema,
  forkRunSchema,
  pauseRunSchema,
  retryRunSchema,
  runSummarySchema,
  undoPlanSchema,
  undoRunSchema,
} from './run-schemas.ts';

const config = { action: 'runs.write', some: true } as const;
const unsaid = 'asked for over HTTP';

/** What may be done with a run: held up, let go on, stopped, done again, undone. */
export function runChangeRoutes(app: Http, parts: RouteParts): void {
  holdRoutes(app, parts);
  endRoutes(app, parts);
  againRoutes(app, parts);
  undoRoutes(app, parts);
}

function holdRoutes(app: Http, parts: RouteParts): void {
  const { coordination } = parts;
  app.post(
    '/api/v1/runs/:id/pause',
    {
      config,
      schema: {
        tags: ['runs'],
        operationId: 'pauseRun',
        summary: 'Starts nothing new until the run is resumed; attempts under way go on.',
        params: runParam,
        body: pauseRunSchema,
        response: answers({ 202: runSummarySchema }),
      },
    },
    async (request, reply) => {
      const { id } = await runFor(request, parts, 'runs.write');
      const reason = request.body.reason ?? unsaid;
      return reply.code(202).send(await coordination.pause(id, { reason, by: asker(request) }));
    },
  );

  app.post(
    '/api/v1/runs/:id/resume',
    {
      config,
      schema: {
        tags: ['runs'],
        operationId: 'resumeRun',
        summary: 'Lets a run that was paused go on.',
        params: runParam,
        response: answers({ 202: runSummarySchema }),
      },
    },
    async (request, reply) => {
      const { id } = await runFor(request, parts, 'runs.write');
      return reply.code(202).send(await coordination.resume(id, { by: asker(request) }));
    },
  );
}

function endRoutes(app: Http, parts: RouteParts): void {
  const { coordination } = parts;
  app.post(
    '/api/v1/runs/:id/cancel',
    {
      config,
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
      const { id } = await runFor(request, parts, 'runs.write');
      const reason = request.body.reason ?? unsaid;
      return reply.code(202).send(await coordination.cancel(id, { reason, by: asker(request) }));
    },
  );
}

function againRoutes(app: Http, parts: RouteParts): void {
  const { coordination } = parts;
  app.post(
    '/api/v1/runs/:id/retry',
    {
      config,
      schema: {
        tags: ['runs'],
        operationId: 'retryRun',
        summary: 'Tries what failed, was cancelled or skipped again; what completed is kept.',
        description:
          'With `from`, that task and all that stands on it are done again, completed or not.',
        params: runParam,
        body: retryRunSchema,
        response: answers({ 202: runSummarySchema }),
      },
    },
    async (request, reply) => {
      const { id } = await runFor(request, parts, 'runs.write');
      return reply
        .code(202)
        .send(await coordination.retry(id, { ...request.body, by: asker(request) }));
    },
  );

  app.post(
    '/api/v1/runs/:id/fork',
    {
      config,
      schema: {
        tags: ['runs'],
        operationId: 'forkRun',
        summary: 'A new run of the same definition that keeps what does not stand on a task.',
        description:
          '`input` replaces inputs by name. Besides runs.write it needs workflows.execute.',
        params: runParam,
        body: forkRunSchema,
        response: answers({ 201: runSummarySchema }),
      },
    },
    async (request, reply) => {
      const { id, workflow } = await runFor(request, parts, 'runs.write');
      assertMay(request, 'workflows.execute', workflow);
      const run = await coordination.fork(id, {
        ...request.body,
        by: asker(request),
        mayCall: mayCall(request, parts),
      });
      return reply.code(201).header('location', `/api/v1/runs/${run.id}`).send(run);
    },
  );
}

function undoRoutes(app: Http, parts: RouteParts): void {
  const { coordination } = parts;
  app.get(
    '/api/v1/runs/:id/undo',
    {
      config: { action: 'runs.read', some: true },
      schema: {
        tags: ['runs'],
        operationId: 'getUndoPlan',
        summary: 'What undoing a run would do, the newest effect first; nothing is touched.',
        params: runParam,
        response: answers({ 200: undoPlanSchema }),
      },
    },
    (request) => runFor(request, parts, 'runs.read').then(({ id }) => coordination.undoPlan(id)),
  );

  app.post(
    '/api/v1/runs/:id/undo',
    {
      config: { action: 'runs.undo', some: true },
      schema: {
        tags: ['runs'],
        operationId: 'undoRun',
        summary: 'Stops the run if it is open and undoes its effects, the newest first.',
        description: 'Again: what is not undone yet.',
        params: runParam,
        body: undoRunSchema,
        response: answers({ 202: runSummarySchema }),
      },
    },
    async (request, reply) => {
      const { id } = await runFor(request, parts, 'runs.undo');
      const force = request.body.force ?? false;
      return reply.code(202).send(await coordination.undo(id, { force, by: asker(request) }));
    },
  );
}
