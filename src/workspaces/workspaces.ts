/**
 * The folders that agents change, and how that is undone. An attempt works in a git worktree of its
 * run, or in the folder itself; either way the folder's state is kept before it and noted after it.
 * This part knows folders only: which attempts there were is told by whoever keeps their marks.
 */
import { mkdir, realpath } from 'node:fs/promises';
import { hostname } from 'node:os';
import { AppError, type Clock, type Log } from '../base/base.ts';
import { openAttempts } from './attempts.ts';
import { asUnusable } from './failure.ts';
import { lockFolder, lockOptions } from './lock.ts';
import type { Limits } from './scan.ts';
import { forgetRunStore, parseStateId, stateId } from './store.ts';
import { prepare, readAttempts, undoFolder } from './undo.ts';
import { removeWorktrees } from './worktree.ts';

export type WorkspaceKind = 'worktree' | 'snapshot';

/** All that is needed to undo; plain JSON, known before the agent starts. */
export interface WorkspaceMark {
  readonly kind: WorkspaceKind;
  /** What the user named, absolute. */
  readonly folder: string;
  /** Where the agent works. */
  readonly path: string;
  /** Id of the state before. */
  readonly before: string;
  readonly host: string;
}

export interface WorkspaceChange extends WorkspaceMark {
  /** Id of the state after. */
  readonly after: string;
  /** Files and links; folders are not counted. */
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
}

export interface PathNote {
  readonly path: string;
  readonly reason: string;
}

/** Paths are relative to `path`, `.` is the folder itself. */
export interface FolderPlan {
  readonly kind: WorkspaceKind;
  readonly folder: string;
  /** The folder that is put back: `folder`, or the worktree that stands for it. */
  readonly path: string;
  /** Get other contents, another mode or another target. */
  readonly restore: readonly string[];
  /** Are gone and come back. */
  readonly recreate: readonly string[];
  /** Were made by an attempt and go. */
  readonly delete: readonly string[];
  /** Changed by somebody else since, or in the way: they stay, unless forced. */
  readonly conflicts: readonly PathNote[];
  /** Are as they were before already. */
  readonly undone: readonly string[];
  /** Changed, or may have, and do not come back: what git ignores, repositories inside, HEAD. */
  readonly left: readonly PathNote[];
}

export interface UndoPlan {
  readonly folders: readonly FolderPlan[];
}

/** The lists say what was done, not what was planned. */
export interface FolderUndo extends FolderPlan {
  /** Where files were copied that undoing replaced and that may be somebody else's work. */
  readonly replacedIn: string | undefined;
}

export interface UndoResult {
  readonly folders: readonly FolderUndo[];
}

export interface Forgotten {
  readonly freedBytes: number;
  /** Branches of worktrees that hold what the run's agents made. */
  readonly branches: readonly { readonly repository: string; readonly branch: string }[];
}

export interface BeginRequest {
  readonly runId: string;
  readonly task: string;
  readonly attemptId: string;
  /** Absolute. */
  readonly folder: string;
  readonly kind: WorkspaceKind;
  /** Of the attempt of the same task before this one. */
  readonly previous?: WorkspaceMark;
  readonly signal: AbortSignal;
}

/** Errors: `workspace_elsewhere`, `workspace_unusable`, `workspace_lost`, `too_large`, `unavailable`. */
export interface Workspaces {
  /**
   * Fixes the state before an attempt and holds the folder for it, once no other attempt does; with
   * `previous` the folder is put back first. Twice with the same ids gives the same mark.
   */
  begin(request: BeginRequest): Promise<WorkspaceMark>;
  /** Fixes the state after it, says what changed, and lets the folder go. Twice gives the same. */
  finish(mark: WorkspaceMark): Promise<WorkspaceChange>;
  /** Lets the folder go without a state after; undoing compares with the folder as it is then. */
  release(mark: WorkspaceMark): Promise<void>;
  /** What undoing these, newest first, would do. Nothing is touched. */
  plan(marks: readonly WorkspaceMark[], options?: { force?: boolean }): Promise<UndoPlan>;
  /** Undoes these, newest first. A crash halfway, or a second call, ends in the same state. */
  undo(
    marks: readonly WorkspaceMark[],
    options: { force: boolean; signal: AbortSignal },
  ): Promise<UndoResult>;
  /** Frees what is kept for a run, which can't be undone any more then. Throws `conflict` while it works. */
  forget(runId: string): Promise<Forgotten>;
}

export interface WorkspacesOptions {
  /** The data folder. */
  readonly home: string;
  readonly log: Log;
  readonly clock: Clock;
  readonly limits?: Limits;
}

/** What the parts of this folder stand on. */
export interface WorkspaceContext {
  /** Without links in its path, so that it is known when it lies in a workspace. */
  readonly home: string;
  readonly log: Log;
  readonly clock: Clock;
  readonly limits: Limits;
}

const defaultLimits: Limits = { entries: 200_000, bytes: 4 * 1024 ** 3 };

/** Opens the workspaces of a data folder; several processes may at once. */
export function openWorkspaces(options: WorkspacesOptions): Workspaces {
  const { log, clock, limits = defaultLimits } = options;
  const context = async (): Promise<WorkspaceContext> => ({
    home: await openHome(options.home),
    log,
    clock,
    limits,
  });
  const attempts = openAttempts();
  return {
    begin: async (request) => {
      if (request.previous !== undefined) assertHere(request.previous);
      return await attempts.begin(await context(), request);
    },
    finish: async (mark) => {
      assertHere(mark);
      return await attempts.finish(await context(), mark);
    },
    release: (mark) => attempts.release(mark),
    plan: async (marks, { force = false } = {}) => await plan(await context(), marks, force),
    undo: async (marks, how) => await undo(await context(), marks, how),
    forget: async (runId) => await forget(await context(), runId),
  };
}

async function plan(
  context: WorkspaceContext,
  marks: readonly WorkspaceMark[],
  force: boolean,
): Promise<UndoPlan> {
  for (const mark of marks) assertHere(mark);
  const folders: FolderPlan[] = [];
  for (const folder of await readAttempts(context, marks)) {
    const options = { force, isLocked: false, signal: undefined };
    folders.push((await prepare(context, folder, options)).view);
  }
  return { folders };
}

async function undo(
  context: WorkspaceContext,
  marks: readonly WorkspaceMark[],
  options: { force: boolean; signal: AbortSignal },
): Promise<UndoResult> {
  for (const mark of marks) assertHere(mark);
  const folders: FolderUndo[] = [];
  for (const { root, attempts } of await readAttempts(context, marks)) {
    const lock = await lockFolder(root, lockOptions(context, root, options.signal));
    try {
      // Read again: an attempt may have ended while we waited for it.
      const own = attempts.map(({ mark }) => mark);
      const [folder] = await readAttempts(context, own);
      if (folder !== undefined) folders.push(await undoFolder(context, folder, options));
    } finally {
      await lock.release();
    }
  }
  return { folders };
}

async function forget({ home }: WorkspaceContext, runId: string): Promise<Forgotten> {
  parseStateId(stateId({ runId, attemptId: 'any', moment: 'before' }));
  const { freedBytes, branches } = await removeWorktrees(home, runId);
  return { freedBytes: freedBytes + (await forgetRunStore(home, runId)), branches };
}

async function openHome(home: string): Promise<string> {
  return await asUnusable(home, 'opening the data folder', async () => {
    await mkdir(home, { recursive: true, mode: 0o700 });
    return await realpath(home);
  });
}

function assertHere({ host, folder }: WorkspaceMark): void {
  if (host === hostname()) return;
  throw new AppError('workspace_elsewhere', `${folder} was changed on ${host}, not on this host`, {
    details: { folder, host },
    remedy: `Ask a Centuria on ${host}.`,
  });
}
