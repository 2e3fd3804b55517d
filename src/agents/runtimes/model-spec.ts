/** `centuria.runtime` of the kind `model`. */
import { Type, type Static } from 'typebox';
import type { AgentDefinition } from '../agents.ts';
import { complain, offsetAt, type Path } from '../fields.ts';
import type { Frontmatter } from '../frontmatter.ts';
import type { RuntimeSpecKind } from '../runtime.ts';
import { oneOf, text, wholeNumber } from '../schema-terms.ts';
import { checkTemplate } from '../template-checks.ts';

const usdPerMTok = Type.Number({
  minimum: 0,
  maximum: 100_000,
  description: 'US dollars for a million tokens, 0 or more',
});

const modelRuntimeSchema = Type.Object(
  {
    kind: Type.Literal('model', { description: 'model' }),
    provider: Type.Optional(oneOf(['anthropic', 'openai-compatible'])),
    model: Type.Optional(text('sonnet, opus, haiku, fable, inherit or the full id of a model')),
    baseUrl: Type.Optional(
      Type.String({
        pattern: '^https?://[^/?#@\\s]+[^?#\\s]*$',
        description: 'the address of an API, such as http://localhost:11434/v1',
      }),
    ),
    key: Type.Optional(
      Type.String({
        pattern: '^(?![Cc][Ee][Nn][Tt][Uu][Rr][Ii][Aa]_)[A-Za-z_][A-Za-z0-9_]*$',
        maxLength: 128,
        description: 'the name of the environment variable that holds the key, or none',
      }),
    ),
    directory: Type.Optional(text('a folder')),
    task: Type.Optional(text('the text of the task')),
    maxTokens: Type.Optional(wholeNumber(1, 1_000_000)),
    maxTurns: Type.Optional(wholeNumber(1, 1_000)),
    temperature: Type.Optional(
      Type.Number({ minimum: 0, maximum: 2, description: 'a number from 0 to 2' }),
    ),
    price: Type.Optional(
      Type.Object(
        {
          inputUsdPerMTok: usdPerMTok,
          outputUsdPerMTok: usdPerMTok,
          cacheReadUsdPerMTok: Type.Optional(usdPerMTok),
          cacheWriteUsdPerMTok: Type.Optional(usdPerMTok),
        },
        {
          additionalProperties: false,
          description: 'a map with inputUsdPerMTok and outputUsdPerMTok',
        },
      ),
    ),
  },
  { additionalProperties: false, description: 'a map with the field kind' },
);
export type ModelRuntimeSpec = Static<typeof modelRuntimeSchema>;

export const modelSpec: RuntimeSpecKind = { schema: modelRuntimeSchema, check: checkModel };

/** The parser has held it against the schema: a definition exists only when it fits. */
export function modelSpecOf(definition: Pick<AgentDefinition, 'runtime'>): ModelRuntimeSpec {
  return definition.runtime as ModelRuntimeSpec;
}

/** Of Claude Code's tools, those that this runtime has: they read and change nothing. */
export const fileToolNames = ['Read', 'Grep', 'Glob'] as const;
export type FileToolName = (typeof fileToolNames)[number];

/** What a definition's `tools` and `disallowedTools` come to. */
export interface ToolChoice {
  readonly files: readonly FileToolName[];
  /** Named and not offered: tools of Claude Code that act. */
  readonly missing: readonly string[];
  /** Never offered, by name. */
  readonly refused: readonly string[];
}

/** Reads `tools` and `disallowedTools`; without `tools` all that read files are meant, as in Claude Code. */
export function toolChoiceOf(fields: Readonly<Record<string, unknown>>): ToolChoice {
  const refused = namesIn(fields['disallowedTools']);
  const named = fields['tools'] === undefined ? [...fileToolNames] : namesIn(fields['tools']);
  const isFileTool = (name: string): name is FileToolName =>
    (fileToolNames as readonly string[]).includes(name);
  return {
    files: fileToolNames.filter((name) => named.includes(name) && !refused.includes(name)),
    // Agents and tools of servers are offered by other fields.
    missing: named.filter((name) => !isFileTool(name) && !/^(mcp__|Agent$|Task$)/.test(name)),
    refused,
  };
}

/** `Bash(git log:*)` counts as `Bash`. */
function namesIn(value: unknown): string[] {
  const items = Array.isArray(value)
    ? value
    : typeof value === 'string'
      ? value.split(/,(?![^(]*\))/)
      : [];
  return [...new Set(items.map((item) => String(item).replace(/\(.*$/s, '').trim()))].filter(
    (name) => name !== '',
  );
}

function checkModel(
  front: Frontmatter,
  runtime: Readonly<Record<string, unknown>>,
  path: Path,
): void {
  const spec = runtime as ModelRuntimeSpec;
  checkTemplate(front, spec.directory, [...path, 'directory']);
  checkTemplate(front, spec.task, [...path, 'task']);
  const needsKey = spec.provider !== 'openai-compatible';
  if (spec.baseUrl !== undefined && spec.key === undefined && needsKey) {
    const message = 'needs key: a key that everybody uses is not sent to an address of one agent';
    complain(front, [...path, 'baseUrl'], message, 'Name the variable with its key, or key: none.');
  }
  const { missing } = toolChoiceOf(front.fields);
  if (missing.length === 0) return;
  front.report(
    'warning',
    offsetAt(front, ['tools']),
    `the runtime model does not offer ${missing.join(', ')}`,
    `It offers ${fileToolNames.join(', ')}, the tools of mcpServers and the agents of invokes.`,
  );
}
