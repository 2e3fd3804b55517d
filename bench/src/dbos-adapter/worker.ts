/**
 * DBOS as a worker process of the conformance suite: one workflow that takes its steps in a row, on
 * one queue. Its takeover is the one of the open SDK: a process that starts with the executor id of
 * another goes on with that one's workflows.
 */
import { PassingFault, stepNames, takeStep } from '../../../test/support/effects.ts';
import { appName, appVersion, queueName, silent, workflowName, type ChainInput } from './names.ts';

export interface DbosWorkerOptions {
  readonly url: string;
  readonly folder: string;
  readonly executorId: string;
  readonly concurrency: number;
  /** Brings the schema up to date and ends. */
  readonly migrates: boolean;
}

/** What is called of it. Its types are not there where it is not installed. */
interface DbosSdk {
  readonly DBOS: {
    readonly workflowID: string | undefined;
    setConfig(config: object): void;
    registerWorkflow(
      run: (input: ChainInput) => Promise<string>,
      config: { readonly name: string },
    ): unknown;
    registerQueue(name: string, options: object): Promise<unknown>;
    runStep(step: () => Promise<string>, config: object): Promise<string>;
    migrate(url: string): Promise<void>;
    launch(): Promise<void>;
    shutdown(options: { readonly workflowCompletionTimeoutMS: number }): Promise<void>;
  };
}

const sdk = '@dbos-inc/dbos-sdk';
const { DBOS } = (await import(sdk)) as DbosSdk;
const { url, folder, executorId, concurrency, migrates } = JSON.parse(
  process.argv[2] ?? '{}',
) as DbosWorkerOptions;

/** As many tries, and as far apart, as a task of ours has by default. */
const retries = { retriesAllowed: true, maxAttempts: 4, intervalSeconds: 1, backoffRate: 2 };

DBOS.setConfig({
  name: appName,
  systemDatabaseUrl: url,
  systemDatabasePoolSize: 8,
  executorID: executorId,
  applicationVersion: appVersion,
  // What it has to say of steps that fail as they should would drown what the suite says.
  logger: silent,
  runMigrations: false,
});

async function chain({ key, steps, ms, faultPercent }: ChainInput): Promise<string> {
  const runId = DBOS.workflowID ?? '';
  let previous = key;
  for (const step of stepNames(steps)) {
    const input = { step, previous, ms, faultPercent };
    previous = await DBOS.runStep(() => takeStep(folder, runId, input, { random: Math.random }), {
      name: step,
      ...retries,
      shouldRetry: (error: unknown) => error instanceof PassingFault,
    });
  }
  return previous;
}

DBOS.registerWorkflow(chain, { name: workflowName });
process.on('disconnect', () => process.exit(1));
process.on('SIGTERM', async () => {
  await DBOS.shutdown({ workflowCompletionTimeoutMS: 5_000 });
  process.exit(0);
});
if (migrates) {
  await DBOS.migrate(url);
  process.send?.('ready', () => process.exit(0));
} else {
  await DBOS.launch();
  await DBOS.registerQueue(queueName, { minPollingIntervalMs: 50, workerConcurrency: concurrency });
  process.send?.('ready');
}
