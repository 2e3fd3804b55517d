/** All that the conformance suite knows of a durable engine. */
import type { StartOptions } from '../../../src/database/database.ts';
import type { WorkerHandle } from '../../support/worker-child.ts';

export type EngineName = 'ours-server' | 'ours-embedded' | 'dbos';

export interface Engine {
  readonly name: EngineName;
  /** As it stands over its column. */
  readonly title: string;
  /**
   * `many`: any number of worker processes share a PostgreSQL. `one`: the database is inside the
   * worker's process, so a second worker can only follow the first.
   */
  readonly processes: 'many' | 'one';
  /** Who brings the runs of a dead worker to another one. */
  readonly takeover: 'any worker' | 'a successor of the same name';
  /** Why it can not run here, or undefined. */
  unavailable(): Promise<string | undefined>;
  /** An empty store of its own, ready for workers. */
  open(ground: Ground): Promise<Store>;
}

/** Where an engine is tried. */
export interface Ground {
  /** An empty folder: effects go there, and an embedded database. */
  readonly folder: string;
  /** An empty database on PostgreSQL; empty for an embedded engine. */
  readonly url: string;
}

export interface Store {
  startWorker(options?: WorkerOptions): Promise<Worker>;
  /**
   * Starts a run of s1, s2 … in a row, each of which gets the output of the one before. The same key
   * gives the same run, and its id.
   */
  start(request: RunRequest): Promise<string>;
  /** Runs that have not ended. */
  countOpen(): Promise<number>;
  /** What the run has come to so far. */
  look(runId: string): Promise<RunView>;
  /**
   * Makes an open run look like one that a newer version of the engine made: workers of this version
   * must leave it alone. The function that is returned gives it back to them.
   */
  fromTheFuture(runId: string): Promise<() => Promise<void>>;
  /** Ends workers that are left, and closes. */
  close(): Promise<void>;
}

export interface WorkerOptions {
  /** The port on 127.0.0.1 through which it reaches the database; absent: straight. */
  readonly port?: number;
  /** The worker whose runs it is to go on with, for engines that have to be told. */
  readonly inPlaceOf?: Worker;
  /** How far its clock is from the machine's. */
  readonly clockMovedMs?: number;
  /** Steps at the same time; default 16. */
  readonly concurrency?: number;
  /** Silent for so long, it counts as dead, where an engine has that; default 1,500. */
  readonly leaseMs?: number;
}

export interface Worker extends WorkerHandle {
  /** Only where the database is inside: kills itself at its k-th statement from now on. */
  killItselfAt?(statement: number, moment: 'before' | 'answered'): Promise<void>;
}

export interface RunRequest {
  readonly key: string;
  readonly steps: number;
  /** How long a step takes. */
  readonly ms?: number;
  readonly faultPercent?: number;
  /** Version 2 of the definition has one step more. */
  readonly version?: 1 | 2;
}

export interface RunView {
  readonly status: 'open' | 'completed' | 'failed';
  readonly output?: unknown;
  readonly error?: string;
  /** What is wrong with what the engine itself wrote down of the run; empty when it is whole. */
  readonly gaps: readonly string[];
  /** Times that another worker had to take the run over. */
  readonly takeovers?: number;
}

/** Server settings of the suite: as a careful operator has them, since a kill must lose nothing. */
export const serverSettings: NonNullable<StartOptions['settings']> = {
  max_connections: 200,
  shared_buffers: '128MB',
};
