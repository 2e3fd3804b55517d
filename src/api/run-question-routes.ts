import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AppError } from '../base/base.ts';
import { answers } from './answers.ts';
import { mayRead, renew } from './callers.ts';
import type { Http } from './http.ts';
import { cursorText, runParam } from './parameters.ts';
import type { RouteParts } from './parts.ts';
import { asker, runFor } from './run-access.ts';
import {
  answerRunSchema,
  questionPageSchema,
  runSummarySchema,
  signalRunSchema,
  type AskedQuestion,
  type QuestionPage,
} from './run-schemas.ts';

/** What runs ask people, the answers, and what is told to runs from outside. */
export function runQuestionRoutes(app: Http, parts: RouteParts): void {
  listRoute(app, parts);
  answerRoute(app, parts);
  signalRoute(app, parts);
}

function listRoute(app: Http, parts: RouteParts): void {
  app.get(
    '/api/v1/questions',
    {
      config: { action: 'runs.read', some: true },
      schema: {
        tags: ['runs'],
        operationId: 'listQuestions',
        summary: 'What runs ask people, the newest run first.',
        querystring: Type.Object(
          {
            limit: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: 100,
                default: 50,
                description: 'Runs that are looked at; each may ask several things',
              }),
            ),
            cursor: Type.Optional(cursorText),
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: questionPageSchema }),
      },
    },
    (request) => askedQuestions(request, parts),
  );
}

async function askedQuestions(
  request: Pick<FastifyRequest, 'caller'> & { query: { limit?: number; cursor?: string } },
  parts: RouteParts,
): Promise<QuestionPage> {
  const { coordination } = parts;
  const { limit = 50, cursor } = request.query;
  const { items: runs, nextCursor } = await coordination.list({
    status: 'waiting',
    limit,
    ...(cursor === undefined ? {} : { cursor }),
  });
  const items: AskedQuestion[] = [];
  for (const { id, workflow } of runs) {
    await renew(request, parts);
    if (!mayRead(request, 'runs.read', workflow)) continue;
    const { questions } = await coordination.get(id);
    for (const question of questions) items.push({ run: id, workflow, question });
  }
  return { items, ...(nextCursor === undefined ? {} : { nextCursor }) };
}

function answerRoute(app: Http, parts: RouteParts): void {
  app.post(
    '/api/v1/runs/:id/answer',
    {
      config: { action: 'runs.approve', some: true },
      schema: {
        tags: ['runs'],
        operationId: 'answerRun',
        summary: 'Answers what a run asks: approves or rejects, chooses, adds to its budget.',
        description: 'Without `question`, the only one that is open.',
        params: runParam,
        body: answerRunSchema,
        response: answers({ 202: runSummarySchema }),
      },
    },
    async (request, reply) => {
      const { decision, choice, add } = request.body;
      if (decision === 'reject' && (choice !== undefined || add !== undefined)) {
        throw new AppError('invalid_input', 'a rejection takes neither choice nor add');
      }
      const { id } = await runFor(request, parts, 'runs.approve');
      const by = asker(request);
      return reply.code(202).send(await parts.coordination.answer(id, { ...request.body, by }));
    },
  );
}

function signalRoute(app: Http, parts: RouteParts): void {
  app.post(
    '/api/v1/runs/:id/signals',
    {
      config: { action: 'runs.write', some: true },
      schema: {
        tags: ['runs'],
        operationId: 'signalRun',
        summary: 'Gives a signal to a task that waits, or will wait, for one of that name.',
        params: runParam,
        body: signalRunSchema,
        response: answers({ 202: runSummarySchema }),
      },
    },
    async (request, reply) => {
      const { id } = await runFor(request, parts, 'runs.write');
      const { name, data = null } = request.body;
      return reply
        .code(202)
        .send(await parts.coordination.signal(id, { name, data, by: asker(request) }));
    },
  );
}
