import type { AgentDefinition, Invocation, InvocationResult } from './agents.ts';

/** What a look at an agent's needs came to. */
export type CheckResult =
  | { readonly ok: true }
  /** `unavailable`: something it needs is not here. `failed`: all is here and it does not work. */
  | { readonly ok: false; readonly state: 'unavailable' | 'failed'; readonly reason: string };

/** One way of running agents. */
export interface Runtime {
  /** Looks whether the agent could run now, without running it for real. Never rejects but for the signal. */
  check(definition: AgentDefinition, signal: AbortSignal): Promise<CheckResult>;
  /** Runs it once; the result is not checked yet. Throws `agent_*`, `timeout`, `cancelled` or `invalid_input`. */
  run(invocation: Invocation): Promise<InvocationResult>;
}
