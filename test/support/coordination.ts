/** Coordination on a real database, with agents that are functions or the real registry. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentRegistry } from '../../src/agents/agents.ts';
import { createLog, systemClock, type Log } from '../../src/base/base.ts';
import {
  openCoordination,
  type CoordinationOptions,
  type CoordinationPart,
  type RunDetail,
  type RunEvent,
} from '../../src/coordination/coordination.ts';
import { migrate, openDatabase, type Database } from '../../src/database/database.ts';
import { seedHome } from './embedded-template.ts';
import { inProcessAgents, type AgentFunction } from './in-process-agents.ts';
import { freshDatabase } from './postgres.ts';

export const migrationsFolder = join(import.meta.dirname, '../../migrations');

/** A migrated database of a driver in a folder of its own. */
export interface TestStore {
  readonly database: Database;
  /** Where the server has it; empty on the embedded driver. */
  readonly url: string;
  readonly home: string;
  /** Opens the same database once more, as another process would; not on the embedded driver. */
  another(): Promise<Database>;
  close(): Promise<void>;
}

const quiet = createLog({ level: 'silent' });

export async function openStore(driver: Database['driver'], log: Log = quiet): Promise<TestStore> {
  const home = await mkdtemp(join(tmpdir(), 'centuria-store-'));
  const server = driver === 'server' ? await freshDatabase() : undefined;
  const url = server?.url ?? '';
  if (server === undefined) seedHome(home, 'migrated');
  const open = (): Promise<Database> =>
    openDatabase({ url, home, poolSize: 6, log, clock: systemClock });
  const database = await open();
  await migrate(database, { folder: migrationsFolder, log, clock: systemClock });
  const others: Database[] = [];
  return {
    database,
    url,
    home,
    async another() {
      const other = await open();
      others.push(other);
      return other;
    },
    async close() {
      for (const other of others) await other.close();
      await database.close();
      await server?.drop();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** Starts a program of this folder that works on the store's server as another process; ready when this resolves. */
export async function startProcess(
  store: Pick<TestStore, 'url' | 'home'>,
  program: 'worker-process' | 'undo-worker',
  ...options: readonly string[]
): Promise<ChildProcess> {
  const path = join(import.meta.dirname, `${program}.ts`);
  const child = spawn(process.execPath, [path, store.url, store.home, ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

export interface Fixture {
  readonly part: CoordinationPart;
  /** Starts a run of the workflow and waits until it has ended. */
  run(workflow: string, input?: Record<string, unknown>): Promise<RunDetail>;
  events(runId: string): Promise<readonly RunEvent[]>;
}

/** Coordination with workflows from texts; `part.startWorker` is called unless `worker` is false. */
export async function openFixture(
  store: Pick<TestStore, 'database' | 'home'>,
  workflows: Readonly<Record<string, string>>,
  agents: Readonly<Record<string, AgentFunction>> | AgentRegistry,
  options: Partial<CoordinationOptions> & { worker?: boolean } = {},
): Promise<Fixture> {
  const folder = join(store.home, 'workflows');
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(workflows)) {
    await writeFile(join(folder, `${name}.yaml`), `name: ${name}\n${text}`);
  }
  const part = await openCoordination({
    database: store.database,
    registry: isRegistry(agents) ? agents : inProcessAgents(agents),
    workflowFolders: [folder],
    home: store.home,
    cwd: store.home,
    clock: systemClock,
    log: quiet,
    leaseMs: 3_000,
    concurrency: 64,
    ...options,
  });
  if (options.worker !== false) await part.startWorker();
  return {
    part,
    async run(workflow, input = {}) {
      const { id } = await part.runs.start({ workflow, input });
      return part.runs.wait(id);
    },
    events: (runId) => part.runs.events(runId, 0, 1_000),
  };
}

function isRegistry(agents: object): agents is AgentRegistry {
  return typeof (agents as Partial<AgentRegistry>).invoke === 'function' && 'reap' in agents;
}
