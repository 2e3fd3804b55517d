import { Type } from 'typebox';
import type { NewScheduleRequest, Principal } from '../coordination/coordination.ts';
import { AppError, suggest } from '../base/base.ts';
import type { Caller } from '../identity/identity.ts';
import { answers } from './answers.ts';
import { assertMay, callerOf, mayRead, namedInPath, renew } from './callers.ts';
import type { Http } from './http.ts';
import { cursorText, nameParam } from './parameters.ts';
import type { RouteParts } from './parts.ts';
import {
  firePageSchema,
  fireSchema,
  newScheduleSchema,
  schedulePageSchema,
  schedulePlanSchema,
  scheduleSchema,
} from './schedule-schemas.ts';

const tags = ['schedules'];
const pageQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
    cursor: Type.Optional(cursorText),
  },
  { additionalProperties: false },
);

/** Schedules: what starts by itself, and what became of its times. */
export function scheduleRoutes(app: Http, parts: RouteParts): void {
  readRoutes(app, parts);
  createRoute(app, parts);
  changeRoutes(app, parts);
  runRoute(app, parts);
}

function readRoutes(app: Http, parts: RouteParts): void {
  const { schedules } = parts;
  app.get(
    '/api/v1/schedules',
    {
      config: { action: 'schedules.read', some: true },
      schema: {
        tags,
        operationId: 'listSchedules',
        summary: 'Schedules by name, with their next times and what became of the last one.',
        querystring: pageQuery,
        response: answers({ 200: schedulePageSchema }),
      },
    },
    async (request, reply) => {
      const { items, ...more } = await schedules.list(request.query);
      await renew(request, parts);
      const visible = items.filter(({ name }) => mayRead(request, 'schedules.read', name));
      return reply.send({ items: visible, ...more });
    },
  );

  app.get(
    '/api/v1/schedules/:name',
    {
      config: { action: 'schedules.read', resource: namedInPath },
      schema: {
        tags,
        operationId: 'getSchedule',
        summary: 'One schedule.',
        params: nameParam,
        response: answers({ 200: scheduleSchema }),
      },
    },
    (request) => schedules.get(request.params.name),
  );

  app.get(
    '/api/v1/schedules/:name/fires',
    {
      config: { action: 'schedules.read', resource: namedInPath },
      schema: {
        tags,
        operationId: 'listScheduleFires',
        summary: 'What became of its times, newest first; the newest 1,000 are kept.',
        params: nameParam,
        querystring: pageQuery,
        response: answers({ 200: firePageSchema }),
      },
    },
    (request) => schedules.fires(request.params.name, request.query),
  );
}

function createRoute(app: Http, parts: RouteParts): void {
  const { schedules } = parts;
  app.post(
    '/api/v1/schedules',
    {
      config: { action: 'schedules.write', some: true },
      schema: {
        tags,
        operationId: 'createSchedule',
        summary:
          'A new schedule; needs workflows.execute on its workflow as well, then and at each of its times. With plan=true only says when it would fire.',
        querystring: Type.Object(
          {
            plan: Type.Optional(
              Type.Boolean({ description: 'true: nothing is made; the answer is a SchedulePlan' }),
            ),
          },
          { additionalProperties: false },
        ),
        body: newScheduleSchema,
        response: answers({ 200: schedulePlanSchema, 201: scheduleSchema }),
      },
    },
    async (request, reply) => {
      const wanted: NewScheduleRequest = request.body;
      assertMay(request, 'schedules.write', wanted.name);
      await assertMayStart(request, parts, wanted.workflow);
      if (request.query.plan === true) return reply.send(await schedules.plan(wanted));
      const made = await schedules.create(wanted, principalOf(request));
      return reply
        .code(201)
        .header('location', `/api/v1/schedules/${encodeURIComponent(made.name)}`)
        .send(made);
    },
  );
}

function changeRoutes(app: Http, { schedules }: RouteParts): void {
  app.post(
    '/api/v1/schedules/:name/pause',
    {
      config: { action: 'schedules.write', resource: namedInPath },
      schema: {
        tags,
        operationId: 'pauseSchedule',
        summary: 'Fires no more until it is resumed; times in between do not count as missed.',
        params: nameParam,
        response: answers({ 200: scheduleSchema }),
      },
    },
    (request) => schedules.pause(request.params.name),
  );

  app.post(
    '/api/v1/schedules/:name/resume',
    {
      config: { action: 'schedules.write', resource: namedInPath },
      schema: {
        tags,
        operationId: 'resumeSchedule',
        summary: 'Fires again, from its next time on.',
        params: nameParam,
        response: answers({ 200: scheduleSchema }),
      },
    },
    (request) => schedules.resume(request.params.name),
  );

  app.delete(
    '/api/v1/schedules/:name',
    {
      config: { action: 'schedules.write', resource: namedInPath },
      schema: {
        tags,
        operationId: 'deleteSchedule',
        summary: 'Deletes a schedule; the runs that it has started go on.',
        params: nameParam,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      await schedules.remove(request.params.name);
      return reply.code(204).send(null);
    },
  );
}

function runRoute(app: Http, parts: RouteParts): void {
  const { schedules } = parts;
  app.post(
    '/api/v1/schedules/:name/run',
    {
      config: { action: 'schedules.write', resource: namedInPath },
      schema: {
        tags,
        operationId: 'runSchedule',
        summary: 'Starts a run of it now, as the caller, paused or not.',
        params: nameParam,
        response: answers({ 201: fireSchema }),
      },
    },
    async (request, reply) => {
      const { workflow } = await schedules.get(request.params.name);
      await assertMayStart(request, parts, workflow, 'gone');
      const fire = await schedules.runNow(request.params.name, principalOf(request));
      return reply.code(201).send(fire);
    },
  );
}

/** Throws `workflow_not_found`, unless it may be gone, before the right to start it is asked for. */
async function assertMayStart(
  request: { caller: Caller | undefined },
  parts: Pick<RouteParts, 'coordination' | 'identity'>,
  workflow: string,
  mayBe?: 'gone',
): Promise<void> {
  const { definitions } = await parts.coordination.workflows();
  const names = definitions.map(({ name }) => name);
  if (mayBe !== 'gone' && !names.includes(workflow)) {
    const near = suggest(workflow, names);
    throw new AppError('workflow_not_found', `there is no workflow ${workflow}`, {
      details: { workflow, field: 'workflow' },
      remedy: near === undefined ? 'GET /api/v1/workflows lists them.' : `Did you mean ${near}?`,
    });
  }
  await renew(request, parts);
  assertMay(request, 'workflows.execute', workflow);
}

function principalOf(request: { readonly caller: Caller | undefined }): Principal {
  const { access } = callerOf(request);
  return { id: access.userId, name: access.username };
}
