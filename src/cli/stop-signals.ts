import type { Clock } from '../base/base.ts';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
export type StopSignal = (typeof signals)[number];

/**
 * One Ctrl-C can arrive several times: the terminal signals the whole group, and npm and our
 * launcher each pass theirs on, late where the machine is busy. Taking two presses for one costs a
 * third; taking one for two would cut work off.
 */
export const sameSignalMs = 300;

/** Counts the signals that mean one wish each, by when they arrive. */
export function countWishes(): (atMs: number) => number | undefined {
  let wishes = 0;
  let lastMs = Number.NEGATIVE_INFINITY;
  return (atMs) => {
    const isEcho = atMs - lastMs < sameSignalMs;
    lastMs = atMs;
    if (isEcho) return undefined;
    wishes += 1;
    return wishes;
  };
}

/** Calls `onStop` with 1 for the first wish to stop, 2 for the second …; returns how to end that. */
export function onStopSignals(
  clock: Clock,
  onStop: (wish: number, signal: StopSignal) => void,
): () => void {
  const count = countWishes();
  const listener = (signal: NodeJS.Signals): void => {
    const wish = count(clock.monotonicMs());
    if (wish !== undefined) onStop(wish, signal as StopSignal);
  };
  for (const signal of signals) process.on(signal, listener);
  return () => {
    for (const signal of signals) process.off(signal, listener);
  };
}
