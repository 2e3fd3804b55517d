/**
 * The way out to the network: whatever is dialled for an agent is dialled here. Public addresses may be
 * reached; private ones only where somebody has said so; those that hand out a machine's credentials never.
 */
import type * as undiciTypes from 'undici';
import type { Agent, buildConnector, Dispatcher, RequestInit as DialInit } from 'undici';
import { assertReachable, guardedLookup, type Rules } from './addresses.ts';
import { parseAllowed } from './allowed.ts';
import { boundedBody } from './bounded-body.ts';
import { outboundFailure, ownError } from './failure.ts';
import { probe } from './probe.ts';
import { redirected, redirectTarget, refused } from './redirects.ts';

export { parseAllowed, type Allowed } from './allowed.ts';
export { outboundFailure } from './failure.ts';

export interface Outbound {
  /** A `fetch` for one agent. It throws `outbound_refused` and `agent_output_too_large`, as the cause where `fetch` wraps it. */
  for(reach: Reach): typeof globalThis.fetch;
  /** Connects and hangs up, without a request. Throws `outbound_refused`, or `agent_failed` with the reason. */
  probe(url: URL, reach: Reach, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export interface Reach {
  /** For complaints: `agent NAME`. */
  readonly who: string;
  /** What may be reached although it is private: `host`, `host:port`, an address or a network (`10.0.0.0/8`). */
  readonly allow: readonly string[];
  /** Reaches nothing else than `allow`, public or not: for addresses that come from a caller or a peer. Default false. */
  readonly listedOnly?: boolean;
  /** Default 8 MiB, of one answer's body after decompression; a stream is cut when it has brought more. */
  readonly maxBytes?: number;
  /** Default 3. */
  readonly maxRedirects?: number;
  /** How long a peer may be silent before and within its answer. Default 300 s; 0: as long as the signal lets it. */
  readonly maxSilenceMs?: number;
}

export interface OutboundOptions {
  /** What every agent may reach although it is private. */
  readonly allow: readonly string[];
}

type Undici = typeof undiciTypes;

const defaultMaxBytes = 8 * 1_048_576;
const defaultMaxRedirects = 3;
const defaultMaxSilenceMs = 300_000;
const connectTimeoutMs = 10_000;
/** One for each list of what may be reached; definitions come and go, and their connections with them. */
const maxDispatchers = 256;

/** Throws `config_invalid` for an entry of `allow` that is neither host, address nor network. */
export function createOutbound(options: OutboundOptions): Outbound {
  const common = options.allow.map(parseAllowed);
  const dispatchers = new Map<string, Agent>();

  function rulesOf({ allow, listedOnly = false }: Reach): Rules {
    const own = allow.map(parseAllowed);
    return { listedOnly, allowed: listedOnly ? own : [...common, ...own] };
  }

  /** Connections are shared only by those who may reach the same. */
  function dispatcherOf({ Agent, buildConnector }: Undici, rules: Rules): Agent {
    const key = JSON.stringify(rules);
    const known = dispatchers.get(key);
    // Taken out and put back, so that the first one is the one that was not used for the longest time.
    dispatchers.delete(key);
    const agent = known ?? new Agent({ connect: guardedConnector(buildConnector, rules) });
    dispatchers.set(key, agent);
    const [oldest] = dispatchers;
    if (dispatchers.size > maxDispatchers && oldest !== undefined) {
      dispatchers.delete(oldest[0]);
      void oldest[1].close();
    }
    return agent;
  }

  async function follow(url: URL, init: DialInit, reach: Reach, rules: Rules): Promise<Response> {
    // Loaded with the first request: a start that dials nobody must not pay for it.
    const undici = await import('undici');
    const silenceMs = reach.maxSilenceMs ?? defaultMaxSilenceMs;
    const dispatcher = patient(dispatcherOf(undici, rules), silenceMs);
    const most = init.redirect === 'error' ? 0 : (reach.maxRedirects ?? defaultMaxRedirects);
    let at = url;
    let asked = init;
    for (let hop = 0; ; hop += 1) {
      assertReachable(at, rules);
      const response = await undici.fetch(at, { ...asked, redirect: 'manual', dispatcher });
      const isFinal = init.redirect === 'manual';
      const { status, headers } = response;
      const target = isFinal ? undefined : redirectTarget(status, headers.get('location'), at);
      if (target === undefined) {
        return boundedBody(response, reach.maxBytes ?? defaultMaxBytes, reach.who);
      }
      await response.body?.cancel();
      if (hop >= most) throw refused(at, `it redirects more than ${most} times`);
      asked = redirected(asked, status, at, target);
      at = target;
    }
  }

  return {
    for(reach) {
      let rules: Rules | undefined;
      return async (input, init) => {
        const request = input instanceof Request ? input : undefined;
        const url = new URL(request?.url ?? String(input));
        try {
          // The two types of one standard, Node's and undici's own, differ in names only.
          const given = { ...(await partsOf(request)), ...init } as unknown as DialInit;
          rules ??= rulesOf(reach);
          return await follow(url, given, reach, rules);
        } catch (thrown) {
          throw ownError(thrown) ?? thrown;
        }
      };
    },
    async probe(url, reach, signal) {
      try {
        await probe(url, rulesOf(reach), signal);
      } catch (thrown) {
        throw outboundFailure(thrown, url);
      }
    },
    async close() {
      await Promise.all([...dispatchers.values()].map((agent) => agent.destroy()));
    },
  };
}

/** Made for each connection, since what may be reached depends on its port. */
function guardedConnector(build: Undici['buildConnector'], rules: Rules): buildConnector.connector {
  return (options, callback) => {
    const port = Number(options.port) || (options.protocol === 'https:' ? 443 : 80);
    const connect = build({
      lookup: guardedLookup(rules, port),
      timeout: connectTimeoutMs,
    });
    connect(options, callback);
  };
}

/** The limits of a connection's silence, for one request. */
function patient(agent: Agent, silenceMs: number): Dispatcher {
  return agent.compose(
    (dispatch) => (options, handler) =>
      dispatch({ ...options, headersTimeout: silenceMs, bodyTimeout: silenceMs }, handler),
  );
}

/** A request made elsewhere, as the fields of one: libraries hand over either. */
async function partsOf(request: Request | undefined): Promise<RequestInit> {
  if (request === undefined) return {};
  const { method, headers, signal, redirect } = request;
  const body = request.body === null ? undefined : await request.arrayBuffer();
  return { method, headers, signal, redirect, ...(body === undefined ? {} : { body }) };
}
