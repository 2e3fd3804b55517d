/** Runs one program of a build in a process group of its own, and hears its lines. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { AppError } from '../../base/base.ts';

export interface ProgramOptions {
  readonly folder: string;
  /** All of it: nothing of our own environment reaches a build. */
  readonly environment: Readonly<Record<string, string>>;
  readonly onLine: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Of one line; a compiler's longest, with a template's name in it, has some thousands. */
const mostLineCharacters = 4_000;

/**
 * The exit status. Ends the whole group, children of children too, when the signal is aborted, and
 * throws its reason then. Throws `unavailable` where there is no such program.
 */
export async function runBuildProgram(
  words: readonly [string, ...string[]],
  { folder, environment, onLine, signal }: ProgramOptions,
): Promise<number> {
  signal.throwIfAborted();
  // Permissions of what is installed must not depend on who builds.
  const child = spawn('/bin/sh', ['-c', 'umask 022 && exec "$@" 2>&1', 'sh', ...words], {
    cwd: folder,
    env: environment,
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  const end = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // All of them have ended meanwhile.
    }
  };
  signal.addEventListener('abort', end, { once: true });
  try {
    const lines = createInterface({ input: child.stdout, crlfDelay: Infinity });
    lines.on('line', (line) => onLine(line.slice(0, mostLineCharacters)));
    const exit = await new Promise<number>((ended, failed) => {
      child.once('error', failed);
      // A daemon that a build leaves behind holds the pipe open: the end of the first process counts.
      child.once('exit', (code) => ended(code ?? 137));
    });
    await drained(child.stdout, lines);
    signal.throwIfAborted();
    if (exit === 127) throw notThere(words[0]);
    return exit;
  } finally {
    signal.removeEventListener('abort', end);
    end();
  }
}

/** Waits for the last lines, which come after the process has ended. */
async function drained(
  stdout: NodeJS.ReadableStream,
  lines: { once(event: 'close', heard: () => void): unknown; close(): void },
): Promise<void> {
  if (!stdout.readable) return;
  await new Promise<void>((heard) => {
    const late = setTimeout(() => {
      lines.close();
      heard();
    }, 1_000);
    lines.once('close', () => {
      clearTimeout(late);
      heard();
    });
  });
}

function notThere(program: string): AppError {
  return new AppError('unavailable', `${program} can not be run here`, {
    retryable: false,
    remedy: `Install it (Debian: apt-get install ${program === 'cmake' ? 'cmake' : 'build-essential'}).`,
  });
}
