/** Where a log says nothing for longer than is usual for it. */
import type { Level, LogRecord } from './log-formats.ts';
import { excerpt } from './log-kinds.ts';

export interface Gap {
  readonly file: string;
  /** The line after it; undefined in a compressed file. */
  readonly line: number | undefined;
  readonly fromMs: number;
  readonly toMs: number;
  /** Of the line before it. */
  readonly level: Level;
  readonly before: string;
  /** 99 of 100 pauses of that file are shorter. */
  readonly usualMs: number;
}

const kept = 12;
const leastMs = 30_000;
/** How many times the usual pause is silence. */
const unusual = 10;

/** The pauses of one file: their distribution by powers of two, and the longest. */
export class Pauses {
  readonly #file: string;
  readonly #counts: number[] = Array.from({ length: 40 }, () => 0);
  #longest: Omit<Gap, 'usualMs'>[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  /** Two lines that follow each other. */
  add(before: LogRecord, after: LogRecord, line: number | undefined): void {
    if (before.timeMs === undefined || after.timeMs === undefined) return;
    const pauseMs = Math.max(0, after.timeMs - before.timeMs);
    const power = pauseMs < 1_000 ? 0 : Math.min(39, Math.floor(Math.log2(pauseMs / 1_000)) + 1);
    this.#counts[power] = (this.#counts[power] ?? 0) + 1;
    const shortest =
      this.#longest.length < kept
        ? leastMs
        : (this.#longest.at(-1)?.toMs ?? 0) - (this.#longest.at(-1)?.fromMs ?? 0);
    if (pauseMs < leastMs || pauseMs < shortest) return;
    const { timeMs: fromMs, level } = before;
    const text = excerpt(before.message, 160);
    this.#longest.push({ file: this.#file, line, fromMs, toMs: after.timeMs, level, before: text });
    this.#longest.sort((a, b) => b.toMs - b.fromMs - (a.toMs - a.fromMs));
    this.#longest.length = Math.min(kept, this.#longest.length);
  }

  /** Those that are far longer than is usual in this file. */
  unusual(): Gap[] {
    const total = this.#counts.reduce((sum, amount) => sum + amount, 0);
    let seen = 0;
    let usualMs = 1_000;
    for (const [power, amount] of this.#counts.entries()) {
      seen += amount;
      usualMs = 2 ** power * 1_000;
      if (seen >= total * 0.99) break;
    }
    return this.#longest
      .filter(({ fromMs, toMs }) => toMs - fromMs >= Math.max(leastMs, usualMs * unusual))
      .map((gap) => ({ ...gap, usualMs }));
  }
}
