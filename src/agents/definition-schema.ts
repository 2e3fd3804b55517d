import { Type, type Static } from 'typebox';

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

/** Names of agents and capabilities. A `:` would clash with Claude Code's plug-in names, a leading `-` with options. */
const namePattern = '^[a-z0-9]+(-[a-z0-9]+)*$';
const nameWords = 'lower-case letters, digits and single hyphens, at most 64 characters';
const name = Type.String({ pattern: namePattern, maxLength: 64, description: nameWords });
const names = (most: number) =>
  Type.Array(name, {
    uniqueItems: true,
    maxItems: most,
    description: `a list of at most ${most} different names (${nameWords})`,
  });
const oneOf = <const Words extends string[]>(words: readonly [...Words]) =>
  Type.Enum(words, { description: `one of ${words.join(', ')}` });
const text = (description: string) => Type.String({ minLength: 1, description });
const wholeNumber = (minimum: number, maximum: number) =>
  Type.Integer({ minimum, maximum, description: `a whole number from ${minimum} to ${maximum}` });
const flag = Type.Boolean({ description: 'true or false' });
const listOrText = Type.Union(
  [Type.String(), Type.Array(Type.String({ minLength: 1 }), { maxItems: 500 })],
  { description: 'a list of names, or one text with commas between them' },
);
const anyMap = Type.Record(Type.String(), Type.Unknown(), { description: 'a map' });

/** Our own variables hold secrets and the data folder's place: no agent is given them. */
const variable = Type.String({
  pattern: '^(?![Cc][Ee][Nn][Tt][Uu][Rr][Ii][Aa]_)[A-Za-z_][A-Za-z0-9_]*$',
  maxLength: 128,
  description: 'the name of an environment variable, and none of CENTURIA_*',
});
const variables = Type.Array(variable, {
  uniqueItems: true,
  maxItems: 100,
  description: 'a list of different names of environment variables, none of CENTURIA_*',
});
const commandArguments = Type.Array(Type.Union([Type.String(), Type.Number()]), {
  maxItems: 1_000,
  description: 'a list of texts, one an argument',
});
const program = Type.String({
  pattern: '^(/.*[^/]|[^/\\-\\s][^/]*)$',
  description: 'the name of a program, or its absolute path',
});

/** `centuria.runtime` of the kind `command`. */
export const commandRuntimeSchema = Type.Object(
  {
    kind: Type.Literal('command', { description: 'command' }),
    program: Type.Optional(program),
    arguments: Type.Optional(commandArguments),
    stdin: Type.Optional(oneOf(['none', 'json', 'text'])),
    stdout: Type.Optional(oneOf(['json', 'text'])),
    directory: Type.Optional(text('a folder')),
    environment: Type.Optional(variables),
    limits: Type.Optional(
      Type.Object(
        {
          memoryMb: Type.Optional(wholeNumber(1, 1_048_576)),
          outputMb: Type.Optional(wholeNumber(1, 1_024)),
        },
        { additionalProperties: false, description: 'a map' },
      ),
    ),
    shell: Type.Optional(flag),
    command: Type.Optional(text('the text of a shell command')),
    check: Type.Optional(
      Type.Object(
        { arguments: commandArguments },
        { additionalProperties: false, description: 'a map with the arguments of a check' },
      ),
    ),
  },
  { additionalProperties: false, description: 'a map with the field kind' },
);
export type CommandRuntimeSpec = Static<typeof commandRuntimeSchema>;

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
