/** Stops a local PostgreSQL server, whoever started it. */
import { join, resolve } from 'node:path';
import { AppError, systemClock, type Clock, type Log } from '../base/base.ts';
import { removeSocketFolder } from './postgres-folder.ts';
import { findRunning, startTicks, type RunningPostgres } from './postgres-process.ts';

/** `fast` ends sessions and writes a checkpoint; `immediate` recovers at the next start. */
export type StopMode = 'fast' | 'immediate';

const stopTimeoutMs = 30_000;
const pollMs = 25;

/** The server of a folder as it runs now, or undefined. */
export async function findPostgres(folder: string): Promise<RunningPostgres | undefined> {
  return await findRunning(join(resolve(folder), 'data'));
}

/**
 * Stops the server of a folder, whoever started it, and waits until it has ended. Returns false
 * when none ran. Throws `timeout` when it neither stops nor can be stopped.
 */
export async function stopPostgres(
  folder: string,
  options: { mode?: StopMode; timeoutMs?: number; clock?: Clock; log: Log },
): Promise<boolean> {
  const running = await findPostgres(folder);
  if (running === undefined) return false;
  await stopProcess(running.pid, options.mode ?? 'fast', {
    ...options,
    clock: options.clock ?? systemClock,
  });
  await removeSocketFolder(running.socketFolder);
  return true;
}

/** SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one, SIGKILL the last resort. */
export async function stopProcess(
  pid: number,
  mode: StopMode,
  options: { timeoutMs?: number; clock: Clock; log: Log },
): Promise<void> {
  const { clock, log, timeoutMs = stopTimeoutMs } = options;
  const identity = await startTicks(pid);
  if (identity === undefined) return;
  const signals: readonly NodeJS.Signals[] =
    mode === 'fast' ? ['SIGINT', 'SIGQUIT', 'SIGKILL'] : ['SIGQUIT', 'SIGKILL'];
  for (const signal of signals) {
    if (!sendSignal(pid, signal)) return;
    const deadline = clock.monotonicMs() + timeoutMs;
    while (clock.monotonicMs() < deadline) {
      if ((await startTicks(pid)) !== identity) return;
      await clock.sleep(pollMs);
    }
    log.warn({ pid, signal, timeoutMs }, 'PostgreSQL did not stop in time');
  }
  throw new AppError('timeout', `PostgreSQL with process id ${pid} can not be stopped`, {
    details: { pid },
  });
}

function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw new AppError('denied', `process ${pid} belongs to another user`, {
      details: { pid },
      cause,
    });
  }
}
