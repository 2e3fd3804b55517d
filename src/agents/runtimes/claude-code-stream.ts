/** The lines that Claude Code prints with `--output-format stream-json`: code.claude.com/docs/en/headless. */
import { StringDecoder } from 'node:string_decoder';

/** Its last line: how the session ended. */
export interface ClaudeResult {
  readonly subtype: string;
  readonly isError: boolean;
  readonly text: string;
  readonly structured: unknown;
  readonly errors: readonly string[];
  readonly turns: number | undefined;
  /** Of the API's refusal, where one ended it. */
  readonly apiStatus: number | undefined;
  /** Names of tools that it tried and might not use. */
  readonly denied: readonly string[];
  readonly usage: { readonly tokens?: number; readonly microUsd?: number };
}

/** The API refused, and Claude Code means to ask it again. */
export interface ClaudeRetry {
  readonly status: number | undefined;
  readonly delayMs: number | undefined;
}

export interface StreamListener {
  onProgress(line: string): void;
  onRetry(retry: ClaudeRetry): void;
  /** Tokens of all answers until now, as far as they were counted. */
  onTokens(tokens: number): void;
}

type Fields = Readonly<Record<string, unknown>>;

/** An answer of the API's error that Claude Code puts into the conversation. */
const synthetic = '<synthetic>';
const shownCharacters = 200;

/** Reads the stream as it comes, in whatever pieces. */
export class ClaudeStream {
  /** Absent while it goes on, and when it was cut. */
  result: ClaudeResult | undefined;
  /** What it wrote last. */
  text = '';
  /** Whether the model has answered at all: until then nothing is lost by asking again later. */
  hasAnswered = false;
  lastRetry: ClaudeRetry | undefined;
  /** Lines that are none of the protocol. */
  malformed = 0;
  readonly #listener: StreamListener;
  readonly #decoder = new StringDecoder('utf8');
  readonly #folder: string;
  #rest: string[] = [];
  #tokens = 0;

  /** Paths inside `folder` are shown without it. */
  constructor(listener: StreamListener, folder: string) {
    this.#listener = listener;
    this.#folder = folder;
  }

  write(chunk: Buffer): void {
    const lines = this.#decoder.write(chunk).split('\n');
    const last = lines.pop() ?? '';
    // Pieces are joined once a line: results of tools are lines of megabytes.
    for (const line of lines) {
      this.#rest.push(line);
      this.#take(this.#rest.join(''));
      this.#rest = [];
    }
    this.#rest.push(last);
  }

  /** Takes what stood after the last end of line. */
  end(): void {
    this.#take(this.#rest.join('') + this.#decoder.end());
    this.#rest = [];
  }

  #take(line: string): void {
    if (line.trim() === '') return;
    const event = parsed(line);
    if (event === undefined) this.malformed += 1;
    else if (event['type'] === 'assistant') this.#answer(event);
    else if (event['type'] === 'stream_event') this.#count(recordOf(event['event']));
    else if (event['type'] === 'result') this.result = resultOf(event);
    else if (event['type'] === 'system') this.#notice(event);
  }

  #answer(event: Fields): void {
    const message = recordOf(event['message']);
    // The error of the API, told as if the model had said it.
    if (message['model'] === synthetic || event['is_api_error_message'] === true) return;
    this.hasAnswered = true;
    const isOwn = event['parent_tool_use_id'] === null || event['parent_tool_use_id'] === undefined;
    for (const block of recordsOf(message['content'])) {
      if (block['type'] === 'text' && typeof block['text'] === 'string') {
        if (isOwn) this.text = block['text'];
        this.#listener.onProgress(shortened(block['text']));
      }
      if (block['type'] === 'tool_use') {
        this.#listener.onProgress(
          `→ ${String(block['name'])} ${this.#argumentOf(block)}`.trimEnd(),
        );
      }
    }
  }

  /** What a call is about, in the one field that says it. */
  #argumentOf(block: Fields): string {
    const input = recordOf(block['input']);
    for (const name of ['file_path', 'command', 'pattern', 'path', 'url', 'description', 'task']) {
      const value = input[name];
      if (typeof value !== 'string') continue;
      const inside = value.startsWith(`${this.#folder}/`);
      return shortened(inside ? value.slice(this.#folder.length + 1) : value);
    }
    return '';
  }

  /** The parts of a message say first what was read, and in the end what was written. */
  #count(event: Fields): void {
    if (event['type'] === 'message_start') {
      this.#tokens += tokensOf(recordOf(recordOf(event['message'])['usage']), false);
    } else if (event['type'] === 'message_delta') {
      this.#tokens += numberOf(recordOf(event['usage'])['output_tokens']) ?? 0;
      this.#listener.onTokens(this.#tokens);
    }
  }

  #notice(event: Fields): void {
    if (event['subtype'] === 'api_retry') {
      const retry = {
        status: numberOf(event['error_status']),
        delayMs: numberOf(event['retry_delay_ms']),
      };
      this.lastRetry = retry;
      const seconds = Math.ceil((retry.delayMs ?? 0) / 1_000);
      const why = retry.status === undefined ? 'did not answer' : `answered ${retry.status}`;
      this.#listener.onProgress(`the provider ${why}; asked again in ${seconds} s`);
      this.#listener.onRetry(retry);
    }
    if (event['subtype'] === 'permission_denied') {
      this.#listener.onProgress(`← ${String(event['tool_name'])} is not allowed`);
    }
  }
}

function resultOf(event: Fields): ClaudeResult {
  const errors = Array.isArray(event['errors']) ? event['errors'].map(String) : [];
  const denied = recordsOf(event['permission_denials']).map(({ tool_name }) => String(tool_name));
  return {
    subtype: String(event['subtype']),
    // Refusals of the API come as subtype success with is_error; what says neither was no success.
    isError: event['is_error'] !== false,
    text: typeof event['result'] === 'string' ? event['result'] : '',
    structured: event['structured_output'] ?? undefined,
    errors,
    turns: numberOf(event['num_turns']),
    apiStatus: numberOf(event['api_error_status']),
    denied: [...new Set(denied)],
    usage: usageOf(event),
  };
}

/** By model where it says so, since that counts its subagents, too. What was not counted stays unknown. */
function usageOf(event: Fields): ClaudeResult['usage'] {
  const models = Object.values(recordOf(event['modelUsage'])).map(recordOf);
  const kinds = ['inputTokens', 'outputTokens', 'cacheReadInputTokens', 'cacheCreationInputTokens'];
  const counts = models.flatMap((model) => kinds.map((kind) => numberOf(model[kind]) ?? 0));
  const usage = recordOf(event['usage']);
  const isCounted = models.length > 0 || numberOf(usage['input_tokens']) !== undefined;
  const tokens =
    models.length > 0 ? counts.reduce((sum, count) => sum + count, 0) : tokensOf(usage, true);
  const usd = numberOf(event['total_cost_usd']);
  return {
    ...(isCounted ? { tokens } : {}),
    ...(usd === undefined ? {} : { microUsd: Math.ceil(usd * 1e6 - 1e-6) }),
  };
}

function tokensOf(usage: Fields, withOutput: boolean): number {
  const names = ['input_tokens', 'cache_read_input_tokens', 'cache_creation_input_tokens'];
  return [...names, ...(withOutput ? ['output_tokens'] : [])].reduce(
    (sum, name) => sum + (numberOf(usage[name]) ?? 0),
    0,
  );
}

function parsed(line: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function shortened(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > shownCharacters ? `${line.slice(0, shownCharacters)}…` : line;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;
}

function recordsOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function recordOf(value: unknown): Fields {
  return isRecord(value) ? value : {};
}

function isRecord(value: unknown): value is Fields {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
