import { Type, type Static } from 'typebox';
import {
  anyMap,
  flag,
  listOrText,
  name,
  names,
  oneOf,
  program,
  text,
  variables,
  wholeNumber,
} from './schema-terms.ts';

/**
 * The frontmatter of a definition as schemas. Each field's `description` ends the sentence
 * "<field> must be …", so a complaint says what would be right.
 */

export const agentCategories = [
  'command',
  'data',
  'development',
  'hardware',
  'infrastructure',
  'languages',
  'network',
  'platforms',
  'security',
  'specialized',
] as const;

export const runtimeKinds = ['command', 'http', 'mcp', 'a2a', 'model', 'claude-code'] as const;
export const runtimeKind = oneOf(runtimeKinds);

export const verifySchema = Type.Object(
  {
    format: Type.Optional(Type.Literal('findings', { description: 'findings' })),
    schema: Type.Optional(anyMap),
    exit: Type.Optional(wholeNumber(0, 255)),
    pattern: Type.Optional(
      Type.String({ minLength: 1, maxLength: 2_000, description: 'a regular expression' }),
    ),
  },
  {
    additionalProperties: false,
    minProperties: 1,
    description: 'a map with one of format, schema, exit, pattern',
  },
);
export type Verify = Static<typeof verifySchema>;

/** The key `centuria`. Its runtime is checked apart, since its shape depends on its kind. */
export const centuriaSchema = Type.Object(
  {
    category: Type.Optional(oneOf(agentCategories)),
    capabilities: Type.Optional(names(50)),
    runtime: Type.Optional(Type.Unknown({ description: 'a map with the field kind' })),
    timeoutSeconds: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 86_400,
        description: 'a number of seconds above 0, up to 86400',
      }),
    ),
    retries: Type.Optional(wholeNumber(0, 10)),
    budget: Type.Optional(
      Type.Object(
        {
          tokens: Type.Optional(wholeNumber(1, 1_000_000_000)),
          usd: Type.Optional(
            Type.Number({
              exclusiveMinimum: 0,
              maximum: 100_000,
              description: 'an amount of US dollars above 0, up to 100000',
            }),
          ),
        },
        { additionalProperties: false, description: 'a map with tokens, usd or both' },
      ),
    ),
    invokes: Type.Optional(names(100)),
    requires: Type.Optional(
      Type.Object(
        {
          binaries: Type.Optional(
            Type.Array(program, {
              uniqueItems: true,
              maxItems: 50,
              description: 'a list of different names of programs',
            }),
          ),
          environment: Type.Optional(variables),
        },
        { additionalProperties: false, description: 'a map with binaries, environment or both' },
      ),
    ),
    sideEffects: Type.Optional(oneOf(['none', 'workspace', 'external'])),
    input: Type.Optional(anyMap),
    verify: Type.Optional(verifySchema),
  },
  { additionalProperties: false, description: 'a map' },
);

/** The whole frontmatter. Fields that are not here are Claude Code's newer ones or misspelled: warned of and kept. */
export const frontmatterSchema = Type.Object(
  {
    name,
    description: Type.String({ pattern: '\\S', description: 'a text that says when to use it' }),
    tools: Type.Optional(listOrText),
    disallowedTools: Type.Optional(listOrText),
    model: Type.Optional(text('sonnet, opus, haiku, fable, inherit or the full id of a model')),
    permissionMode: Type.Optional(
      oneOf(['default', 'acceptEdits', 'auto', 'dontAsk', 'bypassPermissions', 'plan', 'manual']),
    ),
    maxTurns: Type.Optional(wholeNumber(1, 100_000)),
    skills: Type.Optional(listOrText),
    mcpServers: Type.Optional(
      Type.Union([Type.Array(Type.Union([Type.String({ minLength: 1 }), anyMap])), anyMap], {
        description: 'a list of servers or a map of them',
      }),
    ),
    hooks: Type.Optional(anyMap),
    memory: Type.Optional(oneOf(['user', 'project', 'local'])),
    background: Type.Optional(flag),
    effort: Type.Optional(oneOf(['low', 'medium', 'high', 'xhigh', 'max'])),
    isolation: Type.Optional(Type.Literal('worktree', { description: 'worktree' })),
    color: Type.Optional(text('the name of a colour')),
    initialPrompt: Type.Optional(text('a text')),
    centuria: Type.Optional(centuriaSchema),
  },
  { description: 'a map of fields' },
);
