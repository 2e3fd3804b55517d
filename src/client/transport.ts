import { AppError, errorCodes, type ErrorCode } from '../base/base.ts';

/** What sessions that this client opens are shown with. */
export const userAgent = 'centuria';

export interface TransportOptions {
  /** Where the bridge listens, as in `http://127.0.0.1:8081`. */
  readonly baseUrl: string;
  /** A credential, or where to get one that counts before each request. */
  readonly token: string | (() => Promise<string>);
  /** The platform's own unless given. */
  readonly fetch?: typeof globalThis.fetch;
}

export interface RequestOptions {
  readonly signal?: AbortSignal;
  readonly idempotencyKey?: string;
  /** Statuses that carry an answer although they are no success. */
  readonly accepts?: readonly number[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** Opens a response whose body is read as it comes. */
export type Open = (path: string, options: RequestOptions) => Promise<Response>;

/** Sends requests and turns every failure into an AppError. */
export function createTransport(options: TransportOptions) {
  const { token } = options;
  const baseUrl = options.baseUrl.replace(/\/+$/, '');
  const send = options.fetch ?? globalThis.fetch;

  const exchange = async (
    method: string,
    path: string,
    body: unknown,
    { signal, idempotencyKey, accepts = [], headers = {} }: RequestOptions,
  ): Promise<Response> => {
    const credential = typeof token === 'string' ? token : await token();
    let response: Response;
    try {
      response = await send(`${baseUrl}${path}`, {
        method,
        headers: {
          // Who looks at a list of sessions sees what they belong to.
          'user-agent': userAgent,
          authorization: `Bearer ${credential}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (thrown) {
      signal?.throwIfAborted();
      throw connectionError(thrown, baseUrl);
    }
    if (response.ok || accepts.includes(response.status)) return response;
    throw await problemError(response, baseUrl);
  };

  return {
    async request<Answer>(
      method: string,
      path: string,
      body: unknown,
      request: RequestOptions,
    ): Promise<Answer> {
      const response = await exchange(method, path, body, request);
      if (response.status === 204) return undefined as Answer;
      try {
        return (await response.json()) as Answer;
      } catch (thrown) {
        request.signal?.throwIfAborted();
        if (!(thrown instanceof SyntaxError)) throw connectionError(thrown, baseUrl);
        throw notCenturia(baseUrl, response.status, thrown);
      }
    },
    open: ((path, request) => exchange('GET', path, undefined, request)) satisfies Open as Open,
  };
}

/** An error of the connection, by what the system said. */
export function connectionError(thrown: unknown, baseUrl: string): AppError {
  const code = systemCode(thrown);
  if (code === 'ECONNREFUSED') {
    return new AppError('server_not_running', `nothing listens at ${baseUrl}`, {
      cause: thrown,
      remedy: 'Start it: centuria up',
    });
  }
  return new AppError('unavailable', `the connection to ${baseUrl} failed: ${code ?? 'cut'}`, {
    cause: thrown,
  });
}

/** The code stands in the cause, or in the first of several causes where a name has several addresses. */
function systemCode(thrown: unknown): string | undefined {
  let error: unknown = thrown;
  for (let depth = 0; depth < 4 && error instanceof Error; depth += 1) {
    if ('code' in error && typeof error.code === 'string') return error.code;
    error = error instanceof AggregateError ? error.errors[0] : error.cause;
  }
  return undefined;
}

export async function problemError(response: Response, baseUrl: string): Promise<AppError> {
  const document: unknown = await response.json().catch(() => undefined);
  if (!isProblem(document)) return notCenturia(baseUrl, response.status);
  return new AppError(document.code, document.detail, {
    details: {
      ...document.details,
      ...(document.errors === undefined ? {} : { errors: document.errors }),
      requestId: document.requestId,
    },
    retryable: document.retryable,
    ...(document.remedy === undefined ? {} : { remedy: document.remedy }),
  });
}

interface Problem {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly retryable: boolean;
  readonly requestId: string;
  readonly remedy?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly errors?: readonly unknown[];
}

function isProblem(value: unknown): value is Problem {
  if (value === null || typeof value !== 'object') return false;
  const { code, detail } = value as Partial<Record<keyof Problem, unknown>>;
  return typeof code === 'string' && Object.hasOwn(errorCodes, code) && typeof detail === 'string';
}

function notCenturia(baseUrl: string, status: number, cause?: unknown): AppError {
  return new AppError('unavailable', `what answers at ${baseUrl} is not Centuria (${status})`, {
    retryable: false,
    remedy: 'Check the port: another program may hold it.',
    ...(cause === undefined ? {} : { cause }),
  });
}
