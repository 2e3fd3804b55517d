/** What the bridge offers over MCP: its routes as tools, what can be read of it, and prompts. */
import type { CallToolRequest, Result, ServerContext } from '@modelcontextprotocol/server';
import type { RunDetail } from '../coordination/coordination.ts';
import { toolResult } from './mcp-answers.ts';
import type { Era, Exchange, Offer, OfferedTool } from './mcp-offer.ts';
import { mayCall, type Operation } from './mcp-operations.ts';
import { bridgeCandidates, bridgePrompts } from './mcp-prompts.ts';
import { listResources, readResource, resourceTemplates } from './mcp-resources.ts';
import { startRun, waitForRun } from './mcp-runs.ts';
import { clientOf, coreTaskOf, speaksTasks, taskOf, type ClientCapabilities } from './mcp-tasks.ts';
import { askingOf, createTools, type BridgeTool } from './mcp-tools.ts';

/** Throws for a tool whose operation is not among `operations`. */
export function bridgeOffer(operations: ReadonlyMap<string, Operation>): Offer {
  return {
    tools: createTools(operations).map(offered),
    prompts: bridgePrompts,
    resources: {
      list: ({ call }, cursor) => listResources(call, cursor),
      templates: ({ caller }) =>
        resourceTemplates(operations, (operation) => mayCall(operation, caller)),
      read: ({ call }, uri) => readResource(call, uri),
    },
    candidates: bridgeCandidates,
  };
}

function offered(tool: BridgeTool): OfferedTool {
  return {
    shown: tool.shown,
    mayUse: (caller) => mayCall(tool.operation, caller),
    use: (exchange, params, ctx) => useTool(tool, exchange, params, ctx),
  };
}

async function useTool(
  tool: BridgeTool,
  { call, era, parts }: Exchange,
  params: CallToolRequest['params'],
  ctx: ServerContext,
): Promise<Result> {
  const asking = askingOf(tool, params.arguments ?? {});
  const { signal } = ctx.mcpReq;
  if (!tool.startsRun) return toolResult(await call(tool.operation.id, { ...asking, signal }));
  const started = await startRun(call, tool, asking);
  if ('result' in started) return started.result;
  const wantsTask =
    era === 'modern'
      ? speaksTasks(clientOf(ctx))
      : (params as { task?: object }).task !== undefined;
  if (wantsTask) {
    const { status, document } = await call('getRun', { params: { id: started.run.id } });
    // Who may not look at the run could never ask for the task.
    if (status === 200) return taskHandle(document as RunDetail, clientOf(ctx), era);
  }
  return waitForRun(parts, call, started.run, asking.waitSeconds, ctx);
}

function taskHandle(run: RunDetail, client: ClientCapabilities | undefined, era: Era): Result {
  if (era === 'legacy') return { task: coreTaskOf(run) };
  const { inputRequests: _, ...task } = { inputRequests: undefined, ...taskOf(run, client) };
  return { ...task, resultType: 'task' };
}
