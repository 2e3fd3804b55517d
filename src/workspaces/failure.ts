import { AppError, type ErrorCode } from '../base/base.ts';

/** The system's name for what went wrong: `ENOENT`, `ENOSPC` …; undefined for other errors. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

const causes: Readonly<Record<string, { readonly says: string; readonly remedy: string }>> = {
  ENOSPC: { says: 'the disk is full', remedy: 'Make room, or forget runs that need no undoing.' },
  EDQUOT: { says: 'the disk quota is used up', remedy: 'Make room, or raise the quota.' },
  EROFS: { says: 'the file system is read-only', remedy: 'Mount it for writing.' },
  EACCES: { says: 'this user may not', remedy: 'Give this user the right to read and write it.' },
  EPERM: {
    says: 'the system refuses it',
    remedy: 'Give this user the right to read and write it.',
  },
  ENOENT: { says: 'it does not exist', remedy: 'Put it back, or name another folder.' },
  ENOTDIR: { says: 'it is not a folder', remedy: 'Name a folder.' },
  EMFILE: { says: 'too many files are open', remedy: 'Raise the limit of open files (ulimit -n).' },
};

/** What a failed call on `path` becomes; what the system did not say stays as it is. */
export function unusable(path: string, doing: string, error: unknown): unknown {
  const code = systemCode(error);
  if (error instanceof AppError || code === undefined) return error;
  const known = causes[code];
  return new AppError('workspace_unusable', `${path}: ${doing}: ${known?.says ?? code}`, {
    details: { path, system: code },
    ...(known === undefined ? {} : { remedy: known.remedy }),
    // Room is made, files are closed: a later try may do.
    retryable: ['ENOSPC', 'EDQUOT', 'EMFILE'].includes(code),
    cause: error,
  });
}

/** Runs `work`; a system error becomes `workspace_unusable` naming `path`. */
export async function asUnusable<T>(
  path: string,
  doing: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw unusable(path, doing, error);
  }
}

/** What `work` gives, or undefined where the system answers with one of these codes. */
export async function unless<T>(
  codes: readonly string[],
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (codes.includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}

/** Calls `work` for each item, so many at a time; the first failure ends it. */
export async function inParallel<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) {
      const item = items[at];
      if (item !== undefined) await work(item);
    }
  };
  const lanes = Array.from({ length: Math.min(atOnce, items.length) }, lane);
  const ends = await Promise.allSettled(lanes);
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

export function workspaceError(code: ErrorCode, message: string, remedy: string): AppError {
  return new AppError(code, message, { remedy });
}
