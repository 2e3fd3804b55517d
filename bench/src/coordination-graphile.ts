/** graphile-worker: jobs, not steps. A chain is a job that queues the next one in its handler. */
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { Ends, outputOf, type Engine, type EngineOptions } from './coordination-parts.ts';

interface Payload {
  readonly run: string;
  /** Jobs of the chain that follow this one. */
  readonly left: number;
  readonly bytes: number;
  readonly output: unknown;
}

interface Tools {
  addJob(task: string, payload: object): Promise<unknown>;
}

interface Runner {
  stop(): Promise<void>;
}

/** What is called of it. Its types are not there where it is not installed. */
interface GraphileWorker {
  run(options: object): Promise<Runner>;
  makeWorkerUtils(options: object): Promise<
    Tools & {
      migrate(): Promise<void>;
      addJobs(jobs: readonly { identifier: string; payload: object }[]): Promise<unknown>;
      release(): Promise<void>;
    }
  >;
  Logger: new (factory: () => () => void) => object;
}

const packageName = 'graphile-worker';
/** Of its documentation on batching: everything on. */
const batching = { localQueue: { size: 500 }, completeJobBatchDelay: 0, concurrentJobs: 64 };

export async function openGraphile(options: EngineOptions): Promise<Engine> {
  const { run, makeWorkerUtils, Logger } = (await import(packageName)) as GraphileWorker;
  const ends = new Ends();
  let entered: ((atMs: number) => void) | undefined;
  let drained: EventEmitter | undefined;
  let toDrain = 0;
  const taskList = {
    step: async ({ run: key, left, bytes }: Payload, { addJob }: Tools) => {
      // What is left of a chain that nobody counts any more.
      if (!ends.isAwaited(key)) return;
      options.onStep();
      entered?.(performance.now());
      if (left === 0 || options.isEnding()) return;
      await addJob('step', { run: key, left: left - 1, bytes, output: outputOf(bytes) });
    },
    hold: async () => {
      options.onHeld();
      await new Promise(() => undefined);
    },
    drain: async () => undefined,
  };
  const events = new EventEmitter();
  // Emitted once the job is marked as done in the database, which is when a chain has ended.
  events.on('job:complete', ({ job }: { job: { payload: Partial<Payload> } }) => {
    if (job.payload.left === 0 || options.isEnding()) ends.ended(job.payload.run ?? '');
    if (toDrain > 0 && (toDrain -= 1) === 0) drained?.emit('done');
  });
  const logger = new Logger(() => () => undefined);
  const shared = { connectionString: options.url, maxPoolSize: options.poolSize, logger };
  const start = (preset: object = {}): Promise<Runner> =>
    run({
      ...shared,
      concurrency: options.atOnce,
      noHandleSignals: true,
      taskList,
      events,
      preset,
    });
  const utils = await makeWorkerUtils(shared);
  await utils.migrate();
  let runner = options.role === 'worker' ? await start() : undefined;
  const chain = (steps: number, bytes: number): Promise<unknown> & { end: Promise<void> } => {
    const key = randomUUID();
    const end = ends.end(key);
    const payload = { run: key, left: steps - 1, bytes, output: outputOf(bytes) };
    return Object.assign(utils.addJob('step', payload), { end });
  };
  return {
    async run({ steps, bytes }) {
      if (steps === 0) throw new Error('a chain of jobs has at least one');
      const started = chain(steps, bytes);
      await started;
      await started.end;
    },
    async pickup() {
      const at = new Promise<number>((resolve) => (entered = resolve));
      const started = chain(1, 1);
      await started;
      const startedMs = performance.now();
      const pickedUpMs = await at;
      await started.end;
      return pickedUpMs - startedMs;
    },
    async batched(jobs) {
      await runner?.stop();
      await utils.addJobs(
        Array.from({ length: jobs }, () => ({ identifier: 'drain', payload: {} })),
      );
      drained = new EventEmitter();
      toDrain = jobs;
      const done = once(drained, 'done');
      const beganMs = performance.now();
      runner = await start({ worker: batching });
      await done;
      const perSecond = (jobs * 1_000) / (performance.now() - beganMs);
      await runner.stop();
      runner = await start();
      return perSecond;
    },
    async hold(count) {
      await utils.addJobs(
        Array.from({ length: count }, () => ({ identifier: 'hold', payload: {} })),
      );
    },
    async close() {
      await runner?.stop();
      await utils.release();
    },
  };
}
