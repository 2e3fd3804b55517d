import { AppError, errorCodes, redact, toAppError, type ErrorCode } from '../base/base.ts';

/** One wrong value of a request. */
export interface FieldError {
  readonly in: 'body' | 'query' | 'path' | 'header';
  /** Dotted name, as in `input.repo`; empty for the whole. */
  readonly field: string;
  readonly message: string;
}

/** A problem document (RFC 9457) with Centuria's members. */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance: string;
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly requestId: string;
  readonly remedy?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly errors?: readonly FieldError[];
}

export const problemMediaType = 'application/problem+json; charset=utf-8';

/** Fastify's own refusals, in our codes. What is not listed keeps its 4xx as `usage`. */
const frameworkCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_MAX_PARAM_LENGTH: 'too_large',
};

/**
 * Anything thrown while a request was answered, as an AppError that may be shown. A defect's own
 * message stays in the log: it can hold what a caller must not see.
 */
export function presentable(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  if (isFrameworkError(thrown) && thrown.statusCode >= 400 && thrown.statusCode < 500) {
    const code = frameworkCodes[thrown.code] ?? 'usage';
    return new AppError(code, thrown.message, {
      cause: thrown,
      ...(code === 'unsupported_media_type'
        ? { remedy: 'Send the body as JSON with Content-Type: application/json.' }
        : {}),
    });
  }
  const error = toAppError(thrown);
  if (error.code !== 'internal') return error;
  return new AppError('internal', 'The request met a defect of the server', {
    cause: thrown,
    remedy: 'The server log has the cause under the request id.',
  });
}

/** The problem document of an error. `path` is the request's path without its query. */
export function problemDocument(
  error: AppError,
  request: { readonly path: string; readonly id: string },
): ProblemDocument {
  const { errors, ...details } = fielded(error);
  return {
    type: `urn:centuria:problem:${error.code}`,
    title: errorCodes[error.code].title,
    status: error.status,
    detail: redact(error.message),
    instance: redact(request.path),
    code: error.code,
    retryable: error.retryable,
    requestId: request.id,
    ...(error.remedy === undefined ? {} : { remedy: redact(error.remedy) }),
    ...(Object.keys(details).length === 0 ? {} : { details: redactValue(details) }),
    ...(Array.isArray(errors) ? { errors: errors as FieldError[] } : {}),
  };
}

/** What names an input of a workflow says which field of the body it was. */
function fielded({ details, message }: AppError): Readonly<Record<string, unknown>> {
  if (typeof details['input'] !== 'string' || details['errors'] !== undefined) return details;
  const error: FieldError = { in: 'body', field: `input.${details['input']}`, message };
  return { ...details, errors: [error] };
}

function redactValue(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return JSON.parse(redact(JSON.stringify(details))) as Record<string, unknown>;
}

function isFrameworkError(
  thrown: unknown,
): thrown is Error & { readonly code: string; readonly statusCode: number } {
  return (
    thrown instanceof Error &&
    'code' in thrown &&
    typeof thrown.code === 'string' &&
    thrown.code.startsWith('FST_') &&
    'statusCode' in thrown &&
    typeof thrown.statusCode === 'number'
  );
}
