/**
 * Agents that are functions of this process: for load and property tests of coordination, where a
 * process an attempt would drown what is looked at. Definitions are kept by hash as the real
 * registry does.
 */
import { createHash } from 'node:crypto';
import type {
  AgentDefinition,
  AgentRegistry,
  Invocation,
  InvocationResult,
} from '../../src/agents/agents.ts';
import { AppError } from '../../src/base/base.ts';

export type AgentFunction = (invocation: Invocation) => unknown;

/** What a function gives back when it says what it used as well. */
export class Used {
  readonly output: unknown;
  readonly usage: { readonly tokens?: number; readonly microUsd?: number };

  constructor(output: unknown, usage: Used['usage']) {
    this.output = output;
    this.usage = usage;
  }
}

/** `fields` says what of a definition is not as it is for all. */
export function inProcessAgents(
  functions: Readonly<Record<string, AgentFunction>>,
  fields: Readonly<Record<string, Partial<AgentDefinition>>> = {},
): AgentRegistry {
  const definitions = new Map(
    Object.keys(functions).map((name) => [name, { ...definitionOf(name), ...fields[name] }]),
  );
  return {
    list: () => [...definitions.values()],
    get: (name) => definitions.get(name),
    byHash: async (hash) => [...definitions.values()].find((each) => each.hash === hash),
    pin: async () => undefined,
    status: (name) =>
      definitions.has(name)
        ? { name, state: 'active', checkedAt: new Date().toISOString() }
        : undefined,
    problems: () => [],
    invoke: (invocation) => invoke(functions, invocation),
    reap: async () => 0,
    tools: async () => [],
    acceptTool: async () => undefined,
    onChange: () => () => undefined,
    close: async () => undefined,
  };
}

async function invoke(
  functions: Readonly<Record<string, AgentFunction>>,
  invocation: Invocation,
): Promise<InvocationResult> {
  const call = functions[invocation.agent.name];
  if (call === undefined)
    throw new AppError('agent_not_found', `no agent ${invocation.agent.name}`);
  const beganMs = performance.now();
  const given = await call(invocation);
  const { output, usage } = given instanceof Used ? given : { output: given, usage: {} };
  return { output, usage: { ...usage, wallMs: performance.now() - beganMs } };
}

function definitionOf(name: string): AgentDefinition {
  const source = `---\nname: ${name}\ndescription: a function of the test\n---\n`;
  return {
    name,
    description: 'a function of the test',
    category: 'development',
    capabilities: [],
    runtime: undefined,
    timeoutMs: 30_000,
    retries: 3,
    invokes: [],
    requires: { binaries: [], environment: [] },
    sideEffects: 'none',
    verify: undefined,
    frontmatter: {},
    prompt: '',
    hash: createHash('sha256').update(source).digest('hex'),
    source,
    file: `${name}.md`,
  };
}
