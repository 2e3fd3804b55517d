/**
 * What MCP servers say of their tools, held to what they said before. A model takes a description for
 * more than a description, so one that nobody has accepted is not used: neither one that has changed
 * since its first sight, nor one that spoke to its reader then.
 */
import { AppError, canonicalJson } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import {
  changedFields,
  definitionHash,
  definitionOf,
  shownText,
  type ListedTool,
  type McpToolDefinition,
} from './mcp-definition.ts';
import { suspicionOf, type Surroundings } from './mcp-suspicions.ts';
import {
  acceptMcpTool,
  selectMcpTools,
  selectMcpToolsOf,
  selectMcpToolTexts,
  upsertMcpTools,
  type McpToolRow,
  type McpToolTexts,
} from './queries.ts';

export interface PinnedServer {
  readonly key: string;
  readonly name: string;
}

/** What may be made of one tool as it was listed now. */
export interface ToolVerdict {
  readonly tool: McpToolDefinition;
  readonly hash: string;
  /** Why it must not be used; undefined: it may. */
  readonly quarantined: string | undefined;
}

export interface McpPins {
  /** Judges tools as they were listed now, and keeps what is new. The verdicts come in the order of the tools. */
  judge(
    server: PinnedServer,
    tools: readonly ListedTool[],
    surroundings: Surroundings,
  ): Promise<readonly ToolVerdict[]>;
  /** Why one of these tools must not be used, as far as it is known without asking the server. */
  quarantine(servers: readonly PinnedServer[], tool?: string): Promise<string | undefined>;
  /** At most 1,000 tools, by server and name. */
  list(servers: readonly PinnedServer[]): Promise<readonly McpToolRow[]>;
  texts(
    servers: readonly PinnedServer[],
    tools: readonly string[],
  ): Promise<readonly McpToolTexts[]>;
  /** The names of what was accepted: none where no quarantined tool has this hash any more. */
  accept(
    servers: readonly PinnedServer[],
    hash: string,
    by: { readonly name: string; readonly id: string },
  ): Promise<readonly string[]>;
}

/** A server that names other tools each time must not fill the table. */
const mostTools = 2_000;
const mostListed = 1_000;
const mostNameLength = 256;

export function openPins(database: Database): McpPins {
  async function judge(
    server: PinnedServer,
    tools: readonly ListedTool[],
    surroundings: Surroundings,
  ): Promise<readonly ToolVerdict[]> {
    const listed = tools.map((tool) => {
      const definition = definitionOf(tool);
      return { definition, name: storedName(tool.name), hash: definitionHash(definition) };
    });
    const names = listed.map(({ name }) => name);
    let known = await rowsByName(server, names);
    const news = listed.filter(({ name, hash }) => known.get(name)?.hash !== hash);
    if (news.length > 0) {
      const texts = new Map(
        (
          await database.query(
            selectMcpToolTexts(
              [server.key],
              news.map(({ name }) => name),
            ),
          )
        ).map((row) => [row.tool, row]),
      );
      const seen = news.map(({ definition, name, hash }) => ({
        tool: name,
        hash,
        definition: canonicalJson(definition),
        suspicion: suspicionOf(definition, surroundings) ?? null,
        change: changeOf(definition, texts.get(name)?.trusted_definition),
      }));
      await database.query(upsertMcpTools(server.key, server.name, seen, mostTools));
      known = await rowsByName(server, names);
    }
    return listed.map(({ definition, name, hash }) => ({
      tool: definition,
      hash,
      quarantined: refusal(known.get(name), hash),
    }));
  }

  async function rowsByName(server: PinnedServer, names: readonly string[]) {
    const rows = await database.query(selectMcpTools([server.key], names));
    return new Map(rows.map((row) => [row.tool, row]));
  }

  return {
    judge,
    async quarantine(servers, tool) {
      const keys = servers.map(({ key }) => key);
      const rows =
        tool === undefined
          ? await database.query(selectMcpToolsOf(keys, mostListed))
          : await database.query(selectMcpTools(keys, [storedName(tool)]));
      const bad = rows.find(({ state }) => state === 'quarantined');
      return bad === undefined ? undefined : `its tool ${bad.tool} ${bad.reason ?? ''}`;
    },
    list: (servers) =>
      database.query(
        selectMcpToolsOf(
          servers.map(({ key }) => key),
          mostListed,
        ),
      ),
    texts: (servers, tools) =>
      database.query(
        selectMcpToolTexts(
          servers.map(({ key }) => key),
          tools,
        ),
      ),
    async accept(servers, hash, by) {
      const keys = servers.map(({ key }) => key);
      const rows = await database.query(acceptMcpTool(keys, hash, by));
      return rows.map(({ tool }) => tool);
    },
  };
}

function refusal(row: McpToolRow | undefined, hash: string): string | undefined {
  if (row === undefined) return `is one of more than ${mostTools} that its server has named`;
  // Another process may have seen another definition since.
  if (row.hash !== hash) return 'has changed while it was looked at';
  return row.reason ?? undefined;
}

function changeOf(now: McpToolDefinition, trusted: unknown): string {
  if (trusted === undefined || trusted === null) return 'has changed, and was not accepted before';
  const fields = changedFields(trusted as McpToolDefinition, now);
  if (fields.length === 0) return 'has changed, and is again as it was accepted';
  return `has changed since it was accepted: ${fields.join(', ')}`;
}

/** A name as it is kept: PostgreSQL has no text with U+0000, and people are to see what is there. */
function storedName(name: string): string {
  const shown = shownText(name);
  if (shown.length <= mostNameLength) return shown;
  throw new AppError('agent_output_invalid', 'the MCP server has a tool with a name of no end', {
    details: { length: name.length, most: mostNameLength },
  });
}
