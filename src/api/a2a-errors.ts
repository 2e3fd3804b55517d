/** What A2A 1.0 (sections 3.3.2, 5.4 and 9.5) calls errors, and ours in its words. */
import { redact, type AppError } from '../base/base.ts';
import { presentable, type FieldError } from './problem.ts';

/** By the reason that goes with each code. */
const codes = {
  PARSE_ERROR: -32700,
  INVALID_REQUEST: -32600,
  METHOD_NOT_FOUND: -32601,
  INVALID_PARAMS: -32602,
  INTERNAL_ERROR: -32603,
  TASK_NOT_FOUND: -32001,
  TASK_NOT_CANCELABLE: -32002,
  PUSH_NOTIFICATION_NOT_SUPPORTED: -32003,
  UNSUPPORTED_OPERATION: -32004,
  CONTENT_TYPE_NOT_SUPPORTED: -32005,
  VERSION_NOT_SUPPORTED: -32009,
} as const;

export type A2aReason = keyof typeof codes;

const protocolDomain = 'a2a-protocol.org';
const ownDomain = 'centuria';

/** An error of the protocol. `metadata` goes with it for programs. */
export class A2aError extends Error {
  readonly reason: A2aReason;
  readonly metadata: Readonly<Record<string, string>>;

  constructor(reason: A2aReason, message: string, metadata: Readonly<Record<string, string>> = {}) {
    super(message);
    this.reason = reason;
    this.metadata = metadata;
  }
}

export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data: readonly Readonly<Record<string, unknown>>[];
}

/** The same whether there is none or it is not the caller's. */
export function taskNotFound(taskId: string): A2aError {
  return new A2aError('TASK_NOT_FOUND', `there is no task ${taskId}`, { taskId });
}

/** Whatever was thrown, as JSON-RPC says it. */
export function rpcError(thrown: unknown): RpcError {
  if (thrown instanceof A2aError) {
    const { reason, message, metadata } = thrown;
    return { code: codes[reason], message, data: [errorInfo(reason, protocolDomain, metadata)] };
  }
  const error = presentable(thrown);
  return {
    code: codeOf(error),
    message: redact(error.message),
    data: [
      errorInfo(error.code.toUpperCase(), ownDomain, {
        retryable: String(error.retryable),
        ...(error.remedy === undefined ? {} : { remedy: redact(error.remedy) }),
      }),
      ...violations(error),
    ],
  };
}

function codeOf({ code, status }: AppError): number {
  if (code === 'agent_not_found' || code === 'run_not_found') return codes.TASK_NOT_FOUND;
  // It ended while it was asked: a moment later the same would have been refused so.
  if (code === 'run_finished') return codes.UNSUPPORTED_OPERATION;
  // What the client sent is at fault, or its own idea of what there is.
  return status < 500 && status !== 429 && status !== 408
    ? codes.INVALID_PARAMS
    : codes.INTERNAL_ERROR;
}

function errorInfo(reason: string, domain: string, metadata: Readonly<Record<string, string>>) {
  return {
    '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
    reason,
    domain,
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
  };
}

function violations({ details }: AppError): Readonly<Record<string, unknown>>[] {
  const errors = details['errors'];
  if (!Array.isArray(errors)) return [];
  return [
    {
      '@type': 'type.googleapis.com/google.rpc.BadRequest',
      fieldViolations: (errors as FieldError[]).map(({ field, message }) => ({
        field,
        description: message,
      })),
    },
  ];
}
