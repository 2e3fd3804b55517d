/** `centuria.runtime` of the kind `claude-code`, and what it holds of the fields of Claude Code. */
import { Type, type Static } from 'typebox';
import type { AgentDefinition } from '../agents.ts';
import { complain, offsetAt, type Path } from '../fields.ts';
import type { Frontmatter } from '../frontmatter.ts';
import type { RuntimeSpecKind } from '../runtime.ts';
import { processLimits, text, wholeNumber } from '../schema-terms.ts';
import { checkTemplate } from '../template-checks.ts';

const claudeCodeSchema = Type.Object(
  {
    kind: Type.Literal('claude-code', { description: 'claude-code' }),
    directory: Type.Optional(text('a folder')),
    task: Type.Optional(text('the text of the task')),
    maxTurns: Type.Optional(wholeNumber(1, 1_000)),
    limits: Type.Optional(processLimits),
  },
  { additionalProperties: false, description: 'a map with the field kind' },
);
export type ClaudeCodeSpec = Static<typeof claudeCodeSchema>;

export const claudeCodeSpec: RuntimeSpecKind = { schema: claudeCodeSchema, check: checkClaudeCode };

/** The server of the agents that it may call: a name that no server of a definition may have. */
export const callsServer = 'centuria';

/**
 * What only has a meaning in a session with a person, or would load what is not in the file. A worktree
 * (`isolation`) is what the workspace of a task gives.
 */
const unheldFields = ['skills', 'hooks', 'memory', 'background', 'initialPrompt'];

/** The parser has held it against the schema: a definition exists only when it fits. */
export function claudeCodeSpecOf(definition: Pick<AgentDefinition, 'runtime'>): ClaudeCodeSpec {
  return definition.runtime as ClaudeCodeSpec;
}

/** The entries of `tools` and the like; a comma inside brackets, `Bash(git log, git show)`, parts nothing. */
export function listOf(value: unknown): string[] {
  const items = Array.isArray(value)
    ? value
    : typeof value === 'string'
      ? value.split(/,(?![^(]*\))/)
      : [];
  return [...new Set(items.map((item) => String(item).trim()))].filter((item) => item !== '');
}

/** The servers that a definition brings; `elsewhere` are those that it only names. */
export function mcpServersOf(value: unknown): {
  readonly servers: Readonly<Record<string, unknown>>;
  readonly elsewhere: readonly string[];
} {
  const entries: readonly unknown[] = Array.isArray(value) ? value : [value ?? {}];
  const maps = entries.filter((entry) => typeof entry === 'object' && entry !== null);
  return {
    servers: Object.assign({}, ...maps) as Record<string, unknown>,
    elsewhere: entries.filter((entry) => typeof entry === 'string'),
  };
}

function checkClaudeCode(
  front: Frontmatter,
  runtime: Readonly<Record<string, unknown>>,
  path: Path,
): void {
  const spec = runtime as ClaudeCodeSpec;
  checkTemplate(front, spec.directory, [...path, 'directory']);
  checkTemplate(front, spec.task, [...path, 'task']);
  if (front.fields['permissionMode'] === 'bypassPermissions') {
    const message = 'must not be bypassPermissions: no file grants that to itself';
    complain(front, ['permissionMode'], message, 'Name the tools that it needs under tools.');
  }
  const { servers, elsewhere } = mcpServersOf(front.fields['mcpServers']);
  if (Object.hasOwn(servers, callsServer)) {
    const message = `must not hold ${callsServer}: that is the server of the agents that it may call`;
    complain(front, ['mcpServers'], message, 'Give it another name.');
  }
  for (const name of elsewhere) {
    const message = `names ${name} without saying what it is; settings of a user are not read here`;
    complain(front, ['mcpServers'], message, 'Write it out: its command, or its type and url.');
  }
  for (const field of unheldFields) {
    if (front.fields[field] === undefined) continue;
    const message = `the runtime claude-code does not use ${field}`;
    front.report('warning', offsetAt(front, [field]), message);
  }
}
