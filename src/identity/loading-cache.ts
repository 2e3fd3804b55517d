/** Something that was true when it was read; whoever holds it looks at `isCurrent` before using it. */
export interface Forgettable {
  isCurrent: boolean;
}

interface Loading<Value> {
  readonly result: Promise<Value | undefined>;
  /** Something changed while it was being read. */
  isStale: boolean;
}

/**
 * Values read once and kept until they are forgotten. A value whose reading was overtaken by a
 * change is read again, so that nothing stale is ever handed out as current. Those who ask for the
 * same key at the same time share one reading. Above `most` the oldest gives way.
 */
export class LoadingCache<Value extends Forgettable> {
  readonly #known = new Map<string, Value>();
  readonly #loading = new Map<string, Loading<Value>>();
  readonly #most: number;
  readonly #read: (key: string) => Promise<Value | undefined>;
  readonly #isOver: (value: Value) => boolean;

  /** `isOver`: whether a value's own time has passed, so that it must be read again. */
  constructor(
    most: number,
    read: (key: string) => Promise<Value | undefined>,
    isOver: (value: Value) => boolean = () => false,
  ) {
    this.#most = most;
    this.#read = read;
    this.#isOver = isOver;
  }

  get size(): number {
    return this.#known.size;
  }

  peek(key: string): Value | undefined {
    const known = this.#known.get(key);
    if (known === undefined || !this.#isOver(known)) return known;
    this.#drop(key, known);
    return undefined;
  }

  values(): Iterable<Value> {
    return this.#known.values();
  }

  get(key: string): Promise<Value | undefined> {
    const known = this.peek(key);
    if (known !== undefined) return Promise.resolve(known);
    const under = this.#loading.get(key);
    if (under !== undefined && !under.isStale) return under.result;
    const loading: Loading<Value> = { result: this.#load(key, () => loading), isStale: false };
    this.#loading.set(key, loading);
    return loading.result;
  }

  forget(key: string): void {
    const known = this.#known.get(key);
    if (known !== undefined) this.#drop(key, known);
    const loading = this.#loading.get(key);
    if (loading !== undefined) loading.isStale = true;
  }

  forgetAll(): void {
    for (const [key, value] of this.#known) this.#drop(key, value);
    this.readAgain();
  }

  /** What is being read now may be stale: it is read again before it is handed out. */
  readAgain(): void {
    for (const loading of this.#loading.values()) loading.isStale = true;
  }

  async #load(key: string, own: () => Loading<Value>): Promise<Value | undefined> {
    try {
      for (;;) {
        // The reading begins after `own()` is there: an async function runs up to its first await.
        await Promise.resolve();
        own().isStale = false;
        const value = await this.#read(key);
        if (own().isStale) continue;
        if (value !== undefined) this.#keep(key, value);
        return value;
      }
    } finally {
      if (this.#loading.get(key) === own()) this.#loading.delete(key);
    }
  }

  #keep(key: string, value: Value): void {
    this.#known.set(key, value);
    const oldest = this.#known.entries().next().value;
    if (this.#known.size > this.#most && oldest !== undefined) this.#drop(...oldest);
  }

  #drop(key: string, value: Value): void {
    value.isCurrent = false;
    this.#known.delete(key);
  }
}
