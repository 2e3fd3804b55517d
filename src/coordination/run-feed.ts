import type { RunDetail } from './types.ts';

/** The run as it ended, made for whoever waits for it. */
export type Ended = () => RunDetail;

/** Wakes those who follow a run in this process; who waits for its end gets it without a look at the log. */
export class RunFeed {
  /** Runs that a worker of this process drives: all that happens to them is published here. */
  readonly driven = new Set<string>();
  readonly #waiting = new Map<string, Set<(end: Ended | undefined) => void>>();

  /** Called when events of a run have become durable, with its end when it has ended with them. */
  published(runId: string, end?: Ended): void {
    // Before anybody is woken: whoever asks from now on must look for the end, not wait for it.
    if (end !== undefined) this.driven.delete(runId);
    for (const wake of this.#waiting.get(runId) ?? []) wake(end);
  }

  /**
   * Resolves at the next publication (with `end`, only at that of the run's end, with the run), after
   * `mostMs`, or when the signal aborts: then look.
   */
  next(
    runId: string,
    until: 'event' | 'end',
    mostMs: number,
    signal?: AbortSignal,
  ): Promise<RunDetail | undefined> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(runId) ?? new Set();
      this.#waiting.set(runId, waiting);
      const wake = (end: Ended | undefined): void => {
        if (until === 'event') finish(undefined);
        else if (end !== undefined) finish(end());
      };
      const finish = (end: RunDetail | undefined): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        waiting.delete(wake);
        if (waiting.size === 0 && this.#waiting.get(runId) === waiting) this.#waiting.delete(runId);
        resolve(end);
      };
      const onAbort = (): void => finish(undefined);
      const timer = setTimeout(onAbort, mostMs);
      waiting.add(wake);
      signal?.addEventListener('abort', onAbort, { once: true });
      if (signal?.aborted === true) onAbort();
    });
  }
}
