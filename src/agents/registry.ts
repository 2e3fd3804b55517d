import {
  AppError,
  errorRecord,
  toAppError,
  type Clock,
  type ErrorRecord,
  type Log,
} from '../base/base.ts';
import type { Database } from '../database/database.ts';
import { createOutbound, type Outbound } from '../outbound/outbound.ts';
import type {
  AgentDefinition,
  AgentRegistry,
  AgentStatus,
  Invocation,
  InvocationResult,
} from './agents.ts';
import { createCallDoor } from './call-door.ts';
import { noContents, readFolders, type AgentFolder, type FolderContents } from './folders.ts';
import { openHealthMonitor } from './health-monitor.ts';
import { acceptAgentTool, agentTools } from './mcp-agent-tools.ts';
import { openPins } from './mcp-pins.ts';
import { parseAgent } from './parse.ts';
import { reapAttempts } from './processes.ts';
import { insertDefinitions, selectDefinition } from './queries.ts';
import type { CheckResult, ModelDefaults } from './runtime.ts';
import { openRuntimes } from './runtime-kinds.ts';
import { checkInput, verifyOutput } from './verify.ts';
import { watchFolders } from './watch.ts';

export interface RegistryOptions {
  /** In the order of their weight: a definition of a later folder takes the place of an earlier one. */
  readonly folders: readonly AgentFolder[];
  readonly database: Database;
  /** Where the package is: its `bin` and `node_modules/.bin` come before PATH. */
  readonly packageRoot: string;
  readonly log: Log;
  readonly clock: Clock;
  /** Whether changes of the folders are taken over while it runs. */
  readonly watch: boolean;
  /** What requirements are looked up in and agents get some of; this process's own unless given. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** One that reaches public addresses only unless given. */
  readonly outbound?: Outbound;
  /** Anthropic's unless given. */
  readonly models?: ModelDefaults;
}

type ChangeListener = Parameters<AgentRegistry['onChange']>[0];

/** Loads the definitions, checks what each needs, and keeps both up to date until it is closed. */
export async function openRegistry(options: RegistryOptions): Promise<AgentRegistry> {
  const { database, log, clock } = options;
  const environment = options.environment ?? process.env;
  const outbound = options.outbound ?? createOutbound({ allow: [] });
  const callDoor = createCallDoor(log);
  const runtimes = await openRuntimes({
    callDoor,
    packageRoot: options.packageRoot,
    database,
    environment,
    clock,
    log,
    outbound,
    models: options.models ?? { provider: 'anthropic', model: '', baseUrl: '' },
  });
  const pins = openPins(database);
  const listeners = new Set<ChangeListener>();
  const lastErrors = new Map<string, ErrorRecord>();
  const running = new Set<Promise<unknown>>();
  const closing = new AbortController();
  let contents: FolderContents = noContents;
  let byHash = new Map<string, AgentDefinition>();

  const monitor = openHealthMonitor({
    clock,
    check: async (name, signal) => checkAgent(contents.definitions.get(name), signal),
    onChange: (name, before, after) => {
      const fields = { agent: name, before: before.state, after: after.state };
      // That an agent works is what everybody expects, and the first look is told for all at once.
      if (after.reason === undefined || before.state === 'initializing') {
        log.debug({ ...fields, reason: after.reason }, 'agent state changed');
      } else log.warn({ ...fields, reason: after.reason }, 'agent state changed');
    },
    ...(options.watch ? { beforeRound: reload } : {}),
  });

  async function checkAgent(
    definition: AgentDefinition | undefined,
    signal: AbortSignal,
  ): Promise<CheckResult> {
    const kind = definition?.runtime?.kind;
    const runtime = kind === undefined ? undefined : runtimes[kind];
    if (definition !== undefined && runtime !== undefined) return runtime.check(definition, signal);
    const reason =
      kind === undefined
        ? 'no runtime is declared: add centuria.runtime'
        : `the ${kind} runtime is not in this version`;
    return { ok: false, state: 'unavailable', reason };
  }

  /** Said once for all at the start: a line for each of eighty is noise, and `agent list` has the reasons. */
  function tellUnavailable(): void {
    const all = [...contents.definitions.keys()];
    const names = all.filter((name) => (status(name)?.reason ?? '') !== '');
    if (names.length === 0) return;
    const text = `${names.length} of ${all.length} agents can not work here; centuria agent list says why`;
    log.info({ agents: names }, text);
  }

  let reloading: Promise<void> = Promise.resolve();
  /** One after the other, so that an older look never replaces a newer one. */
  function reload(): Promise<void> {
    reloading = reloading.then(readAgain).catch((error: unknown) => {
      log.error({ error }, 'agent folders could not be read again');
    });
    return reloading;
  }

  async function readAgain(): Promise<void> {
    const before = contents.definitions;
    contents = await readFolders(options.folders, contents);
    const after = contents.definitions;
    byHash = new Map([...after.values()].map((definition) => [definition.hash, definition]));
    const added = [...after.keys()].filter((name) => !before.has(name));
    const removed = [...before.keys()].filter((name) => !after.has(name));
    const changed = [...after.values()].flatMap(({ name, hash }) => {
      const old = before.get(name);
      return old === undefined || old.hash === hash ? [] : [name];
    });
    if (added.length + removed.length + changed.length === 0) return;
    monitor.forget(removed);
    for (const name of [...removed, ...changed]) lastErrors.delete(name);
    const checked = monitor.reset([...added, ...changed]);
    for (const listener of listeners) {
      try {
        listener({ added, changed, removed });
      } catch (error) {
        log.error({ error }, 'a listener to changes of agents threw');
      }
    }
    await checked;
  }

  /** A state is up to 30 s old and looking is cheap, so an agent is asked again before it is refused. */
  async function assertReady(agent: AgentDefinition, signal: AbortSignal): Promise<void> {
    const loaded = contents.definitions.get(agent.name)?.hash === agent.hash;
    const state = loaded ? monitor.get(agent.name)?.health.state : undefined;
    if (state === 'active' || state === 'degraded') return;
    const result = loaded ? await monitor.check(agent.name) : await checkAgent(agent, signal);
    if (result.ok) return;
    throw new AppError('agent_unavailable', `agent ${agent.name}: ${result.reason}`, {
      details: { agent: agent.name, reason: result.reason },
    });
  }

  async function invoke(invocation: Invocation): Promise<InvocationResult> {
    const { agent } = invocation;
    checkInput(agent, invocation.input);
    const signal = AbortSignal.any([invocation.signal, closing.signal]);
    await assertReady(agent, signal);
    const kind = agent.runtime?.kind;
    const runtime = kind === undefined ? undefined : runtimes[kind];
    if (runtime === undefined) throw new AppError('internal', `agent ${agent.name} has no runtime`);
    try {
      const result = await runtime.run({ ...invocation, signal });
      await verifyOutput(agent, result.output, invocation.input);
      lastErrors.delete(agent.name);
      return result;
    } catch (thrown) {
      const error = toAppError(thrown);
      // Cancelling says nothing about the agent.
      if (!invocation.signal.aborted && !closing.signal.aborted) {
        lastErrors.set(agent.name, errorRecord(error));
      }
      throw error;
    }
  }

  function status(name: string): AgentStatus | undefined {
    const record = monitor.get(name);
    if (record === undefined) return undefined;
    const lastError = lastErrors.get(name);
    const { state, reason } = record.health;
    return {
      name,
      state: closing.signal.aborted ? 'shutting_down' : state,
      ...(reason === undefined ? {} : { reason }),
      checkedAt: new Date(record.checkedAtMs).toISOString(),
      ...(lastError === undefined ? {} : { lastError }),
    };
  }

  // Watching begins before reading: a change in between is read twice and not missed.
  const watcher = options.watch
    ? await watchFolders(options.folders, log, () => void reload())
    : undefined;
  await readAgain();
  tellUnavailable();

  return {
    list: () => [...contents.definitions.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    get: (name) => contents.definitions.get(name),
    async byHash(hash) {
      return byHash.get(hash) ?? (await storedDefinition(database, hash));
    },
    async pin(definitions) {
      if (definitions.length > 0) await database.query(insertDefinitions(definitions));
    },
    status,
    problems: () => contents.problems,
    async invoke(invocation) {
      if (closing.signal.aborted) throw closed();
      const work = invoke(invocation);
      running.add(work);
      try {
        return await work;
      } finally {
        running.delete(work);
      }
    },
    reap: reapAttempts,
    async tools(name) {
      const agent = contents.definitions.get(name);
      return agent === undefined ? [] : agentTools(pins, agent);
    },
    async acceptTool(name, asked) {
      const agent = contents.definitions.get(name);
      if (agent === undefined) throw new AppError('agent_not_found', `there is no agent ${name}`);
      await acceptAgentTool(pins, agent, asked);
      log.info({ agent: name, hash: asked.hash, by: asked.by.name }, 'a tool was accepted');
      // What it says of itself is to be true at once; a failed look is told as its state.
      await monitor.reset([name]);
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      closing.abort(closed());
      await watcher?.close();
      await Promise.allSettled([...running, reloading, monitor.close()]);
      await Promise.allSettled(Object.values(runtimes).map((runtime) => runtime.close?.()));
      await callDoor.close();
      if (options.outbound === undefined) await outbound.close();
      listeners.clear();
    },
  };
}

function closed(): AppError {
  return new AppError('cancelled', 'the registry of agents is shutting down');
}

async function storedDefinition(
  database: Database,
  hash: string,
): Promise<AgentDefinition | undefined> {
  const [row] = await database.query(selectDefinition(hash));
  if (row === undefined) return undefined;
  const { definition, problems } = parseAgent(row.source, `${row.name}.md`);
  if (definition !== undefined) return definition;
  const why = problems.find((problem) => problem.severity === 'error')?.message;
  throw new AppError(
    'agent_invalid',
    `the stored definition ${row.name} is not valid now: ${why}`,
    {
      details: { agent: row.name, hash },
      remedy: 'It was stored by a version with other rules. Start the run again.',
    },
  );
}
