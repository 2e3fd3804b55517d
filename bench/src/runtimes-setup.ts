/** The peers, and agents of every kind beside them: the registry and coordination as the server has them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { openRegistry, type AgentRegistry } from '../../src/agents/agents.ts';
import { createLog, newId, systemClock } from '../../src/base/base.ts';
import { openCoordination, type Coordination } from '../../src/coordination/coordination.ts';
import { migrate, openDatabase } from '../../src/database/database.ts';
import { modelKey, payload, type Addresses } from './runtimes-payload.ts';

const root = join(import.meta.dirname, '../..');
/** A script as people write one: its start is the most of it. */
export const scriptArguments = ['-e', 'process.stdin.pipe(process.stdout)'];

export interface Setting {
  readonly addresses: Addresses;
  readonly registry: AgentRegistry;
  /** Runs an agent on the payload, without a run. */
  invoke(agent: string): Promise<unknown>;
  /** Starts a worker, which looks for work by itself from then on: not while calls alone are measured. */
  startRuns(): Promise<Coordination>;
}

export async function withSetting<Result>(
  work: (setting: Setting) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'centuria-runtimes-'));
  const peers = await startPeers();
  const ends: (() => Promise<unknown>)[] = [peers.close];
  try {
    const { addresses } = peers;
    const log = createLog({ level: 'error' });
    const shared = { log, clock: systemClock };
    const database = await openDatabase({ home: folder, url: '', poolSize: 2, ...shared });
    ends.push(() => database.close());
    await migrate(database, { folder: join(root, 'migrations'), ...shared });
    const registry = await openRegistry({
      folders: [{ path: writeAgents(folder, addresses), shipped: false }],
      database,
      packageRoot: root,
      watch: false,
      environment: { ...process.env, OPENAI_API_KEY: modelKey },
      models: { provider: 'openai-compatible', model: 'local-1', baseUrl: addresses.model },
      ...shared,
    });
    ends.push(() => registry.close());
    const startRuns = async (): Promise<Coordination> => {
      const coordination = await openCoordination({
        database,
        registry,
        workflowFolders: [],
        home: folder,
        cwd: folder,
        leaseMs: 30_000,
        concurrency: 4,
        ...shared,
      });
      ends.push(() => coordination.stop(0));
      await coordination.startWorker();
      return coordination.runs;
    };
    const invoke = async (name: string): Promise<unknown> => {
      const agent = registry.get(name);
      if (agent === undefined) throw new Error(`there is no agent ${name}`);
      const id = newId();
      const { signal } = new AbortController();
      const call = { agent, input: payload, attemptId: id, idempotencyKey: id, signal };
      return (await registry.invoke({ ...call, timeoutMs: 30_000 })).output;
    };
    return await work({ addresses, registry, invoke, startRuns });
  } finally {
    for (const end of ends.toReversed()) await end();
    rmSync(folder, { recursive: true, force: true });
  }
}

const program = (file: string, args: readonly string[]) => ({
  kind: 'command',
  program: file,
  arguments: args,
  stdin: 'json',
  stdout: 'json',
});

function writeAgents(home: string, { http, mcp, a2a }: Addresses): string {
  const folder = join(home, 'agents');
  const agents = {
    cat: { runtime: program('cat', []) },
    script: { runtime: program(process.execPath, scriptArguments) },
    http: { runtime: { kind: 'http', url: http } },
    'mcp-stdio': {
      runtime: {
        kind: 'mcp',
        server: { command: 'mcp-server-everything', arguments: ['stdio'] },
        tool: 'echo',
      },
    },
    'mcp-http': { runtime: { kind: 'mcp', server: { url: mcp }, tool: 'echo' } },
    a2a: { runtime: { kind: 'a2a', url: a2a } },
    model: { runtime: { kind: 'model', task: '${input.message}' } },
    claude: { runtime: { kind: 'claude-code', directory: folder } },
    caller: {
      runtime: program(process.execPath, [join(import.meta.dirname, 'runtimes-caller.mjs'), http]),
      invokes: ['http'],
      timeoutSeconds: 120,
    },
  };
  mkdirSync(folder);
  for (const [name, centuria] of Object.entries(agents)) {
    const front = { name, description: `${name}, measured.`, centuria };
    writeFileSync(join(folder, `${name}.md`), `---\n${JSON.stringify(front)}\n---\nAnswer.\n`);
  }
  return folder;
}

async function startPeers(): Promise<{ addresses: Addresses; close(): Promise<void> }> {
  const peer = join(import.meta.dirname, 'runtimes-peer.ts');
  const child = spawn(process.execPath, [peer], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const lines = createInterface(child.stdout);
  const [line] = (await Promise.race([once(lines, 'line'), ended])) as [unknown];
  if (typeof line !== 'string') throw new Error(`the peers ended with ${String(line)}`);
  return {
    addresses: JSON.parse(line) as Addresses,
    async close() {
      child.stdin.end();
      await ended;
    },
  };
}
