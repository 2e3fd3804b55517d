import type { AgentDefinition } from './agents.ts';

/** What an agent is called as a tool: `agent_` and its name. */
export function callToolName({ name }: AgentDefinition): string {
  return `agent_${name}`;
}

/** The shape of a tool's arguments: the agent's input where that is an object, else `{input}`. */
export function callToolSchema({ input }: AgentDefinition): {
  readonly schema: { readonly type: 'object'; readonly [key: string]: unknown };
  readonly inputOf: (given: unknown) => unknown;
} {
  if (input?.['type'] === 'object') {
    return { schema: { ...input, type: 'object' }, inputOf: (given) => given ?? {} };
  }
  return {
    schema: { type: 'object', properties: { input: input ?? {} }, required: ['input'] },
    inputOf: (given) => (given as { readonly input?: unknown } | undefined)?.input ?? null,
  };
}
