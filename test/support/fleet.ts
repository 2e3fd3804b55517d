/** Agents and workflows for tests of the faces: quick, failing, waiting, and one that is let go by the test. */
import type { AgentFunction } from './in-process-agents.ts';
import { AppError } from '../../src/base/base.ts';

const waiting = new Map<string, () => void>();

/** Lets the attempts that wait under this name succeed. */
export function release(name: string): void {
  waiting.get(name)?.();
  waiting.delete(name);
}

function untilReleased(name: string, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    waiting.set(name, () => resolve({ released: name }));
    signal.addEventListener('abort', () => reject(signal.reason));
  });
}

const failed = new Set<string>();

export const fleetAgents: Readonly<Record<string, AgentFunction>> = {
  echo: ({ input }) => input,
  talk: ({ input, onProgress }) => {
    for (let line = 1; line <= 20; line += 1) onProgress?.(`line ${line}`);
    return input;
  },
  gate: ({ input, signal }) => untilReleased((input as { name: string }).name, signal),
  fail: () => {
    throw new AppError('agent_failed', 'it always fails', { retryable: false, remedy: 'Do not.' });
  },
  /** Fails for good the first time it sees a name, and succeeds from then on. */
  heal: ({ input }) => {
    const { name } = input as { name: string };
    if (failed.has(name)) return { healed: name };
    failed.add(name);
    throw new AppError('agent_failed', 'not yet', { retryable: false });
  },
};

export const fleetWorkflows: Readonly<Record<string, string>> = {
  hello: `
name: hello
description: Says hello twice.
mode: sequential
inputs:
  who: { type: string, description: Whom to greet, default: world }
tasks:
  first: { agent: talk, input: { greeting: 'hello \${inputs.who}' } }
  second: { agent: echo, needs: [first], input: '\${tasks.first.output}' }
output: '\${tasks.second.output}'
`,
  gated: `
name: gated
description: Waits until the test lets it go.
mode: sequential
inputs:
  name: { type: string, description: The gate, required: true }
tasks:
  before: { agent: echo, input: 1 }
  wait: { agent: gate, needs: [before], input: { name: '\${inputs.name}' } }
`,
  failing: `
name: failing
description: Fails.
mode: sequential
tasks:
  good: { agent: echo, input: 1 }
  bad: { agent: fail, needs: [good], retries: 0 }
  never: { agent: echo, needs: [bad], input: 2 }
`,
  healing: `
name: healing
description: Fails once.
mode: sequential
inputs:
  name: { type: string, description: What heals, required: true }
tasks:
  ill: { agent: heal, retries: 0, input: { name: '\${inputs.name}' } }
`,
};
