import { sql, type Sql } from '../database/database.ts';

export interface DefinitionRow {
  readonly hash: string;
  readonly name: string;
  readonly source: Uint8Array;
}

/** Stores definitions by their hash; those that are there already stay as they are. */
export function insertDefinitions(
  rows: readonly { readonly hash: string; readonly name: string; readonly source: string }[],
): Sql<never> {
  return sql<never>`
    insert into agent_definitions (hash, name, source)
    select hash, name, decode(source, 'base64')
    from unnest(
      ${rows.map((row) => row.hash)}::text[],
      ${rows.map((row) => row.name)}::text[],
      ${rows.map((row) => Buffer.from(row.source, 'utf8').toString('base64'))}::text[]
    ) as fresh (hash, name, source)
    on conflict (hash) do nothing
  `;
}

export function selectDefinition(hash: string): Sql<DefinitionRow> {
  return sql<DefinitionRow>`
    select hash, name, source from agent_definitions where hash = ${hash}
  `;
}

/** What is known of one tool of an MCP server. */
export interface McpToolRow {
  readonly server: string;
  /** Its name with hidden characters written out. */
  readonly tool: string;
  readonly server_name: string;
  readonly state: 'trusted' | 'quarantined';
  readonly reason: string | null;
  readonly hash: string;
  readonly trusted_hash: string | null;
  readonly first_seen_at: Date;
  readonly changed_at: Date;
  readonly accepted_by: string | null;
  readonly accepted_at: Date | null;
}

export interface McpToolTexts {
  readonly server: string;
  readonly tool: string;
  readonly definition: unknown;
  readonly trusted_definition: unknown;
}

/** The state of these tools, without what the server says of them. */
export function selectMcpTools(
  servers: readonly string[],
  tools: readonly string[],
): Sql<McpToolRow> {
  return sql<McpToolRow>`
    select server, tool, server_name, state, reason, hash, trusted_hash, first_seen_at, changed_at,
      accepted_by, accepted_at
    from mcp_tools
    where server = any(${servers}::text[]) and tool = any(${tools}::text[])
  `;
}

/** All tools that are known of these servers, in the order of their names. */
export function selectMcpToolsOf(servers: readonly string[], limit: number): Sql<McpToolRow> {
  return sql<McpToolRow>`
    select server, tool, server_name, state, reason, hash, trusted_hash, first_seen_at, changed_at,
      accepted_by, accepted_at
    from mcp_tools where server = any(${servers}::text[])
    order by server_name, tool, server limit ${limit}
  `;
}

/** What the servers say of these tools, and what of it was accepted. */
export function selectMcpToolTexts(
  servers: readonly string[],
  tools: readonly string[],
): Sql<McpToolTexts> {
  return sql<McpToolTexts>`
    select server, tool, definition, trusted_definition
    from mcp_tools
    where server = any(${servers}::text[]) and tool = any(${tools}::text[])
  `;
}

export interface McpToolSeen {
  readonly tool: string;
  readonly hash: string;
  /** As JSON. */
  readonly definition: string;
  /** Why it is not trusted if nothing is known of it yet; null: it is. */
  readonly suspicion: string | null;
  /** Why it is not trusted if another definition is known. */
  readonly change: string;
}

/** Keeps what a server says: new tools as they were judged, changed ones as quarantined. At most `most` a server. */
export function upsertMcpTools(
  server: string,
  serverName: string,
  seen: readonly McpToolSeen[],
  most: number,
): Sql<never> {
  return sql<never>`
    insert into mcp_tools as known (server, tool, server_name, state, reason, hash, definition,
      trusted_hash, trusted_definition)
    select ${server}, fresh.tool, ${serverName},
      case when fresh.suspicion is null then 'trusted' else 'quarantined' end,
      fresh.suspicion, fresh.hash, fresh.definition::json,
      case when fresh.suspicion is null then fresh.hash end,
      case when fresh.suspicion is null then fresh.definition::json end
    from unnest(
      ${seen.map((one) => one.tool)}::text[],
      ${seen.map((one) => one.hash)}::text[],
      ${seen.map((one) => one.definition)}::text[],
      ${seen.map((one) => one.suspicion)}::text[]
    ) as fresh (tool, hash, definition, suspicion)
    where exists (select from mcp_tools where server = ${server} and tool = fresh.tool)
      or (select count(*) from mcp_tools where server = ${server}) < ${most}
    on conflict (server, tool) do update
    set state = 'quarantined', hash = excluded.hash, definition = excluded.definition,
      changed_at = now(),
      reason = (
        select change from unnest(
          ${seen.map((one) => one.tool)}::text[], ${seen.map((one) => one.change)}::text[]
        ) as told (tool, change) where told.tool = excluded.tool limit 1
      )
    where known.hash <> excluded.hash
  `;
}

/** Accepts what a server says now, where it is still what somebody has looked at. */
export function acceptMcpTool(
  servers: readonly string[],
  hash: string,
  by: { readonly name: string; readonly id: string },
): Sql<{ readonly tool: string }> {
  return sql<{ readonly tool: string }>`
    update mcp_tools
    set state = 'trusted', reason = null, trusted_hash = hash, trusted_definition = definition,
      accepted_by = ${by.name}, accepted_by_id = ${by.id}, accepted_at = now()
    where server = any(${servers}::text[]) and hash = ${hash} and state = 'quarantined'
    returning tool
  `;
}
