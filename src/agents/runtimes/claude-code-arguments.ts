/** How Claude Code is told to be one definition, and nothing else that lies on the machine. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Admission } from '../call-door.ts';
import type { AgentDefinition, Invocation } from '../agents.ts';
import type { ModelDefaults } from '../runtime.ts';
import { callsServer, claudeCodeSpecOf, listOf, mcpServersOf } from './claude-code-spec.ts';
import { answerFormat } from './model-answer.ts';
import { systemPrompt } from './model-task.ts';

export interface ClaudeCodeSession {
  readonly arguments: readonly string[];
  readonly directory: string;
  /** Whether its last answer comes as a value that fits the schema of `verify`. */
  readonly isStructured: boolean;
}

export interface SessionOptions {
  readonly invocation: Pick<Invocation, 'agent' | 'budget'>;
  /** A folder of this attempt alone. */
  readonly scratch: string;
  /** Where it works; without one, in an empty folder. */
  readonly directory: string | undefined;
  readonly models: ModelDefaults;
  readonly admission: Pick<Admission, 'mcpUrl'> | undefined;
}

/** The tool by which Claude Code takes an answer that fits `--json-schema`. */
const answerTool = 'StructuredOutput';
/** Linux takes 128 KiB in one argument; a longer schema is told in the prompt alone. */
const maxSchemaLength = 100_000;
const readingTools = new Set(['Read', 'Grep', 'Glob', 'LS']);
const writingTools = new Set(['Edit', 'Write', 'MultiEdit', 'NotebookEdit']);

/**
 * Writes what is too long for arguments into the scratch folder, and gives the arguments. The definition
 * is given as an agent (`--agents` and `--agent`), since that is what its file is: its prompt takes the
 * place of Claude Code's own, where `--append-system-prompt` would make it a remark to another agent.
 * Settings, memories, servers and instructions of the user and of the folder are left out: those of a
 * repository may hold commands, and a run must not depend on whose home it is in.
 */
export async function prepareSession(options: SessionOptions): Promise<ClaudeCodeSession> {
  const { invocation, scratch, models, admission } = options;
  const { agent, budget } = invocation;
  const directory = options.directory ?? join(scratch, 'work');
  if (options.directory === undefined) await mkdir(directory);
  const { frontmatter } = agent;
  const { servers } = mcpServersOf(frontmatter['mcpServers']);
  const ownServers = [...Object.keys(servers), ...(admission === undefined ? [] : [callsServer])];
  const { schema } = answerFormat(agent);
  const schemaText = schema?.['type'] === 'object' ? JSON.stringify(schema) : '';
  const isStructured = schemaText !== '' && schemaText.length <= maxSchemaLength;
  const agentsFile = await writeJson(scratch, 'agents.json', {
    [agent.name]: agentOf(agent, admission !== undefined, isStructured),
  });
  const serversFile = await writeJson(scratch, 'servers.json', {
    mcpServers: {
      ...servers,
      ...(admission === undefined ? {} : { [callsServer]: doorOf(admission) }),
    },
  });
  const rules = allowedRules(frontmatter['tools'], ownServers);
  return {
    directory,
    isStructured,
    arguments: [
      '--print',
      '--output-format=stream-json',
      '--verbose',
      '--no-session-persistence',
      '--setting-sources=',
      '--strict-mcp-config',
      `--mcp-config=${serversFile}`,
      `--agents=${agentsFile}`,
      `--agent=${agent.name}`,
      ...option('model', modelOf(agent, models)),
      ...option('effort', frontmatter['effort']),
      ...option('permission-mode', permissionModeOf(frontmatter['permissionMode'])),
      ...option('allowedTools', rules.join(',')),
      ...option('disallowedTools', listOf(frontmatter['disallowedTools']).join(',')),
      ...option('max-turns', claudeCodeSpecOf(agent).maxTurns ?? frontmatter['maxTurns']),
      ...option('json-schema', isStructured ? schemaText : undefined),
      ...option('max-budget-usd', budget?.microUsd === undefined ? '' : budget.microUsd / 1e6),
      // Only parts of messages carry the count of what was written; they are many, so only where they are needed.
      ...(budget?.tokens === undefined ? [] : ['--include-partial-messages']),
    ],
  };
}

function agentOf(agent: AgentDefinition, mayCall: boolean, isStructured: boolean) {
  const { instruction } = answerFormat(agent);
  const { tools, disallowedTools } = agent.frontmatter;
  const added = [
    ...(mayCall ? [`mcp__${callsServer}`] : []),
    ...(isStructured ? [answerTool] : []),
  ];
  return {
    description: agent.description,
    prompt: systemPrompt(agent, undefined, isStructured ? undefined : instruction),
    ...(tools === undefined ? {} : { tools: [...toolNames(listOf(tools)), ...added] }),
    ...(disallowedTools === undefined
      ? {}
      : {
          disallowedTools: toolNames(listOf(disallowedTools).filter((rule) => !rule.includes('('))),
        }),
  };
}

/** `Bash(git log:*)` is the tool Bash, allowed for some of what it can do. */
function toolNames(rules: readonly string[]): string[] {
  return [...new Set(rules.map((rule) => rule.replace(/\(.*$/s, '').trim()))];
}

/**
 * Nobody is there to be asked, so what a definition names it may use: file tools inside its folder, the
 * others as they are named. What was not named is denied when it is tried, and told.
 */
function allowedRules(tools: unknown, servers: readonly string[]): readonly string[] {
  const named = listOf(tools);
  const rules = named.flatMap((rule) => {
    // Reading inside the folder needs no rule.
    if (readingTools.has(rule)) return [];
    return writingTools.has(rule) ? ['Edit(./**)'] : [rule];
  });
  const own = tools === undefined ? servers : servers.filter((name) => name === callsServer);
  return [...new Set([...rules, ...own.map((name) => `mcp__${name}`)])];
}

function doorOf({ mcpUrl }: Pick<Admission, 'mcpUrl'>) {
  // Expanded by Claude Code from its environment: the token stands in no file and no argument.
  const Authorization = 'Bearer ${CENTURIA_ATTEMPT_CALLS_TOKEN}';
  return { type: 'http', url: mcpUrl, headers: { Authorization } };
}

/** Claude Code knows what its aliases stand for; what is said nowhere is its own choice. */
function modelOf({ frontmatter }: AgentDefinition, models: ModelDefaults): string {
  const { model } = frontmatter;
  if (typeof model === 'string' && model !== 'inherit') return model;
  return models.provider === 'anthropic' ? models.model : '';
}

function permissionModeOf(mode: unknown): unknown {
  // The parser refuses it; a definition that was made in another way gets no more.
  return mode === 'bypassPermissions' || mode === 'default' ? undefined : mode;
}

/** With = no value of a definition can be read as another option. */
function option(name: string, value: unknown): string[] {
  return value === undefined || value === '' ? [] : [`--${name}=${String(value)}`];
}

async function writeJson(folder: string, name: string, value: unknown): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, JSON.stringify(value), { mode: 0o600 });
  return file;
}
