/** Agents that are somewhere else, for tests of the runtimes that dial them. */
import { parseAgent, type AgentDefinition, type Invocation } from '../../src/agents/agents.ts';
import { newId, toAppError, type AppError } from '../../src/base/base.ts';

export type Fields = Readonly<Record<string, unknown>>;

/** What the parser makes of a runtime with these fields, and of other fields of `centuria`. */
export function parsePeer(runtime: Fields, own: Fields = {}): ReturnType<typeof parseAgent> {
  const centuria = { runtime, ...own };
  const text = `---\nname: peer\ndescription: x\ncenturia: ${JSON.stringify(centuria)}\n---\nAsk.`;
  return parseAgent(text, 'peer.md');
}

export function peerOf({ definition, problems }: ReturnType<typeof parseAgent>): AgentDefinition {
  if (definition === undefined) throw new Error(JSON.stringify(problems));
  return definition;
}

export function callOf(agent: AgentDefinition, more: Partial<Invocation> = {}): Invocation {
  return {
    agent,
    input: {},
    attemptId: newId(),
    idempotencyKey: 'run/task',
    timeoutMs: 20_000,
    signal: new AbortController().signal,
    ...more,
  };
}

/** What a call fails with; it must not succeed. */
export async function failureOf(call: Promise<unknown>): Promise<AppError> {
  try {
    await call;
  } catch (thrown) {
    return toAppError(thrown);
  }
  throw new Error('it succeeded');
}
