/**
 * Passes the messages of a client on standard input to the bridge, and the bridge's back. Which version
 * of the protocol they are of is between those two; permissions are the bridge's.
 */
// oxlint-disable unicorn/prefer-add-event-listener -- The library's transports are no event targets.
import {
  isJSONRPCErrorResponse,
  isJSONRPCRequest,
  SdkHttpError,
  StreamableHTTPClientTransport,
  type JSONRPCMessage,
  type JSONRPCRequest,
  type RequestId,
} from '@modelcontextprotocol/client';
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import { AppError, errorRecord } from '../base/base.ts';
import { meantServer } from './connection.ts';
import type { CliContext } from './context.ts';

/** Serves until the client closes standard input. Throws as `meantServer` when no server runs now. */
export async function serveStdio(context: CliContext): Promise<void> {
  const { baseUrl } = meantServer(context);
  const bridge = new StreamableHTTPClientTransport(new URL('/mcp', baseUrl), {
    fetch: (_url, init) => askBridge(context, init),
  });
  const client = new StdioServerTransport(
    context.stdin as NodeJS.ReadStream,
    context.stdout.stream,
  );
  const underWay = new Map<RequestId, AbortController>();
  const initializing = new Set<RequestId>();
  const say = (error: unknown) => context.stderr.write(`centuria mcp: ${messageOf(error)}\n`);
  const answer = (message: JSONRPCMessage) => client.send(message).catch(say);

  bridge.onmessage = (message) => {
    if ('id' in message && message.id !== undefined && !('method' in message)) {
      underWay.delete(message.id);
      // From here on the version stands in a header (2025-11-25); later ones say it in each message.
      const { protocolVersion } = 'result' in message ? message.result : {};
      if (initializing.delete(message.id) && typeof protocolVersion === 'string') {
        bridge.setProtocolVersion(protocolVersion);
      }
    }
    void answer(message);
  };
  client.onmessage = (message) => {
    const cancelled = cancelledId(message);
    if (cancelled !== undefined) {
      // Over HTTP a call is called off by leaving it.
      underWay.get(cancelled)?.abort();
      underWay.delete(cancelled);
      return;
    }
    if (!isJSONRPCRequest(message)) {
      void bridge.send(message).catch(say);
      return;
    }
    if (message.method === 'initialize') initializing.add(message.id);
    const leaving = new AbortController();
    underWay.set(message.id, leaving);
    bridge.send(message, { requestSignal: leaving.signal }).catch((error: unknown) => {
      if (leaving.signal.aborted) return;
      underWay.delete(message.id);
      say(error);
      void answer(refusal(message, error));
    });
  };
  client.onerror = say;

  const ended = new Promise<void>((resolve) => {
    client.onclose = resolve;
  });
  await bridge.start();
  await client.start();
  await ended;
  for (const leaving of underWay.values()) leaving.abort();
  await bridge.close();
}

/** Asks the server that is meant now: it may have come back at another port, and logins are renewed. */
async function askBridge(context: CliContext, init: RequestInit = {}): Promise<Response> {
  const { baseUrl, token } = meantServer(context);
  const headers = new Headers(init.headers);
  headers.set('authorization', `Bearer ${typeof token === 'string' ? token : await token()}`);
  headers.set('user-agent', `centuria/${context.version} mcp`);
  try {
    return await fetch(new URL('/mcp', baseUrl), { ...init, headers });
  } catch (cause) {
    if (init.signal?.aborted === true) throw cause;
    throw new AppError('server_not_running', `Centuria does not answer at ${baseUrl}`, {
      cause,
      remedy: 'Start it: centuria up',
    });
  }
}

function cancelledId(message: JSONRPCMessage): RequestId | undefined {
  if (!('method' in message) || message.method !== 'notifications/cancelled') return undefined;
  return message.params?.['requestId'] as RequestId | undefined;
}

/** What the bridge said when it took no message, as the answer to it. */
function refusal({ id }: JSONRPCRequest, error: unknown): JSONRPCMessage {
  if (error instanceof SdkHttpError) {
    const document = parsed(error.data?.['text']);
    if (isJSONRPCErrorResponse(document)) return { ...document, id };
    const { code, detail, remedy } = (document ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof detail === 'string') {
      return {
        jsonrpc: '2.0',
        id,
        error: { code: internalError, message: detail, data: { code, remedy } },
      };
    }
  }
  const { code, message, remedy } = errorRecord(error);
  return { jsonrpc: '2.0', id, error: { code: internalError, message, data: { code, remedy } } };
}

const internalError = -32603;

function parsed(text: unknown): unknown {
  try {
    return typeof text === 'string' ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

function messageOf(error: unknown): string {
  const { message, remedy } = errorRecord(error);
  return remedy === undefined ? message : `${message}. ${remedy}`;
}
