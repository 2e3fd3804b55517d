import { AppError, type Clock } from '../../base/base.ts';
import type { InvocationResult } from '../agents.ts';
import type { HttpRuntimeSpec } from './http-spec.ts';
import { atPointer } from './json-pointer.ts';
import { readJsonText } from './json-text.ts';
import { readEvents } from './event-lines.ts';
import { createProgress } from './progress.ts';

/** Of a failed attempt, characters of what it had given that are kept. */
const partialLength = 65_536;

/** What has come of an answer so far: known also when the rest fails. */
export interface Received {
  bytes: number;
  /** What is worth going on from, when it breaks off. */
  partial: string;
}

export interface AnswerContext {
  readonly agent: string;
  readonly clock: Clock;
  readonly received: Received;
  readonly onProgress: ((text: string) => void) | undefined;
}

type Spent = Pick<InvocationResult['usage'], 'tokens' | 'microUsd'>;

/** The output in an answer with a good status. Throws `agent_output_invalid`. */
export async function readAnswer(
  response: Response,
  spec: HttpRuntimeSpec,
  context: AnswerContext,
): Promise<{ output: unknown; spent: Spent }> {
  const { agent } = context;
  const answer = spec.answer ?? 'json';
  const { type, charset } = contentType(response);
  if (answer === 'text') {
    if (isBinary(type)) throw invalid(agent, `answered ${type}, which is no text`);
    const output = await readText(response, { fatal: false, charset, keep: true }, context);
    return { output, spent: {} };
  }
  const value =
    answer === 'events' && !isJson(type)
      ? await readStream(response, type, context)
      : await readJson(response, spec, context);
  const spent = spentOf(spec, value);
  if (spec.select === undefined) return { output: value, spent };
  const output = atPointer(value, spec.select);
  if (output === undefined) throw invalid(agent, `answered without anything at ${spec.select}`);
  return { output, spent };
}

async function readJson(
  response: Response,
  spec: HttpRuntimeSpec,
  context: AnswerContext,
): Promise<unknown> {
  const { agent } = context;
  const { type, charset } = contentType(response);
  const isEmptyByNature = spec.method === 'HEAD' || [204, 205, 304].includes(response.status);
  if (isEmptyByNature) return null;
  // Some peers send JSON as plain text or without a word; HTML that parses as JSON is none.
  const mayBeJson = type === '' || type === 'text/plain' || isJson(type);
  if (!mayBeJson) throw invalid(agent, `answered ${type}, not JSON`);
  const text = await readText(response, { fatal: true, charset, keep: false }, context);
  return readJsonText(text, agent);
}

/** Each event is told as it comes; the last one is the answer. */
async function readStream(
  response: Response,
  type: string,
  { agent, clock, received, onProgress }: AnswerContext,
): Promise<unknown> {
  const isSse = type === 'text/event-stream';
  if (!isSse && !/^(application\/(x-ndjson|jsonl|x-jsonlines|json-seq)|text\/plain|)$/.test(type)) {
    throw invalid(agent, `answered ${type}, which is no stream of events`);
  }
  const progress = onProgress && createProgress(clock, onProgress);
  let last: string | undefined;
  try {
    const chunks = counted(response, received);
    for await (const { event, data } of readEvents(chunks, isSse ? 'sse' : 'lines')) {
      // Ends the streams of OpenAI's protocol.
      if (data === '[DONE]') continue;
      if (event === 'error') {
        const said = data.slice(0, 1_000);
        throw new AppError('agent_failed', `agent ${agent} reported an error: ${said}`, {
          details: { agent, said },
        });
      }
      progress?.write(`${data}\n`);
      last = data;
      received.partial = data.slice(0, partialLength);
    }
  } finally {
    progress?.end();
  }
  if (last === undefined) throw invalid(agent, 'ended its stream without an event');
  if (!isSse) return readJsonText(last, agent);
  // Events may be texts.
  return /^\s*[[{"\d-]|^\s*(true|false|null)\s*$/.test(last) && isParsable(last)
    ? readJsonText(last, agent)
    : last;
}

function isParsable(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

interface TextReading {
  readonly fatal: boolean;
  readonly charset: string;
  /** Whether what came is kept, in case the rest does not. */
  readonly keep: boolean;
}

async function readText(
  response: Response,
  { fatal, charset, keep }: TextReading,
  { agent, received }: AnswerContext,
): Promise<string> {
  let decoder: InstanceType<typeof TextDecoder>;
  try {
    decoder = new TextDecoder(charset, { fatal });
  } catch {
    throw invalid(agent, `answered in the charset ${JSON.stringify(charset)}, which is not known`);
  }
  const parts: string[] = [];
  const decode = (chunk?: Uint8Array): void => {
    try {
      const part = chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
      parts.push(part);
      if (keep && received.partial.length < partialLength) {
        received.partial += part.slice(0, partialLength - received.partial.length);
      }
    } catch {
      throw invalid(agent, `answered what is not ${decoder.encoding}`);
    }
  };
  for await (const chunk of counted(response, received)) decode(chunk);
  decode();
  return parts.join('');
}

async function* counted(
  response: Response,
  received: Received,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of response.body ?? []) {
    received.bytes += chunk.byteLength;
    yield chunk;
  }
}

/** A sum of places, each a number that is not negative; what is not there is not known, and not zero. */
function spentOf(spec: HttpRuntimeSpec, value: unknown): Spent {
  const sum = (pointers: string | readonly string[] | undefined): number | undefined => {
    if (pointers === undefined) return undefined;
    const numbers = [pointers].flat().map((pointer) => atPointer(value, pointer));
    const areAll = numbers.every((number) => typeof number === 'number' && number >= 0);
    return areAll
      ? numbers.reduce<number>((total, number) => total + Number(number), 0)
      : undefined;
  };
  const tokens = sum(spec.usage?.tokens);
  const usd = sum(spec.usage?.usd);
  return {
    ...(tokens === undefined ? {} : { tokens: Math.ceil(tokens) }),
    ...(usd === undefined ? {} : { microUsd: Math.ceil(usd * 1_000_000) }),
  };
}

function contentType(response: Response): { type: string; charset: string } {
  const [type = '', ...parameters] = (response.headers.get('content-type') ?? '').split(';');
  const charset = parameters
    .map((parameter) => /^\s*charset\s*=\s*"?([^"\s]+)"?\s*$/i.exec(parameter)?.[1])
    .find((found) => found !== undefined);
  return { type: type.trim().toLowerCase(), charset: charset ?? 'utf-8' };
}

function isJson(type: string): boolean {
  return /^(application|text)\/([\w.+-]+\+)?json$/.test(type);
}

/** Formats that hold no text, whatever is written into the header beside them. */
function isBinary(type: string): boolean {
  return (
    /^(image|audio|video|font)\/(?!svg)/.test(type) ||
    /^application\/(octet-stream|pdf|zip|gzip|x-tar|wasm|vnd\.)/.test(type)
  );
}

function invalid(agent: string, what: string): AppError {
  return new AppError('agent_output_invalid', `agent ${agent} ${what}`, { details: { agent } });
}
