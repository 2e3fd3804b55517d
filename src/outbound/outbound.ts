/**
 * The way out to the network: whatever is dialled for an agent is dialled here. Public addresses may be
 * reached; private ones only where somebody has said so; those that hand out a machine's credentials never.
 */
import { Agent, fetch as dial, type RequestInit as DialInit } from 'undici';
import { AppError, toAppError } from '../base/base.ts';
import { assertReachable, guardedLookup } from './addresses.ts';
import { boundedBody } from './bounded-body.ts';
import { parseAllowed, type Allowed } from './allowed.ts';

export { parseAllowed, type Allowed } from './allowed.ts';

export interface Outbound {
  /** A `fetch` for one agent. It throws `outbound_refused` and `agent_output_too_large`, as the cause where `fetch` wraps it. */
  for(reach: Reach): typeof globalThis.fetch;
  close(): Promise<void>;
}

export interface Reach {
  /** For complaints: `agent NAME`. */
  readonly who: string;
  /** What may be reached although it is private: `host`, `host:port`, an address or a network (`10.0.0.0/8`). */
  readonly allow: readonly string[];
  /** Default 8 MiB, of one answer's body; a stream is cut when it has brought more. */
  readonly maxBytes?: number;
  /** Default 3. */
  readonly maxRedirects?: number;
}

export interface OutboundOptions {
  /** What every agent may reach although it is private. */
  readonly allow: readonly string[];
}

const defaultMaxBytes = 8 * 1_048_576;
const defaultMaxRedirects = 3;
const connectTimeoutMs = 10_000;
/** Told to nobody but the host that they were meant for. */
const secretHeaders = ['authorization', 'cookie', 'proxy-authorization', 'x-api-key'];

/** Throws `config_invalid` for an entry of `allow` that is neither host, address nor network. */
export function createOutbound(options: OutboundOptions): Outbound {
  const common = options.allow.map(parseAllowed);
  const dispatchers = new Map<string, Agent>();

  function dispatcherOf(allowed: readonly Allowed[], port: number): Agent {
    const key = JSON.stringify([allowed, port]);
    const known = dispatchers.get(key);
    if (known !== undefined) return known;
    const agent = new Agent({
      connect: { lookup: guardedLookup(allowed, port), timeout: connectTimeoutMs },
    });
    dispatchers.set(key, agent);
    return agent;
  }

  async function once(url: URL, init: DialInit, allowed: readonly Allowed[]) {
    assertReachable(url, allowed);
    const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
    return dial(url, { ...init, redirect: 'manual', dispatcher: dispatcherOf(allowed, port) });
  }

  async function follow(url: URL, init: DialInit, reach: Reach): Promise<Response> {
    const allowed = [...common, ...reach.allow.map(parseAllowed)];
    const most = init.redirect === 'manual' ? 0 : (reach.maxRedirects ?? defaultMaxRedirects);
    let at = url;
    let asked = init;
    for (let hop = 0; ; hop += 1) {
      const response = await once(at, asked, allowed);
      const target = response.headers.get('location');
      const isRedirect = [301, 302, 303, 307, 308].includes(response.status) && target !== null;
      if (!isRedirect || init.redirect === 'manual') {
        return boundedBody(response, reach.maxBytes ?? defaultMaxBytes, reach.who);
      }
      await response.body?.cancel();
      if (hop >= most) throw refused(at, `it redirects more than ${most} times`);
      const next = new URL(target, at);
      asked = redirected(asked, response.status, at.origin === next.origin);
      at = next;
    }
  }

  return {
    for: (reach) => async (input, init) => {
      const request = input instanceof Request ? input : undefined;
      const url = new URL(request?.url ?? String(input));
      try {
        // The two types of one standard, Node's and undici's own, differ in names only.
        const given = { ...(await partsOf(request)), ...init } as unknown as DialInit;
        return await follow(url, given, reach);
      } catch (thrown) {
        throw ownError(thrown) ?? thrown;
      }
    },
    async close() {
      await Promise.all([...dispatchers.values()].map((agent) => agent.destroy()));
    },
  };
}

/** A request made elsewhere, as the fields of one: libraries hand over either. */
async function partsOf(request: Request | undefined): Promise<RequestInit> {
  if (request === undefined) return {};
  const { method, headers, signal } = request;
  const body = request.body === null ? undefined : await request.arrayBuffer();
  return { method, headers, signal, ...(body === undefined ? {} : { body }) };
}

/** As browsers do it: what was posted is asked for after 301, 302 and 303, and secrets stay with their origin. */
function redirected(init: DialInit, status: number, sameOrigin: boolean): DialInit {
  const headers = new Headers(init.headers as ConstructorParameters<typeof Headers>[0]);
  if (!sameOrigin) for (const name of secretHeaders) headers.delete(name);
  const keeps = status === 307 || status === 308 || init.method === 'GET' || init.method === 'HEAD';
  if (keeps) return { ...init, headers: [...headers] };
  const { body: _body, ...rest } = init;
  for (const name of ['content-type', 'content-length']) headers.delete(name);
  return { ...rest, method: 'GET', headers: [...headers] };
}

/** `fetch` wraps what its connection throws. */
function ownError(thrown: unknown): AppError | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (error instanceof AppError) return error;
  }
  return undefined;
}

function refused(url: URL, why: string): AppError {
  return new AppError('outbound_refused', `${url.origin} is not asked: ${why}`, {
    details: { origin: url.origin },
  });
}

/** Why a call failed that reached nobody: for people, without addresses that were not asked for. */
export function outboundFailure(thrown: unknown, url: URL): AppError {
  const own = ownError(thrown);
  if (own !== undefined) return own;
  const cause = thrown instanceof Error ? (thrown.cause ?? thrown) : thrown;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined;
  const error = toAppError(thrown);
  if (error.code === 'cancelled' || error.code === 'timeout') return error;
  const why = code ?? (cause instanceof Error ? cause.message : String(cause));
  return new AppError('agent_failed', `${url.origin} can not be reached: ${why}`, {
    details: { origin: url.origin },
    retryable: true,
    cause: thrown,
  });
}
