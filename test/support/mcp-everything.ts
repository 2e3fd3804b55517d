/** @modelcontextprotocol/server-everything over streamable HTTP, as its own entry serves it: SDK 1.x, sessions. */
import { randomUUID } from 'node:crypto';
import { servePeer, type McpPeer } from './mcp.ts';

/** One server for each session. */
export async function serveEverything(): Promise<McpPeer> {
  const { createServer } = (await import(
    '@modelcontextprotocol/server-everything/dist/server/index.js' as string
  )) as { createServer: () => { server: { connect(transport: unknown): Promise<void> } } };
  const { StreamableHTTPServerTransport } =
    await import('@modelcontextprotocol/sdk/server/streamableHttp.js');
  type Transport = InstanceType<typeof StreamableHTTPServerTransport>;
  const sessions = new Map<string, Transport>();
  return servePeer(async (request, response) => {
    const id = request.headers['mcp-session-id'];
    let transport = sessions.get(String(id));
    if (transport === undefined) {
      const fresh = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (session) => void sessions.set(session, fresh),
      });
      transport = fresh;
      await createServer().server.connect(transport);
    }
    await transport.handleRequest(request, response);
  });
}
