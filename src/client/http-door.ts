/** The HTTP door: a worker's call of an agent as one request to the bridge. */
import type { AttemptLine, AttemptRequest } from '../api/api.ts';
import { AppError, errorCodes, toAppError, type Clock } from '../base/base.ts';
import type { Door, DoorAnswer } from '../coordination/coordination.ts';
import { connectionError, problemError, userAgent } from './transport.ts';

/** Where a bridge listens and what opens it. */
interface Place {
  readonly url: string;
  readonly token: string;
}

export interface HttpDoorOptions {
  /** Undefined where there is no bridge. */
  readonly bridge: () => Place | undefined;
  readonly clock: Clock;
}

type Invocation = Parameters<Door['call']>[0];

/** As much as the bridge sends in a line. */
const mostLineBytes = 64 * 1_048_576 + 1_024;
/** An agent that was asked to stop has so long to end and to tell what it used; then the connection is cut. */
const cancelMs = 10_000;
/** What a bridge whose places are taken is given, where it does not say how long. */
const busyMs = 1_000;

export function createHttpDoor({ bridge, clock }: HttpDoorOptions): Door {
  return {
    name: 'http',
    closed({ agent, delegate }) {
      if (bridge() === undefined) return 'no bridge runs in this process';
      if (delegate === undefined) return undefined;
      return `agent ${agent.name} calls other agents, and HTTP does not carry that`;
    },
    async call(invocation) {
      const place = bridge();
      const { signal } = invocation;
      if (signal.aborted) return { error: toAppError(signal.reason), began: false };
      if (place !== undefined) return await new Call(place, invocation, clock).answer();
      return { error: new AppError('unavailable', 'no bridge runs in this process'), began: false };
    },
  };
}

class Call {
  readonly #place: Place;
  readonly #invocation: Invocation;
  readonly #clock: Clock;
  readonly #exchange = new AbortController();
  #hasBegun = false;
  #cancelTimer: () => void = () => undefined;

  constructor(place: Place, invocation: Invocation, clock: Clock) {
    this.#place = place;
    this.#invocation = invocation;
    this.#clock = clock;
  }

  async answer(): Promise<DoorAnswer> {
    const { signal } = this.#invocation;
    const onAbort = (): void => void this.#cancel();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const response = await this.#send('POST', '/api/v1/attempts', bodyOf(this.#invocation));
      if (!response.ok) return { error: await this.#refusal(response), began: false };
      this.#hasBegun = true;
      // It was stopped while the head was on its way.
      if (signal.aborted) void this.#cancel();
      return await this.#read(response);
    } catch (thrown) {
      if (signal.aborted) return { error: toAppError(signal.reason), began: true };
      if (thrown instanceof AppError) return { error: thrown, began: this.#hasBegun };
      const { code, message } = connectionError(thrown, this.#place.url);
      const error = new AppError('unavailable', message, { cause: thrown });
      return { error, began: code !== 'server_not_running' };
    } finally {
      this.#cancelTimer();
      signal.removeEventListener('abort', onAbort);
      // What was not read to its end is left, and the bridge stops the agent.
      this.#exchange.abort();
    }
  }

  async #send(method: string, path: string, body?: string): Promise<Response> {
    const { url, token } = this.#place;
    return await fetch(`${url}${path}`, {
      method,
      headers: {
        'user-agent': userAgent,
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body }),
      signal: this.#exchange.signal,
    });
  }

  /** The agent is asked to stop and the answer still read, so that nothing of it works on unseen. */
  async #cancel(): Promise<void> {
    if (!this.#hasBegun) return this.#exchange.abort();
    this.#cancelTimer = this.#clock.after(cancelMs, () => this.#exchange.abort());
    try {
      const path = `/api/v1/attempts/${this.#invocation.attemptId}`;
      const response = await this.#send('DELETE', path);
      await response.body?.cancel();
    } catch {
      this.#exchange.abort();
    }
  }

  /** A bridge that has no place asks to be called later, which is no failure of the agent. */
  async #refusal(response: Response): Promise<AppError> {
    const error = await problemError(response, this.#place.url);
    if (response.status !== 429) return error;
    const seconds = Number(response.headers.get('retry-after') ?? '');
    return new AppError('agent_busy', `the bridge has no place: ${error.message}`, {
      details: { retryAfterMs: seconds > 0 ? seconds * 1_000 : busyMs },
    });
  }

  async #read(response: Response): Promise<DoorAnswer> {
    const { agent, onProgress } = this.#invocation;
    let last: DoorAnswer | undefined;
    // Read to the end, so that the connection serves the next call.
    for await (const text of linesOf(response)) {
      const line = JSON.parse(text) as AttemptLine;
      if ('progress' in line) onProgress?.(line.progress);
      else if ('result' in line) last = line;
      else {
        const { problem, usage, partial } = line;
        const facts = { ...(usage && { usage }), ...(partial === undefined ? {} : { partial }) };
        last = { error: errorOf(problem), began: true, facts };
      }
    }
    if (last !== undefined) return last;
    throw new AppError('unavailable', `the bridge left while agent ${agent.name} worked`);
  }
}

function bodyOf(invocation: Invocation): string {
  const { agent, input, attemptId, idempotencyKey, attempt, timeoutMs, partial } = invocation;
  const { tokens, microUsd } = invocation.budget ?? {};
  const body: AttemptRequest = {
    agent: agent.name,
    hash: agent.hash,
    input: input ?? null,
    attemptId,
    idempotencyKey,
    attempt: attempt ?? 1,
    timeoutMs,
    ...(partial === undefined ? {} : { partial }),
    budget: {
      ...(tokens === undefined ? {} : { tokens }),
      ...(microUsd === undefined ? {} : { microUsd }),
    },
  };
  return JSON.stringify(body);
}

function errorOf(problem: Extract<AttemptLine, { problem: unknown }>['problem']): AppError {
  const { message, details, retryable, remedy } = problem;
  const code = Object.hasOwn(errorCodes, problem.code) ? problem.code : 'agent_failed';
  return new AppError(code, message, {
    retryable,
    ...(details === undefined ? {} : { details }),
    ...(remedy === undefined ? {} : { remedy }),
  });
}

/** Lines that are not empty. A long one is put together once, not with each piece that comes. */
async function* linesOf({ body }: Response): AsyncGenerator<string> {
  let pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    let rest: Uint8Array = chunk;
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      const line = Buffer.concat([...pieces, rest.subarray(0, end)]).toString('utf8');
      if (line !== '') yield line;
      pieces = [];
      bytes = 0;
      rest = rest.subarray(end + 1);
    }
    bytes += rest.length;
    if (bytes > mostLineBytes) {
      throw new AppError('agent_output_too_large', 'the bridge sent a line that does not end');
    }
    pieces.push(rest);
  }
}
