/** MCP servers over streamable HTTP, in this process, and agents that use servers. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseAgent, type AgentDefinition } from '../../src/agents/agents.ts';

export interface McpPeer {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves one handler on a free port of loopback. */
export async function servePeer(
  handle: (request: IncomingMessage, response: ServerResponse) => unknown,
): Promise<McpPeer> {
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((done) => {
    server.listen(0, '127.0.0.1', done);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    async close() {
      server.closeAllConnections();
      await new Promise((done) => {
        server.close(done);
      });
    },
  };
}

/** A handler of web standards behind Node's server. */
export async function answerBy(
  fetch: (request: Request) => Promise<Response>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const hasBody = !['GET', 'HEAD', 'DELETE'].includes(request.method ?? 'GET');
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  const answer = await fetch(
    new Request(`http://${request.headers.host}${request.url}`, {
      method: request.method ?? 'GET',
      headers: Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
      signal: gone.signal,
      ...(hasBody ? { body: Buffer.concat(chunks) } : {}),
    }),
  );
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  for await (const chunk of answer.body ?? []) response.write(chunk);
  response.end();
}

/** An agent that calls a tool of a server; JSON is YAML, too. */
export function toolAgent(
  runtime: Readonly<Record<string, unknown>>,
  more: Readonly<Record<string, unknown>> = {},
  own: Readonly<Record<string, unknown>> = {},
): AgentDefinition {
  const fields = {
    name: 'fixture',
    description: 'x',
    ...more,
    centuria: { ...own, runtime: { kind: 'mcp', ...runtime } },
  };
  const { definition, problems } = parseAgent(
    `---\n${JSON.stringify(fields)}\n---\nGo.\n`,
    'fixture.md',
  );
  if (definition === undefined) throw new Error(JSON.stringify(problems));
  return definition;
}
