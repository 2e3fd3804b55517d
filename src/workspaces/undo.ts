/** Plans and carries out the undoing of attempts in one folder. */
import { createHash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newId, type Clock, type Log } from '../base/base.ts';
import { shown, type BytePath, type Head, type Left, type State } from './entries.ts';
import { unless } from './failure.ts';
import { git, headOf } from './git.ts';
import { closeLoosened } from './loosen.ts';
import { planTree, type Step, type TreePlan } from './plan.ts';
import { restore, type Restored } from './restore.ts';
import { distrustTimes, entryNow, indexPath, scan } from './scan.ts';
import { lost, openRunStore, parseStateId, stateId, syncPath, type RunStore } from './store.ts';
import type { FolderPlan, FolderUndo, WorkspaceMark } from './workspaces.ts';

export interface UndoContext {
  readonly home: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** An attempt as it is kept. */
interface KeptAttempt {
  readonly mark: WorkspaceMark;
  readonly store: RunStore;
  readonly runId: string;
  readonly before: State;
  /** Undefined when it never ended. */
  readonly after: State | undefined;
}

/** Attempts that worked in one folder, newest first. */
export interface FolderAttempts {
  readonly root: string;
  readonly attempts: readonly KeptAttempt[];
}

/** Reads what is kept of these, and puts those of one folder together. Throws `workspace_lost`. */
export async function readAttempts(
  { home }: UndoContext,
  marks: readonly WorkspaceMark[],
): Promise<FolderAttempts[]> {
  const folders = new Map<string, KeptAttempt[]>();
  for (const mark of marks) {
    const name = parseStateId(mark.before);
    const store = openRunStore(home, name.runId);
    const before = await store.readState(mark.before);
    if (before === undefined) {
      throw lost(
        `${home} has no state ${mark.before}: it was forgotten, or kept in another folder`,
      );
    }
    const after = await store.readState(stateId({ ...name, moment: 'after' }));
    const attempt = { mark, store, runId: name.runId, before, after };
    folders.set(before.root, [...(folders.get(before.root) ?? []), attempt]);
  }
  return [...folders].map(([root, attempts]) => ({ root, attempts }));
}

interface Prepared {
  readonly plan: TreePlan;
  readonly current: State;
  readonly oldest: State;
  /** Where HEAD goes; undefined: it stays. */
  readonly head: Head | undefined;
  readonly view: FolderPlan;
}

/** What undoing would do; with `isLocked` it may also tidy up after a restore that died. */
export async function prepare(
  context: UndoContext,
  { root, attempts }: FolderAttempts,
  options: { force: boolean; isLocked: boolean; signal: AbortSignal | undefined },
): Promise<Prepared> {
  const states = attempts.flatMap(({ before, after }) => (after ? [after, before] : [before]));
  const first = attempts[0];
  const oldest = attempts.at(-1)?.before;
  if (first === undefined || oldest === undefined) throw new Error('no attempts to undo');
  const isWorktree = first.mark.kind === 'worktree';
  const current = await scan({
    root,
    home: context.home,
    clock: context.clock,
    scope: states,
    known: states,
    isWorktree,
    isLocked: options.isLocked,
    signal: options.signal,
  });
  const steps = stepsOf(attempts, current);
  const plan = planTree(steps, current.entries, current.left, options.force);
  const goal = isWorktree ? headGoal(attempts, current, options.force) : { conflict: false };
  const newest = first.after ?? current;
  const view: FolderPlan = {
    kind: first.mark.kind,
    folder: first.mark.folder,
    path: root,
    restore: [
      ...names(plan, (from, to) => from && to),
      ...(goal.head === undefined ? [] : ['.git/HEAD']),
    ],
    recreate: names(plan, (from, to) => !from && to),
    delete: names(plan, (from, to) => from && !to),
    conflicts: [
      ...plan.conflicts.map(({ path, reason }) => ({ path: named(path), reason })),
      ...(goal.conflict ? [{ path: '.git/HEAD', reason: 'moved since the agent left it' }] : []),
    ],
    undone: plan.undone.map(named),
    left: leftChanges(oldest, newest, isWorktree),
  };
  return { plan, current, oldest, head: goal.head, view };
}

/** Undoes attempts in one folder, whose lock is held. Says what was done. */
export async function undoFolder(
  context: UndoContext,
  folder: FolderAttempts,
  options: { force: boolean; signal: AbortSignal },
): Promise<FolderUndo> {
  const { root } = folder;
  for (const { store } of folder.attempts) await closeLoosened(join(store.folder, 'loosened.json'));
  const { attempts } = await assumeAfter(context, folder, options.signal);
  const prepared = await prepare(context, { root, attempts }, { ...options, isLocked: true });
  const { plan, current, oldest, view } = prepared;
  const newest = attempts[0];
  if (newest === undefined) return { ...view, replacedIn: undefined };
  const asideFolder = join(newest.store.folder, 'replaced', newId(context.clock));
  const restored = await restore({
    root,
    changes: plan.changes,
    current: current.entries,
    before: oldest.entries,
    contentPath: (hash) => findContent(attempts, hash),
    asideFolder,
    loosenedPath: join(newest.store.folder, 'loosened.json'),
    withTimes: ![...oldest.left, ...current.left].some(({ why }) => why === 'ignored'),
    entryNow: (path) => entryNow(root, path, context),
    signal: options.signal,
  });
  if (prepared.head !== undefined) await restoreHead(root, prepared.head);
  if (newest.mark.kind === 'worktree') await restoreIndex(root, attempts, oldest, view);
  return report(view, restored, asideFolder);
}

/**
 * An attempt that never ended left what is there now. That is written down before anything is undone:
 * a second call then knows what somebody else did after the first.
 */
async function assumeAfter(
  context: UndoContext,
  { root, attempts }: FolderAttempts,
  signal: AbortSignal,
): Promise<FolderAttempts> {
  const newest = attempts[0];
  if (newest === undefined || newest.after !== undefined) return { root, attempts };
  const { before, mark, store } = newest;
  const scanned = await scan({
    root,
    home: context.home,
    clock: context.clock,
    scope: [before],
    known: [before],
    isWorktree: mark.kind === 'worktree',
    isLocked: true,
    signal,
  });
  const after: State = { ...scanned, assumed: true };
  await store.writeState(stateId({ ...parseStateId(mark.before), moment: 'after' }), after);
  return { root, attempts: [{ ...newest, after }, ...attempts.slice(1)] };
}

/** An attempt without an end ended where the next one began, or where the folder is now. */
function stepsOf(attempts: readonly KeptAttempt[], current: State): Step[] {
  return attempts.map(({ before, after }, index) => {
    const end = after ?? attempts[index - 1]?.before ?? current;
    const assumed = after === undefined || after.assumed === true;
    return { before: before.entries, after: end.entries, assumed };
  });
}

function headGoal(
  attempts: readonly KeptAttempt[],
  current: State,
  force: boolean,
): { head?: Head; conflict: boolean } {
  const goal = attempts.at(-1)?.before.head;
  const now = current.head;
  if (goal === undefined || now === undefined || sameHead(goal, now)) return { conflict: false };
  const points = attempts.flatMap(({ before, after }) => [before.head, (after ?? current).head]);
  const known = points.some((point) => point !== undefined && sameHead(point, now));
  return known || force ? { head: goal, conflict: false } : { conflict: true };
}

function sameHead(a: Head, b: Head): boolean {
  return a.branch === b.branch && a.commit === b.commit;
}

async function restoreHead(root: string, { branch, commit }: Head): Promise<void> {
  if (commit === undefined) return;
  if (branch === undefined) {
    await git(root, ['update-ref', '--no-deref', 'HEAD', commit]);
    return;
  }
  await git(root, ['update-ref', branch, commit]);
  await git(root, ['symbolic-ref', 'HEAD', branch]);
}

/** The index belongs to HEAD: where that stays as it is, so does the index. */
async function restoreIndex(
  root: string,
  attempts: readonly KeptAttempt[],
  { index, head }: State,
  view: FolderPlan,
): Promise<void> {
  const path = await indexPath(root);
  const isHead = sameHead(await headOf(root), head ?? {});
  const isTouched = view.restore.length + view.recreate.length + view.delete.length > 0;
  if (index === undefined || path === undefined || !isHead || !isTouched) return;
  const now = await unless(['ENOENT'], () => readFile(path));
  if (now !== undefined && createHash('sha256').update(now).digest('hex') === index) return;
  const draft = `${path}.centuria`;
  await writeFile(draft, await readFile(await findContent(attempts, index)));
  await distrustTimes(draft);
  await syncPath(draft);
  await rename(draft, path);
}

async function findContent(attempts: readonly KeptAttempt[], hash: string): Promise<string> {
  for (const { store } of attempts) {
    if (await store.has(hash)) return await store.contentPath(hash);
  }
  throw lost(`the content ${hash.slice(0, 12)} that was kept is gone`);
}

function report(view: FolderPlan, restored: Restored, asideFolder: string): FolderUndo {
  const failed = new Set(restored.conflicts.map(({ path }) => named(path)));
  const done = (paths: readonly string[]): string[] => paths.filter((path) => !failed.has(path));
  return {
    ...view,
    restore: done(view.restore),
    recreate: done(view.recreate),
    delete: done(view.delete),
    conflicts: [
      ...view.conflicts,
      ...restored.conflicts.map(({ path, reason }) => ({ path: named(path), reason })),
    ],
    replacedIn: restored.setAside ? asideFolder : undefined,
  };
}

function named(path: BytePath): string {
  return path === '' ? '.' : shown(path);
}

function names(plan: TreePlan, wanted: (from: boolean, to: boolean) => boolean): string[] {
  return plan.changes
    .filter(({ from, to }) => wanted(from !== undefined, to !== undefined))
    .map(({ path }) => named(path))
    .toSorted();
}

const leftTexts: Readonly<Record<Left['why'], string>> = {
  git: 'git’s own folder',
  repository: 'a repository of its own',
  ignored: 'ignored by git and too large to keep',
  home: 'the data folder of Centuria',
  mount: 'on another file system',
  special: 'not a file, folder or link',
  unreadable: 'not readable by this user',
};

/** What changed, or may have, and does not come back. */
function leftChanges(before: State, after: State, isWorktree: boolean): FolderPlan['left'] {
  const then = new Map(before.left.map((one) => [one.path, one]));
  const now = new Map(after.left.map((one) => [one.path, one]));
  const said: { path: string; reason: string }[] = [];
  const say = (path: BytePath, what: string, why: Left['why']): void => {
    said.push({ path: named(path), reason: `${what}: ${leftTexts[why]}` });
  };
  for (const { path, why, fingerprint } of after.left) {
    const old = then.get(path);
    if (old === undefined) say(path, 'made', why);
    else if (why !== 'ignored' && why !== 'repository' && why !== 'special') continue;
    else if (fingerprint === undefined) say(path, 'may have changed', why);
    else if (fingerprint !== old.fingerprint) say(path, 'changed', why);
  }
  for (const { path, why } of before.left) {
    const isListed = now.has(path) || after.entries.has(path);
    if (!isListed || (after.entries.has(path) && !now.has(path))) say(path, 'removed', why);
  }
  const { head } = before;
  if (!isWorktree && head !== undefined && !sameHead(head, after.head ?? {})) {
    const place = `${head.branch ?? 'HEAD'} at ${head.commit ?? 'no commit'}`;
    said.push({ path: '.git', reason: `HEAD has moved; it was ${place}` });
  }
  return said;
}
