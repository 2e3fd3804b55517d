import { setTimeout as delay } from 'node:timers/promises';

/** Time as an argument, so that tests can hold it. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. */
  nowMs(): number;
  /** Milliseconds from an arbitrary origin that never goes back. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /**
   * Calls `wake` after `ms` unless the returned function is called first. For hot paths: ending a
   * `sleep` early makes an error object, which measured 6 % of a worker's time.
   */
  after(ms: number, wake: () => void): () => void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(ms, wake) {
    const timer = setTimeout(wake, ms);
    return () => clearTimeout(timer);
  },
  async sleep(ms, signal) {
    signal?.throwIfAborted();
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      // The timer rejects with its own AbortError; callers want the reason that was given.
      signal?.throwIfAborted();
      throw error;
    }
  },
};
