/** Centuria's log as an engine of the suite: on a PostgreSQL server, and on the embedded database. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from '../../../src/database/database.ts';
import { openStore } from '../../support/conformance-store.ts';
import type { WorkerProcessOptions } from '../../support/conformance-worker.ts';
import { spawnWorker, type WorkerChild } from '../../support/worker-child.ts';
import type {
  Engine,
  Ground,
  RunRequest,
  RunView,
  Store,
  Worker,
  WorkerOptions,
} from './engine.ts';

/** Long enough for a busy machine, short enough to wait for. */
const defaultLeaseMs = 1_500;

const program = join(import.meta.dirname, '../../support/conformance-worker.ts');

export const oursOnServer: Engine = {
  name: 'ours-server',
  title: 'Centuria, PostgreSQL 17',
  processes: 'many',
  takeover: 'any worker',
  unavailable: async () => undefined,
  open: openOnServer,
};

export const oursEmbedded: Engine = {
  name: 'ours-embedded',
  title: 'Centuria, embedded',
  processes: 'one',
  takeover: 'any worker',
  unavailable: async () => undefined,
  open: async (ground) => new EmbeddedStore(ground),
};

async function openOnServer({ folder, url }: Ground): Promise<Store> {
  const workers = new Workers(folder, url);
  const opened = await openStore({
    url,
    folder,
    concurrency: 1,
    leaseMs: defaultLeaseMs,
    migrates: true,
    step: () => {
      throw new Error('the suite starts runs and drives none');
    },
  });
  const { database } = opened;
  return {
    startWorker: (options) => workers.start(options),
    start: opened.start,
    countOpen: opened.countOpen,
    look: opened.look,
    async fromTheFuture(runId) {
      const become = async (format: number): Promise<void> => {
        await database.query(
          sql`update runs set format = ${format}::smallint where run_id = ${runId}::uuid`,
        );
      };
      await become(32_000);
      return () => become(1);
    },
    async close() {
      await workers.end();
      await opened.part.stop(0);
      await database.close();
    },
  };
}

/** The worker processes of one store. */
class Workers {
  readonly #folder: string;
  readonly #url: string;
  readonly #children: WorkerChild[] = [];

  constructor(folder: string, url: string) {
    this.#folder = folder;
    this.#url = url;
  }

  async start(worker: WorkerOptions = {}): Promise<WorkerChild> {
    const { port, clockMovedMs = 0, concurrency = 16, leaseMs = defaultLeaseMs } = worker;
    const url = this.#url === '' ? undefined : new URL(this.#url);
    if (url !== undefined && port !== undefined) url.port = String(port);
    const options: WorkerProcessOptions = {
      url: url?.href ?? '',
      folder: this.#folder,
      concurrency,
      leaseMs,
    };
    const name = `worker ${this.#children.length + 1}`;
    const child = await spawnWorker({ name, program, options, clockMovedMs });
    this.#children.push(child);
    return child;
  }

  async end(): Promise<void> {
    for (const child of this.#children) if (!child.hasExited) await child.kill();
  }
}

/** How often a question is put again to the next process when the one that was asked died over it. */
const questions = 1_000;

/** The database is inside the worker: whoever runs there now is asked. */
class EmbeddedStore implements Store {
  readonly #workers: Workers;
  #current: WorkerChild | undefined;

  constructor({ folder }: Ground) {
    this.#workers = new Workers(folder, '');
  }

  async startWorker(options?: WorkerOptions): Promise<Worker> {
    const child = await this.#workers.start(options);
    this.#current = child;
    return {
      ...pick(child),
      get hasExited() {
        return child.hasExited;
      },
      async killItselfAt(statement, moment) {
        await child.ask('killItselfAt', { statement, moment });
      },
    };
  }

  /** The process may die over it: then the next one is asked, with the same key. */
  async start(request: RunRequest): Promise<string> {
    for (let question = 1; ; question += 1) {
      const asked = this.#running();
      try {
        return String(await asked.ask('start', request));
      } catch (error) {
        // An answer that says no is one; only a death is asked again.
        if (!asked.hasExited || question === questions) throw error;
        await delay(50);
      }
    }
  }

  async countOpen(): Promise<number> {
    return Number(await this.#running().ask('countOpen', null));
  }

  async look(runId: string): Promise<RunView> {
    return (await this.#running().ask('look', runId)) as RunView;
  }

  fromTheFuture(): Promise<() => Promise<void>> {
    return Promise.reject(new Error('one process has the database; there is no other version'));
  }

  close(): Promise<void> {
    return this.#workers.end();
  }

  #running(): WorkerChild {
    if (this.#current === undefined) throw new Error('no worker has been started');
    return this.#current;
  }
}

function pick(child: WorkerChild): Omit<Worker, 'hasExited'> {
  return {
    pid: child.pid,
    name: child.name,
    exited: child.exited,
    kill: () => child.kill(),
    freeze: () => child.freeze(),
    thaw: () => child.thaw(),
    stop: () => child.stop(),
    moveClock: (movedMs) => child.moveClock(movedMs),
  };
}
