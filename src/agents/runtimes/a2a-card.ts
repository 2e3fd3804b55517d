import { AgentCard, A2A_PROTOCOL_VERSION, A2A_VERSION_HEADER } from '@a2a-js/sdk';
import {
  ClientFactory,
  JsonRpcTransportFactory,
  RestTransportFactory,
  type Client,
} from '@a2a-js/sdk/client';
import { AppError, type Clock } from '../../base/base.ts';
import { outboundFailure } from '../../outbound/outbound.ts';
import { statusError } from './http-status.ts';
import { readJsonText } from './json-text.ts';

/** Spoken here; what else a card offers (gRPC, older versions) is left aside. */
const bindings = new Set(['JSONRPC', 'HTTP+JSON']);

/** A remote agent that was reached: a client of one interface of its card. */
export interface Peer {
  readonly client: Client;
  readonly url: URL;
  readonly context: CardContext;
}

export interface CardContext {
  readonly agent: string;
  readonly fetch: typeof globalThis.fetch;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Where the card is: at the address itself where that names a file, otherwise at its well-known place below. */
export function cardUrl(url: string): URL {
  const base = new URL(url);
  if (/(\.json|\/card)$/.test(base.pathname)) return base;
  base.pathname = `${base.pathname.replace(/\/$/, '')}/.well-known/agent-card.json`;
  return base;
}

/** Fetches an agent's card. Throws `agent_failed`, or what the network threw. */
export async function fetchCard(url: string, context: CardContext): Promise<AgentCard> {
  const { agent, clock, signal } = context;
  const address = cardUrl(url);
  const headers = { accept: 'application/json', [A2A_VERSION_HEADER]: A2A_PROTOCOL_VERSION };
  try {
    const response = await context.fetch(address, { headers, signal });
    if (!response.ok) throw await statusError(response, `the card at ${address}`, agent, clock);
    const value = readJsonText(await response.text(), agent);
    if (value === null || typeof value !== 'object' || !('supportedInterfaces' in value)) {
      throw wrongCard(agent, address, 'it names no supportedInterfaces');
    }
    return AgentCard.fromJSON(value);
  } catch (thrown) {
    if (thrown instanceof AppError || signal.aborted) throw thrown;
    // The library's reader of cards throws plain errors for what is none.
    const error = outboundFailure(thrown, address);
    throw error.code === 'internal' ? wrongCard(agent, address, error.message) : error;
  }
}

/**
 * A client of the first interface that is spoken here and may be reached. `isReachable` rejects for an
 * address that may not: a card leads nowhere that its agent's definition does not name.
 */
export async function openPeer(
  card: AgentCard,
  context: CardContext,
  isReachable: (url: URL) => Promise<void>,
): Promise<Peer> {
  const { agent, fetch } = context;
  const spoken = card.supportedInterfaces.filter(
    ({ protocolBinding, protocolVersion, url }) =>
      bindings.has(protocolBinding.toUpperCase()) &&
      /^1(\.|$)/.test(protocolVersion) &&
      URL.canParse(url),
  );
  let refusal: unknown;
  for (const offered of spoken) {
    try {
      await isReachable(new URL(offered.url));
    } catch (thrown) {
      refusal ??= thrown;
      continue;
    }
    const binding = offered.protocolBinding.toUpperCase();
    const factory = new ClientFactory({
      transports: [
        new JsonRpcTransportFactory({ fetchImpl: fetch }),
        new RestTransportFactory({ fetchImpl: fetch }),
      ],
    });
    const chosen = [{ ...offered, protocolBinding: binding }];
    const client = await factory.createFromAgentCard({ ...card, supportedInterfaces: chosen });
    return { client, url: new URL(offered.url), context };
  }
  if (refusal !== undefined) throw refusal;
  const offers = card.supportedInterfaces
    .slice(0, 10)
    .map(({ protocolBinding, protocolVersion }) => `${protocolBinding} ${protocolVersion}`);
  throw new AppError(
    'agent_failed',
    `agent ${agent}: its card offers no A2A 1.0 over JSON-RPC or HTTP+JSON, only ${offers.join(', ') || 'nothing'}`,
    { details: { agent, offers }, retryable: false },
  );
}

function wrongCard(agent: string, address: URL, why: string): AppError {
  return new AppError('agent_failed', `agent ${agent}: ${address} is no agent card: ${why}`, {
    details: { agent },
    retryable: false,
  });
}
