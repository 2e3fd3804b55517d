import type { Response as DialResponse } from 'undici';
import { AppError } from '../base/base.ts';

/** The same answer, whose body ends with `agent_output_too_large` once it has brought more than `maxBytes`. */
export function boundedBody(response: DialResponse, maxBytes: number, who: string): Response {
  const { status } = response;
  if (status < 200 || status > 599) {
    void response.body?.cancel();
    throw new AppError(
      'agent_failed',
      `${who}: the answer has the status ${status}, which is none`,
      {
        details: { status },
        retryable: false,
      },
    );
  }
  const headers = new Headers([...response.headers]);
  const body = response.body as ReadableStream<Uint8Array> | null;
  let seen = 0;
  const counted = body?.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        seen += chunk.byteLength;
        if (seen <= maxBytes) controller.enqueue(chunk);
        else controller.error(tooLarge(maxBytes, who));
      },
    }),
  );
  const isEmpty = [204, 205, 304].includes(status);
  const bounded = new Response(isEmpty ? null : (counted ?? null), { status, headers });
  // A response that somebody made has no address of its own; libraries resolve links against it.
  Object.defineProperty(bounded, 'url', { value: response.url });
  return bounded;
}

function tooLarge(maxBytes: number, who: string): AppError {
  const megabytes = (maxBytes / 1_048_576).toLocaleString('en');
  return new AppError(
    'agent_output_too_large',
    `${who}: the answer is larger than ${megabytes} MB`,
    {
      remedy: 'Raise limits.responseMb of its runtime, if so much is meant.',
    },
  );
}
