/** What the end of a call says about the one that was called. */
import { AppError, type ErrorCode, type ErrorRecord } from '../base/base.ts';
import type { BreakerOutcome } from './breaker-state.ts';

/**
 * The errors that are the callee's own fault. Everything else is somebody else's: the caller's
 * (`invalid_input`, `denied`), the worker's (`fenced`, `cancelled`, `agent_unavailable`: a program that is
 * missing on one machine must not close the agent for all), the database's, a budget's, or back-pressure
 * (`limit_exceeded`), which says that the callee works.
 */
const calleeFaults: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'timeout',
  'unavailable',
  'agent_failed',
  'agent_crashed',
  'agent_output_invalid',
  'agent_output_too_large',
  'agent_memory_exceeded',
  'agent_stalled',
]);

/** What a circuit breaker makes of a call's end; without an error the call succeeded. */
export function breakerOutcome(error: ErrorRecord | undefined): BreakerOutcome {
  if (error === undefined) return 'success';
  if (!calleeFaults.has(error.code) || isBackPressure(error)) return 'none';
  // The agent knows best: what it calls hopeless would have failed with any other callee as well.
  if (error.code === 'agent_failed' && !error.retryable) return 'none';
  return 'failure';
}

/** HTTP 429, however the runtime that met it named the error. */
function isBackPressure({ details }: ErrorRecord): boolean {
  return Number(details?.['status']) === 429;
}

/** `agent:NAME`, `model:NAME` or `tool:NAME`. Throws `invalid_input` for a name that can be none. */
export function breakerKey(kind: 'agent' | 'model' | 'tool', name: string): string {
  const key = `${kind}:${name}`;
  if (isBreakerKey(key)) return key;
  throw new AppError('invalid_input', `${JSON.stringify(name)} can name no ${kind}`, {
    details: { field: kind },
    remedy: 'Use 1 to 200 characters, none of them a control character.',
  });
}

export function isBreakerKey(text: string): boolean {
  return /^(?:agent|model|tool):[^\p{Cc}\p{Cs}]{1,200}$/u.test(text);
}
