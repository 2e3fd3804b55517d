import { AppError } from './errors.ts';

/** A first-in-first-out queue with a limit: when it is full, `push` says so instead of growing. */
export class BoundedQueue<T> {
  readonly #capacity: number;
  readonly #name: string;
  #items: T[] = [];
  #head = 0;

  /** `capacity`: at least 1. */
  constructor(name: string, capacity: number) {
    // A limit that is no number would never be reached.
    if (!(capacity >= 1)) throw new RangeError(`${name}: a capacity of ${capacity} is no limit`);
    this.#name = name;
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  /** Adds at the end; throws `limit_exceeded` when full. */
  push(item: T): void {
    if (this.size >= this.#capacity) {
      throw new AppError('limit_exceeded', `${this.#name} is full (${this.#capacity})`, {
        details: { queue: this.#name, capacity: this.#capacity },
        remedy: 'Try again when some of the work under way has finished.',
      });
    }
    this.#items.push(item);
  }

  /** Takes up to `most` items from the front; none when it is below 1. */
  take(most: number): T[] {
    const taken = this.#items.slice(this.#head, this.#head + Math.max(0, most));
    this.#head += taken.length;
    // Compacting at half keeps both operations at amortised constant time.
    if (this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return taken;
  }
}
