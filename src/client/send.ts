export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** Sends one request; an answer without a body is undefined. */
export type Send = <Answer>(
  method: string,
  path: string,
  body?: unknown,
  call?: CallOptions,
) => Promise<Answer>;
