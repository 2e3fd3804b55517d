import { randomUUID } from 'node:crypto';
import type { RequestListener, Server, ServerResponse } from 'node:http';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { AppError, type Log } from '../base/base.ts';
import {
  authorize,
  authorizeSome,
  deniedError,
  isAction,
  type Action,
  type Caller,
  type Identity,
} from '../identity/identity.ts';
import { originOf, renew } from './callers.ts';
import type { Insiders } from './insiders.ts';
import { createFastAccess, type FastAnswer } from './fast-access.ts';
import type { Guard } from './guard.ts';
import { presentable, problemDocument, problemMediaType } from './problem.ts';
import { parseJsonBody, setUpValidation } from './validate.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; undefined on the routes that are open. */
    caller: Caller | undefined;
    /** Another route of this process asks, whose own request was let in and counted. */
    isInside: boolean;
    /** The trace of a `traceparent` header (W3C Trace Context), for the log. */
    trace: { readonly traceId: string; readonly parentId: string } | undefined;
  }
  interface FastifyContextConfig {
    /** Answers without a credential. Every other route says in `action` what it asks. */
    readonly open?: boolean;
    /** What the caller must be allowed; `self`: nothing, since it is about himself. */
    readonly action?: Action | 'self';
    /** The resource, where the address names it. */
    readonly resource?: (request: FastifyRequest) => string | undefined;
    /** It is enough that the action is allowed on something: the route looks at each thing by itself. */
    readonly some?: boolean;
    /** Answers while the server starts or stops, and is not counted against the rate limit. */
    readonly always?: boolean;
    /** Takes nothing that a page of another origin sends, whatever credential it shows. */
    readonly ownPages?: boolean;
    /** Answers while the server starts or stops although it changes something: work under way needs it. */
    readonly whileStopping?: boolean;
  }
}

const bodyLimitBytes = 1024 * 1024;
/** The one part of the server that is a protected resource of its own. */
export const mcpPath = '/mcp';

export interface HttpParts {
  readonly guard: Guard;
  readonly insiders: Insiders;
  readonly identity: Pick<Identity, 'limits' | 'events' | 'callers'>;
  readonly publicUrl: () => string;
  /** Whether the question of `fast-access.ts` is answered here. */
  readonly answersAccess: boolean;
  readonly log: Log;
  /** Whether requests that change something are taken. */
  readonly isReady: () => boolean;
}

/** The HTTP habits of every route: ids, guard, limits, problem documents, one log line a request. */
export function createHttp(parts: HttpParts) {
  const answering = new WeakSet<object>();
  const app = Fastify({
    logger: false,
    bodyLimit: bodyLimitBytes,
    // A closing server answers through our own hooks, so that its refusal is a problem document too.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 512 },
    genReqId: (request) => requestId(request.headers['x-request-id']),
    frameworkErrors: (error, request, reply) => answerError(parts, error, request, reply),
    clientErrorHandler: (error, socket) => answerBrokenRequest(error, socket, answering),
  }).withTypeProvider<TypeBoxTypeProvider>();
  // A socket that sends its headers byte by byte is let go; Fastify turns Node's own bound off.
  app.server.requestTimeout = 60_000;
  // RFC 9110, 10.1.1 lets a server pass over expectations that it does not know.
  app.server.on('checkExpectation', (request, response) => {
    app.server.emit('request', request, response);
  });
  const fast = parts.answersAccess ? createFastAccess({ ...parts, commonHeaders }) : () => false;
  answerFirst(app.server, fast, (socket, response) => {
    answering.add(socket);
    response.on('close', () => answering.delete(socket));
  });

  setUpValidation(app);
  setUpParsing(app);
  app.decorateRequest('caller', undefined);
  app.decorateRequest('isInside', false);
  app.decorateRequest('trace', undefined);
  setUpRequests(app, parts);
  app.setErrorHandler((error, request, reply) => answerError(parts, error, request, reply));
  setUpNotFound(app);
  return app;
}

/** Lets `fast` answer before the framework, and tells of the requests that go to it. */
function answerFirst(
  server: Server,
  fast: FastAnswer,
  onUsual: (socket: object, response: ServerResponse) => void,
): void {
  const usual = server.listeners('request') as RequestListener[];
  server.removeAllListeners('request');
  server.on('request', (request, response) => {
    if (fast(request, response)) return;
    onUsual(request.socket, response);
    for (const listener of usual) listener.call(server, request, response);
  });
}

export type Http = ReturnType<typeof createHttp>;

/** The path of a request without its query, which may hold a login code. */
export function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '/';
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/** Reads a JSON body within its bounds. Throws as `parseJsonBody`. */
export function strictJsonParser(app: FastifyInstance): (text: string) => unknown {
  const parseJson = app.getDefaultJsonParser('error', 'error');
  const strictly = (text: string): unknown => {
    let result: { error: Error | null; value?: unknown } = { error: null };
    // The parser calls back before it returns.
    void parseJson({} as FastifyRequest, text, (error, value) => {
      result = { error, value };
    });
    if (result.error !== null) throw result.error;
    return result.value;
  };
  return (text) => parseJsonBody(text, strictly);
}

function setUpParsing(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  const parse = strictJsonParser(app);
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, parse(String(body)));
    } catch (error) {
      done(error as Error);
    }
  });
}

const commonHeaders = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
};

function setUpRequests(app: FastifyInstance, parts: HttpParts) {
  const { log } = parts;
  app.addHook('onRoute', ({ config, url }) => {
    if (config?.open === true || config?.action !== undefined) return;
    throw new Error(`the route ${url} does not say what the caller must be allowed`);
  });

  // With callbacks, since most requests are let in without waiting for anything.
  app.addHook('onRequest', (request, reply, done) => {
    try {
      const caller = receive(request, reply, parts);
      const admitted =
        caller instanceof Promise
          ? caller.then((known) => admit(request, known, parts))
          : caller && admit(request, caller, parts);
      if (admitted === undefined) done();
      // oxlint-disable-next-line promise/no-callback-in-promise -- Fastify's hook is told by a callback.
      else admitted.then(() => done(), done);
    } catch (error) {
      done(error as Error);
    }
  });

  // Reading the body takes a while, in which anybody's role may change.
  app.addHook('preHandler', (request, _reply, done) => {
    if (request.caller?.access.isCurrent !== false) return done();
    // oxlint-disable-next-line promise/no-callback-in-promise -- Fastify's hook is told by a callback.
    renew(request, parts).then(() => done(), done);
  });

  app.addHook('onResponse', async (request, reply) => {
    const fields = {
      requestId: request.id,
      method: request.method,
      path: pathOf(request),
      status: reply.statusCode,
      durationMs: Math.round(reply.elapsedTime),
      ...(request.caller === undefined ? {} : { caller: request.caller.id }),
      ...request.trace,
    };
    // A console that looks every second must not drown what changed something.
    const quiet = reply.statusCode < 400 && (request.method === 'GET' || request.method === 'HEAD');
    if (quiet) log.debug(fields, 'request');
    else log.info(fields, 'request');
  });
}

/** What holds before it is known who asks; the caller where the route wants one. */
function receive(
  request: FastifyRequest,
  reply: FastifyReply,
  { guard, identity, isReady, insiders }: HttpParts,
): Caller | Promise<Caller> | undefined {
  const { open, always, ownPages, whileStopping } = request.routeOptions.config;
  request.trace = traceOf(request.headers['traceparent']);
  void reply.header('x-request-id', request.id).headers(commonHeaders);
  const inside = insiders.take(request.headers);
  if (inside !== undefined) {
    request.isInside = true;
    return inside;
  }
  guard.checkHost(request);
  if (ownPages === true) guard.checkPage(request);
  if (always !== true) {
    const { limit } = identity.limits.addressPolicy;
    void reply.header('ratelimit-policy', `"address";q=${limit};w=60`);
    const { remaining, resetMs } = identity.limits.address(request.ip);
    const resetSeconds = Math.max(1, Math.ceil(resetMs / 1_000));
    void reply.header('ratelimit', `"address";r=${remaining};t=${resetSeconds}`);
  }
  const changes = request.method !== 'GET' && request.method !== 'HEAD';
  if (changes && whileStopping !== true && !isReady() && !request.is404) {
    throw new AppError('unavailable', 'Centuria is starting or stopping', {
      remedy: 'Try again in a moment.',
    });
  }
  return open === true ? undefined : guard.whoAsks(request);
}

/** The same question for every route: may this caller do this, to that? */
function admit(
  request: FastifyRequest,
  caller: Caller,
  { identity }: HttpParts,
): undefined | Promise<undefined> {
  request.caller = caller;
  const { action, resource, some } = request.routeOptions.config;
  if (action !== undefined && action !== 'self') {
    const on = resource?.(request);
    const decision = some === true ? authorizeSome(caller, action) : authorize(caller, action, on);
    if (!decision.allowed) throw deniedError(caller, action, on, decision);
  }
  if (caller.limit === undefined || request.isInside) return undefined;
  return identity.limits.caller(caller, originOf(request));
}

/** Refusals are told to whoever watches over security, wherever in a route they were found. */
function recordDenial(error: AppError, request: FastifyRequest, { identity }: HttpParts): void {
  const { action, resource } = error.details;
  if (error.code !== 'denied' || request.caller === undefined) return;
  if (typeof action !== 'string' || !isAction(action)) return;
  const on = typeof resource === 'string' ? resource : undefined;
  const decision = { allowed: false, reason: error.message };
  identity.events.denied(request.caller, action, on, decision, originOf(request));
}

function answerError(
  parts: HttpParts,
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const error = presentable(thrown);
  // What can't be reached now is no defect; it stands in the line of the request.
  if (error.status >= 500 && error.code !== 'unavailable') {
    parts.log.error({ requestId: request.id, path: pathOf(request), err: error }, 'request failed');
  }
  recordDenial(error, request, parts);
  if (error.status === 401) {
    const given = request.headers.authorization !== undefined;
    // RFC 9728, 3.1: a resource with a path has its metadata at that path below the well-known one.
    const resource = isBelow(pathOf(request), mcpPath) ? mcpPath : '';
    const metadata = `${parts.publicUrl()}/.well-known/oauth-protected-resource${resource}`;
    const challenge = `Bearer realm="centuria", resource_metadata="${metadata}"${given ? ', error="invalid_token"' : ''}`;
    void reply.header('www-authenticate', challenge);
  }
  const retryAfter = error.details['retryAfterSeconds'];
  if (error.status === 429 || error.status === 503) {
    void reply.header('retry-after', typeof retryAfter === 'number' ? retryAfter : 1);
  }
  return reply
    .code(error.status)
    .header('x-request-id', request.id)
    .header('x-content-type-options', 'nosniff')
    .type(problemMediaType)
    .send(JSON.stringify(problemDocument(error, { path: pathOf(request), id: request.id })));
}

/** 405 with Allow where the address exists for other methods, else 404. */
function setUpNotFound(app: FastifyInstance): void {
  const routes: { readonly method: string; readonly pattern: RegExp }[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    const pattern = url.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/:[A-Za-z]+/g, '[^/]+');
    for (const one of [method].flat())
      routes.push({ method: one, pattern: new RegExp(`^${pattern}$`) });
  });
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request);
    const methods = routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
    if (methods.length === 0) {
      throw new AppError('not_found', `there is nothing at ${path}`, {
        remedy: 'GET /openapi.json lists every address.',
      });
    }
    const allow = [...new Set(methods)].toSorted().join(', ');
    void reply.header('allow', allow);
    throw new AppError('method_not_allowed', `${path} does not take ${request.method}`, {
      details: { allow },
      remedy: `Use ${allow}.`,
    });
  });
}

/** A caller's id is kept where it can stand in a log line as it is. */
function requestId(given: string | string[] | undefined): string {
  return typeof given === 'string' && /^[\w.:=+/-]{1,128}$/.test(given) ? given : randomUUID();
}

function traceOf(header: string | string[] | undefined): FastifyRequest['trace'] {
  if (typeof header !== 'string') return undefined;
  const match = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-|$)/.exec(header);
  const [, traceId, parentId] = match ?? [];
  if (header.startsWith('ff') || traceId === undefined || parentId === undefined) return undefined;
  return /^0+$/.test(traceId) || /^0+$/.test(parentId) ? undefined : { traceId, parentId };
}

const brokenRequests: Readonly<Record<string, { status: string; error: AppError }>> = {
  HPE_HEADER_OVERFLOW: {
    status: '431 Request Header Fields Too Large',
    error: new AppError('too_large', 'the header fields are larger than the limit'),
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: '408 Request Timeout',
    error: new AppError('timeout', 'the request did not arrive in time'),
  },
};
const notHttp = {
  status: '400 Bad Request',
  error: new AppError('usage', 'the request is not HTTP'),
};

/** What Node could not parse has no request to answer through: the document goes to the socket. */
function answerBrokenRequest(
  thrown: Error & { readonly code?: string },
  socket: { destroyed: boolean; writable: boolean; end(text: string): void; destroy(): void },
  answering: WeakSet<object>,
): void {
  // Two answers to one request would be read as an answer to the next one.
  if (thrown.code === 'ECONNRESET' || !socket.writable || answering.has(socket)) {
    socket.destroy();
    return;
  }
  const { status, error } = brokenRequests[thrown.code ?? ''] ?? notHttp;
  const body = JSON.stringify({
    ...problemDocument(error, { path: '', id: randomUUID() }),
    status: Number(status.slice(0, 3)),
  });
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: ${problemMediaType}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
