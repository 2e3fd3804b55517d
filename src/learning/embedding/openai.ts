/** Embeddings of a server that speaks OpenAI's protocol: POST /embeddings (developers.openai.com/api/reference). */
import {
  AppError,
  redact,
  retry,
  toAppError,
  type Clock,
  type RetryPolicy,
} from '../../base/base.ts';
import { outboundFailure, type Outbound } from '../../outbound/outbound.ts';
import { embeddingLength, taskTextLength, type Embedder } from '../types.ts';
import { fitted, type LongVectors } from './fit.ts';
import { invalid } from './vectors.ts';

export interface OpenAiOptions {
  /** Up to `/v1`; `/embeddings` is put behind it. */
  readonly baseUrl: string;
  readonly model: string;
  /** Sent as a bearer token where there is one. */
  readonly key?: string;
  readonly outbound: Outbound;
  readonly clock: Clock;
  /** What to do with more than 256 numbers; `refuse` unless given. */
  readonly longVectors?: LongVectors;
  /** Of one request, 30,000 unless given. */
  readonly timeoutMs?: number;
  readonly retry?: RetryPolicy;
  readonly random?: () => number;
}

/** Texts of one request: servers take from 128 to 2,048. */
const batchSize = 128;
const defaultTimeoutMs = 30_000;
const defaultPolicy: RetryPolicy = { attempts: 4, baseMs: 500, maxMs: 8_000 };
/** A server that asks for more patience is asked again as if it had said nothing. */
const longestWaitMs = 30_000;
/** 128 vectors of 4,096 numbers as text. */
const maxAnswerBytes = 32 * 1_048_576;
const shownCharacters = 300;

/**
 * Vectors from a server, at most 128 texts a request; 429 and 5xx are tried again with pauses. Throws
 * `unavailable` and `timeout` where it does not answer, `embedding_invalid` for an answer that holds no
 * embeddings of 256 numbers. Never tells the key.
 */
export function createOpenAiEmbedder(options: OpenAiOptions): Embedder {
  const url = endpointOf(options.baseUrl);
  const { model, longVectors = 'refuse', clock } = options;
  const send = options.outbound.for({
    who: 'the embedder',
    // The address in the settings is the one private host that it may reach.
    allow: [`${url.hostname}:${url.port || (url.protocol === 'https:' ? 443 : 80)}`],
    maxBytes: maxAnswerBytes,
  });
  const policy = options.retry ?? defaultPolicy;
  const retrying = {
    policy,
    clock,
    ...(options.random === undefined ? {} : { random: options.random }),
  };

  async function batch(texts: readonly string[], signal?: AbortSignal): Promise<Float32Array[]> {
    const answer = await retry(() => ask(send, url, options, texts, signal), {
      ...retrying,
      ...(signal === undefined ? {} : { signal }),
    });
    return vectorsOf(answer, texts.length, url.host).map((vector, index) =>
      fitted(vector, longVectors, `vector ${index} of ${model} at ${url.host}`),
    );
  }

  return {
    name: `openai-compatible/${url.host}/${model}${longVectors === 'truncate' ? '/truncated' : ''}`,
    async embed(texts, signal) {
      const vectors: Float32Array[] = [];
      for (let start = 0; start < texts.length; start += batchSize) {
        const part = texts.slice(start, start + batchSize);
        vectors.push(...(await batch(part, signal)));
      }
      return vectors;
    },
  };
}

function endpointOf(baseUrl: string): URL {
  const text = `${baseUrl.replace(/\/+$/, '')}/embeddings`;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new AppError(
      'config_invalid',
      `embeddingBaseUrl: ${redact(baseUrl)} is no http address`,
      {
        remedy: 'Give it as http://host:port/v1.',
      },
    );
  }
  return new URL(text);
}

async function ask(
  send: typeof globalThis.fetch,
  url: URL,
  { model, key, longVectors, timeoutMs = defaultTimeoutMs, clock }: OpenAiOptions,
  texts: readonly string[],
  signal?: AbortSignal,
): Promise<unknown> {
  const limit = AbortSignal.timeout(timeoutMs);
  const body = {
    model,
    // Servers refuse an empty text; a full stop says as little.
    input: texts.map((text) => text.slice(0, taskTextLength).toWellFormed().trim() || '.'),
    encoding_format: 'float',
    // Servers of models that can not be shortened refuse the field.
    ...(longVectors === 'truncate' ? {} : { dimensions: embeddingLength }),
  };
  try {
    const response = await send(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      },
      body: JSON.stringify(body),
      redirect: 'error',
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    });
    const text = await response.text();
    if (response.ok) return parsed(text, url.host);
    await pauseAsAsked(response, clock, signal);
    throw refusal(response.status, hidden(text, key), url.host, model);
  } catch (thrown) {
    signal?.throwIfAborted();
    throw failureOf(thrown, url, timeoutMs, limit);
  }
}

function failureOf(thrown: unknown, url: URL, timeoutMs: number, limit: AbortSignal): AppError {
  if (thrown instanceof AppError) return thrown;
  if (limit.aborted) {
    return new AppError('timeout', `${url.host} gave no embeddings within ${timeoutMs} ms`, {
      cause: thrown,
    });
  }
  const failure = toAppError(outboundFailure(thrown, url));
  if (failure.code === 'outbound_refused') return failure;
  return new AppError('unavailable', failure.message, { cause: thrown });
}

function parsed(text: string, host: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw new AppError('embedding_invalid', `${host} answered with what is no JSON`, {
      cause: thrown,
    });
  }
}

/** 429 and 5xx may pass; what else a server refuses, it will refuse again. */
function refusal(status: number, said: string, host: string, model: string): AppError {
  const message = `${host} gave no embeddings of ${model}: ${status} ${said}`.trim();
  const retryable = status === 429 || status >= 500;
  const isKey = status === 401 || status === 403;
  // The text's own: too long for the model, or of words that the server does not take.
  const isText = status === 400 || status === 413 || status === 422;
  return new AppError(isText ? 'embedding_invalid' : 'unavailable', message, {
    retryable,
    details: { status },
    ...(isKey ? { remedy: 'Set OPENAI_API_KEY to a key of that server.' } : {}),
  });
}

/** What a server says, without a key that it repeats. */
function hidden(text: string, key: string | undefined): string {
  const plain = key === undefined ? text : text.replaceAll(key, '[redacted]');
  return redact(plain.replace(/\s+/g, ' ')).slice(0, shownCharacters);
}

async function pauseAsAsked(response: Response, clock: Clock, signal?: AbortSignal): Promise<void> {
  const waitMs = Number(response.headers.get('retry-after')) * 1_000;
  if (waitMs > 0 && waitMs <= longestWaitMs) await clock.sleep(waitMs, signal);
}

function vectorsOf(answer: unknown, count: number, host: string): Float64Array[] {
  const data = (answer as { readonly data?: unknown } | null)?.data;
  if (!Array.isArray(data) || data.length !== count) {
    const given = Array.isArray(data) ? `${data.length} vectors` : 'no list of vectors';
    throw invalid(`${host} gave ${given} for ${count} texts`);
  }
  const vectors: (Float64Array | undefined)[] = Array.from({ length: count });
  for (const [place, entry] of data.entries()) {
    const { index = place, embedding } = (entry ?? {}) as {
      readonly index?: unknown;
      readonly embedding?: unknown;
    };
    if (!Array.isArray(embedding) || !embedding.every((value) => typeof value === 'number')) {
      throw invalid(`${host} gave a vector that is no list of numbers`);
    }
    if (typeof index !== 'number' || !(index in vectors) || vectors[index] !== undefined) {
      throw invalid(
        `${host} gave a vector for text ${String(index)} of ${count}, twice or too far`,
      );
    }
    vectors[index] = Float64Array.from(embedding as number[]);
  }
  return vectors as Float64Array[];
}
