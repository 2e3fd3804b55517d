import { AppError } from '../base/base.ts';
import type { InvocationResult } from './agents.ts';

export interface FailureFacts {
  /** What the attempt used, though nothing came of it. */
  readonly usage?: InvocationResult['usage'];
  /** What it had given until then. */
  readonly partial?: unknown;
}

/** A failed call with what is known of it beyond the error. */
export class AgentFailure extends AppError {
  readonly usage: InvocationResult['usage'] | undefined;
  readonly partial: unknown;

  constructor(error: AppError, { usage, partial }: FailureFacts) {
    const { code, message, details, remedy, retryable, cause } = error;
    super(code, message, {
      details,
      retryable,
      cause,
      ...(remedy === undefined ? {} : { remedy }),
    });
    this.usage = usage;
    this.partial = partial;
  }
}
