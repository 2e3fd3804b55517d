import { STATUS_CODES } from 'node:http';
import { AppError, type Clock } from '../../base/base.ts';
import { atPointer } from './json-pointer.ts';

/** What is read of the body of a refusal, and of that what is quoted. */
const quotedBytes = 16_384;
const quotedCharacters = 1_000;
/** A refusal that never ends is not waited for. */
const quoteTimeMs = 2_000;
/** A peer that wants to be asked again at once would be asked without end, since being busy is no failure. */
const leastPauseMs = 1_000;
const mostPauseMs = 86_400_000;

/** The error of an answer whose status is not a good one. Reads its body for what it says. */
export async function statusError(
  response: Response,
  origin: string,
  agent: string,
  clock: Clock,
): Promise<AppError> {
  const { status } = response;
  const said = await quote(response, clock);
  const name = STATUS_CODES[status];
  const what = `agent ${agent}: ${origin} answered ${status}${name === undefined ? '' : ` ${name}`}`;
  const message = said === '' ? what : `${what}: ${said}`;
  const details = { agent, status, ...(said === '' ? {} : { said }) };
  const pauseMs = retryAfterMs(response.headers.get('retry-after'), clock.nowMs());
  if ((status === 429 || status === 503) && pauseMs !== undefined) {
    return new AppError('agent_busy', message, { details: { ...details, retryAfterMs: pauseMs } });
  }
  const retryable = [408, 425, 429].includes(status) || (status >= 500 && status !== 501);
  const remedy =
    status === 401 || status === 403
      ? { remedy: 'Look at the secrets that its headers refer to.' }
      : {};
  return new AppError('agent_failed', message, { details, retryable, ...remedy });
}

/** Retry-After (RFC 9110, 10.2.3) as a pause from now, between one second and one day; undefined where it says nothing. */
export function retryAfterMs(header: string | null, nowMs: number): number | undefined {
  const text = header?.trim() ?? '';
  // Date.parse takes a bare number for a year.
  const ms = /^\d{1,12}$/.test(text) ? Number(text) * 1_000 : dateMs(text) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, leastPauseMs), mostPauseMs);
}

function dateMs(text: string): number {
  return /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : Number.NaN;
}

/** What a refusal says of itself: of a problem document its title and detail, of other texts the beginning. */
async function quote(response: Response, clock: Clock): Promise<string> {
  const type = response.headers.get('content-type') ?? '';
  const text = await readStart(response, clock);
  if (/json/i.test(type) || /^\s*\{/.test(text)) {
    const told = toldByJson(text);
    if (told !== undefined) return told;
  }
  if (/html|xml/i.test(type) || /^\s*</.test(text)) return '';
  return shorten(text);
}

function toldByJson(text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
  const places = [
    '/title',
    '/detail',
    '/error/message',
    '/message',
    '/error',
    '/error_description',
  ];
  const texts = places
    .map((place) => atPointer(value, place))
    .filter((part) => typeof part === 'string' && part !== '');
  return texts.length === 0 ? undefined : shorten([...new Set(texts)].join(': '));
}

function shorten(text: string): string {
  const line = text.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim();
  return line.length > quotedCharacters ? `${line.slice(0, quotedCharacters)}…` : line;
}

/** The beginning of a body as text. What breaks off is quoted as far as it came. */
async function readStart(response: Response, clock: Clock): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return '';
  const stop = clock.after(quoteTimeMs, () => void reader.cancel().catch(() => undefined));
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  try {
    while (bytes < quotedBytes) {
      const { done, value } = await reader.read();
      if (done) break;
      bytes += value.byteLength;
      text += decoder.decode(value.subarray(0, quotedBytes), { stream: true });
    }
  } catch {
    // The status is what counts; its explanation could not be read to the end.
  } finally {
    stop();
    void reader.cancel().catch(() => undefined);
  }
  return text;
}
