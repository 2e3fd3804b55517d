import type { ServerResponse } from 'node:http';
import { AppError } from '../base/base.ts';

/** Aborts when the caller goes away before the answer was sent. */
export function leftSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) {
      controller.abort(new AppError('cancelled', 'the caller went away'));
    }
  });
  return controller.signal;
}
