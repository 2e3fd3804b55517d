/** Tools of the MCP servers that a definition names, as a model sees them. */
import type { JSONSchema7 } from 'ai';
import { AppError } from '../../base/base.ts';
import type { AgentDefinition, Invocation } from '../agents.ts';
import { namedServers } from './mcp-server.ts';
import { openMcpTools, type Mcp, type McpTool, type McpToolSet } from './mcp-tools.ts';
import { fitName, type ModelTool } from './model-tools.ts';
import type { Progress } from './progress.ts';

export interface OpenServers {
  readonly tools: readonly ModelTool[];
  /** Gives the connections back. Never rejects. */
  close(): Promise<void>;
}

/** Why the servers can't be offered now; undefined when they can, as far as is known without asking them. */
export async function serverProblem(
  definition: AgentDefinition,
  mcp: Mcp | undefined,
): Promise<string | undefined> {
  const { servers, problems } = namedServers(definition);
  if (problems.length > 0) return problems[0];
  if (servers.length === 0) return undefined;
  if (mcp === undefined) return 'its mcpServers can not be asked by this process';
  const quarantined = await mcp.pins.quarantine(servers);
  return quarantined && `a tool of its servers is held back: ${quarantined}`;
}

/** Opens all servers of an agent. Throws where one can't be opened: half of its tools are not the agent. */
export async function openServers(
  invocation: Invocation,
  mcp: Mcp | undefined,
  progress: Progress,
): Promise<OpenServers> {
  const open: McpToolSet[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(open.map((set) => set.close()));
  };
  const tools: ModelTool[] = [];
  try {
    for (const server of namedServers(invocation.agent).servers) {
      if (mcp === undefined)
        throw new AppError('internal', 'servers are named and can not be asked');
      const otherTools = tools.map(({ name }) => name);
      const set = await openMcpTools(mcp, { server, invocation, otherTools });
      open.push(set);
      for (const tool of set.tools) tools.push(serverTool(server.name, tool));
      for (const { name, reason } of set.quarantined) {
        progress.write(`not offered: the tool ${name} of ${server.name} ${reason}\n`);
      }
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { tools, close };
}

/** Under Claude Code's name for it, so that the fields of a definition mean the same. */
function serverTool(server: string, tool: McpTool): ModelTool {
  return {
    name: fitName(`mcp__${server}__${tool.name}`),
    description: tool.description,
    inputSchema: tool.inputSchema as JSONSchema7,
    describe: () => '',
    async call(input, signal) {
      const output = await tool.call(input, signal);
      return typeof output === 'string' ? output : JSON.stringify(output ?? null);
    },
  };
}
