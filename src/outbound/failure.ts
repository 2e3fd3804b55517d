import { AppError, toAppError } from '../base/base.ts';

/** `fetch` wraps what its connection throws. */
export function ownError(thrown: unknown): AppError | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (error instanceof AppError) return error;
  }
  return undefined;
}

const words: Readonly<Record<string, string>> = {
  ENOTFOUND: 'its name is not known',
  EAI_AGAIN: 'its name could not be looked up',
  ECONNREFUSED: 'nobody listens there',
  ECONNRESET: 'the connection was cut',
  UND_ERR_SOCKET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  EHOSTUNREACH: 'no way leads there',
  ENETUNREACH: 'no way leads there',
  ETIMEDOUT: 'it did not take the connection in time',
  UND_ERR_CONNECT_TIMEOUT: 'it did not take the connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'it was silent for too long',
  UND_ERR_BODY_TIMEOUT: 'it was silent for too long',
  UND_ERR_HEADERS_OVERFLOW: 'the headers of its answer are too large',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'its answer has not the length that it says',
};

/** A certificate or an answer that is wrong is wrong the next time, too. */
const lasting = /^(HPE_|ERR_SSL|ERR_TLS|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_OSSL|Z_)/;

/** Why a call failed that brought no whole answer: for people, without addresses that were not asked for. */
export function outboundFailure(thrown: unknown, url: URL): AppError {
  const own = ownError(thrown);
  if (own !== undefined) return own;
  const error = toAppError(thrown);
  if (error.code === 'cancelled' || error.code === 'timeout') return error;
  const { code, message } = innermost(thrown);
  // Neither a code nor the words of `fetch`: a defect of ours.
  const isFetch = thrown instanceof TypeError && /^(fetch failed|terminated)$/.test(thrown.message);
  if (code === undefined && !isFetch) return error;
  return new AppError('agent_failed', `${url.origin}: ${sentence(code, message)}`, {
    details: { origin: url.origin, ...(code === undefined ? {} : { reason: code }) },
    retryable: code === undefined || !lasting.test(code),
    cause: thrown,
  });
}

function sentence(code: string | undefined, message: string): string {
  if (code === undefined) return message;
  if (words[code] !== undefined) return words[code];
  if (code.startsWith('HPE_')) return `what it answers is not HTTP (${code})`;
  if (code.startsWith('Z_')) return `what it answers can not be decompressed (${code})`;
  if (lasting.test(code)) return `no secure connection can be made (${code})`;
  return `it can not be reached (${code})`;
}

/** The code stands at the cause that has one; the outermost error of `fetch` says `fetch failed` only. */
function innermost(thrown: unknown): { code: string | undefined; message: string } {
  let message = String(thrown);
  for (let error = thrown; error instanceof Error; error = error.cause) {
    ({ message } = error);
    if ('code' in error && typeof error.code === 'string') return { code: error.code, message };
  }
  return { code: undefined, message };
}
