import { spawn } from 'node:child_process';
import { AppError } from '../base/base.ts';

export interface FileLockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once when another process holds the lock for longer than a moment. */
  readonly onWait?: () => void;
}

/**
 * Runs `work` while this process holds the kernel's lock on a file, waiting for it as long as it
 * takes. A child holds it, because Node can not; its input is our pipe, so that it lets go when this
 * process is gone, however. Throws `unavailable` where the file can not be locked, or `cancelled`.
 */
export async function withFileLock<T>(
  path: string,
  options: FileLockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const { signal } = options;
  const child = spawn('flock', ['-x', path, 'sh', '-c', 'echo; exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // Ctrl-C on the terminal is for us; the lock lasts until our work has ended.
    detached: true,
  });
  const release = (): void => void child.stdin.end();
  signal?.addEventListener('abort', release);
  const slow = setTimeout(() => options.onWait?.(), 500);
  try {
    await new Promise<void>((taken, failed) => {
      let words = '';
      child.stderr.on('data', (chunk: Buffer) => (words += chunk.toString()));
      child.stdout.once('data', () => taken());
      child.once('error', failed);
      child.once('close', () => failed(new Error(words.trim() || 'flock ended')));
      signal?.addEventListener('abort', () => {
        child.kill();
        failed(signal.reason as Error);
      });
      if (signal?.aborted === true) child.kill();
    });
  } catch (cause) {
    release();
    if (signal?.aborted === true) throw new AppError('cancelled', 'cancelled', { cause });
    throw new AppError('unavailable', `${path} can not be locked: ${(cause as Error).message}`, {
      details: { path },
      cause,
    });
  } finally {
    clearTimeout(slow);
    signal?.removeEventListener('abort', release);
  }
  try {
    return await work();
  } finally {
    release();
  }
}
