/** `@modelcontextprotocol/conformance` as a program: runs its server scenarios and reads what it wrote. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export interface Relay {
  readonly url: string;
  close(): void;
}

/** The suite's clients show no credential: passes their requests on with this one, and changes nothing else. */
export async function startRelay(
  url: string,
  token: string,
  { seen }: { readonly seen?: (direction: 'request' | 'answer', text: string) => void } = {},
): Promise<Relay> {
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
        answer.on('data', (chunk: Buffer) => seen?.('answer', chunk.toString()));
      },
    );
    outgoing.on('close', () => onward.destroy());
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
    incoming.on('data', (chunk: Buffer) => seen?.('request', chunk.toString()));
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

interface Check {
  readonly id: string;
  readonly description: string;
  readonly status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'INFO' | 'SKIPPED';
  readonly errorMessage?: string;
}

export interface Scenario {
  readonly name: string;
  readonly passed: number;
  /** Why it did not pass: its failures and warnings, which count as such in the suite's own baseline. */
  readonly problems: readonly string[];
}

/** The release of the suite that is installed here. */
export function installedSuite(): string {
  const main = createRequire(import.meta.url).resolve(
    '@modelcontextprotocol/conformance/package.json',
  );
  return dirname(main);
}

/**
 * Runs the suite in `folder` against the MCP server at `url`, with `which` of its scenarios. Throws
 * where it did not come to its end: what is missing then would look like what was never asked.
 */
export async function runSuite(
  folder: string,
  url: string,
  which: readonly string[],
): Promise<readonly Scenario[]> {
  const results = await mkdtemp(join(tmpdir(), 'conformance-'));
  try {
    const child = spawn(
      process.execPath,
      [join(folder, 'dist/index.js'), 'server', '--url', `${url}/mcp`, '-o', results, ...which],
      { stdio: ['ignore', 'pipe', 'pipe'], timeout: 300_000 },
    );
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
    }
    await once(child, 'close');
    if (!said.includes('=== SUMMARY ===')) {
      throw new Error(`the suite did not come to its end: ${said.slice(-2_000)}`);
    }
    const names = await readdir(results);
    return await Promise.all(names.map((name) => readScenario(results, name)));
  } finally {
    await rm(results, { recursive: true });
  }
}

/** The folder of a scenario is `server-NAME-TIME`. */
async function readScenario(results: string, folder: string): Promise<Scenario> {
  const text = await readFile(join(results, folder, 'checks.json'), 'utf8');
  const checks = JSON.parse(text) as readonly Check[];
  const passed = checks.filter(({ status }) => status === 'SUCCESS').length;
  const problems = checks
    .filter(({ status }) => status === 'FAILURE' || status === 'WARNING')
    .map(({ id, errorMessage, description }) => `${id}: ${errorMessage ?? description}`);
  return {
    name: folder.replace(/^server-/, '').replace(/-\d{4}-\d{2}-\d{2}T[\d-]+Z$/, ''),
    passed,
    problems: passed + problems.length === 0 ? ['nothing was checked'] : problems,
  };
}
