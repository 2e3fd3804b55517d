/** Tools of the MCP servers that a definition names, as a model sees them. */
import type { JSONSchema7 } from 'ai';
import type { AgentDefinition, Invocation } from '../agents.ts';
import { namedServers } from './mcp-server.ts';
import type { Mcp, McpTool, McpToolSet } from './mcp-tools.ts';
import { fitName, type ModelTool } from './model-tools.ts';
import type { Progress } from './progress.ts';

/** Asked for with the first agent that names servers: what speaks with them takes time to load. */
export type McpAccess = () => Promise<Mcp>;

export interface OpenServers {
  readonly tools: readonly ModelTool[];
  /** Gives the connections back. Never rejects. */
  close(): Promise<void>;
}

/** Why the servers can't be offered now; undefined when they can, as far as is known without asking them. */
export async function serverProblem(
  definition: AgentDefinition,
  mcp: McpAccess,
): Promise<string | undefined> {
  const { servers, problems } = namedServers(definition);
  if (problems.length > 0) return problems[0];
  if (servers.length === 0) return undefined;
  const quarantined = await (await mcp()).pins.quarantine(servers);
  return quarantined && `a tool of its servers is held back: ${quarantined}`;
}

/** Opens all servers of an agent. Throws where one can't be opened: half of its tools are not the agent. */
export async function openServers(
  invocation: Invocation,
  mcp: McpAccess,
  progress: Progress,
): Promise<OpenServers> {
  const open: McpToolSet[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(open.map((set) => set.close()));
  };
  const tools: ModelTool[] = [];
  const { servers } = namedServers(invocation.agent);
  if (servers.length === 0) return { tools, close };
  const { openMcpTools } = await import('./mcp-tools.ts');
  try {
    for (const server of servers) {
      const otherTools = tools.map(({ name }) => name);
      const set = await openMcpTools(await mcp(), { server, invocation, otherTools });
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
