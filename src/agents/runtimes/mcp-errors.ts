import { ProtocolError, SdkError, SdkErrorCode, SdkHttpError } from '@modelcontextprotocol/client';
import { AppError, redact } from '../../base/base.ts';
import { outboundFailure } from '../../outbound/outbound.ts';
import { abortError } from './deadline.ts';
import type { ChildEnd } from './child.ts';
import { endError } from './command-errors.ts';
import type { McpServer } from './mcp-server.ts';
import type { SessionCall } from './mcp-session.ts';

/** What the last request over HTTP came to. */
export interface HttpTrace {
  readonly url: URL;
  status: number | undefined;
  retryAfterMs: number | undefined;
}

export interface FailedSession {
  readonly call: Pick<SessionCall, 'agent' | 'signal'>;
  readonly server: McpServer;
  /** How its program ended, where it has. */
  readonly end: ChildEnd | undefined;
  readonly last: HttpTrace | undefined;
  readonly rubbish: string | undefined;
}

const shownCharacters = 1_000;
/** JSON-RPC's own: the same request fails the same way. */
const hopeless = new Set([-32_700, -32_600, -32_601, -32_602, -32_021, -32_022]);

/** What was thrown while a server was talked with, as one of ours: `agent_*`, `timeout`, `cancelled`, `outbound_refused`. */
export function sessionError(thrown: unknown, failed: FailedSession): AppError {
  const { call, server, end, last } = failed;
  if (call.signal.aborted) return abortError(call.signal, call.agent.name);
  if (thrown instanceof AppError) return thrown;
  if (end !== undefined) return endedError(end, failed);
  const who = `agent ${call.agent.name}: the MCP server`;
  const details = { agent: call.agent.name, server: server.name };
  if (last !== undefined) {
    const error = httpError(thrown, last, who, details);
    if (error !== undefined) return error;
  }
  const said = bounded(thrown instanceof Error ? thrown.message : String(thrown));
  if (thrown instanceof ProtocolError) {
    return new AppError('agent_failed', `${who} answers with error ${thrown.code}: ${said}`, {
      details: { ...details, rpcCode: thrown.code },
      retryable: !hopeless.has(thrown.code),
    });
  }
  const kind = thrown instanceof SdkError ? thrown.code : undefined;
  if (kind === SdkErrorCode.ListPaginationExceeded) {
    return new AppError('agent_output_too_large', `${who} has no end of pages of tools: ${said}`, {
      details,
    });
  }
  if (kind === SdkErrorCode.InvalidResult || kind === SdkErrorCode.UnsupportedResultType) {
    return new AppError('agent_output_invalid', `${who} answers with what is no answer: ${said}`, {
      details,
    });
  }
  return new AppError('agent_failed', `${who} can not be talked with: ${said}`, {
    details,
    retryable: true,
    cause: thrown,
  });
}

/** The program has ended, which no server does by itself while it is asked. */
function endedError(end: ChildEnd, { call, server, rubbish }: FailedSession): AppError {
  const { name } = call.agent;
  const details = { agent: name, server: server.name };
  if (end.stopped === 'output') {
    const message = `agent ${name}: the MCP server wrote more than ${server.responseMb} MiB for one call`;
    const remedy = 'Raise runtime.limits.responseMb, or ask it for less.';
    return new AppError('agent_output_too_large', message, { details, remedy });
  }
  const context = {
    agent: name,
    timeoutMs: 0,
    memoryMb: server.memoryMb,
    outputMb: server.responseMb,
    goodExit: 0,
  };
  const error = endError(end, context);
  if (error !== undefined && end.stopped !== 'cancelled') return error;
  const wrote = rubbish === undefined ? '' : `; it had written ${JSON.stringify(redact(rubbish))}`;
  const told = end.stderr.trim() === '' ? '' : `: ${bounded(end.stderr.trim())}`;
  return new AppError(
    'agent_failed',
    `agent ${name}: the MCP server ended before it answered${wrote}${told}`,
    { details: { ...details, exit: end.exitCode }, retryable: true },
  );
}

function httpError(
  thrown: unknown,
  { url, status, retryAfterMs }: HttpTrace,
  who: string,
  details: Readonly<Record<string, unknown>>,
): AppError | undefined {
  if (thrown instanceof SdkHttpError || (status !== undefined && status >= 400)) {
    const got = thrown instanceof SdkHttpError ? thrown.status : (status ?? 0);
    const message = `${who} at ${url.origin} answers with HTTP status ${got}`;
    if (got === 429 || (got === 503 && retryAfterMs !== undefined)) {
      const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
      return new AppError('agent_busy', message, { details: { ...details, ...wait } });
    }
    if (got === 401 || got === 403) {
      return new AppError('agent_failed', `${message}: it does not accept the credentials`, {
        details,
        retryable: false,
        remedy: 'Look at the headers of runtime.server.',
      });
    }
    const retryable = got === 408 || got >= 500;
    return new AppError('agent_failed', message, { details, retryable });
  }
  if (thrown instanceof ProtocolError) return undefined;
  const own = thrown instanceof SdkError ? thrown.cause : thrown;
  if (thrown instanceof SdkError && own === undefined) return undefined;
  return outboundFailure(own, url);
}

function bounded(text: string): string {
  return redact(text.slice(0, shownCharacters));
}
