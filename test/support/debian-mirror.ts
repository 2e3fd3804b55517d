/**
 * A Debian mirror on this machine for tests: it relays the real one that apt is set up with, keeps
 * what never changes (packages, indexes named by their hash), and can be told to misbehave.
 */
import { createHash } from 'node:crypto';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

type Tamper = (path: string, body: Buffer) => Buffer | Promise<Buffer>;

export interface DebianMirror {
  /** For `APT_CONFIG`: makes apt know this mirror only. */
  readonly aptConfig: string;
  /** Paths of the packages that were asked for, in order. */
  readonly packagesAsked: readonly string[];
  /** Changes what is sent for a path, or waits as long as its promise does. */
  onSend(tamper: Tamper): void;
  close(): Promise<void>;
}

/** Starts the mirror. Its own files go into `folder`; what it keeps between runs into `cache`. */
export async function startDebianMirror(options: {
  folder: string;
  cache: string;
  suite: string;
}): Promise<DebianMirror> {
  const upstream = await findUpstream();
  await mkdir(options.cache, { recursive: true });
  let tamper: Tamper | undefined;
  const packagesAsked: string[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '/';
    if (path.endsWith('.deb')) packagesAsked.push(path);
    const answer = async (): Promise<void> => {
      const found = await fetchThrough(upstream, path, options.cache);
      const body = found === undefined ? undefined : await (tamper?.(path, found) ?? found);
      response.writeHead(body === undefined ? 404 : 200, {
        'content-length': body?.byteLength ?? 0,
      });
      response.end(body);
    };
    answer().catch((error: unknown) => {
      response.writeHead(502);
      response.end(String(error));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    aptConfig: await writeAptConfig(options.folder, options.suite, server),
    packagesAsked,
    onSend: (next) => void (tamper = next),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function writeAptConfig(folder: string, suite: string, server: Server): Promise<string> {
  const { port } = server.address() as AddressInfo;
  const base = `http://127.0.0.1:${port}`;
  const sources = join(folder, 'sources.list');
  await writeFile(
    sources,
    `deb ${base}/debian ${suite} main\ndeb ${base}/debian-security ${suite}-security main\n`,
  );
  const config = join(folder, 'apt.conf');
  await writeFile(
    config,
    `Dir::Etc::sourcelist "${sources}";\nDir::Etc::sourceparts "${folder}/none";\n` +
      'Acquire::http::Proxy::127.0.0.1 "DIRECT";\n',
  );
  return config;
}

/** The bases of the real mirror by the first word of a path. */
async function findUpstream(): Promise<Map<string, string>> {
  const { stdout } = await run('apt-get', ['update', '--print-uris']);
  const bases = new Map<string, string>();
  for (const [, uri = ''] of stdout.matchAll(/^'([^']+?)\/+dists\/[^']+\/InRelease'/gm)) {
    if (uri.endsWith('/debian')) bases.set('debian', uri);
    if (uri.endsWith('/debian-security')) bases.set('debian-security', uri);
  }
  return bases;
}

/** Undefined for what the real mirror does not have. A copy stands in where it can not be reached. */
async function fetchThrough(
  upstream: ReadonlyMap<string, string>,
  path: string,
  cache: string,
): Promise<Buffer | undefined> {
  const [, part = '', ...rest] = path.split('/');
  const copy = join(cache, createHash('sha256').update(path).digest('hex'));
  const lasting = path.endsWith('.deb') || path.includes('/by-hash/');
  const kept = await readFile(copy).catch(() => undefined);
  if (lasting && kept !== undefined) return kept;
  try {
    const response = await fetch(`${upstream.get(part) ?? ''}/${rest.join('/')}`);
    if (response.status === 404) return undefined;
    if (!response.ok) throw new Error(`the mirror answered ${response.status}`);
    const body = Buffer.from(await response.arrayBuffer());
    const half = `${copy}.${process.pid}.half`;
    await writeFile(half, body);
    await rename(half, copy);
    return body;
  } catch (error) {
    if (kept !== undefined) return kept;
    throw error;
  }
}
