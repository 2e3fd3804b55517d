/**
 * Where programs under way call other agents: a door on loopback, with a token that is worth nothing
 * once the attempt has ended. As plain HTTP for scripts, and as an MCP server for what speaks that.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { buffer } from 'node:stream/consumers';
import type { ReadableStream } from 'node:stream/web';
import { AppError, errorCodes, toAppError, type Log } from '../base/base.ts';
import type { Delegate } from './agents.ts';

export interface CallDoor {
  /** Lets the program of one attempt in until `end` is called. */
  admit(delegate: Delegate): Promise<Admission>;
  close(): Promise<void>;
}

export interface Admission {
  /** What the program needs to find the door: `CENTURIA_ATTEMPT_CALLS_URL` and `…_TOKEN`. */
  readonly environment: Readonly<Record<string, string>>;
  readonly url: string;
  readonly mcpUrl: string;
  readonly token: string;
  end(): void;
}

interface Visitor {
  readonly delegate: Delegate;
  readonly ended: AbortController;
  calls: number;
}

const mostBodyBytes = 8 * 1_048_576;
/** Calls of one attempt at the same time. */
const mostAtOnce = 16;

/** Opens on a free port of 127.0.0.1 with the first admission. */
export function createCallDoor(log: Log): CallDoor {
  const visitors = new Map<string, Visitor>();
  let opening: Promise<Server> | undefined;

  async function open(): Promise<Server> {
    const server = createServer((request, response) => {
      answer(request, response, visitors).catch((error: unknown) => {
        if (!response.headersSent) sendProblem(response, toAppError(error));
        else response.destroy();
        log.debug({ error: toAppError(error) }, 'a call of an agent was not answered');
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    // It lives as long as there are attempts; the process must not wait for it.
    server.unref();
    return server;
  }

  return {
    async admit(delegate) {
      const server = await (opening ??= open());
      const token = randomBytes(32).toString('base64url');
      const visitor: Visitor = { delegate, ended: new AbortController(), calls: 0 };
      visitors.set(digestOf(token), visitor);
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      return {
        url,
        mcpUrl: `${url}/mcp`,
        token,
        environment: {
          CENTURIA_ATTEMPT_CALLS_URL: url,
          CENTURIA_ATTEMPT_CALLS_TOKEN: token,
        },
        end() {
          visitors.delete(digestOf(token));
          visitor.ended.abort(new AppError('cancelled', 'the attempt has ended'));
        },
      };
    },
    async close() {
      const server = await opening;
      if (server === undefined) return;
      server.closeAllConnections();
      server.close();
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  visitors: ReadonlyMap<string, Visitor>,
): Promise<void> {
  const visitor = visitorOf(request, visitors);
  const left = new AbortController();
  response.once('close', () => left.abort(new AppError('cancelled', 'the caller has left')));
  const signal = AbortSignal.any([left.signal, visitor.ended.signal]);
  const [path = '/'] = (request.url ?? '/').split('?');
  const [, kind, name, rest] = path.split('/');
  if (kind === 'mcp' && name === undefined) return serveMcp(request, response, visitor, signal);
  if (kind === 'agents' && rest === undefined) {
    if (name === undefined && request.method === 'GET') return list(response, visitor);
    if (name !== undefined && request.method === 'POST') {
      const input = inputOf(await bodyOf(request));
      const agent = decodeURIComponent(name);
      return send(response, 200, await within(visitor, { agent, input, signal }));
    }
  }
  throw new AppError('not_found', 'GET /agents, POST /agents/NAME and POST /mcp are answered here');
}

/** A browser's page has an origin and no business here; a token that is not known opens nothing. */
function visitorOf({ headers }: IncomingMessage, visitors: ReadonlyMap<string, Visitor>): Visitor {
  const token = /^Bearer ([\w-]+)$/.exec(headers.authorization ?? '')?.[1];
  const visitor = token === undefined ? undefined : visitors.get(digestOf(token));
  if (visitor !== undefined && headers.origin === undefined) return visitor;
  throw new AppError('unauthenticated', 'the token is of no attempt that is under way', {
    remedy: 'Send `Authorization: Bearer $CENTURIA_ATTEMPT_CALLS_TOKEN`.',
  });
}

/** Tokens are found by digest, so that no comparison tells how much of one was right. */
function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

async function within(
  visitor: Visitor,
  call: Parameters<Delegate['call']>[0],
): Promise<Awaited<ReturnType<Delegate['call']>>> {
  if (visitor.calls >= mostAtOnce) {
    throw new AppError('limit_exceeded', `${mostAtOnce} calls are under way`, {
      remedy: 'Wait for one of them.',
    });
  }
  visitor.calls += 1;
  try {
    return await visitor.delegate.call(call);
  } finally {
    visitor.calls -= 1;
  }
}

async function serveMcp(
  request: IncomingMessage,
  response: ServerResponse,
  visitor: Visitor,
  signal: AbortSignal,
): Promise<void> {
  // Loaded with the first such call: it takes 100 ms, and most servers never get one.
  const { callHandler } = await import('./call-server.ts');
  const handler = callHandler(visitor.delegate.agents, (agent, input) =>
    within(visitor, { agent, input, signal }),
  );
  const headers = Object.entries(request.headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)] as [string, string]],
  );
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  const body = isRead ? undefined : await bodyOf(request);
  const reply = await handler.fetch(
    new Request(`http://127.0.0.1${request.url ?? '/'}`, {
      method: request.method ?? 'POST',
      headers,
      ...(body === undefined ? {} : { body: new Uint8Array(body) }),
      signal,
    }),
  );
  response.writeHead(reply.status, [...reply.headers].flat());
  if (reply.body === null) response.end();
  else await pipeline(Readable.fromWeb(reply.body as ReadableStream), response);
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  let size = 0;
  request.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > mostBodyBytes) {
      request.destroy(new AppError('too_large', 'a call has 8 MB at the most'));
    }
  });
  return buffer(request);
}

function inputOf(body: Buffer): unknown {
  try {
    const parsed: unknown = JSON.parse(body.toString('utf8'));
    if (parsed !== null && typeof parsed === 'object' && 'input' in parsed) return parsed.input;
  } catch {
    // Said below, together with what is JSON but no call.
  }
  throw new AppError('invalid_input', 'a call is a JSON object with the field input');
}

function list(response: ServerResponse, { delegate }: Visitor): void {
  const agents = delegate.agents.map(({ name, description, input }) => ({
    name,
    description,
    ...(input === undefined ? {} : { input }),
  }));
  send(response, 200, { agents });
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function sendProblem(response: ServerResponse, error: AppError): void {
  response.writeHead(errorCodes[error.code].status, { 'content-type': 'application/problem+json' });
  const { code, message: detail, details, remedy, retryable } = error;
  response.end(JSON.stringify({ code, detail, details, remedy, retryable }));
}
