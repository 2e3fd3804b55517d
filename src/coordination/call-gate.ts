/** What stands before every call of an agent: the breakers of all that it needs. */
import type { AgentDefinition } from '../agents/agents.ts';
import { errorRecord, AppError } from '../base/base.ts';
import type { Call, CallEnd, CallGate } from './attempt.ts';
import { breakerKey, breakerOutcome, type Breakers } from './breakers.ts';

/** A call is let in by all breakers of its agent, and told to them when its task has had its last try. */
export function createCallGate({ breakers }: { readonly breakers: Breakers }): CallGate {
  return {
    async ask({ agent, attemptId }) {
      const admission = await breakers.admit(breakersOf(agent), attemptId);
      if (admission.admitted) return undefined;
      const { key, until, message } = admission;
      const error = new AppError('breaker_open', message, {
        details: { breaker: key, until: until.toISOString() },
        remedy: '`centuria breaker list` says why; `centuria breaker reset` closes it.',
      });
      return { error: errorRecord(error), retryAt: until };
    },
    async done({ agent, attemptId }: Call, { error, cancelled, last }: CallEnd) {
      // Retries are within: only the last attempt's end counts, and the others give their place back.
      const outcome = cancelled || !last ? 'none' : breakerOutcome(error);
      await breakers.record(breakersOf(agent), attemptId, outcome, error?.code);
    },
  };
}

/** An agent, and the model and the tools that its runtime names: what fails for one agent fails for all who need it. */
function breakersOf({ name, runtime }: AgentDefinition): string[] {
  const keys = [breakerKey('agent', name)];
  const model = runtime?.['model'];
  if (typeof model === 'string') keys.push(breakerKey('model', model));
  return keys;
}
