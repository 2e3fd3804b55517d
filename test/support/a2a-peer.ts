/** A remote A2A agent: the official SDK's server behind Node's own HTTP, on a free port. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { AgentCard, Extensions, formatSSEEvent, SSE_HEADERS } from '@a2a-js/sdk';
import {
  DefaultRequestHandler,
  defaultServerCallContextBuilder,
  InMemoryTaskStore,
  JsonRpcTransportHandler,
  UnauthenticatedUser,
  validateVersion,
  type AgentExecutor,
} from '@a2a-js/sdk/server';
import { restHandler, UserBuilder } from '@a2a-js/sdk/server/express';

export interface A2aPeer {
  readonly url: string;
  /** Of each call: its method and its headers. */
  readonly calls: { method: string; headers: IncomingMessage['headers'] }[];
  /** Cuts the connection of the next stream after so many events. */
  cutAfter(events: number): void;
  close(): Promise<void>;
}

export interface A2aPeerOptions {
  readonly executor: AgentExecutor;
  readonly streaming: boolean;
  /** JSON-RPC unless given. */
  readonly binding?: 'HTTP+JSON';
  /** Another card than the right one. */
  readonly card?: Partial<AgentCard>;
}

/** The SDK's handler of this binding is made for express, which has no types of its own. */
const express = createRequire(import.meta.url)('express') as () => {
  (request: IncomingMessage, response: ServerResponse): void;
  use(handler: unknown): void;
};

export async function startA2aPeer(options: A2aPeerOptions): Promise<A2aPeer> {
  const calls: A2aPeer['calls'] = [];
  let cut = Infinity;
  const server = createServer((request, response) => {
    void handle(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const card = cardOf(url, options);
  const handler = new DefaultRequestHandler(card, new InMemoryTaskStore(), options.executor);
  const transport = new JsonRpcTransportHandler(handler);
  const rest = express();
  rest.use(restHandler({ requestHandler: handler, userBuilder: UserBuilder.noAuthentication }));

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const isCard = request.url === '/.well-known/agent-card.json';
    if (isCard || (request.method === 'GET' && options.binding === undefined)) {
      response.writeHead(isCard ? 200 : 404, { 'content-type': 'application/json' });
      response.end(isCard ? JSON.stringify(AgentCard.toJSON(card)) : '{}');
      return;
    }
    if (options.binding !== undefined) {
      calls.push({ method: request.url ?? '', headers: request.headers });
      rest(request, response);
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
    calls.push({ method: String(body['method']), headers: request.headers });
    const requestedVersion = String(request.headers['a2a-version'] ?? '');
    validateVersion(requestedVersion, card, 'JSONRPC');
    const context = defaultServerCallContextBuilder({
      extensions: Extensions.parseServiceParameter(undefined),
      user: new UnauthenticatedUser(),
      headers: request.headers,
      requestedVersion,
    });
    const result = await transport.handle(body, context);
    if (!(Symbol.asyncIterator in result)) {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(result));
      return;
    }
    response.writeHead(200, SSE_HEADERS);
    let sent = 0;
    for await (const event of result) {
      response.write(formatSSEEvent(event));
      sent += 1;
      if (sent < cut) continue;
      cut = Infinity;
      // The task goes on; only the connection is gone.
      setImmediate(() => response.destroy());
      for await (const _ of result);
      return;
    }
    response.end();
  }

  return {
    url,
    calls,
    cutAfter(events) {
      cut = events;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function cardOf(url: string, options: A2aPeerOptions): AgentCard {
  const { streaming, card, binding: protocolBinding = 'JSONRPC' } = options;
  const offered = { url, protocolBinding, protocolVersion: '1.0', tenant: '' };
  return {
    name: 'peer',
    description: 'A peer of the tests.',
    supportedInterfaces: [offered],
    provider: undefined,
    version: '1',
    capabilities: { streaming, extensions: [] },
    securitySchemes: {},
    securityRequirements: [],
    defaultInputModes: [],
    defaultOutputModes: [],
    skills: [],
    signatures: [],
    ...card,
  };
}
