/** One answer of a model: the provider's client, and reading the stream. */
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import {
  jsonSchema,
  streamText,
  tool,
  wrapLanguageModel,
  type FinishReason,
  type JSONSchema7,
  type LanguageModelUsage,
  type ModelMessage,
  type ToolSet,
} from 'ai';
import { AppError } from '../../base/base.ts';
import type { StepUsage } from './model-account.ts';
import type { ModelChoice } from './model-choice.ts';
import type { ModelTool } from './model-tools.ts';

type Model = ReturnType<typeof wrapLanguageModel>;

export interface ClientOptions {
  readonly choice: ModelChoice;
  /** Absent where none is sent. */
  readonly key?: string;
  readonly fetch: typeof globalThis.fetch;
  readonly agent: string;
  /** What the last message must fit, where the provider can hold it to that. */
  readonly schema?: Readonly<Record<string, unknown>>;
  /** What the provider's client left out of a request. */
  readonly onWarning: (text: string) => void;
  /** An answer has begun: from here on it is paid for. */
  readonly onAnswer: () => void;
}

/** The client of one attempt. It makes no try of its own: coordination does. */
export function createModel(options: ClientOptions): Model {
  const { schema } = options;
  return wrapLanguageModel({
    model: plainModel(options),
    middleware: {
      specificationVersion: 'v4',
      async transformParams({ params }) {
        if (schema === undefined || !canHold(options.choice, schema)) return params;
        return { ...params, responseFormat: { type: 'json', schema: schema as JSONSchema7 } };
      },
      async wrapStream({ doStream }) {
        const result = await doStream();
        const stream = result.stream.pipeThrough(
          new TransformStream<StreamPart, StreamPart>({
            transform(part, controller) {
              if (part.type !== 'stream-start') return controller.enqueue(part);
              // Left in, they would be printed on the console.
              for (const warning of part.warnings) options.onWarning(warningText(warning));
              controller.enqueue({ ...part, warnings: [] });
            },
          }),
        );
        return { ...result, stream };
      },
    },
  });
}

type StreamPart =
  Awaited<ReturnType<Model['doStream']>>['stream'] extends ReadableStream<infer Item>
    ? Item
    : never;

function plainModel(options: ClientOptions) {
  const { choice, key } = options;
  const checkedFetch = eventsOnly(options);
  const { baseUrl: baseURL, model, isOwnUrl } = choice;
  if (choice.provider === 'anthropic') {
    // Without one the client would look for a key in the environment by itself.
    return createAnthropic({ baseURL, apiKey: key ?? 'none', fetch: checkedFetch })(model);
  }
  return createOpenAICompatible({
    name: 'provider',
    baseURL,
    ...(key === undefined ? {} : { apiKey: key }),
    fetch: checkedFetch,
    includeUsage: true,
    supportsStructuredOutputs: isOwnUrl,
    // OpenAI's newer models take the limit under its newer name only, other servers under the older.
    transformRequestBody({ max_tokens: most, ...body }) {
      if (most === undefined) return body;
      return isOwnUrl ? { ...body, max_completion_tokens: most } : { ...body, max_tokens: most };
    },
  })(model);
}

/** Anthropic's own client falls back to a tool where a model can't; others are told in words. */
function canHold(choice: ModelChoice, schema: Readonly<Record<string, unknown>>): boolean {
  return schema['type'] === 'object' && (choice.provider === 'anthropic' || choice.isOwnUrl);
}

/** A page of a proxy, or an answer in one piece, would look like an answer without words. */
function eventsOnly(options: ClientOptions): typeof globalThis.fetch {
  const { agent, choice, fetch, onAnswer } = options;
  return async (input, init) => {
    const response = await fetch(input, init);
    const type = response.headers.get('content-type');
    if (!response.ok) return response;
    if (type === null || type.startsWith('text/event-stream')) {
      onAnswer();
      return response;
    }
    await response.body?.cancel();
    throw new AppError(
      'agent_failed',
      `agent ${agent}: ${choice.baseUrl} answered with ${type.slice(0, 100)} instead of a stream of events`,
      { details: { agent, contentType: type.slice(0, 100) } },
    );
  };
}

export interface StepRequest {
  readonly model: Model;
  readonly choice: ModelChoice;
  readonly system: string;
  readonly messages: readonly ModelMessage[];
  readonly tools: readonly ModelTool[];
  readonly maxTokens: number | undefined;
  readonly temperature: number | undefined;
  readonly effort: string | undefined;
  readonly signal: AbortSignal;
  readonly onText: (text: string) => void;
  readonly onThinking: () => void;
}

export interface StepCall {
  readonly id: string;
  readonly name: string;
  readonly input: unknown;
}

export interface StepResult {
  readonly text: string;
  /** Those that can be made; what can't be read is answered in `messages`. */
  readonly calls: readonly StepCall[];
  readonly finish: FinishReason | undefined;
  /** In the provider's own words. */
  readonly rawFinish: string | undefined;
  /** Absent where the provider has not counted. */
  readonly usage: StepUsage | undefined;
  readonly messages: readonly ModelMessage[];
  /** What kept it from its end. */
  readonly problem?: unknown;
}

/** Asks once and reads to the end. What goes wrong on the way is `problem`, beside what had come. */
export async function streamStep(request: StepRequest): Promise<StepResult> {
  const hangUp = new AbortController();
  const result = streamText({
    model: request.model,
    instructions: request.system,
    messages: [...request.messages],
    tools: toolSet(request.tools),
    maxRetries: 0,
    abortSignal: AbortSignal.any([request.signal, hangUp.signal]),
    // It prints on the console otherwise; the stream says the same.
    onError: () => undefined,
    ...optionsOf(request),
  });
  const seen = new SeenStream(request);
  try {
    for await (const part of result.stream) {
      seen.take(part as Readonly<Record<string, unknown>> & { type: string });
      if (seen.problem !== undefined) break;
    }
    const ended = seen.problem === undefined && seen.finish !== undefined;
    return seen.result(ended ? await result.responseMessages : []);
  } catch (thrown) {
    seen.problem ??= thrown;
    return seen.result([]);
  } finally {
    // A provider goes on, and is paid, until nobody listens any more.
    hangUp.abort();
  }
}

function optionsOf({ choice, tools, maxTokens, temperature, effort }: StepRequest) {
  const isClaude = choice.provider === 'anthropic';
  return {
    ...(maxTokens === undefined ? {} : { maxOutputTokens: maxTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(isClaude && effort !== undefined ? { reasoning: effort as 'low' } : {}),
    providerOptions: {
      // Each step sends the whole conversation again: from the cache it costs a tenth or less.
      ...(isClaude && choice.isOwnUrl && tools.length > 0
        ? { anthropic: { cacheControl: { type: 'ephemeral' } } }
        : {}),
      // A schema that people wrote has optional fields, which the strict form forbids.
      ...(isClaude ? {} : { provider: { strictJsonSchema: false } }),
    },
  };
}

function toolSet(tools: readonly ModelTool[]): ToolSet {
  return Object.fromEntries(
    tools.map(({ name, description, inputSchema }) => [
      name,
      tool({ description, inputSchema: jsonSchema(inputSchema) }),
    ]),
  );
}

type Part = Readonly<Record<string, unknown>> & { readonly type: string };

/** What has come of an answer so far. */
class SeenStream {
  problem: unknown;
  finish: FinishReason | undefined;
  readonly #request: StepRequest;
  readonly #calls: StepCall[] = [];
  #text = '';
  #rawFinish: string | undefined;
  #usage: StepUsage | undefined;

  constructor(request: StepRequest) {
    this.#request = request;
  }

  take(part: Part): void {
    switch (part.type) {
      case 'text-delta':
        this.#text += String(part['text']);
        this.#request.onText(String(part['text']));
        break;
      case 'reasoning-start':
        this.#request.onThinking();
        break;
      case 'tool-call':
        if (part['invalid'] !== true) this.#calls.push(callOf(part));
        break;
      case 'finish-step':
        this.finish = part['finishReason'] as FinishReason;
        this.#rawFinish = part['rawFinishReason'] as string | undefined;
        this.#usage = usageOf(part['usage'] as LanguageModelUsage);
        break;
      case 'error':
        this.problem = part['error'] ?? new Error('an error without a reason');
        break;
      case 'abort':
        this.problem = this.#request.signal.reason ?? new Error('aborted');
        break;
    }
  }

  result(messages: readonly ModelMessage[]): StepResult {
    return {
      text: this.#text,
      calls: this.#calls,
      finish: this.finish,
      rawFinish: this.#rawFinish,
      usage: this.#usage,
      messages,
      ...(this.problem === undefined ? {} : { problem: this.problem }),
    };
  }
}

function callOf(part: Part): StepCall {
  return { id: String(part['toolCallId']), name: String(part['toolName']), input: part['input'] };
}

function usageOf({ inputTokens, outputTokens, inputTokenDetails }: LanguageModelUsage) {
  if (inputTokens === undefined || outputTokens === undefined) return undefined;
  const { cacheReadTokens: cacheRead = 0, cacheWriteTokens: cacheWrite = 0 } = inputTokenDetails;
  return { input: inputTokens, output: outputTokens, cacheRead, cacheWrite };
}

function warningText(warning: { readonly type: string; readonly [key: string]: unknown }): string {
  const what = warning['feature'] ?? warning['setting'] ?? warning['message'] ?? warning.type;
  const details = warning['details'] === undefined ? '' : `: ${String(warning['details'])}`;
  return `not as asked: ${String(what)}${details}`;
}
