/**
 * A thread that takes the locks of many data folders, each at the same moment as its siblings. It
 * counts each that it got, and fails on any error but `home_locked`.
 */
import { workerData } from 'node:worker_threads';
import { AppError, systemClock } from '../../src/base/base.ts';
import { lockHome } from '../../src/database/home-lock.ts';

export interface Contention {
  readonly homes: readonly string[];
  readonly threads: number;
  /** Counts arrivals: a round begins when all are there. */
  readonly gate: Int32Array;
  /** By home: how many threads got its lock. */
  readonly winners: Int32Array;
}

const { homes, threads, gate, winners } = workerData as Contention;

for (const [round, home] of homes.entries()) {
  Atomics.add(gate, 0, 1);
  // Spinning, since a wake-up would let one begin well before the others.
  while (Atomics.load(gate, 0) < threads * (round + 1));
  try {
    await lockHome(home, systemClock);
    Atomics.add(winners, round, 1);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'home_locked') throw error;
  }
}
