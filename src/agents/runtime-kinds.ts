import type { Runtime, RuntimeKind, RuntimeTools } from './runtime.ts';
import { openChildren } from './runtimes/children.ts';
import { createClaudeCodeRuntime } from './runtimes/claude-code.ts';
import { createCommandRuntime } from './runtimes/command.ts';
import { createMcpRuntime, openMcp } from './runtimes/mcp.ts';
import { createModelRuntime } from './runtimes/model.ts';

/** The runtimes of this version, by their kind. */
export async function openRuntimes(
  tools: RuntimeTools,
): Promise<Readonly<Partial<Record<RuntimeKind, Runtime>>>> {
  const children = await openChildren(tools);
  const mcp = openMcp(tools, children);
  return {
    command: await createCommandRuntime(tools, children),
    mcp: createMcpRuntime(tools, mcp, children),
    model: createModelRuntime(tools),
    'claude-code': createClaudeCodeRuntime(tools, children),
  };
}
