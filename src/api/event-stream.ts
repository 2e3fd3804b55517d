import type { ServerResponse } from 'node:http';
import { AppError, type Clock, type Log } from '../base/base.ts';

/** Comments this often keep intermediaries from taking the stream for dead. */
const heartbeatMs = 15_000;
/** A reader that takes nothing for so long is cut; it resumes where it was with Last-Event-ID. */
const stalledMs = 30_000;
/** Each open stream costs a socket and a reader of the log. */
const mostStreams = 256;
/** What a cut reader waits before it comes back. */
const reconnectMs = 1_000;

export interface EventStreams {
  readonly open: number;
  /** Writes Server-Sent Events (WHATWG HTML, 9.2) until there are no more, the reader leaves or the server closes. Throws `limit_exceeded` before anything is sent. */
  send(response: ServerResponse, source: EventSource): Promise<void>;
}

export interface EventSource {
  /** Called when the stream has a place and is about to send: the framework lets the response go. */
  begin(): void;
  /** Each a whole event with its empty line; the next one is asked for when the socket has taken it. */
  frames(signal: AbortSignal): AsyncIterable<string>;
  /** Calls back when the reader may read no longer; ask the returned function to stop. */
  watch(onEnded: (why: string) => void): () => void;
  /** The event that says why a stream ends too soon. */
  problem(error: unknown): string;
}

/** All event streams of one server; `closing` ends them. */
export function createEventStreams(parts: {
  readonly clock: Clock;
  readonly log: Log;
  readonly closing: AbortSignal;
}): EventStreams {
  let open = 0;
  return {
    get open() {
      return open;
    },
    async send(response, source) {
      if (open >= mostStreams) {
        throw new AppError('limit_exceeded', `${mostStreams} event streams are open`, {
          remedy: 'Close one, or read pages of events instead.',
        });
      }
      open += 1;
      source.begin();
      try {
        await stream(response, source, parts);
      } finally {
        open -= 1;
        response.end();
      }
    },
  };
}

async function stream(
  response: ServerResponse,
  source: EventSource,
  { clock, log, closing }: { clock: Clock; log: Log; closing: AbortSignal },
): Promise<void> {
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  response.on('error', () => gone.abort());
  const refused = new AbortController();
  const unwatch = source.watch((why) =>
    refused.abort(new AppError('unauthenticated', `the stream ends: ${why}`)),
  );
  const signal = AbortSignal.any([gone.signal, closing, refused.signal]);
  response.setHeader('content-type', 'text/event-stream; charset=utf-8');
  response.setHeader('x-accel-buffering', 'no');
  response.writeHead(200);
  const write = (text: string) => writeOrCut(response, text, clock, signal);
  // Only while the socket takes more: a heartbeat must not pile up behind events that wait.
  const heartbeat = setInterval(() => {
    if (!response.writableNeedDrain && !response.writableEnded) response.write(': heartbeat\n\n');
  }, heartbeatMs);
  heartbeat.unref();
  try {
    await write(`retry: ${reconnectMs}\n\n`);
    for await (const frame of source.frames(signal)) await write(frame);
  } catch (error) {
    if (!signal.aborted) {
      log.warn({ err: error }, 'event stream failed');
      if (!response.writableNeedDrain) response.write(source.problem(error));
    }
  } finally {
    clearInterval(heartbeat);
    unwatch();
    if (refused.signal.aborted && !response.writableNeedDrain) {
      response.write(source.problem(refused.signal.reason));
    }
    if (closing.aborted && !gone.signal.aborted && !response.writableNeedDrain) {
      response.write(`: the server closes\nretry: ${reconnectMs}\n\n`);
    }
  }
}

/** Waits until the socket takes more, so that one slow reader holds one event and no more. */
async function writeOrCut(
  response: ServerResponse,
  text: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  if (response.write(text)) return;
  const drained = new AbortController();
  const onDrain = () => drained.abort();
  response.once('drain', onDrain);
  try {
    await clock.sleep(stalledMs, AbortSignal.any([drained.signal, signal]));
  } catch {
    signal.throwIfAborted();
    return;
  } finally {
    response.off('drain', onDrain);
  }
  response.destroy();
  throw new AppError('timeout', 'the reader of an event stream took nothing');
}
