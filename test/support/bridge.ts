/** A bridge with a real database, coordination and worker, on a free port, for tests of its faces. */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openRegistry, type AgentRegistry } from '../../src/agents/agents.ts';
import {
  createPublicAddress,
  startBridge,
  type Bridge,
  type BridgeParts,
} from '../../src/api/api.ts';
import { createLog, loadConfig, systemClock, type Log } from '../../src/base/base.ts';
import { createClient, type Client } from '../../src/client/client.ts';
import {
  openBreakers,
  openBudgets,
  openConversations,
  openCoordination,
  type Breakers,
  type Budgets,
  openDeadLetters,
  openSchedules,
  pruneRuns,
  type CoordinationPart,
} from '../../src/coordination/coordination.ts';
import { migrate, openDatabase, type Database } from '../../src/database/database.ts';
import { openIdentity, type Identity, type IdentitySettings } from '../../src/identity/identity.ts';
import { createOfflineEmbedder, openLearning, type Learning } from '../../src/learning/learning.ts';
import { seedHome } from './embedded-template.ts';
import { writeFleet } from './fleet.ts';
import { testFolder } from './processes.ts';

export const testToken = 'the-token-of-a-test-0123456789abcdef';

export interface TestBridge extends Bridge {
  readonly client: Client;
  readonly database: Database;
  readonly coordination: CoordinationPart;
  readonly breakers: Breakers;
  readonly budgets: Budgets;
  readonly registry: AgentRegistry;
  readonly identity: Identity;
  /** What a second bridge over the same parts needs besides. */
  readonly work: Pick<BridgeParts, 'schedules' | 'failures' | 'prune' | 'conversations'> & {
    readonly learning: Learning;
  };
  /** Log lines as they were written. */
  readonly logged: readonly Record<string, unknown>[];
  readonly home: string;
  /** For a second bridge on the same database; the URL is empty on the embedded one. */
  readonly place: { readonly url: string; readonly masterKey: Uint8Array };
  /** `fetch` with the token, from the root of the server. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** Starts another bridge over the same parts, on the port that the first one had. */
  restart(): Promise<void>;
  end(): Promise<void>;
}

export interface TestBridgeOptions {
  readonly graceMs?: number;
  readonly settings?: Partial<IdentitySettings>;
  /** A clone on the test server where there is one, unless this says embedded. */
  readonly driver?: Database['driver'];
  /** Another bridge's database, or a way to it, and what it is sealed with. */
  readonly on?: { readonly url: string; readonly masterKey: Uint8Array };
  /** What is offered over MCP, where it is not what the bridge offers. */
  readonly offerOf?: Parameters<typeof startBridge>[1];
}

/** The floor of hashing, and limits that no test reaches by accident. */
export const testSettings: IdentitySettings = {
  redisUrl: '',
  issuer: '',
  signingAlgorithm: 'ES256',
  accessTokenMs: 900_000,
  browserSessionMs: 3_600_000,
  clientSessionMs: 86_400_000,
  keyRotationMs: 168 * 3_600_000,
  keyOverlapMs: 24 * 3_600_000,
  passwordHashMs: 1,
  hashParameters: { memoryKiB: 19_456, iterations: 2, parallelism: 1 },
  passwordQueue: 64,
  loginAttempts: 10,
  loginsPerMinute: 100_000,
  requestsPerMinute: 1_000_000,
  usualRequests: 1_000_000,
  breachedPasswords: '',
};

export async function openTestBridge(options: TestBridgeOptions = {}): Promise<TestBridge> {
  const home = await testFolder();
  const logged: Record<string, unknown>[] = [];
  const log = createLog({
    level: 'debug',
    destination: { write: (line) => void logged.push(JSON.parse(line) as never) },
  });
  const flags = { home, bridgePort: 0, learningPort: 0, shutdownGraceMs: options.graceMs ?? 2_000 };
  const config = loadConfig({ flags, env: {}, cwd: home });
  const masterKey = options.on?.masterKey ?? randomBytes(32);
  const { database, databaseUrl, dispose } = await openTestDatabase(home, log, options);
  const folders = await writeFleet(home);
  const agents = await openRegistry({
    folders: [{ path: folders.agents, shipped: false }],
    database,
    packageRoot: join(import.meta.dirname, '../..'),
    log,
    clock: systemClock,
    watch: false,
  });
  const breakers = await openBreakers({ database, clock: systemClock, log });
  const budgets = openBudgets({ database, clock: systemClock, log });
  const coordination = await openCoordination({
    database,
    registry: agents,
    workflowFolders: [folders.workflows],
    home,
    cwd: home,
    clock: systemClock,
    log,
    leaseMs: 3_000,
    concurrency: 8,
  });
  await coordination.startWorker();
  const publicAddress = createPublicAddress('');
  const identity = await openIdentity({
    database,
    clock: systemClock,
    log,
    masterKey,
    ownerToken: testToken,
    publicUrl: publicAddress.url,
    settings: { ...testSettings, ...options.settings },
  });
  const schedules = openSchedules({
    database,
    coordination: coordination.runs,
    mayCall: async (id, agent) =>
      (await identity.access.check(id, 'agents.execute', agent)).allowed,
    async mayStart(id, workflow) {
      const answer = await identity.access.check(id, 'workflows.execute', workflow);
      return answer.allowed ? undefined : answer.reason;
    },
    clock: systemClock,
    log,
  });
  await schedules.start();
  const learning = await openLearning({
    database,
    clock: systemClock,
    log,
    embedder: await createOfflineEmbedder(),
    isKnown: (agent) => agents.get(agent) !== undefined,
    learns: true,
    keepDays: 0,
  });
  const work: TestBridge['work'] = {
    learning,
    schedules,
    conversations: openConversations(database),
    failures: openDeadLetters({ database, retry: (id, by) => coordination.runs.retry(id, { by }) }),
    prune: (request) => pruneRuns({ database, clock: systemClock, log }, request),
  };
  const start = async (port: number): Promise<Bridge> => {
    const bridgeParts: BridgeParts = {
      coordination: coordination.runs,
      workStatus: () => coordination.status(),
      breakers,
      budgets,
      ...work,
      agents,
      database,
      config: { ...config, values: { ...config.values, bridgePort: port } },
      identity,
      publicAddress,
      version: '0.0.0-test',
      log,
      clock: systemClock,
      startedAt: new Date(),
    };
    const started = await startBridge(bridgeParts, options.offerOf);
    started.ready(true);
    return started;
  };
  let bridge = await start(0);
  const { url, port } = bridge;

  return {
    url,
    port,
    home,
    place: { url: databaseUrl, masterKey },
    logged,
    database,
    coordination,
    breakers,
    budgets,
    registry: agents,
    identity,
    work,
    client: createClient({ baseUrl: url, token: testToken }),
    ready: (isReady) => bridge.ready(isReady),
    loginLink: () => bridge.loginLink(),
    close: () => bridge.close(),
    fetch: (path, init = {}) =>
      fetch(`${url}${path}`, {
        ...init,
        headers: { authorization: `Bearer ${testToken}`, ...init.headers },
      }),
    async restart() {
      bridge = await start(port);
    },
    async end() {
      await bridge.close();
      await schedules.stop();
      await learning.close();
      await identity.close();
      await coordination.stop(0);
      await budgets.close();
      await breakers.close();
      await agents.close();
      await database.close();
      await dispose();
      await rm(home, { recursive: true });
    },
  };
}

/** The test server is known to vitest only: programs outside of it ask for the embedded database. */
async function cloneWherePossible() {
  const { freshDatabase, postgresUnavailable } = await import('./postgres.ts');
  return postgresUnavailable === undefined ? await freshDatabase() : undefined;
}

/** A clone on the test server, or the embedded database where there is none or it is asked for. */
async function openTestDatabase(
  home: string,
  log: Log,
  { driver, on }: TestBridgeOptions,
): Promise<{ database: Database; databaseUrl: string; dispose: () => Promise<void> }> {
  const clone = on === undefined && driver !== 'embedded' ? await cloneWherePossible() : undefined;
  const databaseUrl = on?.url ?? clone?.url ?? '';
  if (databaseUrl === '') seedHome(home, 'migrated');
  const database = await openDatabase({
    url: databaseUrl,
    home,
    poolSize: 5,
    log,
    clock: systemClock,
  });
  const folder = join(import.meta.dirname, '../../migrations');
  if (databaseUrl === '') await migrate(database, { folder, log, clock: systemClock });
  return { database, databaseUrl, dispose: async () => await clone?.drop() };
}
