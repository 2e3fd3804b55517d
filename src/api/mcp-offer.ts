/** What an MCP server offers to those who ask, as a value: the server itself knows nothing else. */
import type {
  CallToolRequest,
  CompleteRequest,
  GetPromptResult,
  InputRequiredResult,
  Prompt,
  ReadResourceResult,
  Resource,
  ResourceTemplateType,
  Result,
  ServerContext,
  Tool,
} from '@modelcontextprotocol/server';
import type { Caller } from '../identity/identity.ts';
import type { CallOperation } from './mcp-operations.ts';
import type { RunWaiting } from './mcp-runs.ts';

/** `modern` is 2026-07-28, `legacy` what came before. */
export type Era = 'legacy' | 'modern';

/** What the protocol allows in one answer. */
export const mostCompletions = 100;

/** Who asks in one request, and by what means he is answered. */
export interface Exchange {
  readonly caller: Caller;
  readonly call: CallOperation;
  readonly era: Era;
  readonly parts: RunWaiting & { readonly version: string };
}

export interface OfferedTool {
  /** As `tools/list` shows it. */
  readonly shown: Tool;
  /** For anybody else there is no such tool. */
  mayUse(caller: Caller): boolean;
  /** A result of `tools/call`, or the handle of a task. What it throws becomes a result with `isError`. */
  use(exchange: Exchange, params: CallToolRequest['params'], ctx: ServerContext): Promise<Result>;
}

export interface OfferedPrompt {
  readonly shown: Prompt;
  /** Is called when all required arguments are given. */
  get(
    given: Readonly<Record<string, string>>,
    ctx: ServerContext,
  ): GetPromptResult | InputRequiredResult;
}

export interface OfferedResources {
  list(
    exchange: Exchange,
    cursor: string | undefined,
  ): Promise<{ resources: Resource[]; nextCursor?: string }>;
  templates(exchange: Exchange): ResourceTemplateType[];
  /** Throws ResourceNotFoundError. */
  read(exchange: Exchange, uri: string): Promise<ReadResourceResult>;
}

export interface Offer {
  readonly tools: readonly OfferedTool[];
  readonly prompts: readonly OfferedPrompt[];
  readonly resources: OfferedResources;
  /** What may stand in an argument of a prompt or template, whatever has been typed of it. */
  candidates(exchange: Exchange, asked: CompleteRequest['params']): Promise<readonly string[]>;
}
