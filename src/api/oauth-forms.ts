/** How OAuth's own endpoints read and answer: forms in, JSON of RFC 6749 out. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Log } from '../base/base.ts';
import { oauthCodeOf, oauthError, type Parameters } from '../identity/identity.ts';
import type { Http } from './http.ts';
import { presentable } from './problem.ts';

const formBytes = 64 * 1024;
const mostParameters = 50;
export const formType = 'application/x-www-form-urlencoded';

/**
 * Parameters of a form or a query. One without a value counts as left out (RFC 6749, 3.1); those that
 * come twice are told apart, since no one of them is right. Throws `invalid_request`.
 */
export function readParameters(text: string): {
  readonly parameters: Parameters;
  readonly repeated: readonly string[];
} {
  const parameters = new Map<string, string>();
  const repeated = new Set<string>();
  const pairs = text.split('&').filter((pair) => pair !== '');
  if (pairs.length > mostParameters) throw malformed('has too many parameters');
  for (const pair of pairs) {
    const equals = pair.indexOf('=');
    const name = decode(equals === -1 ? pair : pair.slice(0, equals));
    const value = equals === -1 ? '' : decode(pair.slice(equals + 1));
    if (parameters.has(name)) repeated.add(name);
    parameters.set(name, value);
  }
  for (const [name, value] of parameters) {
    if (value === '' || repeated.has(name)) parameters.delete(name);
  }
  return { parameters, repeated: [...repeated] };
}

function decode(text: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw malformed('is not encoded as a form');
  }
  // No parameter of the protocol has any, and PostgreSQL holds no NUL.
  if (/\p{Cc}/u.test(decoded)) throw malformed('holds control characters');
  return decoded;
}

function malformed(what: string) {
  return oauthError('invalid_request', `the request ${what}`);
}

/** Turns an app, or a part of one, to forms only and to the protocol's errors. */
export function speakOAuth(app: Pick<Http, FormMembers>, log: Log): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    formType,
    { parseAs: 'string', bodyLimit: formBytes },
    (_request, body, done) => {
      try {
        const { parameters, repeated } = readParameters(String(body));
        const [twice] = repeated;
        if (twice !== undefined) throw malformed('has a parameter twice');
        done(null, parameters);
      } catch (error) {
        done(error as Error);
      }
    },
  );
  app.setErrorHandler((thrown: unknown, request, reply) =>
    answerOAuthError(thrown, request, reply, log),
  );
}

type FormMembers = 'removeAllContentTypeParsers' | 'addContentTypeParser' | 'setErrorHandler';

/** RFC 6749, 5.2. */
function answerOAuthError(
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Log,
): FastifyReply {
  const error = presentable(thrown);
  if (error.status >= 500) log.error({ requestId: request.id, err: error }, 'request failed');
  const code = oauthCodeOf(error);
  const status = statusOf(code, error.status);
  if (status === 401) {
    const isBasic = /^basic /i.test(request.headers.authorization ?? 'basic ');
    void reply.header('www-authenticate', `${isBasic ? 'Basic' : 'Bearer'} realm="centuria"`);
  }
  if (code === 'invalid_dpop_proof') {
    void reply.header('www-authenticate', 'DPoP error="invalid_dpop_proof", algs="ES256 EdDSA"');
  }
  const retryAfter = error.details['retryAfterSeconds'];
  if (status === 429 || status === 503) {
    void reply.header('retry-after', typeof retryAfter === 'number' ? retryAfter : 1);
  }
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .type('application/json; charset=utf-8')
    .send(JSON.stringify({ error: code, error_description: describe(error.message) }));
}

/** 400 unless RFC 6749 or HTTP itself has a better one. */
function statusOf(code: string, status: number): number {
  if (code === 'invalid_client') return 401;
  if (status === 429 && code !== 'slow_down') return 429;
  if (status >= 500 || status === 413 || status === 421) return status;
  return 400;
}

/** RFC 6749, 5.2 allows these characters only. */
function describe(message: string): string {
  return message
    .replaceAll('’', "'")
    .replaceAll('"', "'")
    .replaceAll(/[^\x20-\x5b\x5d-\x7e]/g, '?');
}

/** The parameters of a form that `speakOAuth` has read; none where there was no body. */
export function formOf({ body }: FastifyRequest): Parameters {
  return body instanceof Map ? (body as Parameters) : new Map();
}

/** What follows the question mark of a request, as it was sent. */
export function queryOf(request: FastifyRequest): string {
  const at = request.url.indexOf('?');
  return at === -1 ? '' : request.url.slice(at + 1);
}

/** For routes whose parameters are described for the reference, and read by `readParameters`. */
export const unchecked = { validatorCompiler: () => (value: unknown) => ({ value }) };
