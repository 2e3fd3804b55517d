/** The composition root: the only place where the parts of Centuria meet. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { agentFolders, openRegistry, type AgentRegistry } from './agents/agents.ts';
import {
  createPublicAddress,
  startBridge,
  startLearningFace,
  type Bridge,
  type LearningFace,
} from './api/api.ts';
import { createHttpDoor } from './client/client.ts';
import { AppError, type Clock, type Config, type Log, type Settings } from './base/base.ts';
import {
  openBreakers,
  openBudgets,
  openConversations,
  openCoordination,
  openDeadLetters,
  openSchedules,
  pruneRuns,
  startUpkeep,
  workflowFolders,
  type Coordination,
  type CoordinationPart,
} from './coordination/coordination.ts';
import { openWorkspaces } from './workspaces/workspaces.ts';
import { makeHome, migrate, openDatabase, type Database } from './database/database.ts';
import { createOutbound } from './outbound/outbound.ts';
import { createEmbedder, openLearning } from './learning/learning.ts';
import { openIdentity, type Identity, type IdentitySettings } from './identity/identity.ts';

/**
 * What one process can be: the bridge answers HTTP, the worker drives runs, learning adds outcomes up and
 * answers on a port of its own.
 */
export const roles = ['bridge', 'worker', 'learning'] as const;
export type Role = (typeof roles)[number];

export interface ServerOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** All of them unless given. */
  readonly roles?: readonly Role[];
  /** Where `agents`, `workflows` and `migrations` are. */
  readonly root: string;
  readonly version: string;
  /** What relative defaults of path inputs start from. */
  readonly cwd: string;
  /** Told of each step of the start before it is taken. */
  readonly onStep?: (step: string) => void;
  /** Called once when the server can't go on: the embedded database has stopped. */
  readonly onLost?: (error: AppError) => void;
}

export interface RunningServer {
  /** Absent without the bridge. */
  readonly bridgeUrl: string | undefined;
  /** Absent without the learning API, which is the case too where its usual port is taken. */
  readonly learningUrl: string | undefined;
  readonly coordination: Coordination;
  readonly agents: AgentRegistry;
  readonly database: Database;
  /** A link that opens one browser session, once. */
  loginLink(): string | undefined;
  /** Whether no run has ever been started in this database. */
  firstRun(): Promise<boolean>;
  /**
   * Stops in order: the bridge takes nothing new, the worker lets attempts finish within the grace,
   * then the database is closed. Calling it again with `force` ends the waiting. What is cut off
   * goes on after the next start.
   */
  stop(options: { force: boolean }): Promise<void>;
}

/** What tells the command line where the server is: `<home>/server.json`. */
export interface ServerFile {
  readonly pid: number;
  readonly bridgeUrl: string;
  readonly startedAt: string;
  readonly version: string;
}

/**
 * Starts Centuria in the data folder. On failure everything that was opened is closed again.
 * Throws what the parts throw: `home_locked`, `home_unusable`, `database_*`, `migration_*`,
 * `schema_too_new`, `port_in_use`.
 */
export async function startServer(config: Config, options: ServerOptions): Promise<RunningServer> {
  const { clock, log, root, version, cwd } = options;
  const active = options.roles ?? roles;
  const step = options.onStep ?? (() => undefined);
  const startedAt = new Date(clock.nowMs());
  const closers: (() => Promise<void>)[] = [];
  const hurry = new AbortController();
  let stopped: Promise<void> | undefined;
  const closeAll = async (): Promise<void> => {
    for (const close of closers.toReversed()) {
      await close().catch((error: unknown) =>
        log.error({ err: error }, 'a part did not stop well'),
      );
    }
  };

  try {
    const { home, values } = config;
    makeHome(home);
    for (const folder of ['agents', 'workflows', 'runs']) {
      await mkdir(join(home, folder), { recursive: true, mode: 0o700 });
    }
    step(values.databaseUrl === '' ? 'opening the embedded database' : 'connecting to PostgreSQL');
    const database = await openDatabase({
      url: values.databaseUrl,
      home,
      poolSize: values.databasePoolSize,
      log,
      clock,
      ...(options.onLost === undefined ? {} : { onLost: options.onLost }),
    });
    closers.push(() => database.close());
    step('migrating');
    await migrate(database, { folder: join(root, 'migrations'), log, clock });
    step('loading agents');
    const outbound = createOutbound({ allow: values.outboundAllow });
    closers.push(() => outbound.close());
    const agents = await openRegistry({
      outbound,
      models: {
        provider: values.modelProvider,
        model: values.model,
        baseUrl: values.modelBaseUrl,
      },
      folders: agentFolders(config, root),
      database,
      packageRoot: root,
      log,
      clock,
      watch: true,
    });
    closers.push(() => agents.close());
    step('opening learning');
    const learning = await openLearning({
      database,
      clock,
      log,
      embedder: await createEmbedder({ settings: values, env: process.env, outbound, clock }),
      isKnown: (name) => agents.get(name) !== undefined,
      learns: active.includes('learning'),
      keepDays: values.learningKeepDays,
    });
    closers.push(() => learning.close());
    const breakers = await openBreakers({ database, clock, log });
    closers.push(() => breakers.close());
    const budgets = openBudgets({ database, clock, log });
    closers.push(() => budgets.close());
    let bridge: Bridge | undefined;
    let face: LearningFace | undefined;
    const ownerToken = await readToken(home, log);
    const part = await openCoordination({
      doors: [
        createHttpDoor({ bridge: () => bridge && { url: bridge.url, token: ownerToken }, clock }),
      ],
      limits: { breakers, budgets },
      workspaces: openWorkspaces({ home, log, clock }),
      router: learning,
      database,
      registry: agents,
      workflowFolders: workflowFolders(config, root),
      home,
      cwd,
      clock,
      log,
      leaseMs: values.workerLeaseMs,
      concurrency: values.workerConcurrency,
    });
    if (active.includes('bridge') || active.includes('learning')) {
      step('opening identity');
      const publicAddress = createPublicAddress(values.publicUrl);
      const identity = await openIdentity({
        database,
        clock,
        log,
        masterKey: await readMasterKey(home, values.masterKey, log),
        ownerToken,
        publicUrl: publicAddress.url,
        settings: identitySettings(values),
      });
      closers.push(() => identity.close());
      await giveAgentsPrincipals(identity, agents, log);
      const shared = {
        breakers,
        agents,
        database,
        config,
        identity,
        learning,
        publicAddress,
        version,
        log,
        clock,
        startedAt,
      };
      if (active.includes('learning')) {
        step('opening the learning API');
        const opened = await startLearningFace(shared);
        face = opened;
        closers.push(() => opened.close(hurry.signal));
      }
      if (active.includes('bridge')) {
        const schedules = openSchedules({
          database,
          coordination: part.runs,
          mayStart: (id, workflow) => whyNot(identity, id, workflow),
          mayCall: async (id, agent) =>
            (await identity.access.check(id, 'agents.execute', agent)).allowed,
          clock,
          log,
        });
        step('opening the bridge');
        bridge = await startBridge({
          ...shared,
          coordination: part.runs,
          workStatus: part.status,
          budgets,
          schedules,
          conversations: openConversations(database),
          failures: openDeadLetters({ database, retry: (id, by) => part.runs.retry(id, { by }) }),
          prune: (request) => pruneRuns({ database, clock, log }, request),
          learningApi: () => face?.state ?? { reason: 'this process does not have that role' },
        });
        const { close } = bridge;
        closers.push(() => close(hurry.signal));
        await schedules.start();
        closers.push(() => schedules.stop());
      }
    }
    if (active.includes('worker')) {
      closers.push(() => {
        // The bridge takes nothing new from here on, and closes after the worker: attempts may go over it.
        bridge?.ready(false);
        face?.ready(false);
        return part.stop(values.shutdownGraceMs, hurry.signal);
      });
      await part.startWorker();
      const upkeep = startUpkeep({ database, clock, log, home, keepDays: values.runKeepDays });
      closers.push(() => upkeep.stop());
    }
    face?.ready(true);
    if (bridge !== undefined) {
      bridge.ready(true);
      await writeServerFile(home, {
        pid: process.pid,
        bridgeUrl: bridge.url,
        startedAt: startedAt.toISOString(),
        version,
      });
      closers.push(() => rm(join(home, 'server.json'), { force: true }));
    }
    return running({ bridge, face, part, agents, database }, (force) => {
      if (force) hurry.abort();
      stopped ??= closeAll();
      return stopped;
    });
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function running(
  parts: {
    bridge: Bridge | undefined;
    face: LearningFace | undefined;
    part: CoordinationPart;
    agents: AgentRegistry;
    database: Database;
  },
  stop: (force: boolean) => Promise<void>,
): RunningServer {
  const { bridge, face, part, agents, database } = parts;
  return {
    bridgeUrl: bridge?.url,
    learningUrl: face !== undefined && 'url' in face.state ? face.state.url : undefined,
    coordination: part.runs,
    agents,
    database,
    loginLink: () => bridge?.loginLink(),
    firstRun: async () => !(await part.hasRuns()),
    stop: ({ force }) => stop(force),
  };
}

/** The token that the command line shows to the bridge: 256 random bits, readable by its owner only. */
async function readToken(home: string, log: Log): Promise<string> {
  const token = await readSecret(join(home, 'token'), log);
  if (token.length >= 32) return token;
  throw new AppError('home_unusable', `${join(home, 'token')} holds no token`, {
    remedy: 'Delete it; the next start makes a new one.',
  });
}

/** What secrets in the database are sealed with. Losing it means new signing keys and new one-time codes. */
async function readMasterKey(home: string, given: string, log: Log): Promise<Uint8Array> {
  const path = join(home, 'master.key');
  const text = given === '' ? await readSecret(path, log) : given;
  const key = Buffer.from(text, 'base64url');
  if (key.length === 32) return key;
  throw new AppError(
    'config_invalid',
    `${given === '' ? path : 'CENTURIA_MASTER_KEY'} is no master key`,
    {
      remedy: 'It is 32 random bytes in base64, as `openssl rand -base64 32` gives them.',
    },
  );
}

/** A secret of the data folder; made when there is none. */
async function readSecret(path: string, log: Log): Promise<string> {
  try {
    await writeFile(path, randomBytes(32).toString('base64url'), { mode: 0o600, flag: 'wx' });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw new AppError('home_unusable', `${path} can not be written`, { cause });
    }
    const { mode } = await stat(path);
    if ((mode & 0o077) !== 0) {
      await chmod(path, 0o600);
      log.warn(
        { path },
        'the secret could be read by others; now only by its owner. Delete it to get a new one',
      );
    }
  }
  return (await readFile(path, 'utf8')).trim();
}

const hourMs = 3_600_000;

function identitySettings(values: Settings): IdentitySettings {
  return {
    redisUrl: values.redisUrl,
    issuer: values.publicUrl,
    signingAlgorithm: values.signingAlgorithm,
    accessTokenMs: values.accessTokenSeconds * 1_000,
    browserSessionMs: values.sessionHours * hourMs,
    clientSessionMs: values.loginDays * 24 * hourMs,
    keyRotationMs: values.keyRotationHours * hourMs,
    keyOverlapMs: values.keyOverlapHours * hourMs,
    passwordHashMs: values.passwordHashMs,
    passwordQueue: values.passwordQueue,
    loginAttempts: values.loginAttempts,
    loginsPerMinute: values.loginsPerMinute,
    requestsPerMinute: values.requestsPerMinute,
    usualRequests: values.usualRequests,
    breachedPasswords: values.breachedPasswords,
  };
}

/** Why a principal may not start runs of a workflow: what its schedules are held to at each of their times. */
async function whyNot(
  identity: Identity,
  principalId: string,
  workflow: string,
): Promise<string | undefined> {
  const answer = await identity.access.check(principalId, 'workflows.execute', workflow);
  return answer.allowed ? undefined : answer.reason;
}

/** Every agent has a principal; one whose definition goes keeps it, so that what it did stays its own. */
async function giveAgentsPrincipals(
  identity: Identity,
  agents: AgentRegistry,
  log: Log,
): Promise<void> {
  await identity.principals.ensureAgents(agents.list().map(({ name }) => name));
  agents.onChange(({ added }) => {
    identity.principals
      .ensureAgents(added)
      .catch((error: unknown) => log.warn({ err: error, added }, 'agents have no principals yet'));
  });
}

async function writeServerFile(home: string, file: ServerFile): Promise<void> {
  const path = join(home, 'server.json');
  await writeFile(`${path}.new`, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
}
