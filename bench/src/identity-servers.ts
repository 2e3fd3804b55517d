/** The servers that are measured, each a process of its own: `centuria up`, and better-auth beside it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = join(import.meta.dirname, '../..');
const startLimitMs = 60_000;
const stopLimitMs = 20_000;
/** USER_HZ is 100 on every Linux that Node runs on. */
const tickUs = 10_000;

export interface MeasuredServer {
  readonly port: number;
  readonly pid: number;
  /** User and system time of all its threads since it started. */
  cpuUs(): number;
  stop(): Promise<void>;
}

export interface BridgeServer extends MeasuredServer {
  /** The token of its data folder. */
  readonly token: string;
}

export interface BridgeOptions {
  readonly home: string;
  readonly databaseUrl: string;
  /** The same for all processes on one database. */
  readonly masterKey: Uint8Array;
}

/** Limits that no measurement reaches: what is measured is the way through them, not their end. */
const wideLimits = {
  CENTURIA_LOGINS_PER_MINUTE: '1000000',
  CENTURIA_REQUESTS_PER_MINUTE: '100000000',
  CENTURIA_USUAL_REQUESTS: '100000000',
  CENTURIA_LOGIN_ATTEMPTS: '100',
  // The floor, which is what the peer hashes with.
  CENTURIA_PASSWORD_HASH_MS: '1',
};

export async function startCenturia(options: BridgeOptions): Promise<BridgeServer> {
  const { home, databaseUrl, masterKey } = options;
  mkdirSync(home, { recursive: true });
  const server = start(
    [
      ...profiling(home),
      join(root, 'bin/centuria.mjs'),
      '--home',
      home,
      'up',
      '--only',
      'bridge',
      '--learning-port',
      '0',
      '--bridge-port',
      '0',
    ],
    {
      ...wideLimits,
      CENTURIA_DATABASE_URL: databaseUrl,
      CENTURIA_MASTER_KEY: Buffer.from(masterKey).toString('base64url'),
      CENTURIA_LOG_LEVEL: 'warn',
    },
  );
  const file = join(home, 'server.json');
  const url = await server.until(() =>
    existsSync(file)
      ? (JSON.parse(readFileSync(file, 'utf8')) as { bridgeUrl: string }).bridgeUrl
      : undefined,
  );
  const token = readFileSync(join(home, 'token'), 'utf8').trim();
  return { ...server.measured(Number(new URL(url).port)), token };
}

export interface PeerServer extends MeasuredServer {
  /** The `cookie` header of a session for each of its users. */
  readonly cookies: readonly string[];
}

/** better-auth behind node:http; its users are `peer-1@example.org` and so on. */
export async function startPeer(databaseUrl: string, users: number): Promise<PeerServer> {
  const server = start([join(import.meta.dirname, 'identity-peer.ts'), String(users)], {
    DATABASE_URL: databaseUrl,
  });
  const line = await server.until(() => /^ready (.*)$/m.exec(server.output())?.[1]);
  const { port, cookies } = JSON.parse(line) as { port: number; cookies: string[] };
  return { ...server.measured(port), cookies };
}

/** A CPU profile of the server lands in the folder that BENCH_PROFILE names. */
function profiling(home: string): string[] {
  const folder = process.env['BENCH_PROFILE'];
  if (folder === undefined || folder === '') return [];
  return [
    '--cpu-prof',
    '--cpu-prof-dir',
    folder,
    '--cpu-prof-name',
    `${home.split('/').at(-1)}.cpuprofile`,
  ];
}

interface Started {
  output(): string;
  until<T>(look: () => T | undefined): Promise<T>;
  measured(port: number): MeasuredServer;
}

function start(args: readonly string[], variables: Readonly<Record<string, string>>): Started {
  // Settings of the caller's shell would be measured too.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('CENTURIA_')),
  );
  const child: ChildProcess = spawn(process.execPath, args, {
    cwd: root,
    env: { ...env, ...variables, NODE_ENV: 'production' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const stop = async (): Promise<void> => {
    if (hasEnded()) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), stopLimitMs);
    await ended;
    clearTimeout(timer);
  };
  process.once('exit', () => child.kill('SIGKILL'));
  return {
    output: () => output,
    async until(look) {
      const limit = performance.now() + startLimitMs;
      for (;;) {
        const found = look();
        if (found !== undefined) return found;
        if (hasEnded()) throw new Error(`it ended with ${child.exitCode}: ${errors.slice(-2_000)}`);
        if (performance.now() > limit) {
          await stop();
          throw new Error(`not ready in time: ${errors.slice(-2_000)}`);
        }
        await sleep(20);
      }
    },
    measured(port) {
      const { pid } = child;
      if (pid === undefined) throw new Error(`${process.execPath} did not start`);
      return { port, pid, cpuUs: () => cpuUs(pid), stop };
    },
  };
}

function cpuUs(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The command's name may hold blanks: what counts is behind its bracket, from the third field on.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickUs;
}
