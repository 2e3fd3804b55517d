import type { Clock } from '../base/base.ts';

/** Node's timers overflow beyond 2^31 − 1 ms; a longer wait is taken in pieces. */
const maxTimerMs = 2_000_000_000;

/** Sleep that ends when its time comes or somebody wakes; being woken while awake is not forgotten. */
export class Alarm {
  readonly #clock: Clock;
  #wake: (() => void) | undefined;
  #isAwake = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether somebody has woken it since `reset`. */
  get isAwake(): boolean {
    return this.#isAwake;
  }

  reset(): void {
    this.#isAwake = false;
  }

  rouse(): void {
    this.#isAwake = true;
    this.#wake?.();
  }

  /** For so many milliseconds at most; returns at once when somebody has woken it since `reset`. */
  sleep(ms: number): Promise<void> {
    if (this.#isAwake) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#clock.after(Math.min(Math.max(0, ms), maxTimerMs), resolve);
      this.#wake = () => {
        this.#wake = undefined;
        cancel();
        resolve();
      };
    });
  }
}
