/** Who waits for places. */
export interface Waiter {
  /** What is compared: the run. */
  readonly key: object;
  /** 1 to 100: ten more is twice the share. */
  readonly priority: number;
  readonly wake: () => void;
}

interface Turn {
  readonly waiter: Waiter;
  /** Places that are kept for it until it takes them. */
  granted: number;
  /** How much it has had, in places by its share: whoever had least is next. */
  had: number;
  isWaiting: boolean;
}

/**
 * How many attempts a worker runs at once, shared by its runs. A place that gets free goes to the
 * waiting run that has had least for its priority (stride scheduling, Waldspurger and Weihl 1995), so
 * a run with a thousand tasks and one with a single task both go on, and none is starved.
 */
export class Slots {
  readonly #total: number;
  #used = 0;
  /** The share that those served last have had: where a newcomer begins. */
  #now = 0;
  readonly #turns = new Map<object, Turn>();
  /** Those that wait and have nothing kept for them, who had least first. */
  readonly #waiting = new Heap();

  constructor(total: number) {
    this.#total = total;
  }

  get used(): number {
    return this.#used;
  }

  /** Takes up to `wanted` places, and says how many. Whoever gets fewer is woken when one is kept for it. */
  take(wanted: number, waiter: Waiter): number {
    const turn = this.#turns.get(waiter.key) ?? this.#enter(waiter);
    const kept = Math.min(wanted, turn.granted);
    const surplus = turn.granted - kept;
    turn.granted = 0;
    turn.isWaiting = false;
    const free = Math.max(0, Math.min(wanted - kept, this.#total - this.#used));
    this.#used += free;
    const taken = kept + free;
    turn.had += taken / shareOf(waiter.priority);
    if (taken > 0) this.#now = Math.max(this.#now, turn.had);
    turn.isWaiting = taken < wanted;
    if (turn.isWaiting) this.#waiting.push(turn);
    if (surplus > 0) this.release(surplus);
    return taken;
  }

  release(count = 1): void {
    for (let place = 0; place < count; place += 1) {
      const next = this.#used > this.#total ? undefined : this.#next();
      if (next === undefined) {
        this.#used -= 1;
        continue;
      }
      next.granted += 1;
      next.waiter.wake();
    }
  }

  /**
   * Gives the place of an attempt that waits for other agents to one of those, or they could wait for
   * each other for ever. Taking it back waits for nobody, so that more may run than there are places.
   */
  lend(): () => void {
    this.release();
    return () => {
      this.#used += 1;
    };
  }

  /** The run is not driven here any more: what was kept for it goes to others. */
  forget(key: object): void {
    const turn = this.#turns.get(key);
    if (turn === undefined) return;
    this.#turns.delete(key);
    this.release(turn.granted);
  }

  #enter(waiter: Waiter): Turn {
    const turn = { waiter, granted: 0, had: this.#now, isWaiting: false };
    this.#turns.set(waiter.key, turn);
    return turn;
  }

  #next(): Turn | undefined {
    for (let turn = this.#waiting.pop(); turn !== undefined; turn = this.#waiting.pop()) {
      // One that was pushed twice, or has gone, is passed over.
      if (turn.isWaiting && turn.granted === 0 && this.#turns.has(turn.waiter.key)) return turn;
    }
    return undefined;
  }
}

/** A binary heap of turns: ten thousand runs may wait. */
class Heap {
  readonly #items: { readonly turn: Turn; readonly had: number }[] = [];

  push(turn: Turn): void {
    const items = this.#items;
    const item = { turn, had: turn.had };
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = items[above];
      if (parent === undefined || parent.had <= item.had) break;
      items[at] = parent;
      at = above;
    }
    items[at] = item;
  }

  pop(): Turn | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (top === undefined || last === undefined) return undefined;
    if (items.length === 0) return top.turn;
    let at = 0;
    for (;;) {
      const left = items[2 * at + 1];
      const right = items[2 * at + 2];
      const isRight = right !== undefined && left !== undefined && right.had < left.had;
      const child = isRight ? right : left;
      if (child === undefined || child.had >= last.had) break;
      items[at] = child;
      at = 2 * at + (isRight ? 2 : 1);
    }
    items[at] = last;
    return top.turn;
  }
}

/** 50 counts once, 60 twice, 100 thirty-two times. */
function shareOf(priority: number): number {
  return 2 ** ((priority - 50) / 10);
}
