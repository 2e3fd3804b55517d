/** What the protocols of model providers have in common, for the server that speaks them. */
import type { IncomingMessage } from 'node:http';

/** What happens next in an answer. Without an end at its end, an answer ends well. */
export type Act =
  | { readonly text: string }
  | { readonly call: string; readonly input: unknown }
  /** Arguments of a tool that are no JSON. */
  | { readonly call: string; readonly rawInput: string }
  /** An event that stops the answer in the provider's own form. */
  | { readonly error: string; readonly message: string }
  /** Written as it stands. */
  | { readonly raw: string }
  | { readonly stop: 'max_tokens' | 'refusal' }
  /** The connection breaks. */
  | { readonly cut: true }
  /** The answer ends without having said so. */
  | { readonly fadeOut: true }
  /** Nothing more comes until the client has gone. */
  | { readonly wait: true };

export interface Counted {
  readonly input: number;
  readonly output: number;
  readonly cacheRead?: number;
  readonly cacheWrite?: number;
}

/** One protocol: how requests are checked and answers are written. */
export interface Dialect {
  readonly path: string;
  keyOf(headers: IncomingMessage['headers']): string | undefined;
  /** What is wrong with a request, in the provider's words. */
  problem(body: Readonly<Record<string, unknown>>): string | undefined;
  error(type: string, message: string): string;
  begin(model: string, usage: Counted | 'none'): string;
  /** `block` counts all parts of the answer, `call` those of tools. */
  write(act: Act, at: { readonly block: number; readonly call: number }): string[];
  end(reason: 'stop' | 'calls' | 'max_tokens' | 'refusal', usage: Counted | 'none'): string;
}

/** Pieces as they come over a network: a few characters each. */
export function pieces(text: string): string[] {
  return text.match(/[\s\S]{1,7}/g) ?? [];
}
