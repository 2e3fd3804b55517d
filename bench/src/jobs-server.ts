/** The whole product with an empty data folder of its own: what the jobs run on. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createLog, loadConfig, systemClock } from '../../src/base/base.ts';
import { createClient, type Client } from '../../src/client/client.ts';
import type { RunDetail, RunEvent } from '../../src/coordination/coordination.ts';
import { startServer } from '../../src/server.ts';

export const root = join(import.meta.dirname, '../..');
/** Where agents, workflows and their programs are. */
export const jobsFolder = join(root, 'bench/jobs');
const tools = join(jobsFolder, 'tools');
const mostEvents = 1_000;

export interface JobServer {
  readonly client: Client;
  /** A folder that goes with the server. */
  readonly folder: string;
  /** Starts a run, waits for its end and gives all that was recorded; a run that failed is a result. */
  run(workflow: string, input?: Readonly<Record<string, unknown>>): Promise<Recorded>;
  /** What the command line prints, as people see it. */
  cli(...args: readonly string[]): Promise<string>;
}

export interface Recorded {
  readonly run: RunDetail;
  readonly events: readonly RunEvent[];
  /** From its creation to its end, by the database's clock. */
  readonly tookMs: number;
}

/** Starts Centuria on its embedded database, as `centuria up` does, and stops it after the work. */
export async function withJobServer<T>(work: (server: JobServer) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'centuria-jobs-'));
  const home = join(folder, 'home');
  const flags = {
    home,
    bridgePort: 0,
    learningPort: 0,
    agentFolders: [join(jobsFolder, 'agents')],
    workflowFolders: [join(jobsFolder, 'workflows')],
  };
  try {
    const server = await startServer(loadConfig({ flags, env: {}, cwd: root }), {
      clock: systemClock,
      log: createLog({ level: 'error' }),
      root,
      version: '0.0.0-bench',
      cwd: root,
    });
    try {
      const token = readFileSync(join(home, 'token'), 'utf8').trim();
      const client = createClient({ baseUrl: server.bridgeUrl ?? '', token });
      return await work({
        client,
        folder,
        async run(workflow, input = {}) {
          const { id } = await server.coordination.start({ workflow, input: { tools, ...input } });
          const run = await server.coordination.wait(id);
          const events: RunEvent[] = [];
          for (let more = true; more;) {
            const page = await server.coordination.events(id, events.length, mostEvents);
            events.push(...page);
            more = page.length === mostEvents;
          }
          const tookMs = Date.parse(run.finishedAt ?? '') - Date.parse(run.createdAt);
          return { run, events, tookMs };
        },
        cli: (...args) => cli(home, args),
      });
    } finally {
      await server.stop({ force: true });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function cli(home: string, args: readonly string[]): Promise<string> {
  // Settings and colours of the caller's shell would be seen in what is printed.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('CENTURIA_')),
  );
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(root, 'bin/centuria.mjs'), '--home', home, ...args],
    { cwd: root, env: { ...env, NO_COLOR: '1' }, maxBuffer: 64 * 1024 * 1024 },
  );
  return stdout.trimEnd();
}

/** Throws what went wrong with a run that a figure can't do without. */
export function completed(recorded: Recorded): Recorded {
  const { run } = recorded;
  if (run.status === 'completed') return recorded;
  throw new Error(`${run.workflow} ${run.status}: ${run.error?.message ?? 'no reason given'}`);
}
