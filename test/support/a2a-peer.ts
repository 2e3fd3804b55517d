/** A remote A2A agent: the official SDK's server behind Node's own HTTP, on a free port. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
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
  /** Another card than the right one. */
  readonly card?: Partial<AgentCard>;
}

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

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'GET') {
      const isCard = request.url === '/.well-known/agent-card.json';
      response.writeHead(isCard ? 200 : 404, { 'content-type': 'application/json' });
      response.end(isCard ? JSON.stringify(AgentCard.toJSON(card)) : '{}');
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

function cardOf(url: string, { streaming, card }: A2aPeerOptions): AgentCard {
  const offered = { url, protocolBinding: 'JSONRPC', protocolVersion: '1.0', tenant: '' };
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
