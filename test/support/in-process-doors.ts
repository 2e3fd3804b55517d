/** Doors to registries of this process: what leads to an agent without a socket. */
import { AgentFailure, type AgentRegistry, type Invocation } from '../../src/agents/agents.ts';
import { AppError, newId, toAppError } from '../../src/base/base.ts';
import type { Door, DoorAnswer } from '../../src/coordination/coordination.ts';
import { inProcessAgents, type AgentFunction } from './in-process-agents.ts';

export interface DoorState {
  /** Why it is closed. */
  closed?: string;
  /** What calls meet before the agent has begun. */
  unreachable?: AppError;
}

export function doorTo(
  name: Door['name'],
  registry: Pick<AgentRegistry, 'invoke'>,
  state: DoorState = {},
): Door {
  return {
    name,
    closed: () => state.closed,
    async call(invocation): Promise<DoorAnswer> {
      if (state.unreachable !== undefined) return { error: state.unreachable, began: false };
      try {
        return { result: await registry.invoke(invocation) };
      } catch (thrown) {
        const error = toAppError(thrown);
        if (!(error instanceof AgentFailure)) return { error, began: true };
        const { usage, partial } = error;
        return { error, began: true, facts: { ...(usage && { usage }), partial } };
      }
    },
  };
}

/** A door behind which one agent is this function. */
export function doorOf(name: Door['name'], work: AgentFunction, state: DoorState = {}): Door {
  return doorTo(name, inProcessAgents({ work }), state);
}

/** A call of that agent. */
export function callOfWork(fields: Partial<Invocation> = {}): Invocation {
  const agent = inProcessAgents({ work: () => null }).get('work');
  if (agent === undefined) throw new AppError('internal', 'there is no agent');
  return {
    agent,
    input: { n: 1 },
    attemptId: newId(),
    idempotencyKey: 'run/task',
    timeoutMs: 10_000,
    signal: new AbortController().signal,
    ...fields,
  };
}

/** Waits for the end of its call, and ends with the reason; `used` is told as used until then. */
export function untilStopped(used: { tokens: number }, seen?: (reason: unknown) => void) {
  return ({ signal }: Invocation): Promise<never> =>
    new Promise((_resolve, reject) => {
      const stop = (): void => {
        seen?.(signal.reason);
        const error = toAppError(signal.reason);
        reject(new AgentFailure(error, { usage: { wallMs: 1, ...used } }));
      };
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop);
    });
}
