/**
 * At most one attempt or undoing works in a folder at a time, whichever process of this machine it is
 * in. The kernel's lock on the folder itself (flock(2)) says so: it needs no file in a folder that is
 * somebody else's, and is gone with the process that held it, however that ended.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError, type Log } from '../base/base.ts';
import { systemCode, unusable } from './failure.ts';

export interface FolderLock {
  /** Safe to call twice. */
  release(): Promise<void>;
}

export interface LockOptions {
  /** Undefined: does not wait, and throws `conflict` when the folder is taken. */
  readonly signal: AbortSignal | undefined;
  /** Folders above this one are not locked; it is one of those above `folder`, or absent. */
  readonly below?: string;
  /** Called once when the folder is taken. */
  readonly onWait?: () => void;
}

/** How attempts and undoings lock a folder. */
export function lockOptions(
  { home, log }: { readonly home: string; readonly log: Log },
  folder: string,
  signal: AbortSignal | undefined,
): LockOptions {
  return {
    signal,
    // An attempt in the folder that the data folder lies in does not concern worktrees.
    ...(folder.startsWith(`${home}/`) ? { below: home } : {}),
    onWait: () => log.info({ folder }, 'waiting for the attempt that works in the folder'),
  };
}

/**
 * Locks a folder for one holder, and those above it against being locked so: an attempt in a folder
 * excludes one in a folder inside of it. Waits until the signal aborts and rejects with its reason.
 * Folders above that this user can't read are passed over. Throws `workspace_unusable`, or
 * `unavailable` where there is no `flock`.
 */
export async function lockFolder(folder: string, options: LockOptions): Promise<FolderLock> {
  for (;;) {
    const handles = await openAll(folder, options.below);
    const release = async (): Promise<void> => {
      await Promise.all(handles.splice(0).map((handle) => handle.close()));
    };
    try {
      await lockHandles(folder, handles, options);
      if (await isStill(folder, handles.at(-1))) return { release };
    } catch (error) {
      await release();
      throw error;
    }
    // Whoever had it put another folder in its place.
    await release();
  }
}

/** From the top down, so that two that want the same folders never wait for each other in a ring. */
async function openAll(folder: string, below: string | undefined): Promise<FileHandle[]> {
  const paths = [folder];
  for (let at = folder; dirname(at) !== at && dirname(at) !== below; at = dirname(at)) {
    paths.unshift(dirname(at));
  }
  const handles: FileHandle[] = [];
  for (const path of paths) {
    try {
      handles.push(await open(path, constants.O_RDONLY | constants.O_DIRECTORY));
    } catch (error) {
      if (path !== folder && systemCode(error) === 'EACCES') continue;
      await Promise.all(handles.map((handle) => handle.close()));
      throw unusable(path, 'opening the folder', error);
    }
  }
  return handles;
}

/**
 * A child takes the locks on descriptors that it shares with us and ends; they stay with ours. Node
 * has no call for it. Ours are closed on exec, so no other child keeps a lock.
 */
async function lockHandles(
  folder: string,
  handles: readonly FileHandle[],
  options: LockOptions,
): Promise<void> {
  const { signal } = options;
  signal?.throwIfAborted();
  if (await runFlock(folder, handles, '-n', signal)) return;
  if (signal === undefined) {
    throw new AppError('conflict', `an attempt or an undoing is at work in ${folder}`, {
      details: { folder },
      remedy: 'Wait until it has ended, or cancel its run.',
    });
  }
  options.onWait?.();
  await runFlock(folder, handles, '', signal);
}

/** False when it is taken and may not be waited for. */
async function runFlock(
  folder: string,
  handles: readonly FileHandle[],
  mode: '-n' | '',
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const first = 3;
  const last = handles.length - 1;
  const script = handles
    .map((_, index) => `flock ${mode} ${index === last ? '-x' : '-s'} ${first + index}`)
    .join(' && ');
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const child = spawn('sh', ['-c', script], {
    stdio: ['ignore', 'ignore', 'pipe', ...handles.map((handle) => handle.fd)],
    // A group of its own: the shell and the `flock` in it are ended together.
    detached: true,
  });
  let words = '';
  child.stderr?.on('data', (chunk: Buffer) => (words += chunk.toString()));
  child.once('error', reject);
  child.once('close', (code) => resolve(code ?? -1));
  const stop = (): void => {
    if (child.pid !== undefined) endGroup(child.pid);
  };
  signal?.addEventListener('abort', stop, { once: true });
  const code = await promise.catch((cause: unknown) => unavailable(folder, cause));
  signal?.removeEventListener('abort', stop);
  signal?.throwIfAborted();
  if (code === 0) return true;
  if (code === 1 && mode === '-n' && words === '') return false;
  return unavailable(folder, new Error(words.trim() || `flock ended with ${code}`));
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

function unavailable(folder: string, cause: unknown): never {
  const why = cause instanceof Error ? cause.message : String(cause);
  throw new AppError('unavailable', `${folder} can not be locked: ${why}`, {
    details: { folder },
    remedy: 'Install flock (util-linux), or use a folder on a local file system.',
    cause,
  });
}

async function isStill(folder: string, handle: FileHandle | undefined): Promise<boolean> {
  const held = await handle?.stat({ bigint: true });
  try {
    const now = await stat(folder, { bigint: true });
    return held !== undefined && now.ino === held.ino && now.dev === held.dev;
  } catch (error) {
    throw unusable(folder, 'looking at the folder', error);
  }
}
