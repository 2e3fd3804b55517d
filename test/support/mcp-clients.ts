/** The official clients of the Model Context Protocol, of both generations. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';

export const modern = '2026-07-28';

interface At {
  readonly url: string;
}

/** The official client of 2026-07-28, connected. */
export async function modernClient({ url }: At, token: string): Promise<Client> {
  const client = new Client(
    { name: 'a test', version: '1' },
    { versionNegotiation: { mode: { pin: modern } } },
  );
  await client.connect(
    new StreamableHTTPClientTransport(new URL('/mcp', url), { requestInit: bearer(token) }),
  );
  return client;
}

/** The official client of the first generation, which speaks 2025-11-25. */
export async function oldClient({ url }: At, token: string): Promise<OldClient> {
  const client = new OldClient({ name: 'an old test', version: '1' });
  const transport = new OldTransport(new URL('/mcp', url), { requestInit: bearer(token) });
  // The class of its own package does not fit the interface under exactOptionalPropertyTypes.
  await client.connect(transport as Transport);
  return client;
}

function bearer(token: string): RequestInit {
  return { headers: { authorization: `Bearer ${token}` } };
}
