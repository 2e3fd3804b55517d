/** What a scenario is given, and what it gives. */
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../../../src/base/base.ts';
import type { Engine, RunRequest, Store, Worker, WorkerOptions } from './engine.ts';
import { judge, type Judgement, type StartedRun } from './judge.ts';

/** `full` proves; `short` fits into a test run. */
export type Extent = 'short' | 'full';

export interface Trial {
  readonly engine: Engine;
  readonly store: Store;
  readonly folder: string;
  readonly extent: Extent;
  /** Kill points, freezes or runs at most; absent: what the extent says. */
  readonly rounds: number | undefined;
  readonly random: () => number;
  readonly say: (line: string) => void;
  /** The server of a store that has one: to be stopped, started, or reached through a relay. */
  readonly server: ServerControl;
}

export interface ServerControl {
  readonly port: number;
  /** Another client of the same store, through that port. */
  openThrough(port: number): Promise<Store>;
  /** Stops it the given way, and starts it again on the same port. */
  restart(mode: 'fast' | 'immediate'): Promise<void>;
}

export interface Finding extends Judgement {
  /** What was done, e.g. {kills: 40}. */
  readonly did: Readonly<Record<string, number | string>>;
}

export interface Scenario {
  readonly name: string;
  /** As it stands before its row. */
  readonly title: string;
  /** Why it makes no sense on the engine, or undefined. */
  notApplicable(engine: Engine): string | undefined;
  run(trial: Trial): Promise<Finding>;
}

export const onlyOneProcess = 'one process can open it';

/** A run that has not ended by then never will: far beyond what any engine needs, on a busy machine too. */
const patienceMs = { short: 90_000, full: 180_000 } as const;

/** Starts the run; a start whose answer was lost is asked again with the same key, as a caller would. */
export async function startRun(trial: Trial, request: RunRequest): Promise<StartedRun> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return { runId: await trial.store.start(request), request };
    } catch (error) {
      if (attempt === 100 || (error instanceof AppError && !error.retryable)) throw error;
      await delay(200);
    }
  }
}

/** Waits until no run is open; says how many still were when patience ended. */
export async function allEnded(
  trial: Trial,
  limitMs: number = patienceMs[trial.extent],
): Promise<string | undefined> {
  const deadline = performance.now() + limitMs;
  let open = Infinity;
  let failure = '';
  while (performance.now() < deadline) {
    try {
      open = await trial.store.countOpen();
      if (open === 0) return undefined;
    } catch (error) {
      // Its database may be away just now.
      failure = `, the last look failed: ${String(error)}`;
    }
    await delay(50);
  }
  return `${open} runs have not ended within ${limitMs / 1_000} s${failure}`;
}

/** Waits for something that must come; false when it has not. */
export async function comes(
  what: () => Promise<boolean>,
  limitMs: number = patienceMs.full,
): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  while (performance.now() < deadline) {
    if (await what()) return true;
    await delay(15);
  }
  return false;
}

/** Judges all runs once they have ended, and adds what the scenario saw itself. */
export async function conclude(
  trial: Trial,
  runs: readonly StartedRun[],
  did: Finding['did'],
  seen: readonly (string | undefined)[],
  mustBe?: (request: RunRequest) => 'completed' | 'failed' | 'either',
): Promise<Finding> {
  const notEnded = await allEnded(trial);
  const judgement = await judge(trial.store, trial.folder, runs, mustBe);
  const own = [...seen, notEnded].filter((each) => each !== undefined);
  return { ...judgement, violations: [...own, ...judgement.violations], did };
}

/** Starts a worker in the place of one that is dead or frozen. */
export function successor(trial: Trial, of: Worker, options: WorkerOptions = {}): Promise<Worker> {
  return trial.store.startWorker({ ...options, inPlaceOf: of });
}
