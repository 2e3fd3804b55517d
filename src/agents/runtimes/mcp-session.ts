import {
  Client,
  SdkError,
  SdkErrorCode,
  StreamableHTTPClientTransport,
  type Transport,
} from '@modelcontextprotocol/client';
import { newId, type AppError, type Clock } from '../../base/base.ts';
import type { Outbound } from '../../outbound/outbound.ts';
import type { AgentDefinition } from '../agents.ts';
import { neededProgram, usableDirectory, type Children } from './children.ts';
import { sessionError, type HttpTrace } from './mcp-errors.ts';
import type { McpPlace, McpServer } from './mcp-server.ts';
import { childTransport, type ChildTransport } from './mcp-stdio.ts';
import { createProgress, type Progress } from './progress.ts';

export interface SessionTools {
  readonly clock: Clock;
  readonly outbound: Outbound;
  readonly children: Children;
}

/** For whom a session is opened or lent. */
export interface SessionCall {
  readonly agent: AgentDefinition;
  readonly attemptId: string;
  readonly idempotencyKey: string;
  readonly signal: AbortSignal;
  readonly onProgress?: ((text: string) => void) | undefined;
}

/** One connection to one server, used by one call at a time. */
export interface McpSession {
  readonly client: Client;
  readonly server: McpServer;
  /** Lends it to a call: what the server reports goes there. */
  begin(call: SessionCall): void;
  /** Takes it back. */
  rest(): void;
  /** Tells the call under way how far it is. */
  progress(text: string): void;
  /** Whether a further call may use it. */
  isOpen(): boolean;
  /** What was thrown during a call, said for people: by how the server ended, where it has. */
  failure(thrown: unknown, call: SessionCall): Promise<AppError>;
  /** What the server has written for this call; undefined over HTTP. */
  bytes(): number | undefined;
  /** Asks the server to end, and ends it. Never rejects. */
  close(): Promise<void>;
}

const bytesPerMb = 1_048_576;
/** What a server may write while nobody asks it anything. */
const restBytes = bytesPerMb;
/** A server that does not know `server/discover` and says nothing is one of an older revision. */
const probeMs = 3_000;
/** For the farewell to a server that keeps a session. */
const leaveMs = 1_000;
/** Pages of a list; servers with a thousand tools send a hundred on a page. */
const mostPages = 50;
/** Above what any call may take: the limit that counts is the caller's signal. */
const noTimeoutMs = 2 ** 31 - 1;

/**
 * Connects to a server: by `server/discover` of revision 2026-07-28, or by `initialize` of those before;
 * `isOld` skips the question. Throws `agent_unavailable`, `agent_failed`, `outbound_refused` and what
 * ended the call.
 */
export async function openSession(
  server: McpServer,
  place: McpPlace,
  call: SessionCall,
  tools: SessionTools,
  isOld: boolean,
): Promise<McpSession> {
  const first = await connect(server, place, call, tools, isOld);
  if ('client' in first) return first;
  // Some servers of older revisions end when the first message is none that they know.
  if (isOld || place.kind === 'http' || !first.endedAtOnce || call.signal.aborted) {
    throw first.error;
  }
  const second = await connect(server, place, call, tools, true);
  if ('client' in second) return second;
  throw second.error;
}

interface Failed {
  readonly error: AppError;
  /** The program ended while it was asked for its revision. */
  readonly endedAtOnce: boolean;
}

async function connect(
  server: McpServer,
  place: McpPlace,
  call: SessionCall,
  tools: SessionTools,
  isOld: boolean,
): Promise<McpSession | Failed> {
  const link =
    place.kind === 'stdio'
      ? await stdioLink(server, place, call, tools)
      : httpLink(server, place, call, tools);
  const client = new Client(
    { name: 'centuria', version: '1' },
    {
      versionNegotiation: {
        mode: isOld ? 'legacy' : 'auto',
        probe: { timeoutMs: place.kind === 'stdio' ? probeMs : noTimeoutMs },
      },
      listMaxPages: mostPages,
    },
  );
  const session = sessionOf(client, link, server, tools);
  session.begin(call);
  try {
    await untilAborted(
      call.signal,
      client.connect(link.transport, { signal: call.signal, timeout: noTimeoutMs }),
    );
    return session;
  } catch (thrown) {
    const endedAtOnce = thrown instanceof SdkError && thrown.code === eraFailed;
    const error = await session.failure(thrown, call);
    await session.close();
    return { error, endedAtOnce };
  }
}

const eraFailed = SdkErrorCode.EraNegotiationFailed;

/** The question for the revision knows no signal. */
async function untilAborted(signal: AbortSignal, work: Promise<void>): Promise<void> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  work.catch(() => undefined);
  try {
    await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** A transport, and what is known of its other end beside the messages. */
interface Link {
  readonly transport: Transport;
  readonly child?: ChildTransport;
  /** What the last request over HTTP came to. */
  readonly last?: HttpTrace;
}

async function stdioLink(
  server: McpServer,
  place: Extract<McpPlace, { kind: 'stdio' }>,
  call: SessionCall,
  { children, clock }: SessionTools,
): Promise<Link> {
  const { agent } = call;
  const program = await neededProgram(place.command, agent.name, children.places);
  const names = [...(server.fields.environment ?? []), ...agent.requires.environment];
  const child = childTransport({
    agent: agent.name,
    program,
    arguments: place.arguments,
    directory: place.directory === undefined ? undefined : await usableDirectory(place.directory),
    environment: { ...place.values, ...children.environmentOf(names, call) },
    sessionId: newId(clock),
    memoryBytes: server.memoryMb * bytesPerMb,
    children,
  });
  return { transport: child, child };
}

function httpLink(
  server: McpServer,
  place: Extract<McpPlace, { kind: 'http' }>,
  { agent }: SessionCall,
  { outbound }: SessionTools,
): Link {
  const { url, headers } = place;
  const last: HttpTrace = { url, status: undefined, retryAfterMs: undefined };
  const fetch = outbound.for({
    who: `agent ${agent.name}`,
    // Whoever wrote the address meant it; where it leads on from there is another question.
    allow: [url.host, ...server.allow],
    maxBytes: server.responseMb * bytesPerMb,
  });
  const transport = new StreamableHTTPClientTransport(url, {
    requestInit: { headers },
    async fetch(input, init) {
      const response = await fetch(input, init);
      last.status = response.status;
      last.retryAfterMs = retryAfter(response.headers.get('retry-after'));
      return response;
    },
  });
  return { transport, last };
}

/** Seconds or a date (RFC 9110, section 10.2.3). */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  const seconds = /^\d{1,9}$/.test(header)
    ? Number(header) * 1_000
    : Date.parse(header) - Date.now();
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

function sessionOf(
  client: Client,
  { transport, child, last }: Link,
  server: McpServer,
  { clock }: SessionTools,
): McpSession {
  let progress: Progress | undefined;
  let isClosed = false;
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the client of the SDK has no other way
  client.onclose = () => {
    isClosed = true;
  };
  const told = (text: string): void => progress?.write(`${text}\n`);
  client.setNotificationHandler('notifications/message', ({ params }) => {
    told(typeof params.data === 'string' ? params.data : JSON.stringify(params.data));
  });
  return {
    client,
    server,
    progress: told,
    begin({ onProgress }) {
      progress = onProgress && createProgress(clock, onProgress);
      child?.begin({ maxBytes: server.responseMb * bytesPerMb, onLine: onProgress });
    },
    rest() {
      progress?.end();
      progress = undefined;
      child?.begin({ maxBytes: restBytes, onLine: undefined });
    },
    isOpen: () => !isClosed && child?.ended() === undefined,
    async failure(thrown, call) {
      // The message that the connection broke comes before the news how its program ended.
      const hasBroken = isClosed || (thrown instanceof SdkError && thrown.code === eraFailed);
      const end = hasBroken ? await child?.end.catch(() => undefined) : child?.ended();
      return sessionError(thrown, { call, server, end, last, rubbish: child?.rubbish() });
    },
    bytes: () => child?.bytes(),
    async close() {
      progress?.end();
      isClosed = true;
      try {
        if (
          transport instanceof StreamableHTTPClientTransport &&
          transport.sessionId !== undefined
        ) {
          await Promise.race([transport.terminateSession(), clock.sleep(leaveMs)]);
        }
      } catch {
        // A server that is gone, or keeps its sessions to itself: the connection ends all the same.
      }
      await client.close().catch(() => undefined);
      await child?.close();
    },
  };
}
