/**
 * `@modelcontextprotocol/conformance` against a bridge. Its clients show no credential, so that a relay
 * shows one for them and changes nothing else.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export interface Relay {
  readonly url: string;
  close(): void;
}

/** Passes requests on to the server at `url` with this credential. */
export async function startRelay(url: string, token: string): Promise<Relay> {
  const { hostname, port } = new URL(url);
  const server = createServer((incoming, outgoing) => {
    const onward = request(
      {
        hostname,
        port,
        method: incoming.method,
        path: incoming.url,
        headers: { ...incoming.headers, authorization: `Bearer ${token}` },
      },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      },
    );
    outgoing.on('close', () => onward.destroy());
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Runs the suite and gives what it printed; `baseline` lists the scenarios that are known to fail. */
export async function runConformance(
  url: string,
  baseline: string,
): Promise<{ readonly status: number; readonly report: string }> {
  const main = createRequire(import.meta.url).resolve(
    '@modelcontextprotocol/conformance/package.json',
  );
  const child = spawn(
    process.execPath,
    [
      join(dirname(main), 'dist/index.js'),
      'server',
      '--url',
      `${url}/mcp`,
      '--suite',
      'all',
      '--expected-failures',
      baseline,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 },
  );
  let report = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (report += chunk.toString()));
  }
  const [status] = (await once(child, 'close')) as [number | null];
  return { status: status ?? -1, report };
}
