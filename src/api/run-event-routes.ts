import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { errorRecord } from '../base/base.ts';
import type { RunDetail } from '../coordination/coordination.ts';
import { answers } from './answers.ts';
import { callerOf } from './callers.ts';
import type { Http } from './http.ts';
import { leftSignal } from './left.ts';
import { runParam } from './parameters.ts';
import type { RouteParts } from './parts.ts';
import { runFor } from './run-access.ts';
import { eventPageSchema, runEventSchema } from './run-event-schemas.ts';
import { runDetailSchema } from './run-schemas.ts';
import { invalid } from './validate.ts';

const defaultWaitSeconds = 30;

/** What happens in a run: its events as pages or as a stream, and waiting for its end. */
export function runEventRoutes(app: Http, parts: RouteParts): void {
  app.get(
    '/api/v1/runs/:id/events',
    {
      config: { action: 'runs.read', some: true },
      exposeHeadRoute: false,
      schema: {
        tags: ['runs'],
        operationId: 'listRunEvents',
        summary: 'Events after a number; a stream with Accept: text/event-stream.',
        description:
          'The stream has `id: seq`, the event type as its name and a RunEvent as its data; it resumes after `Last-Event-ID` and closes with an `end` event `{status, lastSeq}` when the run has ended.',
        params: runParam,
        querystring: Type.Object(
          {
            after: Type.Optional(Type.Integer({ minimum: 0, maximum: 2_147_483_647, default: 0 })),
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 200 })),
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: eventPageSchema }, runEventSchema),
      },
    },
    async (request, reply) => {
      const after = request.query.after ?? 0;
      const { id, workflow } = await runFor(request, parts, 'runs.read');
      void reply.header('vary', 'accept');
      if (wantsStream(request)) return sendStream(request, reply, parts, { id, workflow }, after);
      const items = await parts.coordination.events(id, after, request.query.limit ?? 200);
      return { items, nextAfter: items.at(-1)?.seq ?? after };
    },
  );

  app.get(
    '/api/v1/runs/:id/wait',
    {
      config: { action: 'runs.read', some: true },
      exposeHeadRoute: false,
      schema: {
        tags: ['runs'],
        operationId: 'waitForRun',
        summary: 'Answers when the run has ended (200), or with its state after a while (202).',
        params: runParam,
        querystring: Type.Object(
          {
            timeoutSeconds: Type.Optional(
              Type.Number({ minimum: 0, maximum: 120, default: defaultWaitSeconds }),
            ),
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: runDetailSchema, 202: runDetailSchema }),
      },
    },
    async (request, reply) => {
      const { id } = await runFor(request, parts, 'runs.read');
      const waitMs = (request.query.timeoutSeconds ?? defaultWaitSeconds) * 1_000;
      const left = leftSignal(reply.raw);
      const run = await parts.longPolls.hold(() => waitForEnd(parts, id, waitMs, left));
      return reply.code(hasEnded(run) ? 200 : 202).send(run);
    },
  );
}

/** The run when it has ended, or as it is when `waitMs` have passed or the server closes. */
export async function waitForEnd(
  { coordination, clock, closing }: RouteParts,
  id: string,
  waitMs: number,
  left: AbortSignal,
): Promise<RunDetail> {
  const present = await coordination.get(id);
  if (hasEnded(present) || waitMs === 0) return present;
  const enough = new AbortController();
  const signal = AbortSignal.any([left, closing, enough.signal]);
  void clock.sleep(waitMs, signal).then(
    () => enough.abort(),
    () => undefined,
  );
  try {
    return await coordination.wait(id, signal);
  } catch (error) {
    if (signal.aborted) return await coordination.get(id);
    throw error;
  } finally {
    enough.abort();
  }
}

function hasEnded({ status }: Pick<RunDetail, 'status'>): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

function wantsStream(request: FastifyRequest): boolean {
  return /\btext\/event-stream\b/i.test(request.headers.accept ?? '');
}

async function sendStream(
  request: FastifyRequest,
  reply: FastifyReply,
  { coordination, identity, streams }: RouteParts,
  { id, workflow }: { id: string; workflow: string },
  after: number,
): Promise<FastifyReply> {
  const start = resumeAfter(request.headers['last-event-id']) ?? after;
  // Throws where there is no such run, before the answer has begun.
  await coordination.events(id, start, 1);
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) reply.raw.setHeader(name, value);
  }
  await streams.send(reply.raw, {
    async *frames(signal) {
      for await (const event of coordination.follow(id, start, signal)) {
        yield `id: ${event.seq}\nevent: ${event.body.type}\ndata: ${JSON.stringify(event)}\n\n`;
      }
      const { status, lastSeq } = await coordination.get(id);
      yield `event: end\ndata: ${JSON.stringify({ status, lastSeq })}\n\n`;
    },
    problem: (error) => `event: problem\ndata: ${JSON.stringify(errorRecord(error))}\n\n`,
    begin: () => reply.hijack(),
    watch: (onEnded) =>
      identity.callers.watch(
        callerOf(request),
        { action: 'runs.read', resource: workflow },
        onEnded,
      ),
  });
  return reply;
}

function resumeAfter(header: string | string[] | undefined): number | undefined {
  if (header === undefined || header === '') return undefined;
  if (typeof header === 'string' && /^\d{1,9}$/.test(header)) return Number(header);
  throw invalid('header', 'last-event-id', 'must be the number of an event');
}
