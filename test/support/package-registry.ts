import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { gunzipSync } from 'node:zlib';

export interface PackageRegistry {
  readonly url: string;
  /** `GET /left`, in the order in which they came. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

/**
 * The two services of a package registry that the tools ask for, spoken to by the real npm: package
 * documents, and advisories in bulk.
 */
export async function startRegistry(
  versions: Readonly<Record<string, readonly string[]>>,
  advisories: Readonly<Record<string, readonly object[]>> = {},
  /** What `name@version` says of itself beyond its name: engines, peers. */
  manifests: Readonly<Record<string, object>> = {},
): Promise<PackageRegistry> {
  const requests: string[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    requests.push(`${request.method} ${request.url}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array));
    const body = Buffer.concat(chunks);
    if (request.url === '/-/npm/v1/security/advisories/bulk') {
      const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
      const asked = Object.keys(JSON.parse(text.toString()) as object);
      const found = asked.flatMap((name) => (advisories[name] ? [[name, advisories[name]]] : []));
      return void response.end(JSON.stringify(Object.fromEntries(found)));
    }
    const name = decodeURIComponent((request.url ?? '').slice(1));
    const list = versions[name];
    if (list === undefined) return void response.writeHead(404).end('{}');
    const documents = list.map((version) => [
      version,
      { name, version, dist: { tarball: 'x' }, ...manifests[`${name}@${version}`] },
    ]);
    response.end(
      JSON.stringify({
        name,
        'dist-tags': { latest: list.at(-1) },
        versions: Object.fromEntries(documents),
      }),
    );
    return undefined;
  };
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}/`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
