/** How many attempts a worker runs at once, shared by its runs: the highest priority waits least. */
export class Slots {
  readonly #total: number;
  #used = 0;
  readonly #waiting = new Map<object, { readonly priority: number; readonly wake: () => void }>();

  constructor(total: number) {
    this.#total = total;
  }

  get used(): number {
    return this.#used;
  }

  /** Takes up to `wanted` places, and says how many. Whoever gets fewer is woken when one is free. */
  take(
    wanted: number,
    waiter: { readonly key: object; readonly priority: number; readonly wake: () => void },
  ): number {
    const taken = Math.min(wanted, this.#total - this.#used);
    this.#used += taken;
    if (taken < wanted) this.#waiting.set(waiter.key, waiter);
    else this.#waiting.delete(waiter.key);
    return taken;
  }

  release(count = 1): void {
    this.#used -= count;
    let best:
      | { readonly key: object; readonly priority: number; readonly wake: () => void }
      | undefined;
    for (const [key, { priority, wake }] of this.#waiting) {
      if (best === undefined || priority > best.priority) best = { key, priority, wake };
    }
    if (best === undefined) return;
    this.#waiting.delete(best.key);
    best.wake();
  }

  /** Nobody is to be woken for this key any more. */
  forget(key: object): void {
    this.#waiting.delete(key);
  }
}
