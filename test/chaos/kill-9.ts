/**
 * The whole server is killed with -9 at random moments during repo-review, started again each time,
 * and must bring the run to its end without running a finished task again. Every process that an
 * agent is run as says so in a file of its own before it does anything, so that what is counted is
 * what really ran, not what the log believes.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunDetail, RunEvent } from '../../src/coordination/coordination.ts';
import type { ChaosResult } from './run.ts';
import { randomFrom } from '../support/random.ts';

const root = join(import.meta.dirname, '../..');

export interface ChaosOptions {
  /** Kills. */
  readonly rounds: number;
  readonly seed: number;
  readonly say: (line: string) => void;
}

interface Server {
  readonly child: ChildProcess;
  readonly url: string;
}

export async function killRounds({ rounds, seed, say }: ChaosOptions): Promise<ChaosResult> {
  const folder = await mkdtemp(join(tmpdir(), 'centuria-chaos-'));
  const random = randomFrom(seed);
  let server: Server | undefined;
  try {
    const { repo, home } = await prepare(folder);
    server = await start(home, folder);
    const runId = await startRun(server, home, repo);
    let kills = 0;
    while (kills < rounds) {
      await delay(50 + random() * 2_500);
      const { status } = await get<RunDetail>(server, home, `/api/v1/runs/${runId}`);
      if (status === 'completed') break;
      server.child.kill('SIGKILL');
      await once(server.child, 'exit');
      kills += 1;
      say(`killed ${kills} of ${rounds}`);
      server = await start(home, folder);
    }
    const detail = await ended(server, home, runId);
    const events = await get<{ items: RunEvent[] }>(
      server,
      home,
      `/api/v1/runs/${runId}/events?limit=1000`,
    );
    server.child.kill('SIGTERM');
    await once(server.child, 'exit');
    server = undefined;
    return judge({ kills, rounds, seed, detail, events: events.items, ran: await ran(folder) });
  } finally {
    if (server !== undefined) server.child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
}

/** A repository to review, and a data folder whose agents count their processes. */
async function prepare(folder: string): Promise<{ repo: string; home: string }> {
  const repo = join(folder, 'repo');
  const home = join(folder, 'home');
  await mkdir(join(home, 'agents'), { recursive: true });
  await mkdir(repo);
  await cp(join(root, 'src/base'), join(repo, 'src'), { recursive: true });
  await writeFile(join(repo, 'README.md'), '# A repository\n\n[broken](./nowhere.md)\n');
  for (const args of [
    ['init', '-q'],
    ['add', '-A'],
    ['-c', 'user.name=Test', '-c', 'user.email=test@example.org', 'commit', '-qm', 'All of it'],
  ]) {
    await once(spawn('git', args, { cwd: repo, stdio: 'ignore' }), 'exit');
  }
  const counter = join(folder, 'count');
  const tool = join(root, 'bin/centuria-tool.mjs');
  await writeFile(
    counter,
    `#!/bin/sh\necho "$CENTURIA_ATTEMPT_KEY start" >> '${folder}/ran'\n'${process.execPath}' '${tool}' "$@"\ncode=$?\n` +
      `[ $code = 0 ] && echo "$CENTURIA_ATTEMPT_KEY done" >> '${folder}/ran'\nexit $code\n`,
  );
  await chmod(counter, 0o755);
  for (const name of await readdir(join(root, 'agents'))) {
    if (!name.endsWith('.md')) continue;
    const text = await readFile(join(root, 'agents', name), 'utf8');
    await writeFile(
      join(home, 'agents', name),
      text.replace(/program: centuria-tool\b/, `program: ${counter}`),
    );
  }
  return { repo, home };
}

async function start(home: string, folder: string): Promise<Server> {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    CENTURIA_HOME: home,
    CENTURIA_LOG_LEVEL: 'warn',
  };
  const child = spawn(
    process.execPath,
    [join(root, 'bin/centuria.mjs'), 'up', '--bridge-port', '0', '--learning-port', '0'],
    {
      cwd: folder,
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  const exited = once(child, 'exit').then(() => 'exited' as const);
  for (;;) {
    const state = await Promise.race([exited, delay(30)]);
    if (state === 'exited')
      throw new Error(`centuria up ended with ${child.exitCode ?? child.signalCode}`);
    const file = await readFile(join(home, 'server.json'), 'utf8').catch(() => undefined);
    if (file === undefined) continue;
    const { pid, bridgeUrl } = JSON.parse(file) as { pid: number; bridgeUrl: string };
    if (pid === child.pid) return { child, url: bridgeUrl };
  }
}

async function startRun(server: Server, home: string, repo: string): Promise<string> {
  const answer = await call(server, home, '/api/v1/runs', {
    method: 'POST',
    body: JSON.stringify({ workflow: 'repo-review', input: { repo } }),
  });
  return ((await answer.json()) as { id: string }).id;
}

async function ended(server: Server, home: string, runId: string): Promise<RunDetail> {
  for (;;) {
    const detail = await get<RunDetail>(server, home, `/api/v1/runs/${runId}`);
    if (['completed', 'failed', 'cancelled'].includes(detail.status)) return detail;
    await delay(200);
  }
}

async function get<T>(server: Server, home: string, path: string): Promise<T> {
  return (await (await call(server, home, path, {})).json()) as T;
}

async function call(
  server: Server,
  home: string,
  path: string,
  init: RequestInit,
): Promise<Response> {
  const token = (await readFile(join(home, 'token'), 'utf8')).trim();
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const response = await fetch(server.url + path, {
    ...init,
    headers,
    signal: AbortSignal.timeout(30_000),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response;
}

/** What the processes said of themselves: `<run>/<task> start|done`. */
async function ran(folder: string): Promise<string[]> {
  const text = await readFile(join(folder, 'ran'), 'utf8').catch(() => '');
  return text.split('\n').filter((line) => line !== '');
}

interface Evidence {
  readonly kills: number;
  readonly rounds: number;
  readonly seed: number;
  readonly detail: RunDetail;
  readonly events: readonly RunEvent[];
  readonly ran: readonly string[];
}

/**
 * A task is finished once its success is in the log. `repeated` counts tasks that were started after
 * that; a process that ended well but whose success was not yet written counts as under way.
 */
function judge({ kills, rounds, seed, detail, events, ran: lines }: Evidence): ChaosResult {
  const starts = lines.filter((line) => line.endsWith(' start')).length;
  const counted = events.filter(({ body }) => body.type === 'attempt.started').length;
  const finished = new Set<string>();
  let repeated = 0;
  for (const { body } of events) {
    if (body.type === 'attempt.started' && finished.has(body.task)) repeated += 1;
    if (body.type === 'attempt.succeeded') finished.add(body.task);
  }
  const lost = detail.taskList.filter(
    ({ status }) => status !== 'completed' && status !== 'failed',
  ).length;
  const takeovers = events.filter(
    ({ body }) => body.type === 'run.claimed' && body.takeover,
  ).length;
  return {
    chaos: 'kill-9',
    rounds: kills,
    seed,
    status: detail.status,
    tasks: detail.taskList.length,
    processesStarted: starts,
    attemptsInTheLog: counted,
    takeovers,
    lost,
    repeated,
    met:
      kills >= rounds &&
      detail.status === 'completed' &&
      lost === 0 &&
      repeated === 0 &&
      starts <= counted,
  };
}
