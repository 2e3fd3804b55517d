/** `centuria.runtime` of the kind `mcp`. */
import { Type, type Static } from 'typebox';
import { complain, named, offsetAt, type Path } from '../fields.ts';
import type { Frontmatter } from '../frontmatter.ts';
import type { RuntimeSpecKind } from '../runtime.ts';
import {
  anyMap,
  commandArguments,
  oneOf,
  program,
  text,
  variables,
  wholeNumber,
} from '../schema-terms.ts';
import { checkCommandLine, checkTemplate } from '../template-checks.ts';
import { checkSecretTemplate } from './secrets.ts';

const serverSchema = Type.Object(
  {
    command: Type.Optional(program),
    arguments: Type.Optional(commandArguments),
    environment: Type.Optional(variables),
    directory: Type.Optional(text('a folder')),
    url: Type.Optional(text('the address of a server')),
    headers: Type.Optional(
      Type.Record(Type.String(), Type.String(), { description: 'a map of texts' }),
    ),
  },
  { additionalProperties: false, description: 'a map with command or url' },
);
export type McpServerFields = Static<typeof serverSchema>;

const mcpRuntimeSchema = Type.Object(
  {
    kind: Type.Literal('mcp', { description: 'mcp' }),
    server: serverSchema,
    tool: text('the name of a tool of the server'),
    arguments: Type.Optional(
      Type.Union([Type.String(), anyMap], {
        description: 'a map, or an expression that comes to one',
      }),
    ),
    answer: Type.Optional(oneOf(['structured', 'text'])),
    allow: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        maxItems: 100,
        description: 'a list of hosts, addresses and networks',
      }),
    ),
    limits: Type.Optional(
      Type.Object(
        {
          memoryMb: Type.Optional(wholeNumber(1, 1_048_576)),
          responseMb: Type.Optional(wholeNumber(1, 1_024)),
        },
        { additionalProperties: false, description: 'a map' },
      ),
    ),
  },
  { additionalProperties: false, description: 'a map with the field kind' },
);
export type McpRuntimeSpec = Static<typeof mcpRuntimeSchema>;

export const mcpSpec: RuntimeSpecKind = { schema: mcpRuntimeSchema, check: checkMcp };

function checkMcp(
  front: Frontmatter,
  runtime: Readonly<Record<string, unknown>>,
  path: Path,
): void {
  const spec = runtime as McpRuntimeSpec;
  checkServer(front, spec.server, [...path, 'server']);
  checkTemplate(front, spec.arguments, [...path, 'arguments']);
  if (typeof spec.arguments === 'string' && !/^\$\{[^{}]*\}$/.test(spec.arguments)) {
    complain(front, [...path, 'arguments'], 'must be a map, or one expression and nothing else');
  }
}

function checkServer(front: Frontmatter, server: McpServerFields, path: Path): void {
  const error = (field: string, message: string, suggestion?: string) =>
    front.report('error', offsetAt(front, [...path, field]), message, suggestion);
  if ((server.command === undefined) === (server.url === undefined)) {
    front.report('error', offsetAt(front, path), `${named(path)} needs one of command and url`);
    return;
  }
  const other = server.command === undefined ? ownOfCommand : (['headers'] as const);
  for (const field of other) {
    if (server[field] === undefined) continue;
    const kind = server.command === undefined ? 'url' : 'command';
    error(field, `${field} does not go with ${kind}`);
  }
  checkCommandLine(front, server, path);
  for (const [name, value] of Object.entries(server.headers ?? {})) {
    checkSecretTemplate(front, value, [...path, 'headers', name]);
  }
  if (server.url !== undefined && !isHttp(server.url)) {
    const shown = 'Write it out: https://host/path.';
    complain(front, [...path, 'url'], 'must be an address of http or https', shown);
  }
}

const ownOfCommand = ['arguments', 'environment', 'directory'] as const;

/** Without expressions: where an agent's words go is decided by its author, not by its input. */
function isHttp(url: string): boolean {
  return !url.includes('${') && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
}
