import { AppError, toAppError, type ErrorCode } from '../base/base.ts';

/** Codes of RFC 6749 (4.1.2.1 and 5.2), RFC 8628 (3.5), RFC 8707 (2) and RFC 9449 (5) with ours. */
const codes = {
  invalid_request: 'usage',
  invalid_client: 'unauthenticated',
  invalid_grant: 'token_invalid',
  unauthorized_client: 'denied',
  unsupported_grant_type: 'usage',
  unsupported_response_type: 'usage',
  invalid_scope: 'invalid_input',
  invalid_target: 'invalid_input',
  invalid_dpop_proof: 'token_invalid',
  access_denied: 'denied',
  authorization_pending: 'conflict',
  slow_down: 'limit_exceeded',
  expired_token: 'token_expired',
  server_error: 'internal',
  temporarily_unavailable: 'unavailable',
} as const satisfies Record<string, ErrorCode>;

export type OAuthErrorCode = keyof typeof codes;

/** An error that a client of the protocol understands: its code is `details.error`. */
export function oauthError(
  error: OAuthErrorCode,
  message: string,
  options: { remedy?: string; cause?: unknown } = {},
): AppError {
  return new AppError(codes[error], message, { ...options, details: { error } });
}

/** The protocol's code of anything thrown. */
export function oauthCodeOf(thrown: AppError): OAuthErrorCode {
  const named = thrown.details['error'];
  if (typeof named === 'string' && Object.hasOwn(codes, named)) return named as OAuthErrorCode;
  if (thrown.status === 401) return 'invalid_client';
  if (thrown.status === 403) return 'access_denied';
  if (thrown.status === 429 || thrown.status === 503) return 'temporarily_unavailable';
  return thrown.status < 500 ? 'invalid_request' : 'server_error';
}

/** Runs a step whose refusals (4xx) the protocol names in one way; whatever else goes wrong stays what it is. */
export async function refusedAs<T>(error: OAuthErrorCode, step: () => T | Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (thrown) {
    const cause = toAppError(thrown);
    const isRefusal = cause.status >= 400 && cause.status < 500 && cause.status !== 429;
    if (!isRefusal || 'error' in cause.details) throw thrown;
    throw oauthError(error, cause.message, { cause });
  }
}
