import type { Invocation } from '../agents.ts';

/** What a runtime's templates may name: `input` and `attempt`, and what else the kind adds. */
export function invocationScope(
  invocation: Invocation,
  more: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  return {
    input: invocation.input,
    attempt: {
      id: invocation.attemptId,
      key: invocation.idempotencyKey,
      number: invocation.attempt ?? 1,
      partial: invocation.partial ?? null,
    },
    ...more,
  };
}
