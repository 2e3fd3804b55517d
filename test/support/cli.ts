/** The command line as users have it, processes of `bin/centuria.mjs` bounded in time, and the same in this process. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { run } from '../../src/cli/cli.ts';
import { seedHome } from './embedded-template.ts';
import { markVariable } from './processes.ts';

export const root = join(import.meta.dirname, '../..');
export const launcher = join(root, 'bin/centuria.mjs');

/** Far above what a test file takes on a busy machine; what hangs must not outlive the run. */
const limitMs = 600_000;

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written at once and ended; null leaves it open, to be written later. */
  readonly stdin?: string | null;
}

/** Only what a program needs, so that nothing of the developer's own settings decides a test. */
export function cleanEnvironment(
  home: string,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const mark = process.env[markVariable];
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    // Shared, since each test would fill one of its own otherwise.
    XDG_CACHE_HOME: join(tmpdir(), 'centuria-test-cache'),
    // Servers of tests that run beside each other would take the usual one from another.
    CENTURIA_LEARNING_PORT: '0',
    ...(mark === undefined ? {} : { [markVariable]: mark }),
    ...more,
  };
}

/** A data folder of its own, with the files of agents and workflows that a test gives by name. */
export interface TestHome {
  readonly path: string;
  /** Runs a command in this process: what a server or a terminal is needed for is started. */
  cli(args: readonly string[], options?: CliOptions): Promise<Ended>;
  /** Starts a command and does not wait for its end. */
  start(args: readonly string[], options?: CliOptions): Started;
  /** Ends what still runs and deletes the folder. */
  remove(): Promise<void>;
}

export interface Started {
  readonly child: ChildProcess;
  /** What it has written so far. */
  readonly output: { stdout: string; stderr: string };
  readonly ended: Promise<Ended>;
  /** Resolves when what it has written holds the text or fits; rejects when it ends before. */
  until(stream: 'stdout' | 'stderr', wanted: RegExp): Promise<RegExpExecArray>;
}

/** With `seeded`, the database is there already: a start does not have to make one. */
export async function testHome(
  files: Readonly<Record<string, string>> = {},
  { seeded = false }: { readonly seeded?: boolean } = {},
): Promise<TestHome> {
  const path = await mkdtemp(join(tmpdir(), 'centuria-cli-'));
  if (seeded) seedHome(path, 'migrated');
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(path, name, '..'), { recursive: true });
    await writeFile(join(path, name), content);
  }
  const all: Started[] = [];
  const inHome = (options: CliOptions = {}) => ({
    ...options,
    cwd: options.cwd ?? path,
    env: cleanEnvironment(path, { CENTURIA_HOME: path, ...options.env }),
  });
  const start = (args: readonly string[], options?: CliOptions): Started => {
    const started = startProgram(process.execPath, [launcher, ...args], inHome(options));
    all.push(started);
    return started;
  };
  return {
    path,
    start,
    cli: (args, options) => runHere(args, inHome(options)),
    async remove() {
      // What a failed test did not stop.
      for (const { child } of all) child.kill('SIGKILL');
      await Promise.allSettled(all.map(({ ended }) => ended));
      await rm(path, { recursive: true, force: true });
    },
  };
}

/**
 * A command line in this process, where the test needs what it answers and not the process: loading the
 * program took 0.7 s of a processor each time.
 */
export async function runHere(
  args: readonly string[],
  { env, cwd, stdin = '' }: CliOptions & { readonly env: Readonly<Record<string, string>> },
): Promise<Ended> {
  const stdout = new Collected();
  const stderr = new Collected();
  const status = await run(args, {
    stdin: stdin === null ? new PassThrough() : Readable.from(stdin === '' ? [] : [stdin]),
    // Files and pipes are such streams too: what a terminal has besides is looked for before it is used.
    stdout: stdout as unknown as NodeJS.WriteStream,
    stderr: stderr as unknown as NodeJS.WriteStream,
    env,
    cwd: cwd ?? process.cwd(),
  });
  return { status, signal: null, stdout: stdout.text, stderr: stderr.text };
}

class Collected extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** Starts a program whose output is collected; it is killed when it takes too long. */
export function startProgram(
  program: string,
  args: readonly string[],
  options: CliOptions & { readonly env: Readonly<Record<string, string>> },
): Started {
  const child = spawn(program, args, {
    env: { ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
  });
  child.stdin.on('error', () => undefined);
  if (options.stdin !== null) child.stdin.end(options.stdin ?? '');
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
  const ended = (async (): Promise<Ended> => {
    const [status, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    return { status, signal, ...output };
  })();
  return {
    child,
    output,
    ended,
    until: (stream, wanted) => untilWritten(child, output, stream, wanted),
  };
}

function untilWritten(
  child: ChildProcess,
  output: { stdout: string; stderr: string },
  stream: 'stdout' | 'stderr',
  wanted: RegExp,
): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const found = wanted.exec(output[stream]);
      if (found !== null) resolve(found);
    };
    child[stream]?.on('data', look);
    child.once('close', (status, signal) => {
      look();
      const how = `status ${status}, signal ${signal}`;
      reject(new Error(`ended (${how}) without ${wanted}\n${output.stdout}\n${output.stderr}`));
    });
    look();
  });
}
