import type { CallToolResult, ServerContext } from '@modelcontextprotocol/server';
import { AppError } from '../base/base.ts';
import type { RunDetail, RunEvent, RunSummary } from '../coordination/coordination.ts';
import { goingOnResult, runResult, toolResult } from './mcp-answers.ts';
import type { CallOperation } from './mcp-operations.ts';
import type { BridgeTool, ToolAsking } from './mcp-tools.ts';
import type { RouteParts } from './parts.ts';

export type RunWaiting = Pick<RouteParts, 'coordination' | 'clock' | 'closing' | 'longPolls'>;

/** The run that a tool has begun, or the answer of the tool where it began none. */
export async function startRun(
  call: CallOperation,
  tool: BridgeTool,
  asking: ToolAsking,
): Promise<{ readonly run: RunSummary } | { readonly result: CallToolResult }> {
  const answer = await call(tool.operation.id, asking);
  // 200 is a plan: nothing was started.
  return answer.status === 201
    ? { run: answer.document as RunSummary }
    : { result: toolResult(answer) };
}

/**
 * The end of a run, or what it is doing when `waitSeconds` have passed or somebody is asked something;
 * progress goes to a client that wants it. The run goes on whoever stops waiting.
 */
export async function waitForRun(
  parts: RunWaiting,
  call: CallOperation,
  run: RunSummary,
  waitSeconds: number,
  ctx: ServerContext,
): Promise<CallToolResult> {
  const get = async () => {
    const { status, document } = await call('getRun', { params: { id: run.id } });
    return status === 200 ? (document as RunDetail) : undefined;
  };
  const present = await get();
  // Who may start a run may not be allowed to look at it.
  if (present === undefined) return goingOnResult(run);
  if (waitSeconds > 0) {
    await parts.longPolls.hold(() => followUntil(parts, run.id, waitSeconds, ctx));
  }
  const last = (await get()) ?? present;
  return hasEnded(last) ? runResult(last) : goingOnResult(last);
}

function hasEnded({ status }: Pick<RunDetail, 'status'>): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

/** Follows until the end, a question, the time or the caller's leaving. */
async function followUntil(
  { coordination, clock, closing }: RunWaiting,
  id: string,
  waitSeconds: number,
  { mcpReq }: ServerContext,
): Promise<void> {
  const enough = new AbortController();
  const signal = AbortSignal.any([mcpReq.signal, closing, enough.signal]);
  void clock.sleep(waitSeconds * 1_000, signal).then(
    () => enough.abort(new AppError('timeout', 'waited long enough')),
    () => undefined,
  );
  // oxlint-disable-next-line no-underscore-dangle -- The protocol names it so.
  const progressToken = mcpReq._meta?.progressToken;
  try {
    for await (const event of coordination.follow(id, 0, signal)) {
      if (event.body.type === 'question.asked') return;
      const message = progressMessage(event);
      if (progressToken === undefined || message === undefined) continue;
      await mcpReq.notify({
        method: 'notifications/progress',
        params: { progressToken, progress: event.seq, message },
      });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    enough.abort();
  }
}

/** What a person would want to read of an event; most are nobody's news. */
function progressMessage({ body }: RunEvent): string | undefined {
  switch (body.type) {
    case 'attempt.started':
      return `${body.task}: attempt ${body.attempt}`;
    case 'attempt.progress':
      return `${body.task}: ${body.text}`;
    case 'attempt.failed':
      return `${body.task}: attempt ${body.attempt} failed: ${body.error.message}`;
    case 'attempt.succeeded':
      return `${body.task}: done`;
    case 'task.ended':
      return `${body.task}: ${body.outcome}`;
    case 'task.skipped':
      return `${body.task}: skipped, ${body.reason}`;
    case 'run.paused':
      return `paused: ${body.reason}`;
    default:
      return undefined;
  }
}
