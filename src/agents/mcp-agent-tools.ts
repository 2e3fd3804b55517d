import { AppError } from '../base/base.ts';
import type { AcceptTool, AgentDefinition, AgentTool } from './agents.ts';
import { shownText, shownValue } from './mcp-definition.ts';
import type { McpPins } from './mcp-pins.ts';
import type { McpToolRow } from './queries.ts';
import { serversOf, type McpServer } from './runtimes/mcp-server.ts';

/**
 * The tools of MCP servers that an agent uses, as far as the servers were asked. What they say is shown
 * with everything hidden written out, and never as it came.
 */
export async function agentTools(
  pins: McpPins,
  agent: AgentDefinition,
): Promise<readonly AgentTool[]> {
  const { servers } = serversOf(agent);
  const rows = (await pins.list(servers)).filter((row) => isUsed(row, servers));
  const texts = await pins.texts(
    servers,
    rows.map(({ tool }) => tool),
  );
  return rows.map((row) => {
    const said = texts.find(({ server, tool }) => server === row.server && tool === row.tool);
    const { accepted_by: by, accepted_at: at } = row;
    return {
      server: row.server_name,
      tool: row.tool,
      state: row.state,
      ...(row.reason === null ? {} : { reason: row.reason }),
      hash: row.hash,
      firstSeenAt: row.first_seen_at.toISOString(),
      changedAt: row.changed_at.toISOString(),
      ...(by === null ? {} : { acceptedBy: by }),
      ...(at === null ? {} : { acceptedAt: at.toISOString() }),
      definition: shownValue(said?.definition),
      ...(row.trusted_hash === null || row.trusted_hash === row.hash
        ? {}
        : { trusted: shownValue(said?.trusted_definition) }),
    };
  });
}

/** Accepts what somebody has looked at. Throws `conflict` where no such tool waits for it, or not with this definition. */
export async function acceptAgentTool(
  pins: McpPins,
  agent: AgentDefinition,
  { hash, tool, by }: AcceptTool,
): Promise<void> {
  const waiting = (await agentTools(pins, agent)).filter(({ state }) => state === 'quarantined');
  const isMeant = waiting.some((one) => one.hash === hash && (tool ?? one.tool) === one.tool);
  const accepted = isMeant ? await pins.accept(serversOf(agent).servers, hash, by) : [];
  if (accepted.length > 0) return;
  throw new AppError('conflict', `no tool of agent ${agent.name} waits with this definition`, {
    details: { agent: agent.name, hash },
    remedy: `It may have changed again: look at \`centuria agent tools ${agent.name}\`.`,
  });
}

function isUsed(row: McpToolRow, servers: readonly McpServer[]): boolean {
  return servers.some(
    ({ key, tools }) =>
      key === row.server && (tools === undefined || tools.map(shownText).includes(row.tool)),
  );
}
