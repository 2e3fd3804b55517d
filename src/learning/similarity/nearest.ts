/** A vector that is near, by its slot. */
export interface Near {
  readonly slot: number;
  readonly similarity: number;
  /** Where it stands among those that are equally near. */
  readonly order: number;
}

/** The `k` nearest so far, nearest first; of equals the first that was added. */
export class Nearest {
  readonly #k: number;
  readonly #sorted: Near[] = [];

  constructor(k: number) {
    this.#k = k;
  }

  /** What one must reach to be among them; −∞ while there is room. */
  get threshold(): number {
    return this.#sorted.length < this.#k
      ? -Infinity
      : (this.#sorted.at(-1)?.similarity ?? -Infinity);
  }

  offer(near: Near): void {
    const last = this.#sorted.at(-1);
    const isFull = this.#sorted.length === this.#k;
    if (isFull && last !== undefined && !isNearer(near, last)) return;
    if (isFull) this.#sorted.pop();
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#sorted[middle];
      if (other !== undefined && isNearer(other, near)) low = middle + 1;
      else high = middle;
    }
    this.#sorted.splice(low, 0, near);
  }

  all(): readonly Near[] {
    return this.#sorted;
  }
}

function isNearer(a: Near, b: Near): boolean {
  return a.similarity > b.similarity || (a.similarity === b.similarity && a.order < b.order);
}
