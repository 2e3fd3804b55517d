/** One git worktree a run and repository: `<home>/worktrees/<run>/…`, on the branch `centuria/<run>`. */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { AppError, type Log } from '../base/base.ts';
import { asUnusable, unless, workspaceError } from './failure.ts';
import { askGit, findRepository, git, headOf, withoutFilters } from './git.ts';
import { lockFolder } from './lock.ts';
import { distrustTimes, indexPath } from './scan.ts';
import { makeRunStore, runStoreFolder, sizeOf, syncPath } from './store.ts';

interface WorktreeNote {
  /** The work tree of the user that it was made from. */
  readonly top: string;
  readonly root: string;
  readonly branch: string;
  /** The commit that it began with. */
  readonly base: string;
}

export interface WorktreeRequest {
  readonly home: string;
  readonly runId: string;
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/**
 * The run's worktree for the repository that `folder` is in, made where it is missing, and the place
 * in it that stands for `folder`. It begins with HEAD: what is not committed is not in it. Throws
 * `invalid_input` outside a repository, `unavailable` without git, `workspace_unusable`.
 */
export async function ensureWorktree(
  request: WorktreeRequest,
): Promise<{ root: string; path: string }> {
  const { home, runId, folder, signal } = request;
  const repository = await findRepository(folder);
  if (repository === undefined) {
    throw workspaceError(
      'invalid_input',
      `${folder} is in no git work tree`,
      'Let the agent work in a snapshot, or name a folder of a clone.',
    );
  }
  const { top, prefix } = repository;
  const id = createHash('sha256').update(top).digest('hex').slice(0, 8);
  const name = `${basename(top).replace(/[^\w.-]/g, '_')}-${id}`;
  const notes = join((await makeRunStore(home, runId)).folder, 'worktrees');
  await mkdir(notes, { recursive: true, mode: 0o700 });
  // Not the worktree's own lock, which an attempt holds as long as it runs.
  const lock = await lockFolder(notes, { signal, below: home });
  try {
    const note = (await readNote(join(notes, `${name}.json`))) ?? (await make(request, top, name));
    if ((await unless(['ENOENT'], () => stat(note.root))) === undefined) {
      const remedy = 'Start the run anew.';
      throw workspaceError('workspace_unusable', `the worktree ${note.root} is gone`, remedy);
    }
    const path = join(note.root, prefix);
    await asUnusable(path, 'making the folder', () => mkdir(path, { recursive: true }));
    return { root: note.root, path: path.replace(/\/$/, '') };
  } finally {
    await lock.release();
  }
}

async function make(request: WorktreeRequest, top: string, name: string): Promise<WorktreeNote> {
  const { home, runId, signal, log } = request;
  const base = (await headOf(top)).commit;
  if (base === undefined) {
    const remedy = 'Commit something first, or let the agent work in a snapshot.';
    throw workspaceError('invalid_input', `${top} has no commit to begin with`, remedy);
  }
  const root = join(home, 'worktrees', runId, name);
  const branch = `centuria/${runId}`;
  await asUnusable(root, 'making the folder', () =>
    mkdir(join(root, '..'), { recursive: true, mode: 0o700 }),
  );
  // Without a note, one that is there was never finished.
  await askGit(top, ['worktree', 'remove', '--force', '--force', root]);
  await rm(root, { recursive: true, force: true });
  await git(top, ['worktree', 'prune']);
  const { env, drivers } = await withoutFilters(top);
  if (drivers.length > 0) {
    log.warn({ runId, top, drivers }, 'files of the worktree are as stored: filters are not run');
  }
  const options = ['-q', '--no-track', '-B', branch];
  await git(top, ['worktree', 'add', ...options, root, base], { env, signal });
  const note = { top, root, branch, base };
  const path = join(runStoreFolder(home, runId), 'worktrees', `${name}.json`);
  await writeFile(`${path}.draft`, JSON.stringify(note));
  await syncPath(`${path}.draft`);
  await rename(`${path}.draft`, path);
  return note;
}

async function readNote(path: string): Promise<WorktreeNote | undefined> {
  const text = await unless(['ENOENT'], () => readFile(path, 'utf8'));
  return text === undefined ? undefined : (JSON.parse(text) as WorktreeNote);
}

export interface RemovedWorktrees {
  readonly freedBytes: number;
  /** Branches that hold what the run's agents made; one that holds nothing is deleted. */
  readonly branches: readonly { readonly repository: string; readonly branch: string }[];
}

/**
 * Removes a run's worktrees. What was never committed in one is committed to its branch first: the
 * folder can be made again, the work can't. Throws `conflict` while an attempt is in one.
 */
export async function removeWorktrees(home: string, runId: string): Promise<RemovedWorktrees> {
  const notes = join(runStoreFolder(home, runId), 'worktrees');
  const names = ((await unless(['ENOENT'], () => readdir(notes))) ?? []).toSorted();
  const branches: { repository: string; branch: string }[] = [];
  let freedBytes = 0;
  for (const name of names.filter((one) => one.endsWith('.json'))) {
    const note = await readNote(join(notes, name));
    if (note === undefined) continue;
    const there = await unless(['ENOENT'], () => stat(note.root));
    if (there !== undefined) freedBytes += await removeWorktree(home, runId, note);
    await askGit(note.top, ['worktree', 'prune']);
    if (await dropEmptyBranch(note)) continue;
    branches.push({ repository: note.top, branch: note.branch });
  }
  await rm(join(home, 'worktrees', runId), { recursive: true, force: true });
  return { freedBytes, branches };
}

async function removeWorktree(home: string, runId: string, note: WorktreeNote): Promise<number> {
  const { root, top } = note;
  const lock = await lockFolder(root, { signal: undefined, below: home });
  try {
    const { exitCode } = await askGit(root, ['rev-parse', '--git-dir']);
    if (exitCode !== 0) {
      throw new AppError('workspace_unusable', `the repository of ${root} is gone: ${top}`, {
        details: { folder: root },
        remedy: `Save what you need of ${root} and delete it.`,
      });
    }
    await commitRest(runId, note);
    const bytes = await sizeOf(root);
    await git(root, ['worktree', 'remove', '--force', '--force', root]);
    return bytes;
  } finally {
    await lock.release();
  }
}

async function commitRest(runId: string, { root, branch }: WorktreeNote): Promise<void> {
  const index = await indexPath(root);
  if (index === undefined) return;
  const copy = `${index}.centuria`;
  await rm(copy, { force: true });
  await unless(['ENOENT'], async () => {
    await copyFile(index, copy);
    await distrustTimes(copy);
  });
  const { env: unfiltered } = await withoutFilters(root);
  const who = { NAME: 'Centuria', EMAIL: 'centuria@localhost' };
  const env = {
    ...unfiltered,
    GIT_INDEX_FILE: copy,
    GIT_AUTHOR_NAME: who.NAME,
    GIT_AUTHOR_EMAIL: who.EMAIL,
    GIT_COMMITTER_NAME: who.NAME,
    GIT_COMMITTER_EMAIL: who.EMAIL,
  };
  await git(root, ['add', '--all'], { env });
  const tree = await git(root, ['write-tree'], { env });
  await rm(copy, { force: true });
  if (tree === (await git(root, ['rev-parse', 'HEAD^{tree}']))) return;
  const message = `Keep what run ${runId} left uncommitted`;
  const args = ['commit-tree', tree, '-p', 'HEAD', '-m', message];
  const commit = await git(root, args, { env });
  const head = await headOf(root);
  await git(root, ['update-ref', head.branch ?? `refs/heads/${branch}-detached`, commit]);
}

/** True when nothing was ever made on it. */
async function dropEmptyBranch({ top, branch, base }: WorktreeNote): Promise<boolean> {
  const ref = `refs/heads/${branch}`;
  const { exitCode, stdout } = await askGit(top, ['rev-parse', '-q', '--verify', ref]);
  if (exitCode !== 0) return true;
  if (stdout.toString().trim() !== base) return false;
  await git(top, ['update-ref', '-d', ref, base]);
  return true;
}
