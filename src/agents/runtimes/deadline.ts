import { AppError, type Clock } from '../../base/base.ts';
import type { Invocation } from '../agents.ts';

/** The end of one call's time, or of anybody's wish for it. */
export interface Deadline {
  /** Aborts with an AppError: `timeout`, or what the caller cancelled it with. */
  readonly signal: AbortSignal;
  end(): void;
}

export function startDeadline({ agent, timeoutMs, signal }: Invocation, clock: Clock): Deadline {
  const controller = new AbortController();
  const stop = clock.after(timeoutMs, () =>
    controller.abort(
      new AppError('timeout', `agent ${agent.name} took longer than ${timeoutMs} ms`, {
        details: { agent: agent.name },
        remedy: 'Raise timeoutSeconds, or give it less to do.',
      }),
    ),
  );
  const onAbort = (): void => controller.abort(abortError(signal, agent.name));
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  return {
    signal: controller.signal,
    end() {
      stop();
      signal.removeEventListener('abort', onAbort);
    },
  };
}

/** Why a signal was aborted. Who cancels says why; that is worth more than our own word for it. */
export function abortError(signal: AbortSignal, agent: string): AppError {
  if (signal.reason instanceof AppError) return signal.reason;
  return new AppError('cancelled', `agent ${agent} was cancelled`, { cause: signal.reason });
}
