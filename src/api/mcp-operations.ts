import type { FastifyContextConfig, FastifyRequest, RouteOptions } from 'fastify';
import { AppError } from '../base/base.ts';
import { authorize, authorizeSome, type Caller } from '../identity/identity.ts';
import type { Http } from './http.ts';
import { ticketHeader, type Insiders } from './insiders.ts';

export type JsonSchema = Readonly<Record<string, unknown>>;
type ObjectSchema = JsonSchema & {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
};

/** A route as something that can be called by its operation id. */
export interface Operation {
  readonly id: string;
  readonly method: string;
  /** The address with its parameters, as in `/api/v1/runs/:id`. */
  readonly url: string;
  readonly summary: string;
  readonly description?: string | undefined;
  readonly config: FastifyContextConfig;
  readonly params?: ObjectSchema | undefined;
  readonly querystring?: ObjectSchema | undefined;
  readonly body?: ObjectSchema | undefined;
  readonly headers?: ObjectSchema | undefined;
}

/** What is asked of an operation: the parts of its request. */
export interface Asking {
  readonly params?: Readonly<Record<string, unknown>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, unknown>>;
  /** Ends the call: whoever asked has gone. */
  readonly signal?: AbortSignal;
}

export interface Answered {
  readonly status: number;
  /** The JSON of the answer; a problem document from 400 on; null where there is none. */
  readonly document: unknown;
}

/** Calls an operation of this server for somebody. */
export type CallOperation = (operation: string, asking: Asking) => Promise<Answered>;

/** Every operation that is registered on `app` after this call, by its id. */
export function collectOperations(app: Http): ReadonlyMap<string, Operation> {
  const operations = new Map<string, Operation>();
  app.addHook('onRoute', (route) => {
    const operation = operationOf(route);
    if (operation !== undefined) operations.set(operation.id, operation);
  });
  return operations;
}

function operationOf({ method, url, schema, config }: RouteOptions): Operation | undefined {
  const described = schema as Partial<Operation> & { readonly operationId?: string };
  if (described?.operationId === undefined || method === 'HEAD') return undefined;
  const {
    operationId: id,
    summary = id,
    description,
    params,
    querystring,
    body,
    headers,
  } = described;
  return {
    id,
    method: [method].flat()[0] ?? 'GET',
    url,
    summary,
    description,
    config: config ?? {},
    params,
    querystring,
    body,
    headers,
  };
}

/** Whether the route would let this caller in for anything at all: what he may not is not shown to him. */
export function mayCall({ config }: Operation, caller: Caller): boolean {
  const { action, resource, some, open } = config;
  if (open === true || action === undefined || action === 'self') return true;
  const somewhere = some === true || resource !== undefined;
  return (somewhere ? authorizeSome(caller, action) : authorize(caller, action)).allowed;
}

/**
 * Calls operations inside the process, through the very routes that HTTP goes through: validation,
 * permissions and answers are theirs. `outer` is the request that asks; its caller was let in and counted.
 */
export function callsFor(
  app: Http,
  operations: ReadonlyMap<string, Operation>,
  insiders: Insiders,
  outer: { readonly caller: Caller; readonly request: FastifyRequest },
): CallOperation {
  return async (id, { params = {}, query = {}, body, headers = {}, signal }) => {
    const operation = operations.get(id);
    if (operation === undefined) throw new Error(`there is no operation ${id}`);
    const { request, caller } = outer;
    const ticket = insiders.admit(caller);
    try {
      const answer = await app.inject({
        method: operation.method as 'GET',
        url: addressOf(operation.url, params),
        query: textsOf(query),
        remoteAddress: request.ip,
        headers: {
          ...textsOf(headers),
          host: request.host,
          'user-agent': request.headers['user-agent'] ?? '',
          'x-request-id': request.id,
          [ticketHeader]: ticket,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      });
      return {
        status: answer.statusCode,
        document: answer.body === '' ? null : (JSON.parse(answer.body) as unknown),
      };
    } finally {
      insiders.forget(ticket);
    }
  };
}

function addressOf(url: string, params: Readonly<Record<string, unknown>>): string {
  return url.replace(/:([A-Za-z]+)/g, (_, name: string) => {
    const value = textOf(params[name]);
    // A URL resolves these as folders: the call would reach another address than the one that was meant.
    if (value === '' || value === '.' || value === '..') {
      throw new AppError('invalid_input', `path ${name} must be the name of something`, {
        details: {
          errors: [{ in: 'path', field: name, message: 'must be the name of something' }],
        },
      });
    }
    return encodeURIComponent(value);
  });
}

function textsOf(values: Readonly<Record<string, unknown>>): Record<string, string> {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [name, textOf(value)]));
}

function textOf(value: unknown): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
