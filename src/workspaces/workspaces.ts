/**
 * The folders that agents change, and how that is undone. An attempt works in a git worktree of its
 * run, or in the folder itself; either way the folder's state is kept before it and noted after it.
 * This part knows folders only: which attempts there were is told by whoever keeps their marks.
 */
import { constants } from 'node:fs';
import { access, mkdir, realpath, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { isAbsolute, normalize } from 'node:path';
import { AppError, type Clock, type Log } from '../base/base.ts';
import { differences, type State } from './entries.ts';
import { asUnusable, unusable, workspaceError } from './failure.ts';
import { lockFolder, type FolderLock } from './lock.ts';
import { scan, type Limits } from './scan.ts';
import { forgetRunStore, makeRunStore, openRunStore, parseStateId, stateId } from './store.ts';
import { prepare, readAttempts, undoFolder } from './undo.ts';
import { ensureWorktree, removeWorktrees } from './worktree.ts';

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

const defaultLimits: Limits = { entries: 200_000, bytes: 4 * 1024 ** 3 };

/** Opens the workspaces of a data folder; several processes may at once. */
export function openWorkspaces(options: WorkspacesOptions): Workspaces {
  return new KeptWorkspaces(options);
}

class KeptWorkspaces implements Workspaces {
  private readonly options: WorkspacesOptions;
  /** By the id of the state before: the locks of attempts under way. */
  private readonly held = new Map<string, FolderLock>();

  constructor(options: WorkspacesOptions) {
    this.options = options;
  }

  async begin(request: BeginRequest): Promise<WorkspaceMark> {
    const { runId, attemptId, kind, previous, signal } = request;
    const before = stateId({ runId, attemptId, moment: 'before' });
    parseStateId(before);
    if (previous !== undefined) assertHere(previous);
    const home = await this.home();
    const place = await placeOf(request, home, this.options.log);
    const mark = { kind, folder: request.folder, path: place.path, before, host: hostname() };
    if (this.held.has(before)) return mark;
    const lock = await this.lock(place.root, home, signal);
    try {
      const store = await makeRunStore(home, runId);
      // Begun already: the folder may hold work by now, and the state before it is the first one.
      if ((await store.readState(before)) === undefined) {
        const known =
          previous === undefined ? [] : await this.putBack(previous, place.root, signal);
        const { clock, limits = defaultLimits } = this.options;
        const state = await scan({
          root: place.root,
          home,
          clock,
          scope: [],
          known,
          keep: store,
          limits,
          isWorktree: kind === 'worktree',
          isLocked: true,
          signal,
        });
        await store.writeState(before, state);
      }
    } catch (error) {
      await lock.release();
      throw error;
    }
    this.held.set(before, lock);
    return mark;
  }

  async finish(mark: WorkspaceMark): Promise<WorkspaceChange> {
    assertHere(mark);
    const home = await this.home();
    const name = parseStateId(mark.before);
    const store = openRunStore(home, name.runId);
    const after = stateId({ ...name, moment: 'after' });
    const [folder] = await readAttempts({ ...this.options, home }, [mark]);
    const [attempt] = folder?.attempts ?? [];
    if (folder === undefined || attempt === undefined) throw new Error('no state was read');
    const own = this.held.get(mark.before) ?? (await this.lock(folder.root, home, undefined));
    try {
      const state = attempt.after ?? (await this.stateAfter(mark, attempt.before, home));
      if (attempt.after === undefined) await store.writeState(after, state);
      return { ...mark, after, ...countChanges(attempt.before, state) };
    } finally {
      this.held.delete(mark.before);
      await own.release();
    }
  }

  async release(mark: WorkspaceMark): Promise<void> {
    const lock = this.held.get(mark.before);
    this.held.delete(mark.before);
    await lock?.release();
  }

  async plan(
    marks: readonly WorkspaceMark[],
    { force = false }: { force?: boolean } = {},
  ): Promise<UndoPlan> {
    for (const mark of marks) assertHere(mark);
    const context = { ...this.options, home: await this.home() };
    const folders: FolderPlan[] = [];
    for (const folder of await readAttempts(context, marks)) {
      const options = { force, isLocked: false, signal: undefined };
      folders.push((await prepare(context, folder, options)).view);
    }
    return { folders };
  }

  async undo(
    marks: readonly WorkspaceMark[],
    options: { force: boolean; signal: AbortSignal },
  ): Promise<UndoResult> {
    for (const mark of marks) assertHere(mark);
    const home = await this.home();
    const context = { ...this.options, home };
    const folders: FolderUndo[] = [];
    for (const { root, attempts } of await readAttempts(context, marks)) {
      const lock = await this.lock(root, home, options.signal);
      try {
        // Read again: an attempt may have ended while we waited for it.
        const [folder] = await readAttempts(
          context,
          attempts.map(({ mark }) => mark),
        );
        if (folder !== undefined) folders.push(await undoFolder(context, folder, options));
      } finally {
        await lock.release();
      }
    }
    return { folders };
  }

  async forget(runId: string): Promise<Forgotten> {
    parseStateId(stateId({ runId, attemptId: 'any', moment: 'before' }));
    const home = await this.home();
    const { freedBytes, branches } = await removeWorktrees(home, runId);
    return { freedBytes: freedBytes + (await forgetRunStore(home, runId)), branches };
  }

  /** The data folder without links in its path, so that it is known when it lies in a workspace. */
  private async home(): Promise<string> {
    const { home } = this.options;
    return await asUnusable(home, 'opening the data folder', async () => {
      await mkdir(home, { recursive: true, mode: 0o700 });
      return await realpath(home);
    });
  }

  private async lock(
    root: string,
    home: string,
    signal: AbortSignal | undefined,
  ): Promise<FolderLock> {
    const { log } = this.options;
    return await lockFolder(root, {
      signal,
      // An attempt in the folder that the data folder lies in does not concern worktrees.
      ...(root.startsWith(`${home}/`) ? { below: home } : {}),
      onWait: () => log.info({ folder: root }, 'waiting for the attempt that works in the folder'),
    });
  }

  /** Undoes the attempt before; what somebody else changed since stays. Gives the state it began with. */
  private async putBack(
    previous: WorkspaceMark,
    root: string,
    signal: AbortSignal,
  ): Promise<State[]> {
    const context = { ...this.options, home: await this.home() };
    const [folder] = await readAttempts(context, [previous]);
    if (folder?.root !== root) return [];
    const undone = await undoFolder(context, folder, { force: false, signal });
    const { conflicts, replacedIn } = undone;
    if (conflicts.length > 0 || replacedIn !== undefined) {
      const facts = { folder: root, conflicts: conflicts.slice(0, 10), replacedIn };
      context.log.warn(facts, 'the folder was put back for another attempt, but others were in it');
    }
    return folder.attempts.map(({ before }) => before);
  }

  private async stateAfter(mark: WorkspaceMark, before: State, home: string): Promise<State> {
    return await scan({
      root: before.root,
      home,
      clock: this.options.clock,
      scope: [before],
      known: [before],
      isWorktree: mark.kind === 'worktree',
      isLocked: true,
      signal: undefined,
    });
  }
}

/** Where the agent works, and the folder whose state is kept. */
async function placeOf(
  request: BeginRequest,
  home: string,
  log: Log,
): Promise<{ root: string; path: string }> {
  const { folder, kind, runId, signal } = request;
  if (!isAbsolute(folder)) {
    const remedy = 'Give the whole path: the server does not share your working directory.';
    throw workspaceError('invalid_input', `${folder} is not an absolute path`, remedy);
  }
  const real = await realFolder(folder);
  if (kind === 'worktree') return await ensureWorktree({ home, runId, folder: real, signal, log });
  if (real === home) {
    const remedy = 'Name a folder inside it, or another one.';
    throw workspaceError('invalid_input', `${folder} is the data folder of Centuria`, remedy);
  }
  return { root: real, path: real };
}

async function realFolder(folder: string): Promise<string> {
  try {
    const real = await realpath(normalize(folder));
    if (!(await stat(real)).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' });
    await access(real, constants.R_OK | constants.W_OK | constants.X_OK);
    return real;
  } catch (error) {
    throw unusable(folder, 'opening the folder', error);
  }
}

function assertHere({ host, folder }: WorkspaceMark): void {
  if (host === hostname()) return;
  throw new AppError('workspace_elsewhere', `${folder} was changed on ${host}, not on this host`, {
    details: { folder, host },
    remedy: `Ask a Centuria on ${host}.`,
  });
}

function countChanges(
  before: State,
  after: State,
): Pick<WorkspaceChange, 'added' | 'changed' | 'removed'> {
  const counts = { added: 0, changed: 0, removed: 0 };
  for (const path of differences(before.entries, after.entries)) {
    const was = before.entries.get(path);
    const is = after.entries.get(path);
    const wasOne = was !== undefined && was.kind !== 'folder';
    const isOne = is !== undefined && is.kind !== 'folder';
    if (wasOne && isOne) counts.changed += 1;
    else if (isOne) counts.added += 1;
    else if (wasOne) counts.removed += 1;
  }
  return counts;
}
