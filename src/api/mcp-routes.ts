/**
 * `POST /mcp`: the bridge as a server of the Model Context Protocol (2026-07-28, and 2025-11-25 without
 * sessions). Messages and versions are the library's; who may do what is the bridge's.
 */
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { createMcpHandler, ProtocolError } from '@modelcontextprotocol/server';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { toAppError } from '../base/base.ts';
import { callerOf } from './callers.ts';
import { mcpPath, strictJsonParser, type Http } from './http.ts';
import type { Insiders } from './insiders.ts';
import { leftSignal } from './left.ts';
import type { Offer } from './mcp-offer.ts';
import { callsFor, type Operation } from './mcp-operations.ts';
import { createMcpServer } from './mcp-server.ts';
import { assertMaySubscribe, narrowSubscription, runChanges } from './mcp-subscriptions.ts';
import type { RouteParts } from './parts.ts';
import { createPlaces, type Places } from './places.ts';

/** Each is an open socket and a reader of a run's events. */
const mostSubscriptions = 256;

/** `operations` are those that `offer` may call. */
export function mcpRoutes(
  app: Http,
  parts: RouteParts,
  offer: Offer,
  operations: ReadonlyMap<string, Operation>,
  insiders: Insiders,
): void {
  const serving: Serving = {
    app,
    parts,
    operations,
    insiders,
    offer,
    subscriptions: createPlaces('subscriptions', mostSubscriptions),
  };
  void app.register(async (scope: FastifyInstance) => {
    readMessages(scope);
    scope.post(
      mcpPath,
      {
        config: { action: 'self', ownPages: true },
        // A refused message is answered in the words of the protocol, by its library.
        validatorCompiler: () => (value: unknown) => ({ value }),
        schema: {
          tags: ['mcp'],
          operationId: 'callMcp',
          summary:
            'One message of the Model Context Protocol; each tool asks for its own permission.',
          body: Type.Object(
            {
              jsonrpc: Type.Literal('2.0'),
              method: Type.String(),
              id: Type.Optional(
                Type.Unknown({ description: 'A string or number; absent in a notification' }),
              ),
              params: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
            },
            { title: 'McpMessage' },
          ),
          response: {
            200: {
              description: 'The result or error of a request, as JSON or as an event stream',
              content: {
                'application/json': { schema: Type.Object({}, { title: 'McpAnswer' }) },
                'text/event-stream': { schema: Type.Object({}, { title: 'McpAnswer' }) },
              },
            },
            202: { description: 'A notification was taken' },
          },
        },
      },
      (request, reply) => serve(request, reply, serving),
    );
  });
}

interface Serving {
  readonly app: Http;
  readonly parts: RouteParts;
  readonly operations: ReadonlyMap<string, Operation>;
  readonly insiders: Insiders;
  readonly offer: Offer;
  readonly subscriptions: Places;
}

/** A body that is no acceptable JSON is an error of the protocol too, so the route hears of it. */
interface Message {
  readonly value?: unknown;
  readonly refused?: string;
}

function readMessages(scope: FastifyInstance): void {
  const parse = strictJsonParser(scope);
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, { value: parse(String(body)) } satisfies Message);
    } catch (error) {
      done(null, { refused: toAppError(error).message } satisfies Message);
    }
  });
}

async function serve(
  request: FastifyRequest,
  reply: FastifyReply,
  { app, parts, operations, insiders, offer, subscriptions }: Serving,
): Promise<FastifyReply> {
  const { value, refused } = (request.body ?? {}) as Message;
  if (refused !== undefined || value === undefined) {
    return sendError(reply, { code: -32700, message: refused ?? 'the body is empty' });
  }
  try {
    assertMaySubscribe(value);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return sendError(reply, error, (value as { readonly id?: unknown }).id);
  }
  const caller = callerOf(request);
  const call = callsFor(app, operations, insiders, { caller, request });
  const refusal = new AbortController();
  const { body, watched } = await narrowSubscription(call, value);
  const handler = createMcpHandler(
    ({ era }) => createMcpServer(offer, { caller, call, era, parts }),
    {
      bus: runChanges(parts, caller, watched, () => refusal.abort()),
      onerror: (error) => parts.log.debug({ requestId: request.id, err: error }, 'mcp'),
    },
  );
  const signal = AbortSignal.any([leftSignal(reply.raw), parts.closing, refusal.signal]);
  const asked = new Request(new URL(request.url, `http://${request.host}`), {
    method: 'POST',
    headers: Object.entries(request.headers).flatMap(([name, text]) =>
      typeof text === 'string' ? [[name, text] as [string, string]] : [],
    ),
    signal,
  });
  // The reply can be awaited: then it has been sent to its end.
  const answer = async () => send(reply, await handler.fetch(asked, { parsedBody: body }));
  return watched.length === 0 ? answer() : subscriptions.hold(answer);
}

/** The answer of the library as ours; what the hooks have set stays where it says nothing. */
function send(reply: FastifyReply, answer: Response): FastifyReply {
  void reply.code(answer.status);
  for (const [name, value] of answer.headers) {
    // Whether the connection stays is Node's to say.
    if (name !== 'connection') void reply.header(name, value);
  }
  if (answer.body === null) return reply.send('');
  return reply.send(Readable.fromWeb(answer.body as ReadableStream));
}

function sendError(
  reply: FastifyReply,
  { code, message, data }: Pick<ProtocolError, 'code' | 'message'> & { readonly data?: unknown },
  id: unknown = null,
): FastifyReply {
  return reply
    .code(400)
    .type('application/json')
    .send(JSON.stringify({ jsonrpc: '2.0', id, error: { code, message, data } }));
}
