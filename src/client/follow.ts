import {
  AppError,
  backoffMs,
  systemClock,
  toAppError,
  type Clock,
  type ErrorRecord,
} from '../base/base.ts';
import type { RunEvent } from '../coordination/coordination.ts';
import { parseEventStream } from './event-stream.ts';
import { connectionError, type Open } from './transport.ts';

export interface FollowOptions {
  /** Events with a higher number come; default 0, all of them. */
  readonly after?: number;
  readonly signal?: AbortSignal;
  /** How long to look for the server after a cut before the failure is thrown; default 60,000 ms. */
  readonly patienceMs?: number;
  readonly clock?: Clock;
}

const reconnect = { attempts: Number.MAX_SAFE_INTEGER, baseMs: 200, maxMs: 5_000 };

/** Follows a run over as many connections as it takes. The number of the last event seen is what it resumes from. */
export async function* followRun(
  open: Open,
  path: string,
  { after = 0, signal, patienceMs = 60_000, clock = systemClock }: FollowOptions,
): AsyncGenerator<RunEvent, void, undefined> {
  let seen = after;
  let failures = 0;
  let lastContactMs = clock.monotonicMs();
  for (;;) {
    signal?.throwIfAborted();
    try {
      for await (const event of connect(open, path, seen, signal)) {
        lastContactMs = clock.monotonicMs();
        failures = 0;
        if (event === 'end') return;
        if (event.seq <= seen) continue;
        seen = event.seq;
        yield event;
      }
      // The stream stopped without saying that the run has ended: a server that closes does so.
      failures += 1;
    } catch (thrown) {
      signal?.throwIfAborted();
      const error = toAppError(thrown);
      failures += 1;
      const tooLong = clock.monotonicMs() - lastContactMs > patienceMs;
      if (!error.retryable || tooLong) throw error;
    }
    await clock.sleep(backoffMs(reconnect, Math.min(failures, 10), Math.random()), signal);
  }
}

/** One connection: its events, and `end` when the run has ended. */
async function* connect(
  open: Open,
  path: string,
  seen: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<RunEvent | 'end', void, undefined> {
  const response = await open(`${path}?after=${seen}`, {
    headers: { accept: 'text/event-stream', 'last-event-id': String(seen) },
    ...(signal === undefined ? {} : { signal }),
  });
  if (response.body === null) throw new AppError('unavailable', 'the event stream has no body');
  try {
    for await (const { event, data } of parseEventStream(response.body)) {
      if (event === 'end') {
        yield 'end';
        return;
      }
      if (event === 'problem') throw streamProblem(data);
      yield JSON.parse(data) as RunEvent;
    }
  } catch (thrown) {
    if (thrown instanceof AppError) throw thrown;
    signal?.throwIfAborted();
    throw connectionError(thrown, path);
  }
}

function streamProblem(data: string): AppError {
  const { code, message, retryable, remedy } = JSON.parse(data) as ErrorRecord;
  return new AppError(code, message, {
    retryable,
    ...(remedy === undefined ? {} : { remedy }),
  });
}
