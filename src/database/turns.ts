import { setImmediate as nextTurnOfTheLoop } from 'node:timers/promises';
import { AppError, type Clock } from '../base/base.ts';

interface Waiter {
  start: () => void;
  gone: boolean;
}

const limits = {
  /** Callers that wait; each holds a closure, so this bounds memory and makes overload visible. */
  waiting: 100_000,
  /** The engine runs in this thread: after so long the rest of the process gets its turn. */
  holdLoopMs: 8,
} as const;

/** Lets callers use the one connection of the embedded database one after another, in order. */
export class Turns {
  readonly #clock: Clock;
  readonly #target: string;
  #waiting: Waiter[] = [];
  #head = 0;
  #busy = false;
  #loopHeldSinceMs = 0;

  constructor(target: string, clock: Clock) {
    this.#target = target;
    this.#clock = clock;
  }

  /** Runs `work` alone. Throws `timeout` when its turn has not come after `timeoutMs`; 0 waits on. */
  async run<T>(work: () => Promise<T>, timeoutMs: number): Promise<T> {
    if (this.#busy) await this.#wait(timeoutMs);
    this.#busy = true;
    try {
      await this.#letOthersIn();
      return await work();
    } finally {
      this.#passOn();
    }
  }

  /** Hands over without becoming free in between, so that nobody overtakes the queue. */
  #passOn(): void {
    for (;;) {
      const next = this.#waiting[this.#head];
      if (next === undefined) break;
      this.#head += 1;
      if (next.gone) continue;
      next.start();
      this.#compact();
      return;
    }
    this.#compact();
    this.#busy = false;
  }

  #compact(): void {
    if (this.#head * 2 < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#head);
    this.#head = 0;
  }

  async #wait(timeoutMs: number): Promise<void> {
    if (this.#waiting.length - this.#head >= limits.waiting) {
      throw new AppError('limit_exceeded', `${limits.waiting} statements wait for the database`, {
        remedy: 'Try again later, or use a PostgreSQL server (CENTURIA_DATABASE_URL).',
      });
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter: Waiter = { start: resolve, gone: false };
    this.#waiting.push(waiter);
    if (timeoutMs === 0) return promise;

    let expired = false;
    const cancel = this.#clock.after(timeoutMs, () => {
      expired = true;
      waiter.gone = true;
      resolve();
    });
    await promise;
    cancel();
    if (!expired) return;
    throw new AppError('timeout', `the database was busy for ${timeoutMs} ms`, {
      details: { target: this.#target, timeoutMs },
      remedy: 'A transaction is taking long; try again.',
    });
  }

  async #letOthersIn(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#loopHeldSinceMs < limits.holdLoopMs) return;
    await nextTurnOfTheLoop();
    this.#loopHeldSinceMs = this.#clock.monotonicMs();
  }
}
