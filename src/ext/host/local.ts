import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { AppError } from '../../base/base.ts';
import type { Forward, Host, RunOptions, RunResult } from './host.ts';

const defaultTimeoutMs = 60_000;
/** Of a script that goes wrong: what it said last is what matters. */
const mostErrorBytes = 4_000;

/** This machine. */
export function openLocalHost(): Host {
  return {
    name: 'local',
    run: (script, options = {}) => runProgram('sh', shellWords(script, options), options),
    check: (script, options = {}) =>
      checked('local', runProgram('sh', shellWords(script, options), options)),
    readFile: readLocalFile,
    forward: async (to): Promise<Forward> => ({ ...to, close: async () => undefined }),
    close: async () => undefined,
  };
}

/** `sh -c SCRIPT sh ARGS`: arguments never become part of the script. */
function shellWords(script: string, { args = [] }: RunOptions): string[] {
  return ['-c', script, 'sh', ...args];
}

/**
 * Runs a program to its end; its whole process group is ended when it is aborted or takes too long.
 * `onOutput` sees what it prints as it comes, for whoever has to know before the end.
 */
export async function runProgram(
  program: string,
  words: readonly string[],
  options: RunOptions,
  onOutput?: (bytes: Buffer) => void,
): Promise<RunResult> {
  const { input, signal, timeoutMs = defaultTimeoutMs } = options;
  signal?.throwIfAborted();
  const child = spawn(program, words, {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, LC_ALL: 'C' },
  });
  const stdout: Buffer[] = [];
  let stderr = '';
  child.stdout.on('data', (bytes: Buffer) => {
    stdout.push(bytes);
    onOutput?.(bytes);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-mostErrorBytes);
  });
  // A script that ends without reading its input breaks the pipe; how it ended says whether that matters.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input ?? '');
  const limit = AbortSignal.timeout(timeoutMs);
  const stop = signal === undefined ? limit : AbortSignal.any([signal, limit]);
  const end = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended by itself meanwhile.
    }
  };
  stop.addEventListener('abort', end, { once: true });
  try {
    const exit = await new Promise<number>((ended, failed) => {
      child.once('error', failed);
      child.once('close', (code) => ended(code ?? 137));
      // Who was ended has nothing more to say, even if somebody else still holds its output: ssh gives it
      // to the process that keeps the connection.
      child.once('exit', () => {
        if (!stop.aborted) return;
        child.stdout.destroy();
        child.stderr.destroy();
      });
    });
    signal?.throwIfAborted();
    if (limit.aborted) {
      throw new AppError('timeout', `${program} took longer than ${timeoutMs} ms`, {
        details: { stderr },
      });
    }
    return { exit, stdout: Buffer.concat(stdout), stderr };
  } finally {
    stop.removeEventListener('abort', end);
  }
}

/** The output of a run that ended well; throws `ext_failed` with its last words otherwise. */
export async function checked(host: string, running: Promise<RunResult>): Promise<Buffer> {
  const { exit, stdout, stderr } = await running;
  if (exit === 0) return stdout;
  const words = stderr.trim().split('\n').slice(-3).join(' ');
  throw new AppError('ext_failed', `${host}: ${words === '' ? `exit status ${exit}` : words}`, {
    details: { host, exit, stderr },
    ...remedyFor(stderr),
  });
}

/** For what the kernel says where LC_ALL is C. */
function remedyFor(stderr: string): { remedy?: string } {
  if (/No space left on device|Disk quota exceeded/.test(stderr)) {
    return { remedy: 'Make room on that disk (bytes, or inodes: df -i), then deploy again.' };
  }
  if (/Read-only file system/.test(stderr)) {
    return { remedy: 'Mount that file system writable, then deploy again.' };
  }
  if (/Permission denied|Operation not permitted/.test(stderr)) {
    return { remedy: 'Deploy as the owner of that folder: root, as a rule.' };
  }
  return {};
}

async function readLocalFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const denied = code === 'EACCES' || code === 'EPERM';
    throw new AppError(denied ? 'denied' : 'not_found', message, { details: { path }, cause });
  }
}
