import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { AppError, toAppError } from '../../base/base.ts';

/** What a search looks for; `folder` and `start` are real paths, the second inside the first. */
export type Search =
  | {
      readonly kind: 'glob';
      readonly folder: string;
      readonly start: string;
      readonly pattern: string;
    }
  | {
      readonly kind: 'grep';
      readonly folder: string;
      readonly start: string;
      readonly pattern: string;
      readonly flags: string;
      readonly mode: 'content' | 'files_with_matches' | 'count';
      readonly most: number;
      readonly glob?: string;
    };

const limitMs = 10_000;
const memoryMb = 256;

/**
 * Searches in a thread of its own, since a regular expression may run for years on a line that was
 * made for it, and only the end of its thread stops it. Throws `timeout` after 10 s.
 */
export async function searchFiles(search: Search, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  // The same name in the sources and in the built package.
  const file = new URL(`./model-search-thread${extname(import.meta.filename)}`, import.meta.url);
  const worker = new Worker(file, {
    workerData: search,
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: memoryMb },
  });
  try {
    return await new Promise<string>((done, fail) => {
      const timer = setTimeout(() => fail(tooLong()), limitMs);
      const stop = (): void => fail(toAppError(signal.reason));
      signal.addEventListener('abort', stop, { once: true });
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', stop);
        act();
      };
      worker.once('message', (text: string) => settle(() => done(text)));
      worker.once('error', (error) => settle(() => fail(toAppError(error))));
    });
  } finally {
    await worker.terminate();
  }
}

function tooLong(): AppError {
  return new AppError('timeout', `the search took longer than ${limitMs / 1_000} s`, {
    remedy: 'Name a smaller folder, or a simpler pattern.',
  });
}
