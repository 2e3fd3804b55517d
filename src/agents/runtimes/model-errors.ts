/** What a provider's refusals and broken answers mean here. */
import { APICallError, InvalidResponseDataError } from 'ai';
import { AppError } from '../../base/base.ts';
import { outboundFailure } from '../../outbound/outbound.ts';
import type { ModelChoice } from './model-choice.ts';

export interface ErrorContext {
  readonly agent: string;
  readonly choice: ModelChoice;
  readonly nowMs: number;
  /** Whether a part of the answer had come: then the attempt failed, and what came is kept. */
  readonly hadText: boolean;
}

/** Of what a provider says, characters that are passed on. */
const shownCharacters = 300;
const dayMs = 86_400_000;

/** The error of a step that a provider refused or did not finish. Never holds the request or its headers. */
export function providerError(thrown: unknown, context: ErrorContext): AppError {
  const own = ownError(thrown);
  if (own !== undefined) return own;
  const status = statusOf(thrown);
  if (status !== undefined) return statusError(status, thrown, context);
  // Of an answer that just stops, the client says that it has no reason for its end.
  const hasStopped = InvalidResponseDataError.isInstance(thrown) && thrown.data === undefined;
  if (hasStopped || (isConnection(thrown) && context.hadText)) {
    return broken(context, 'the answer was cut off');
  }
  if (isConnection(thrown)) {
    return outboundFailure(networkCause(thrown), new URL(context.choice.baseUrl));
  }
  return broken(context, `the answer can not be read: ${wordsOf(thrown)}`);
}

/** An answer that ended before it was complete, or was none. */
export function broken({ agent, choice }: ErrorContext, why: string): AppError {
  return new AppError('agent_failed', `agent ${agent}: ${choice.model}: ${why}`, {
    details: { agent, model: choice.model },
    retryable: true,
  });
}

function statusError(status: number, thrown: unknown, context: ErrorContext): AppError {
  const { agent, choice } = context;
  const said = wordsOf(thrown);
  const details = { agent, model: choice.model, status };
  const failed = (why: string, retryable: boolean, remedy?: string): AppError =>
    new AppError('agent_failed', `agent ${agent}: ${why}`, {
      details,
      retryable,
      ...(remedy === undefined ? {} : { remedy }),
    });
  switch (status) {
    case 401:
      // Its words may quote the key, or a part of it.
      return failed(
        `the provider refused the key ${keyWords(choice)}`,
        false,
        'Put another key there.',
      );
    case 402:
      return failed(`the provider wants to be paid first: ${said}`, false);
    case 403:
      return failed(`the key ${keyWords(choice)} may not use ${choice.model}: ${said}`, false);
    case 404:
      return failed(`the provider does not know ${choice.model}: ${said}`, false);
    case 413:
      return failed(`the request is too large for ${choice.model}: ${said}`, false);
  }
  // OpenAI answers 429 to an account that is empty, too; no waiting helps there.
  if (status === 429 && /insufficient_quota|billing/i.test(bodyOf(thrown))) {
    return failed(`the account of the key ${keyWords(choice)} has nothing left: ${said}`, false);
  }
  if ([429, 503, 529].includes(status)) {
    if (context.hadText) return broken(context, `the provider broke off: ${said}`);
    return busy(status, thrown, context, said);
  }
  if (status >= 500 || status === 408 || status === 409) {
    return failed(`the provider failed with ${status}: ${said}`, true);
  }
  return failed(`the provider refused the request with ${status}: ${said}`, false);
}

function busy(status: number, thrown: unknown, context: ErrorContext, said: string): AppError {
  const retryAfterMs = retryAfter(headersOf(thrown), context.nowMs);
  const why = status === 429 ? 'asks to be called less often' : 'is overloaded';
  return new AppError('agent_busy', `agent ${context.agent}: the provider ${why}: ${said}`, {
    details: {
      agent: context.agent,
      model: context.choice.model,
      status,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  });
}

/** RFC 9110, 10.2.3: seconds or a date; `retry-after-ms` is OpenAI's and finer. At most a day. */
export function retryAfter(
  headers: Readonly<Record<string, string>>,
  nowMs: number,
): number | undefined {
  const { 'retry-after-ms': fine = '', 'retry-after': text = '' } = headers;
  const number = /^\d+(\.\d+)?$/;
  if (number.test(fine)) return Math.min(dayMs, Math.ceil(Number(fine)));
  if (number.test(text)) return Math.min(dayMs, Math.ceil(Number(text) * 1_000));
  // Dates begin with the day of the week; other texts are read as dates, too.
  const at = /^[A-Za-z]{3,9}, /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.min(dayMs, Math.max(0, at - nowMs));
}

function keyWords({ key, baseUrl }: ModelChoice): string {
  return key === undefined ? `that ${new URL(baseUrl).host} got (none)` : `in ${key.name}`;
}

/** What our own way out threw stays what it is, however it was wrapped. */
function ownError(thrown: unknown): AppError | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (error instanceof AppError) return error;
  }
  return undefined;
}

/** Of a response, or of an error event in a stream. */
function statusOf(thrown: unknown): number | undefined {
  // An answer that began well has status 200 in the error of its end.
  const status = fieldOf(thrown, 'statusCode');
  return typeof status === 'number' && status >= 400 ? status : undefined;
}

function isConnection(thrown: unknown): boolean {
  return APICallError.isInstance(thrown) || thrown instanceof TypeError;
}

/** The socket's own error, under what the library made of it. */
function networkCause(thrown: unknown): unknown {
  let error = thrown;
  while (error instanceof Error && error.cause instanceof Error) error = error.cause;
  return error;
}

function headersOf(thrown: unknown): Readonly<Record<string, string>> {
  return APICallError.isInstance(thrown) ? (thrown.responseHeaders ?? {}) : {};
}

function bodyOf(thrown: unknown): string {
  if (APICallError.isInstance(thrown)) return thrown.responseBody ?? '';
  return JSON.stringify(fieldOf(thrown, 'data') ?? '');
}

function wordsOf(thrown: unknown): string {
  const message = fieldOf(thrown, 'message');
  const text = (typeof message === 'string' ? message : String(thrown)).replace(/\s+/g, ' ').trim();
  return text.length > shownCharacters
    ? `${text.slice(0, shownCharacters)}…`
    : text || 'no reason given';
}

function fieldOf(value: unknown, name: string): unknown {
  return value !== null && typeof value === 'object'
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}
