import { createHash } from 'node:crypto';
import { canonicalJson, expand } from '../../base/base.ts';
import type { AgentDefinition } from '../agents.ts';
import type { McpRuntimeSpec, McpServerFields } from './mcp-spec.ts';

/** An MCP server that an agent uses. */
export interface McpServer {
  /** For people: the name under `mcpServers`, or the agent's. */
  readonly name: string;
  /** SHA-256 of what is started or asked, as it is written: what the server says of its tools is kept by it. */
  readonly key: string;
  readonly fields: McpServerFields;
  /** Claude Code's `env`: variables with their values, which may hold `${NAME}`. */
  readonly values: Readonly<Record<string, string>>;
  readonly allow: readonly string[];
  readonly memoryMb: number;
  /** Of all that it writes for one call. */
  readonly responseMb: number;
  /** The tools that the agent is to have; undefined: whatever there is. */
  readonly tools: readonly string[] | undefined;
}

/** Where a server is once the templates have their values. */
export type McpPlace =
  | {
      readonly kind: 'stdio';
      readonly command: string;
      readonly arguments: readonly string[];
      readonly directory: unknown;
      readonly values: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: 'http';
      readonly url: URL;
      readonly headers: Readonly<Record<string, string>>;
    };

const defaultMemoryMb = 2_048;
const defaultResponseMb = 8;

/** The server of an agent of the runtime `mcp`. */
export function runtimeServer(agent: AgentDefinition): McpServer {
  const spec = agent.runtime as unknown as McpRuntimeSpec;
  return {
    name: agent.name,
    key: keyOf(spec.server),
    fields: spec.server,
    values: {},
    allow: spec.allow ?? [],
    memoryMb: spec.limits?.memoryMb ?? defaultMemoryMb,
    responseMb: spec.limits?.responseMb ?? defaultResponseMb,
    tools: [spec.tool],
  };
}

export interface NamedServers {
  readonly servers: readonly McpServer[];
  /** What is named and can't be used here, as sentences. */
  readonly problems: readonly string[];
}

/** Every server that an agent uses: that of its runtime, and those of its `mcpServers`. */
export function serversOf(agent: AgentDefinition): NamedServers {
  const named = namedServers(agent);
  if (agent.runtime?.kind !== 'mcp') return named;
  return { ...named, servers: [runtimeServer(agent), ...named.servers] };
}

/**
 * The servers under `mcpServers` of the frontmatter, in Claude Code's format: a map, or a list of maps
 * of one name, with `command`, `args`, `env`, or with `url`, `headers`.
 */
export function namedServers(agent: AgentDefinition): NamedServers {
  const written = agent.frontmatter['mcpServers'];
  const servers: McpServer[] = [];
  const problems: string[] = [];
  for (const entry of Array.isArray(written) ? (written as unknown[]) : [written]) {
    if (typeof entry === 'string') {
      problems.push(`the MCP server ${entry} is only named: say its command or url beside it`);
    } else if (isMap(entry)) {
      for (const [name, config] of Object.entries(entry)) {
        const server = serverFrom(name, config);
        if (typeof server === 'string') problems.push(server);
        else servers.push(server);
      }
    }
  }
  return { servers, problems };
}

function serverFrom(name: string, config: unknown): McpServer | string {
  if (!isMap(config)) return `the MCP server ${name} must be a map with command or url`;
  const { type, command, args, env, url, headers } = config;
  if (type === 'sse' || type === 'ws') {
    return `the MCP server ${name} speaks ${type}: only stdio and http are spoken here`;
  }
  const common = {
    name,
    allow: [],
    memoryMb: defaultMemoryMb,
    responseMb: defaultResponseMb,
    tools: undefined,
  };
  if (typeof url === 'string' && URL.canParse(url)) {
    const fields = { url, headers: textsOf(headers) };
    return { ...common, fields, values: {}, key: keyOf(fields) };
  }
  if (typeof command !== 'string' || command === '') {
    return `the MCP server ${name} has neither a command nor a url`;
  }
  const fields = { command, arguments: Array.isArray(args) ? args.map(String) : [] };
  return { ...common, fields, values: textsOf(env), key: keyOf(fields) };
}

/** Where the server is for this call; `scope` is what its templates may name. Throws `invalid_input`. */
export function placeOf(server: McpServer, scope: Readonly<Record<string, unknown>>): McpPlace {
  const { command, url, headers, directory } = server.fields;
  if (url !== undefined) {
    const values = Object.entries(headers ?? {}).map(([name, value]) => [
      name,
      textOf(value, scope),
    ]);
    return { kind: 'http', url: new URL(url), headers: Object.fromEntries(values) };
  }
  return {
    kind: 'stdio',
    command: command ?? '',
    arguments: (server.fields.arguments ?? []).map((argument) => textOf(argument, scope)),
    directory: expand(directory, scope),
    values: Object.fromEntries(
      Object.entries(server.values).map(([name, value]) => [name, textOf(value, scope)]),
    ),
  };
}

/** Whether the server is the same for every call, so that it can be looked at without one. */
export function isFixed({ fields }: McpServer): boolean {
  const texts = [...(fields.arguments ?? []), fields.directory ?? ''];
  return !texts.some((text) => typeof text === 'string' && /\$\{(input|attempt)/.test(text));
}

function textOf(template: unknown, scope: Readonly<Record<string, unknown>>): string {
  const value = expand(template, scope);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The folder counts, since a relative program or argument means another one elsewhere. */
function keyOf(fields: McpServerFields): string {
  const { command, url, directory } = fields;
  const place =
    url === undefined ? { command, arguments: fields.arguments ?? [], directory } : { url };
  return createHash('sha256').update(canonicalJson(place)).digest('hex');
}

function textsOf(value: unknown): Record<string, string> {
  if (!isMap(value)) return {};
  return Object.fromEntries(Object.entries(value).map(([name, text]) => [name, String(text)]));
}

function isMap(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
