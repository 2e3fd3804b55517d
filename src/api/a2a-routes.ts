/** `/a2a`: the bridge as a server of the Agent2Agent protocol 1.0, over JSON-RPC. A task is a run. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AppError } from '../base/base.ts';
import type { Door } from './a2a-access.ts';
import { a2aCardRoutes } from './a2a-card-routes.ts';
import { fleetPath, protocolVersion } from './a2a-cards.ts';
import { A2aError, rpcError } from './a2a-errors.ts';
import { methods } from './a2a-methods.ts';
import { streamMethods } from './a2a-streams.ts';
import { callerOf, namedInPath } from './callers.ts';
import type { Http } from './http.ts';
import { leftSignal } from './left.ts';
import { nameParam } from './parameters.ts';
import type { RouteParts } from './parts.ts';

const bodySchema = Type.Object(
  {
    jsonrpc: Type.Literal('2.0'),
    id: Type.Unknown({ description: 'A text or a whole number, given back with the answer' }),
    method: Type.String({ description: 'SendMessage, GetTask, …' }),
    params: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { title: 'A2aRequest' },
);
const answerSchema = Type.Object({}, { title: 'A2aAnswer' });
const answered = {
  200: {
    description:
      'The result or error of the request; of the methods that stream, as an event stream',
    content: {
      'application/json': { schema: answerSchema },
      'text/event-stream': { schema: answerSchema },
    },
  },
};
/** What the protocol leaves to HTTP: who asks, whether he may, and how often. */
const leftToHttp = new Set([401, 403, 415, 421, 429, 503]);

export function a2aRoutes(app: Http, parts: RouteParts): void {
  a2aCardRoutes(app, parts);
  void app.register(async (scope: FastifyInstance) => {
    // What is wrong with a message is said in the words of the protocol, where there is one to answer.
    scope.setErrorHandler((error, _request, reply) => {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      return sendAnswer(reply, null, { error: rpcError(refusal) });
    });
    const common = { config: { action: 'self' as const }, validatorCompiler: () => anything };
    scope.post(
      fleetPath,
      {
        ...common,
        schema: {
          tags: ['a2a'],
          operationId: 'callA2a',
          summary: 'A message of A2A to the fleet; each method asks for its own permission.',
          body: bodySchema,
          response: answered,
        },
      },
      (request, reply) => serve(request, reply, parts, undefined),
    );
    scope.post(
      `${fleetPath}/agents/:name`,
      {
        ...common,
        schema: {
          tags: ['a2a'],
          operationId: 'callA2aAgent',
          summary: 'A message of A2A to one agent; each method asks for its own permission.',
          params: nameParam,
          body: bodySchema,
          response: answered,
        },
      },
      (request, reply) => serve(request, reply, parts, namedInPath(request)),
    );
  });
}

const anything = (value: unknown) => ({ value });

/** A body that could not be read, as an error of JSON-RPC. */
function refusalOf(error: unknown): unknown {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof AppError) {
    if (leftToHttp.has(error.status)) return undefined;
    if (error.code === 'usage') return new A2aError('PARSE_ERROR', error.message);
    return error;
  }
  const isTooLarge = 'statusCode' in error && error.statusCode === 413;
  return isTooLarge ? new A2aError('INVALID_REQUEST', error.message) : undefined;
}

type RequestId = string | number | null;

async function serve(
  request: FastifyRequest,
  reply: FastifyReply,
  parts: RouteParts,
  agent: string | undefined,
): Promise<FastifyReply> {
  const { body } = request;
  const id = idOf(body);
  const door: Door = { parts, request, agent, left: leftSignal(reply.raw) };
  try {
    const { method, params } = readRequest(body);
    assertVersion(request);
    const stream = Object.hasOwn(streamMethods, method) ? streamMethods[method] : undefined;
    if (stream !== undefined) return await sendStream(door, reply, id, await stream(door, params));
    const answer = Object.hasOwn(methods, method) ? methods[method] : undefined;
    if (answer !== undefined) return sendAnswer(reply, id, { result: await answer(door, params) });
    throw new A2aError('METHOD_NOT_FOUND', `there is no method ${method}`);
  } catch (error) {
    if (reply.sent || (error instanceof AppError && leftToHttp.has(error.status))) throw error;
    const told = rpcError(error);
    if (told.code === -32603) parts.log.warn({ requestId: request.id, err: error }, 'a2a');
    return sendAnswer(reply, id, { error: told });
  }
}

function sendAnswer(reply: FastifyReply, id: RequestId, answer: object): FastifyReply {
  return reply
    .type('application/json; charset=utf-8')
    .send(JSON.stringify({ jsonrpc: '2.0', id, ...answer }));
}

async function sendStream(
  { parts, request }: Door,
  reply: FastifyReply,
  id: RequestId,
  { workflow, responses }: Awaited<ReturnType<(typeof streamMethods)[string]>>,
): Promise<FastifyReply> {
  const frame = (answer: object) =>
    `data: ${JSON.stringify({ jsonrpc: '2.0', id, ...answer })}\n\n`;
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) reply.raw.setHeader(name, value);
  }
  await parts.streams.send(reply.raw, {
    begin: () => reply.hijack(),
    async *frames(signal) {
      for await (const result of responses(signal)) yield frame({ result });
    },
    problem: (error) => frame({ error: rpcError(error) }),
    watch: (onEnded) =>
      workflow === undefined
        ? () => undefined
        : parts.identity.callers.watch(
            callerOf(request),
            { action: 'runs.read', resource: workflow },
            onEnded,
          ),
  });
  return reply;
}

function idOf(body: unknown): RequestId {
  if (typeof body !== 'object' || body === null || !('id' in body)) return null;
  const { id } = body;
  return typeof id === 'string' || Number.isInteger(id) ? (id as string | number) : null;
}

/** The envelope of JSON-RPC 2.0. */
function readRequest(body: unknown): { method: string; params: unknown } {
  if (body === undefined || body === null) throw new A2aError('PARSE_ERROR', 'the body is empty');
  if (Array.isArray(body)) throw wrong('batches are not taken: send one request at a time');
  if (typeof body !== 'object') throw wrong('the body is no object');
  const { jsonrpc, method, params } = body as Readonly<Record<string, unknown>>;
  if (jsonrpc !== '2.0') throw wrong('jsonrpc must be "2.0"');
  if (typeof method !== 'string' || method === '') throw wrong('method must be a text');
  if (idOf(body) === null) throw wrong('id must be a text or a whole number');
  const isObject = typeof params === 'object' && params !== null && !Array.isArray(params);
  if (params !== undefined && params !== null && !isObject) {
    throw new A2aError('INVALID_PARAMS', 'params must be an object');
  }
  return { method: method.slice(0, 100), params: params ?? {} };
}

function wrong(why: string): A2aError {
  return new A2aError('INVALID_REQUEST', why);
}

/** Major and minor count; nothing said means 0.3 (section 3.6.2), which is not spoken here. */
function assertVersion({ headers, query }: FastifyRequest): void {
  const header = headers['a2a-version'];
  const parameter = (query as Readonly<Record<string, unknown>>)['A2A-Version'];
  const asked = [header, parameter].find((one) => typeof one === 'string' && one.trim() !== '');
  const version = typeof asked === 'string' ? asked.trim() : '0.3';
  if (/^1\.0(?:\.\d+)?$/.test(version)) return;
  throw new A2aError(
    'VERSION_NOT_SUPPORTED',
    `A2A ${version.slice(0, 20)} is not spoken here, but ${protocolVersion}: send the header A2A-Version: ${protocolVersion}`,
    { supported: protocolVersion },
  );
}
