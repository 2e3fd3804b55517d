import { AppError, type Clock } from '../base/base.ts';

/** Aborts when nothing was heard for too long. */
export class StallWatch {
  readonly signal: AbortSignal | undefined;
  error: AppError | undefined;
  readonly #restart: () => void;
  #cancel: () => void = () => undefined;
  #held = 0;

  constructor(clock: Clock, stallMs: number | undefined, agent: string) {
    if (stallMs === undefined) {
      this.#restart = () => undefined;
      return;
    }
    const controller = new AbortController();
    this.signal = controller.signal;
    this.#restart = () => {
      this.#cancel();
      this.#cancel = clock.after(stallMs, () => {
        const message = `agent ${agent} reported no progress for ${stallMs / 1_000} s`;
        this.error = new AppError('agent_stalled', message);
        controller.abort(this.error);
      });
    };
    this.#restart();
  }

  progressed(): void {
    if (this.#held === 0) this.#restart();
  }

  /** Nothing counts as a stall until the returned function is called. */
  hold(): () => void {
    this.#held += 1;
    this.#cancel();
    return () => {
      this.#held -= 1;
      this.progressed();
    };
  }

  close(): void {
    this.#cancel();
  }
}
