import type { CallToolResult, Tool } from '@modelcontextprotocol/client';
import { AppError, redact } from '../../base/base.ts';
import type { McpToolDefinition } from '../mcp-definition.ts';
import { misfit } from '../verify.ts';
import type { McpSession, SessionCall } from './mcp-session.ts';

const mostTools = 1_000;
const mostDefinitionBytes = 1_048_576;
const shownCharacters = 2_000;
const noTimeoutMs = 2 ** 31 - 1;

/** The tools of a server as it lists them now: at most 1,000, each of at most 1 MiB, no name twice. */
export async function listTools(session: McpSession, call: SessionCall): Promise<readonly Tool[]> {
  const { tools } = await session.client.listTools(undefined, {
    signal: call.signal,
    timeout: noTimeoutMs,
    // What a server says now is what counts: it may have changed since the last call.
    cacheMode: 'bypass',
  });
  const who = `agent ${call.agent.name}: the MCP server`;
  if (tools.length > mostTools) {
    throw tooLarge(`${who} lists ${tools.length} tools, more than ${mostTools}`);
  }
  const names = new Set<string>();
  for (const tool of tools) {
    if (names.has(tool.name)) {
      const message = `${who} lists two tools of the name ${JSON.stringify(tool.name)}`;
      throw new AppError('agent_output_invalid', message, { retryable: false });
    }
    names.add(tool.name);
    if (Buffer.byteLength(JSON.stringify(tool)) > mostDefinitionBytes) {
      throw tooLarge(`${who} says more than 1 MiB of its tool ${JSON.stringify(tool.name)}`);
    }
  }
  return tools;
}

function tooLarge(message: string): AppError {
  return new AppError('agent_output_too_large', message);
}

/**
 * Calls a tool and gives what it answered with, once that fits what the tool declares. `isError` is a
 * failure, whatever stands beside it.
 */
export async function callTool(
  session: McpSession,
  tool: McpToolDefinition,
  given: unknown,
  call: SessionCall,
): Promise<CallToolResult> {
  const who = `agent ${call.agent.name}: the tool ${JSON.stringify(tool.name)}`;
  const details = { agent: call.agent.name, tool: tool.name };
  // What the tool says of its output is checked below, by the same rules as everything else here.
  const { outputSchema, ...listed } = tool;
  const result = await session.client.callTool(
    {
      name: tool.name,
      arguments: argumentsOf(given, who),
      _meta: {
        'centuria/attempt-id': call.attemptId,
        'centuria/idempotency-key': call.idempotencyKey,
      },
    },
    {
      signal: call.signal,
      timeout: noTimeoutMs,
      toolDefinition: listed as Tool,
      onprogress: ({ progress, total, message }) =>
        session.progress(
          message ?? (total === undefined ? `${progress}` : `${progress} of ${total}`),
        ),
    },
  );
  if (result.isError === true) {
    const said = redact(textOf(result).slice(0, shownCharacters)) || 'it does not say why';
    throw new AppError('agent_failed', `${who} failed: ${said}`, { details, retryable: true });
  }
  if (outputSchema === undefined) return result;
  const why =
    result.structuredContent === undefined
      ? 'is not there'
      : misfit(outputSchema, result.structuredContent);
  if (why === undefined) return result;
  throw new AppError(
    'agent_output_invalid',
    `${who}: its answer is not what it declares: the structured content ${why}`,
    { details },
  );
}

function argumentsOf(given: unknown, who: string): Record<string, unknown> {
  if (given === undefined || given === null) return {};
  if (typeof given === 'object' && !Array.isArray(given)) return { ...given };
  throw new AppError('invalid_input', `${who} takes a map of arguments, not ${typeof given}`);
}

/**
 * The output of a call. Structured content where there is some; else the text, where there is nothing
 * but text; else the list of content blocks: images, sounds and resources as the protocol writes them.
 */
export function outputOf(
  result: CallToolResult,
  answer: 'structured' | 'text' | undefined,
  who: string,
): unknown {
  if (answer === 'text') return textOf(result);
  if (result.structuredContent !== undefined) return result.structuredContent;
  if (answer === 'structured') {
    throw new AppError('agent_output_invalid', `${who} gave no structured content`, {
      remedy: 'Take answer: text, if the text is what is wanted.',
    });
  }
  const { content } = result;
  return content.every(({ type }) => type === 'text') ? textOf(result) : content;
}

/** All texts of an answer, a blank line between two. */
export function textOf({ content }: CallToolResult): string {
  return content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('\n\n');
}
