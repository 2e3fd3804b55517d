/** pg-boss: jobs, not steps. A chain is a job that sends the next one in its handler. */
import { randomUUID } from 'node:crypto';
import { Ends, outputOf, type Engine, type EngineOptions } from './coordination-parts.ts';

interface Payload {
  readonly run: string;
  /** Jobs of the chain that follow this one. */
  readonly left: number;
  readonly bytes: number;
  readonly output: unknown;
}

interface Job {
  readonly id: string;
  readonly data: Payload;
}

/** What is called of it. Its types are not there where it is not installed. */
interface PgBoss {
  on(event: 'error', listener: (error: Error) => void): void;
  start(): Promise<unknown>;
  stop(options: object): Promise<void>;
  createQueue(name: string, options: object): Promise<void>;
  send(name: string, data: object): Promise<unknown>;
  insert(name: string, jobs: readonly { data?: object }[]): Promise<unknown>;
  fetch(name: string, options: { batchSize: number }): Promise<Job[]>;
  complete(name: string, ids: readonly string[]): Promise<unknown>;
  work(name: string, options: object, handler: (jobs: Job[]) => Promise<void>): Promise<unknown>;
}

const packageName = 'pg-boss';
const batchSize = 500;
/** Its queues wake their workers by NOTIFY, which is off unless asked for. */
const queue = { notify: true, retryLimit: 0, expireInSeconds: 3_600 };
const queues = ['step', 'hold', 'drain'];

export async function openPgBoss(options: EngineOptions): Promise<Engine> {
  const { PgBoss: Boss } = (await import(packageName)) as {
    PgBoss: new (options: object) => PgBoss;
  };
  const boss = new Boss({
    connectionString: options.url,
    max: options.poolSize,
    useListenNotify: true,
  });
  let failure: Error | undefined;
  boss.on('error', (error) => (failure = error));
  await boss.start();
  for (const name of queues) await boss.createQueue(name, queue);
  const ends = new Ends();
  let entered: ((atMs: number) => void) | undefined;
  const step = async ({ data: { run, left, bytes } }: Job): Promise<void> => {
    options.onStep();
    entered?.(performance.now());
    if (left === 0 || options.isEnding()) return ends.ended(run);
    await boss.send('step', { run, left: left - 1, bytes, output: outputOf(bytes) });
  };
  if (options.role === 'worker') {
    await boss.work('step', workers(options.atOnce), async (jobs) => {
      await Promise.all(jobs.map(step));
    });
    await boss.work('hold', { localConcurrency: options.atOnce }, async () => {
      options.onHeld();
      await new Promise(() => undefined);
    });
  }
  const start = async (steps: number, bytes: number): Promise<{ end: Promise<void> }> => {
    const run = randomUUID();
    const end = ends.end(run);
    await boss.send('step', { run, left: steps - 1, bytes, output: outputOf(bytes) });
    return { end };
  };
  return {
    async run({ steps, bytes }) {
      if (steps === 0) throw new Error('a chain of jobs has at least one');
      const { end } = await start(steps, bytes);
      await end;
      if (failure !== undefined) throw failure;
    },
    async pickup() {
      const at = new Promise<number>((resolve) => (entered = resolve));
      const { end } = await start(1, 1);
      const startedMs = performance.now();
      const pickedUpMs = await at;
      await end;
      return pickedUpMs - startedMs;
    },
    async batched(jobs) {
      await boss.insert(
        'drain',
        Array.from({ length: jobs }, () => ({ data: {} })),
      );
      const beganMs = performance.now();
      for (let done = 0; done < jobs;) {
        const batch = await boss.fetch('drain', { batchSize });
        if (batch.length === 0) throw new Error(`${jobs - done} jobs are missing`);
        await boss.complete(
          'drain',
          batch.map(({ id }) => id),
        );
        done += batch.length;
      }
      return (jobs * 1_000) / (performance.now() - beganMs);
    },
    async hold(count) {
      await boss.insert(
        'hold',
        Array.from({ length: count }, () => ({ data: {} })),
      );
    },
    close: () => boss.stop({ graceful: false, close: true }),
  };
}

/** Eight that take eight jobs each: sixty-four that take one wake one another at every job. */
function workers(atOnce: number): object {
  const localConcurrency = 8;
  return {
    localConcurrency,
    batchSize: Math.ceil(atOnce / localConcurrency),
    burstWhenBatchFull: true,
  };
}
