/** What the bridge answers, as results of MCP. */
import type { CallToolResult } from '@modelcontextprotocol/server';
import { errorRecord, redact } from '../base/base.ts';
import type { RunDetail } from '../coordination/coordination.ts';
import type { Answered } from './mcp-operations.ts';
import { presentable } from './problem.ts';

/** An answer of a route: its JSON as it is, and as text for clients that show only that. */
export function toolResult({ status, document }: Answered): CallToolResult {
  if (status >= 400) return problemResult(document as Problem);
  return goodResult(document ?? {});
}

export function goodResult(document: object): CallToolResult {
  return {
    content: [{ type: 'text', text: JSON.stringify(document) }],
    structuredContent: document as Record<string, unknown>,
  };
}

/** What went wrong before or beside a route. */
export function failedResult(thrown: unknown): CallToolResult {
  const { code, message, retryable, remedy, details } = errorRecord(presentable(thrown));
  return problemResult({ code, detail: redact(message), retryable, remedy, ...details });
}

interface Problem {
  readonly code: string;
  readonly detail: string;
  readonly retryable: boolean;
  readonly remedy?: string | undefined;
  readonly details?: unknown;
  readonly errors?: unknown;
}

/** A problem document as the result of a tool, worded so that a model can mend its call. */
function problemResult({
  code,
  detail,
  retryable,
  remedy,
  details,
  errors,
}: Problem): CallToolResult {
  const error = {
    code,
    message: detail,
    retryable,
    ...(remedy === undefined ? {} : { remedy }),
    ...(details === undefined ? {} : { details }),
    ...(errors === undefined ? {} : { errors }),
  };
  const text = `${code}: ${detail}${remedy === undefined ? '' : `\n${remedy}`}`;
  return { isError: true, content: [{ type: 'text', text }], structuredContent: { error } };
}

/**
 * How a run ended, as the result of the tool that began it. One that did not complete is an error of
 * the tool, with the run beside it.
 */
export function runResult(run: RunDetail): CallToolResult {
  const result = goodResult(run);
  if (run.status === 'completed') return { ...result, content: outputContent(run) };
  const { code = 'cancelled', message = `the run is ${run.status}`, remedy } = run.error ?? {};
  const lines = [`${code}: ${redact(message)}`, ...(remedy === undefined ? [] : [remedy])];
  lines.push(`Run ${run.id} is ${run.status}. run_get shows its tasks, run_events what happened.`);
  return { ...result, isError: true, content: [{ type: 'text', text: lines.join('\n') }] };
}

function outputContent({ output }: RunDetail): CallToolResult['content'] {
  const text = typeof output === 'string' ? output : JSON.stringify(output ?? null, undefined, 2);
  return [{ type: 'text', text }];
}

/** A run that goes on: what it is doing, and what to call to hear its end. */
export function goingOnResult(run: {
  readonly id: string;
  readonly status: string;
  readonly questions?: RunDetail['questions'];
}): CallToolResult {
  const result = goodResult(run);
  const questions = run.questions ?? [];
  const next =
    questions.length > 0
      ? `It asks: ${questions.map(({ prompt }) => prompt).join(' / ')} Answer with run_answer {"id": "${run.id}", "decision": "approve" | "reject"}.`
      : `Call run_wait {"id": "${run.id}"} for its end, run_events to see what happens.`;
  return {
    ...result,
    content: [{ type: 'text', text: `Run ${run.id} is ${run.status}. ${next}` }],
  };
}
