/** DBOS Transact as its documentation shows it: a workflow function whose steps are checkpointed. */
import { outputOf, type Engine, type EngineOptions } from './coordination-parts.ts';

interface Handle {
  getResult(): Promise<unknown>;
}

type Workflow<Given extends unknown[]> = (...given: Given) => Promise<unknown>;

/** What is called of it. Its types are not there where it is not installed. */
interface Dbos {
  setConfig(config: object): void;
  registerWorkflow<Given extends unknown[]>(
    work: Workflow<Given>,
    config: { name: string },
  ): Workflow<Given>;
  runStep<T>(step: () => Promise<T>, config: { name: string }): Promise<T>;
  launch(): Promise<void>;
  registerQueue(name: string, options: object): Promise<unknown>;
  startWorkflow<Given extends unknown[]>(
    workflow: Workflow<Given>,
    options?: { queueName: string },
  ): (...given: Given) => Promise<Handle>;
  shutdown(): Promise<void>;
}

const packageName = '@dbos-inc/dbos-sdk';
const startsAtOnce = 64;

/** A chain is started directly, which runs it in this process; what is picked up goes through a queue. */
export async function openDbos(options: EngineOptions, pollMs: number): Promise<Engine> {
  const { DBOS } = (await import(packageName)) as { DBOS: Dbos };
  let entered: ((atMs: number) => void) | undefined;
  const step = (bytes: number) =>
    DBOS.runStep(
      async () => {
        options.onStep();
        return outputOf(bytes);
      },
      { name: 'step' },
    );
  const chain = DBOS.registerWorkflow(
    async (steps: number, bytes: number) => {
      let last: unknown = null;
      for (let index = 0; index < steps && !options.isEnding(); index += 1) {
        last = await step(bytes);
      }
      return last;
    },
    { name: 'chain' },
  );
  const queued = DBOS.registerWorkflow(
    async () => {
      entered?.(performance.now());
      return step(1);
    },
    { name: 'queued' },
  );
  const held = DBOS.registerWorkflow(
    async () => {
      options.onHeld();
      return new Promise(() => undefined);
    },
    { name: 'held' },
  );
  DBOS.setConfig({
    name: 'bench',
    systemDatabaseUrl: options.url,
    systemDatabasePoolSize: options.poolSize,
    logLevel: 'error',
    // The same in every process: their workflows are the same.
    applicationVersion: '1',
    executorID: options.role,
    ...(options.role === 'starter' ? { listenQueues: ['none'] } : {}),
  });
  await DBOS.launch();
  const queue = { workerConcurrency: options.atOnce, minPollingIntervalMs: pollMs };
  await DBOS.registerQueue('bench', queue);
  return {
    async run({ steps, bytes }) {
      const handle = await DBOS.startWorkflow(chain)(steps, bytes);
      await handle.getResult();
    },
    async pickup() {
      const at = new Promise<number>((resolve) => (entered = resolve));
      const handle = await DBOS.startWorkflow(queued, { queueName: 'bench' })();
      const startedMs = performance.now();
      const pickedUpMs = await at;
      await handle.getResult();
      return pickedUpMs - startedMs;
    },
    async hold(count) {
      for (let begun = 0; begun < count; begun += startsAtOnce) {
        const starts = Array.from({ length: Math.min(startsAtOnce, count - begun) }, () =>
          DBOS.startWorkflow(held, { queueName: 'bench' })(),
        );
        await Promise.all(starts);
      }
    },
    close: () => DBOS.shutdown(),
  };
}
