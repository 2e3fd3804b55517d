/** What a model may call: reading files, agents, and tools of servers. */
import type { JSONSchema7 } from 'ai';
import { toAppError } from '../../base/base.ts';
import type { AgentDefinition, Delegate, Invocation } from '../agents.ts';
import { grepTool, globTool, readTool } from './model-files.ts';
import { toolChoiceOf, type FileToolName } from './model-spec.ts';

/** One thing that a model may call. */
export interface ModelTool {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: JSONSchema7;
  /** What it is told of the call while it is under way: a few words. */
  describe(input: unknown): string;
  /** The result as the model sees it. Throws what the model is told as the tool's failure. */
  call(input: unknown, signal: AbortSignal): Promise<string>;
}

export interface ToolOutcome {
  readonly text: string;
  readonly failed: boolean;
}

/** Characters of one result; more is cut and said to be. */
const maxResult = 50_000;
/** Names of tools may be no longer at OpenAI. */
const maxName = 64;

export function modelTools(
  invocation: Invocation,
  directory: string | undefined,
  servers: readonly ModelTool[],
): ModelTool[] {
  const { agent, delegate } = invocation;
  const { files, refused } = toolChoiceOf(agent.frontmatter);
  const makers: Readonly<Record<FileToolName, (folder: string) => ModelTool>> = {
    Read: readTool,
    Grep: grepTool,
    Glob: globTool,
  };
  return [
    ...(directory === undefined ? [] : files.map((name) => makers[name](directory))),
    ...(delegate?.agents ?? []).map((called) => agentTool(called, delegate as Delegate)),
    ...servers,
  ].filter(({ name }) => !refused.some((no) => name === no || name.startsWith(`${no}__`)));
}

/** As providers take names: few kinds of characters, and not many. */
export function fitName(name: string): string {
  return name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, maxName);
}

/** Calls a tool; a failure is told to the model, unless it was the end of the whole attempt. */
export async function callTool(
  tool: ModelTool,
  input: unknown,
  signal: AbortSignal,
): Promise<ToolOutcome> {
  try {
    return { text: bounded(await tool.call(input, signal)), failed: false };
  } catch (thrown) {
    if (signal.aborted) throw signal.reason;
    const error = toAppError(thrown);
    const remedy = error.remedy === undefined ? '' : ` ${error.remedy}`;
    return { text: bounded(`${error.code}: ${error.message}${remedy}`), failed: true };
  }
}

function agentTool(agent: AgentDefinition, delegate: Delegate): ModelTool {
  const { schema, unwrap } = objectSchema(agent.input);
  return {
    name: fitName(`agent_${agent.name}`),
    description: `Calls the agent ${agent.name} and waits for its result. ${agent.description}`,
    inputSchema: schema,
    describe: () => '',
    async call(input, signal) {
      const { output } = await delegate.call({ agent: agent.name, input: unwrap(input), signal });
      return typeof output === 'string' ? output : JSON.stringify(output ?? null);
    },
  };
}

/** Providers take objects only as the input of a tool. */
function objectSchema(input: AgentDefinition['input']): {
  schema: JSONSchema7;
  unwrap: (value: unknown) => unknown;
} {
  const task = { type: 'string', description: 'What it is to do, with all that it must know.' };
  if (input === undefined) {
    return {
      schema: { type: 'object', properties: { task } as JSONSchema7['properties'] & object },
      unwrap: (value) => value,
    };
  }
  if (input['type'] === 'object') {
    return { schema: input as JSONSchema7, unwrap: (value) => value };
  }
  const properties = { input: input as JSONSchema7 };
  return {
    schema: { type: 'object', properties, required: ['input'], additionalProperties: false },
    unwrap: (value) => (value as { input?: unknown } | null)?.input,
  };
}

function bounded(text: string): string {
  if (text.length <= maxResult) return text;
  return `${text.slice(0, maxResult)}\n[cut: ${text.length - maxResult} more characters]`;
}
