/** What the ways to agents cost, as measured in this process. */
import type { DoorName } from './events.ts';
import type { DoorView } from './tandem.ts';

/** How much the newest call weighs: about the last ten count. */
const newestWeight = 0.2;
/** What was measured longer ago says nothing of now; a door that was slow once gets another look. */
const countsForMs = 600_000;
/** Pairs of an agent and a door that are remembered; the one used longest ago gives way. */
const mostPairs = 2_000;

interface Measured {
  readonly overheadMs: number;
  readonly calls: number;
  readonly atMs: number;
}

/** A moving average of the overhead of calls, by agent and door. */
export class DoorHistory {
  readonly #measured = new Map<string, Measured>();

  get size(): number {
    return this.#measured.size;
  }

  /** `overheadMs`: what the caller waited less what the agent worked; the two clocks may differ a little. */
  add(agent: string, door: DoorName, overheadMs: number, nowMs: number): void {
    const key = keyOf(agent, door);
    const ms = Math.max(0, overheadMs);
    const before = this.#counting(key, nowMs);
    this.#measured.delete(key);
    this.#measured.set(key, {
      overheadMs:
        before === undefined ? ms : before.overheadMs + newestWeight * (ms - before.overheadMs),
      calls: (before?.calls ?? 0) + 1,
      atMs: nowMs,
    });
    const [oldest] = this.#measured.keys();
    if (this.#measured.size > mostPairs && oldest !== undefined) this.#measured.delete(oldest);
  }

  of(
    agent: string,
    door: DoorName,
    nowMs: number,
  ): Pick<DoorView, 'calls'> & { readonly overheadMs?: number } {
    const found = this.#counting(keyOf(agent, door), nowMs);
    return found === undefined ? { calls: 0 } : found;
  }

  #counting(key: string, nowMs: number): Measured | undefined {
    const found = this.#measured.get(key);
    return found === undefined || nowMs - found.atMs > countsForMs ? undefined : found;
  }
}

function keyOf(agent: string, door: DoorName): string {
  return `${door} ${agent}`;
}
