/** What engines of durable work have in common here, and how a parent speaks with their processes. */
import { randomBytes } from 'node:crypto';

export interface Chain {
  readonly steps: number;
  /** Of each step's output, as JSON. */
  readonly bytes: number;
}

export interface Engine {
  /** Starts a chain and resolves when it has ended. */
  run(chain: Chain): Promise<void>;
  /** Starts a chain of one step; gives the time from its acknowledged start to the step's function. */
  pickup(): Promise<number>;
  /** The engine's best case where it has one apart: jobs that are all there beforehand, per second. */
  batched?(jobs: number): Promise<number>;
  /** Starts chains whose one step goes on until its process ends, and returns when they are stored. */
  hold(count: number): Promise<void>;
  /** Starts runs that wait for a signal that nobody sends, for ours. */
  park?(count: number): Promise<void>;
  close(): Promise<void>;
}

export interface EngineOptions {
  /** `starter`: nothing is advanced here. */
  readonly role: 'worker' | 'starter';
  /** Empty: the embedded database in `home`, for ours. */
  readonly url: string;
  readonly home: string;
  /** Steps that may run at the same time. */
  readonly atOnce: number;
  /** Connections to the server, at most. */
  readonly poolSize: number;
  /** Called when a step's function is entered; the step before it is durable then. */
  readonly onStep: () => void;
  /** What is under way is to end at its next step, by whatever way: nobody counts it any more. */
  readonly isEnding: () => boolean;
  /** Called when the function of a held step is entered. */
  readonly onHeld: () => void;
}

/** What the parent may ask for, and what it gets. Times are in milliseconds. */
export interface Calls {
  crowd: {
    ask: { chain: Chain; inFlight: number; forMs: number; profile?: string };
    answer: number;
  };
  warmUp: { ask: { chain: Chain; inFlight: number; runs: number }; answer: undefined };
  serial: { ask: { chain: Chain; runs: number }; answer: number[] };
  /** Between two starts lies a random part of `withinMs`, so that a poll is met at any of its phases. */
  pickup: { ask: { runs: number; withinMs: number }; answer: number[] };
  batched: { ask: { jobs: number }; answer: number };
  hold: { ask: { count: number }; answer: undefined };
  park: { ask: { count: number }; answer: undefined };
  held: { ask: Record<string, never>; answer: number };
  stop: { ask: Record<string, never>; answer: undefined };
}

export type Request = { [Name in keyof Calls]: { call: Name } & Calls[Name]['ask'] }[keyof Calls];

/** Random text does not become smaller in the database; one byte is the number 1. */
const texts = new Map<number, unknown>([[1, 1]]);

/** A step's output of so many bytes as JSON. */
export function outputOf(bytes: number): unknown {
  const known = texts.get(bytes);
  if (known !== undefined) return known;
  const text = randomBytes(bytes)
    .toString('base64url')
    .slice(0, bytes - 2);
  texts.set(bytes, text);
  return text;
}

/** Resolves a promise by name from elsewhere: how a chain of jobs tells that it has ended. */
export class Ends {
  readonly #waiting = new Map<string, () => void>();

  end(key: string): Promise<void> {
    return new Promise((resolve) => this.#waiting.set(key, resolve));
  }

  isAwaited(key: string): boolean {
    return this.#waiting.has(key);
  }

  ended(key: string): void {
    this.#waiting.get(key)?.();
    this.#waiting.delete(key);
  }
}
