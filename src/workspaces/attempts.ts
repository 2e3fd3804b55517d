/** The beginning and the end of an attempt in a folder. */
import { constants } from 'node:fs';
import { access, realpath, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { isAbsolute, normalize } from 'node:path';
import { differences, type State } from './entries.ts';
import { unusable, workspaceError } from './failure.ts';
import { noteLatest, readLatest } from './latest.ts';
import { lockFolder, lockOptions, type FolderLock } from './lock.ts';
import { scan } from './scan.ts';
import { makeRunStore, openRunStore, parseStateId, stateId } from './store.ts';
import { readAttempts, undoFolder } from './undo.ts';
import type {
  BeginRequest,
  WorkspaceChange,
  WorkspaceContext,
  WorkspaceMark,
} from './workspaces.ts';
import { ensureWorktree } from './worktree.ts';

export interface Attempts {
  begin(context: WorkspaceContext, request: BeginRequest): Promise<WorkspaceMark>;
  finish(context: WorkspaceContext, mark: WorkspaceMark): Promise<WorkspaceChange>;
  release(mark: WorkspaceMark): Promise<void>;
}

export function openAttempts(): Attempts {
  /** By the id of the state before: the locks of attempts under way. */
  const held = new Map<string, FolderLock>();
  return {
    async begin(context, request) {
      const { runId, attemptId, kind, folder, signal } = request;
      const before = stateId({ runId, attemptId, moment: 'before' });
      parseStateId(before);
      const { root, path } = await placeOf(context, request);
      const mark = { kind, folder, path, before, host: hostname() };
      if (held.has(before)) return mark;
      const lock = await lockFolder(root, lockOptions(context, root, signal));
      try {
        await keepBefore(context, request, root, before);
      } catch (error) {
        await lock.release();
        throw error;
      }
      held.set(before, lock);
      return mark;
    },
    async finish(context, mark) {
      const [folder] = await readAttempts(context, [mark]);
      const root = folder?.root ?? mark.path;
      const lock =
        held.get(mark.before) ?? (await lockFolder(root, lockOptions(context, root, undefined)));
      try {
        return await keepAfter(context, mark);
      } finally {
        held.delete(mark.before);
        await lock.release();
      }
    },
    async release(mark) {
      const lock = held.get(mark.before);
      held.delete(mark.before);
      await lock?.release();
    },
  };
}

async function keepBefore(
  context: WorkspaceContext,
  { runId, kind, previous, signal }: BeginRequest,
  root: string,
  id: string,
): Promise<void> {
  const { home, clock, limits } = context;
  const store = await makeRunStore(home, runId);
  // Begun already: the folder may hold work by now, and the state before it is the first one.
  if ((await store.readState(id)) !== undefined) return;
  if (previous !== undefined) await putBack(context, previous, root, signal);
  const state = await scan({
    root,
    home,
    clock,
    scope: [],
    known: await readLatest(home, root),
    keep: store,
    limits,
    isWorktree: kind === 'worktree',
    isLocked: true,
    signal,
  });
  await store.writeState(id, state);
  await noteLatest(home, root, id);
}

/** Undoes the attempt before. What somebody else changed since stays. */
async function putBack(
  context: WorkspaceContext,
  previous: WorkspaceMark,
  root: string,
  signal: AbortSignal,
): Promise<void> {
  const [folder] = await readAttempts(context, [previous]);
  if (folder?.root !== root) return;
  const { conflicts, replacedIn } = await undoFolder(context, folder, { force: false, signal });
  if (conflicts.length === 0 && replacedIn === undefined) return;
  const facts = { folder: root, conflicts: conflicts.slice(0, 10), replacedIn };
  context.log.warn(
    facts,
    'the folder was put back for another attempt; others may have been in it',
  );
}

async function keepAfter(
  { home, clock }: WorkspaceContext,
  mark: WorkspaceMark,
): Promise<WorkspaceChange> {
  const name = parseStateId(mark.before);
  const store = openRunStore(home, name.runId);
  const id = stateId({ ...name, moment: 'after' });
  const before = await store.readState(mark.before);
  if (before === undefined) throw new Error(`the state ${mark.before} was there a moment ago`);
  let after = await store.readState(id);
  if (after === undefined) {
    after = await scan({
      root: before.root,
      home,
      clock,
      scope: [before],
      known: [before],
      isWorktree: mark.kind === 'worktree',
      isLocked: true,
      signal: undefined,
    });
    await store.writeState(id, after);
  }
  return { ...mark, after: id, ...countChanges(before, after) };
}

/** Where the agent works, and the folder whose state is kept. */
async function placeOf(
  { home, log }: WorkspaceContext,
  { folder, kind, runId, signal }: BeginRequest,
): Promise<{ root: string; path: string }> {
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
