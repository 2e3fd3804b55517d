/** Where the items of a pipeline are: kept beside its state, so that no decision has to look at all of them. */

export interface Stream {
  readonly items: readonly unknown[];
  /** Items that were let in and are not through, with the stage that each is at. */
  readonly active: Map<number, number>;
  /** The next item to be let in. */
  next: number;
  completed: number;
  readonly dropped: number[];
}

export function newStream(items: readonly unknown[]): Stream {
  return { items, active: new Map(), next: 0, completed: 0, dropped: [] };
}

/** An item was begun. */
export function letIn(stream: Stream, item: number): void {
  if (stream.active.has(item)) return;
  stream.active.set(item, 0);
  stream.next = Math.max(stream.next, item + 1);
}

/** A stage has ended for an item. */
export function passStage(
  stream: Stream,
  item: number,
  stage: number,
  outcome: 'completed' | 'lost',
  stages: number,
): void {
  if (!stream.active.has(item)) return;
  if (outcome === 'lost') {
    stream.active.delete(item);
    stream.dropped.push(item);
  } else if (stage + 1 < stages) stream.active.set(item, stage + 1);
  else {
    stream.active.delete(item);
    stream.completed += 1;
  }
}
