/** Wakes those who follow a run in this process. It only wakes: what has happened is read from the log. */
export class RunFeed {
  /** Runs that a worker of this process drives: all that happens to them is published here. */
  readonly driven = new Set<string>();
  readonly #waiting = new Map<string, Set<(ended: boolean) => void>>();

  /** Called when events of a run have become durable; `ended` when the run has ended with them. */
  published(runId: string, ended: boolean): void {
    // Before anybody is woken: whoever asks from now on must look for the end, not wait for it.
    if (ended) this.driven.delete(runId);
    for (const wake of this.#waiting.get(runId) ?? []) wake(ended);
  }

  /**
   * Resolves at the next publication (with `end`, only at that of the run's end), after `mostMs`, or
   * when the signal aborts: then look.
   */
  next(runId: string, until: 'event' | 'end', mostMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(runId) ?? new Set();
      this.#waiting.set(runId, waiting);
      const wake = (ended: boolean): void => {
        if (ended || until === 'event') finish();
      };
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        waiting.delete(wake);
        if (waiting.size === 0 && this.#waiting.get(runId) === waiting) this.#waiting.delete(runId);
        resolve();
      };
      const timer = setTimeout(finish, mostMs);
      waiting.add(wake);
      signal?.addEventListener('abort', finish, { once: true });
      if (signal?.aborted === true) finish();
    });
  }
}
