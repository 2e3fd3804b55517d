/** A worker in a process of its own, whatever engine is in it: spawned, asked, killed, frozen, stopped. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const movedClock = join(import.meta.dirname, 'moved-clock.ts');

/** What the parent asks of a worker's process. */
export interface Question {
  readonly id: number;
  readonly ask: string;
  readonly with: unknown;
}

export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** A worker process, as any engine has it. */
export interface WorkerHandle {
  readonly pid: number;
  /** The name under which an engine knows it. */
  readonly name: string;
  readonly exited: Promise<void>;
  readonly hasExited: boolean;
  /** SIGKILL, SIGSTOP, SIGCONT. */
  kill(): Promise<void>;
  freeze(): void;
  thaw(): void;
  /** SIGTERM: it may end in order. */
  stop(): Promise<void>;
  moveClock(movedMs: number): void;
}

export interface WorkerChild extends WorkerHandle {
  /** Rejects when the process ends before it has answered. */
  ask(what: string, given: unknown): Promise<unknown>;
}

export interface SpawnOptions {
  readonly name: string;
  readonly program: string;
  /** One JSON argument. */
  readonly options: unknown;
  readonly clockMovedMs: number;
  readonly environment?: Readonly<Record<string, string>>;
}

/** Starts it and waits until it says `ready`. A process that ends first is an error. */
export async function spawnWorker(spawn: SpawnOptions): Promise<WorkerChild> {
  const child = fork(spawn.program, [JSON.stringify(spawn.options)], {
    execArgv: ['--import', movedClock],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: {
      ...process.env,
      ...spawn.environment,
      CLOCK_MOVED_MS: String(spawn.clockMovedMs),
    },
  });
  const worker = new Spawned(child, spawn.name);
  await worker.ready;
  return worker;
}

class Spawned implements WorkerChild {
  readonly name: string;
  readonly exited: Promise<void>;
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: Error) => void }
  >();
  #asked = 0;

  constructor(child: ChildProcess, name: string) {
    this.#child = child;
    this.name = name;
    this.exited = once(child, 'exit').then(() => undefined);
    this.ready = new Promise((resolve, reject) => {
      child.on('message', (message) => {
        if (message === 'ready') resolve();
        else this.#settle(message as Answer);
      });
      const lost = (): void => {
        const error = new Error(
          `worker ${name} ended with ${child.exitCode ?? child.signalCode ?? 'nothing'}`,
        );
        reject(error);
        for (const waiting of this.#waiting.values()) waiting.reject(error);
        this.#waiting.clear();
      };
      child.on('exit', lost);
      child.on('error', reject);
    });
    // Whoever does not wait for it any more must not be ended by it.
    this.ready.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.exited;
  }

  moveClock(movedMs: number): void {
    if (this.#child.connected) this.#child.send({ clockMovedMs: movedMs });
  }

  ask(what: string, given: unknown): Promise<unknown> {
    if (this.hasExited) return Promise.reject(new Error(`worker ${this.name} has ended`));
    this.#asked += 1;
    const id = this.#asked;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, ask: what, with: given } satisfies Question, (error) => {
        if (error !== null && this.#waiting.delete(id)) reject(error);
      });
    });
  }

  #settle({ id, value, error }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(error));
  }
}
