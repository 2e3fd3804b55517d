/** Writes the reference of the HTTP face from its routes: the OpenAPI document, and a page for people. */
import { readFile } from 'node:fs/promises';
import { openapiDocument } from '../src/api/api.ts';

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly const?: unknown;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly default?: unknown;
  readonly format?: string;
}
interface Content {
  readonly [mediaType: string]: { readonly schema: Schema };
}
interface Operation {
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly description?: string;
  readonly security?: readonly object[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly description?: string;
    readonly schema: Schema;
  }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { description: string; content?: Content }>>;
}
interface Document {
  readonly openapi: string;
  readonly info: { readonly version: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** The generated files of the HTTP reference with their paths from the root of the repository. */
export async function generateOpenapi(): Promise<{ path: string; text: string }[]> {
  const packageFile = new URL('../package.json', import.meta.url);
  const { version } = JSON.parse(await readFile(packageFile, 'utf8')) as { version: string };
  const document = (await openapiDocument(version)) as Document;
  return [
    { path: 'docs/reference/openapi.json', text: `${JSON.stringify(document, undefined, 2)}\n` },
    { path: 'docs/reference/http.md', text: page(document) },
  ];
}

const introduction = `# HTTP reference

Generated from the routes by \`npm run generate\`; the same as a document for programs is
[openapi.json](openapi.json), which the bridge also serves at \`/openapi.json\`.

The bridge listens on \`127.0.0.1:8081\` unless told otherwise.

- **Credential.** \`Authorization: Bearer TOKEN\` with an API key, an access token or the token of the data folder,
  on every address but \`/health\`, \`/\`, \`/login\` and \`/api/v1/login\`. Browsers sign in, or get a session from the
  link that \`centuria open\` prints.
- **Errors** are problem documents (RFC 9457, \`application/problem+json\`) with \`type\`, \`title\`, \`status\`,
  \`detail\`, \`instance\`, and besides: \`code\` (see [errors.md](errors.md)), \`retryable\`, \`requestId\`, \`remedy\`,
  \`details\`, and \`errors\` with one \`{in, field, message}\` for each wrong value.
- **\`X-Request-Id\`** is kept when it is sane and made otherwise; answers and log lines carry it. A W3C
  \`traceparent\` goes into the log as \`traceId\` and \`parentId\`.
- **\`Idempotency-Key\`** on starts: two starts with one key give one run.
- **\`ETag\`** on agents, workflows, roles and permissions: \`If-None-Match\` answers 304 where nothing changed.
- **\`RateLimit\`** tells what is left of 12,000 requests a minute and address; beyond it 429 with \`Retry-After\`.
- **Bodies** are JSON of at most 1 MiB and 64 levels.
- **Lists** go on with \`cursor\`, which is the \`nextCursor\` of the page before.
`;

function page(document: Document): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const parts = [introduction];
  for (const tag of document.tags) {
    const own = operations.filter(({ operation }) => operation.tags?.[0] === tag.name);
    parts.push(`## ${capital(tag.name)}\n\n${tag.description}.\n`);
    for (const { path, method, operation } of own) parts.push(section(path, method, operation));
  }
  parts.push('## Shapes\n');
  for (const [name, schema] of Object.entries(document.components.schemas)) {
    parts.push(shape(name, schema));
  }
  return `${parts.join('\n').trimEnd()}\n`;
}

function section(path: string, method: string, operation: Operation): string {
  const lines = [`### \`${method.toUpperCase()} ${path}\``, '', operation.summary ?? '', ''];
  if (operation.description !== undefined) lines.push(operation.description, '');
  const parameters = operation.parameters ?? [];
  if (parameters.length > 0) {
    lines.push('| parameter | in | type | |', '|---|---|---|---|');
    for (const { name, in: place, required, schema, description } of parameters) {
      const note = [required === true ? 'required' : '', description ?? schema.description ?? ''];
      lines.push(row([`\`${name}\``, place, typeOf(schema), note.filter(Boolean).join('; ')]));
    }
    lines.push('');
  }
  const body = operation.requestBody?.content['application/json']?.schema;
  if (body !== undefined) lines.push(`Body: ${typeOf(body)}`, '');
  const answers = Object.entries(operation.responses)
    .filter(([status]) => status !== 'default')
    .map(([status, { content }]) => {
      const schema = content?.['application/json']?.schema;
      return `${status}${schema === undefined ? '' : ` ${typeOf(schema)}`}`;
    });
  lines.push(`Answers: ${answers.join(', ')}`, '');
  return lines.join('\n');
}

function shape(name: string, schema: Schema): string {
  const lines = [`### ${name}`, ''];
  if (schema.description !== undefined) lines.push(schema.description, '');
  if (schema.anyOf !== undefined) {
    for (const one of schema.anyOf) lines.push(`- ${inline(one)}`);
    lines.push('');
    return lines.join('\n');
  }
  lines.push('| field | type | |', '|---|---|---|');
  for (const [field, value] of Object.entries(schema.properties ?? {})) {
    const optional = schema.required?.includes(field) === true ? '' : 'optional';
    const note = [optional, value.description ?? ''].filter(Boolean).join('; ');
    lines.push(row([`\`${field}\``, typeOf(value), note]));
  }
  lines.push('');
  return lines.join('\n');
}

/** The kinds of a union by the fields that they have. */
function inline(schema: Schema): string {
  const fields = Object.entries(schema.properties ?? {}).map(([name, value]) =>
    value.const === undefined ? `${name}: ${typeOf(value)}` : `**${String(value.const)}**`,
  );
  return fields.join(', ');
}

function typeOf(schema: Schema): string {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split('/').at(-1) ?? '';
    return `[${name}](#${name.toLowerCase()})`;
  }
  if (schema.enum !== undefined) {
    // Error codes have a page of their own.
    if (schema.enum.length > 20) return 'a [code](errors.md)';
    return schema.enum.map((value) => `\`${String(value)}\``).join(' ');
  }
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(' or ');
  if (schema.type === 'array') return `list of ${typeOf(schema.items ?? {})}`;
  if (schema.patternProperties !== undefined) {
    return `map of ${typeOf(Object.values(schema.patternProperties)[0] ?? {})}`;
  }
  if (schema.type === 'object' && schema.properties !== undefined) {
    return `{ ${Object.keys(schema.properties).join(', ')} }`;
  }
  return `${String(schema.type ?? 'anything')}${limits(schema)}`;
}

function limits(schema: Schema): string {
  const parts = [
    schema.minimum === undefined ? '' : `≥ ${schema.minimum}`,
    schema.exclusiveMinimum === undefined ? '' : `> ${schema.exclusiveMinimum}`,
    schema.maximum === undefined ? '' : `≤ ${schema.maximum}`,
    schema.maxLength === undefined ? '' : `at most ${schema.maxLength} characters`,
    schema.default === undefined ? '' : `default ${String(schema.default)}`,
  ].filter(Boolean);
  return parts.length === 0 ? '' : `, ${parts.join(', ')}`;
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
