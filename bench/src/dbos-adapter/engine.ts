/** The DBOS SDK (Transact, open source) as an engine of the conformance suite. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { stepNames } from '../../../test/support/effects.ts';
import { spawnWorker, type WorkerChild } from '../../../test/support/worker-child.ts';
import type {
  Engine,
  Ground,
  RunView,
  Store,
  WorkerOptions,
} from '../../../test/chaos/conformance/engine.ts';
import {
  appName,
  appVersion,
  queueName,
  silent,
  workflowName,
  workflowTimeoutMS,
  type ChainInput,
} from './names.ts';
import type { DbosWorkerOptions } from './worker.ts';

interface DbosStatus {
  readonly status: string;
  readonly output?: unknown;
  readonly error?: unknown;
  readonly recoveryAttempts?: number;
}

interface DbosStep {
  readonly functionID: number;
  readonly name: string;
}

/** What is called of it. Its types are not there where it is not installed. */
interface DbosClient {
  enqueue(options: object, input: ChainInput): Promise<unknown>;
  getWorkflow(id: string): Promise<DbosStatus | undefined>;
  listWorkflows(filter: object): Promise<readonly DbosStatus[]>;
  listWorkflowSteps(id: string): Promise<readonly DbosStep[] | undefined>;
  destroy(): Promise<void>;
}

interface DbosSdk {
  readonly DBOSClient: { create(options: object): Promise<DbosClient> };
}

const sdk = '@dbos-inc/dbos-sdk';
const bench = join(import.meta.dirname, '../..');
const program = join(import.meta.dirname, 'worker.ts');

export const dbos: Engine = {
  name: 'dbos',
  title: `DBOS SDK ${installedVersion() ?? ''}`.trim(),
  processes: 'many',
  takeover: 'a successor of the same name',
  unavailable: async () =>
    installedVersion() === undefined
      ? 'its package is not installed: npm ci --prefix bench'
      : undefined,
  open: openStore,
};

function installedVersion(): string | undefined {
  const path = join(bench, 'node_modules', sdk, 'package.json');
  if (!existsSync(path)) return undefined;
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}

async function openStore({ folder, url }: Ground): Promise<Store> {
  const { DBOSClient } = (await import(sdk)) as DbosSdk;
  // In a process of its own, since it writes to standard output.
  const migration = { url, folder, executorId: '', concurrency: 0, migrates: true };
  await (
    await spawn('migration', migration, 0)
  ).exited;
  const client = await DBOSClient.create({
    systemDatabaseUrl: url,
    applicationName: appName,
    // Lost connections are seen by what they lead to.
    logger: silent,
  });
  const workers: WorkerChild[] = [];
  return {
    async startWorker(options = {}) {
      const child = await startWorker({ folder, url }, options, workers.length + 1);
      workers.push(child);
      return child;
    },
    async start(request) {
      const { key, steps, ms = 0, faultPercent = 0, version = 1 } = request;
      const runId = createHash('sha256').update(key).digest('hex').slice(0, 32);
      const options = { workflowName, queueName, workflowID: runId, appVersion, workflowTimeoutMS };
      await client.enqueue(options, {
        key,
        ms,
        faultPercent,
        steps: steps + (version === 2 ? 1 : 0),
      });
      return runId;
    },
    async countOpen() {
      const status = ['ENQUEUED', 'PENDING', 'DELAYED'];
      const filter = { status, loadInput: false, loadOutput: false };
      return (await client.listWorkflows(filter)).length;
    },
    look: (runId) => look(client, runId),
    fromTheFuture: (runId) => changeVersion(url, runId),
    async close() {
      for (const worker of workers) if (!worker.hasExited) await worker.kill();
      await client.destroy();
    },
  };
}

async function startWorker(
  { folder, url }: Ground,
  { port, inPlaceOf, clockMovedMs = 0, concurrency = 16 }: WorkerOptions,
  number: number,
): Promise<WorkerChild> {
  const own = new URL(url);
  if (port !== undefined) own.port = String(port);
  // A dead executor's workflows go on in whoever starts under its name, and nowhere else.
  const executorId = inPlaceOf?.name ?? `executor-${number}`;
  const options = { url: own.href, folder, executorId, concurrency, migrates: false };
  return await spawn(executorId, options, clockMovedMs);
}

function spawn(
  name: string,
  options: DbosWorkerOptions,
  clockMovedMs: number,
): Promise<WorkerChild> {
  // It warns of its own use of pg, in every process anew.
  const environment = { NODE_NO_WARNINGS: '1' };
  return spawnWorker({ name, program, options, clockMovedMs, environment });
}

async function look(client: DbosClient, runId: string): Promise<RunView> {
  const found = await client.getWorkflow(runId);
  if (found === undefined) return { status: 'open', gaps: ['it is not there'] };
  const recorded = (await client.listWorkflowSteps(runId)) ?? [];
  const gaps: string[] = [];
  const expected = stepNames(recorded.length);
  for (const [index, { functionID, name }] of recorded.entries()) {
    if (functionID !== index || name !== expected[index]) {
      gaps.push(`step ${index} is recorded as ${functionID}, ${name}`);
    }
  }
  const { status, output, error } = found;
  const isOpen = ['ENQUEUED', 'PENDING', 'DELAYED'].includes(status);
  return {
    status: isOpen ? 'open' : status === 'SUCCESS' ? 'completed' : 'failed',
    output,
    ...(error === undefined || error === null
      ? {}
      : { error: error instanceof Error ? error.message : JSON.stringify(error) }),
    gaps,
  };
}

/** There is no call for it: a workflow carries the version that made it. */
async function changeVersion(url: string, runId: string): Promise<() => Promise<void>> {
  const become = async (version: string): Promise<void> => {
    const connection = new Client({ connectionString: url });
    await connection.connect();
    try {
      await connection.query(
        'update dbos.workflow_status set application_version = $1 where workflow_uuid = $2',
        [version, runId],
      );
    } finally {
      await connection.end();
    }
  };
  await become('a newer one');
  return () => become(appVersion);
}
