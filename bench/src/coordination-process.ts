/** An engine's process as its parent sees it. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Calls } from './coordination-parts.ts';

const startLimitMs = 120_000;
const callLimitMs = 300_000;
const stopLimitMs = 10_000;

export interface EngineProcess {
  readonly name: string;
  readonly pid: number;
  /** From the process's start until its engine was open. */
  readonly readyMs: number;
  /** From the process's start until the first held step's function was entered. */
  heldMs(): Promise<number>;
  call<Name extends keyof Calls>(
    call: Name,
    ask: Calls[Name]['ask'],
  ): Promise<Calls[Name]['answer']>;
  residentMb(): number;
  /** As `kill -9` does. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export interface StartEngine {
  readonly name: string;
  readonly role?: 'worker' | 'starter';
  readonly url: string;
  /** A folder of its own. */
  readonly home: string;
}

interface Message {
  readonly event?: 'ready' | 'held';
  readonly value?: unknown;
  readonly error?: string;
}

export async function startEngine(options: StartEngine): Promise<EngineProcess> {
  const { name, role = 'worker', url, home } = options;
  mkdirSync(home, { recursive: true });
  const beganMs = performance.now();
  const child = fork(join(import.meta.dirname, 'coordination-engine.ts'), [name, role, url, home], {
    // A peer's warnings are its own affair; its errors still come through.
    execArgv: ['--no-warnings'],
    env: ownEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    serialization: 'advanced',
  });
  let errors = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-2_000);
  });
  const killAtExit = (): void => void child.kill('SIGKILL');
  process.once('exit', killAtExit);
  const ended = once(child, 'exit').then(() => process.off('exit', killAtExit));
  const answers = listen(child);
  void ended.then(() => answers.fail(new Error(`${name} ended: ${errors.trim() || 'no word'}`)));
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name} did not start`);
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  const within = async <T>(limitMs: number, what: string, work: Promise<T>): Promise<T> => {
    const timer = setTimeout(() => {
      answers.fail(new Error(`${name}: ${what} took more than ${limitMs / 1_000} s`));
      void kill();
    }, limitMs);
    return work.finally(() => clearTimeout(timer));
  };
  await within(startLimitMs, 'its start', answers.ready);
  const readyMs = performance.now() - beganMs;
  const call: EngineProcess['call'] = async (what, ask) => {
    const answer = answers.next();
    child.send({ call: what, ...ask });
    return (await within(callLimitMs, what, answer)) as never;
  };
  return {
    name,
    pid,
    readyMs,
    heldMs: async () => (await answers.held) - beganMs,
    call,
    residentMb: () => residentMb(pid),
    kill,
    async stop() {
      const timer = setTimeout(() => void kill(), stopLimitMs);
      await call('stop', {}).catch(() => undefined);
      await ended;
      clearTimeout(timer);
    },
  };
}

interface Answers {
  readonly ready: Promise<void>;
  /** When it was told. */
  readonly held: Promise<number>;
  next(): Promise<unknown>;
  fail(error: Error): void;
}

/** One call is under way at a time; the engine's own messages come in between. */
function listen(child: ReturnType<typeof fork>): Answers {
  const ready = Promise.withResolvers<void>();
  const held = Promise.withResolvers<number>();
  let waiting = Promise.withResolvers<unknown>();
  // Nobody may be waiting for one of them when the process ends.
  for (const each of [ready, held, waiting]) each.promise.catch(() => undefined);
  child.on('message', ({ event, value, error }: Message) => {
    if (event === 'ready') ready.resolve();
    else if (event === 'held') held.resolve(performance.now());
    else if (error === undefined) waiting.resolve(value);
    else waiting.reject(new Error(error));
  });
  return {
    ready: ready.promise,
    held: held.promise,
    next() {
      waiting = Promise.withResolvers();
      waiting.promise.catch(() => undefined);
      return waiting.promise;
    },
    fail(error) {
      for (const each of [ready, held, waiting]) each.reject(error);
    },
  };
}

/** Settings of the caller's shell would be measured too. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(CENTURIA|DBOS|PG)/.test(name));
  return { ...Object.fromEntries(own), NODE_ENV: 'production' };
}

function residentMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1_024;
}
