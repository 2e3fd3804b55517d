/** Which files undoing touches, from states alone: nothing here reads or writes. */
import {
  ancestors,
  differences,
  sameEntry,
  type BytePath,
  type Entry,
  type Left,
  type Tree,
} from './entries.ts';

/** One attempt: what was there before it and after it. */
export interface Step {
  readonly before: Tree;
  readonly after: Tree;
  /** Whether `after` may hold what somebody else wrote. */
  readonly assumed: boolean;
}

/** One entry that goes from what is there to what was there. */
export interface Change {
  readonly path: BytePath;
  readonly from: Entry | undefined;
  readonly to: Entry | undefined;
  /** Whether what is there is known to be an attempt's own work; else it is kept aside first. */
  readonly isOwn: boolean;
}

export interface PathConflict {
  readonly path: BytePath;
  readonly reason: string;
}

export interface TreePlan {
  readonly changes: readonly Change[];
  readonly conflicts: readonly PathConflict[];
  /** Paths that attempts changed and that are as they were before. */
  readonly undone: readonly BytePath[];
}

const changedSince = 'changed since the agent left it';
const changedBetween = 'changed by somebody else between two attempts';
const notEmpty = 'holds what no attempt made';

/**
 * What undoing `steps`, newest first, does to `current`. Pure, and the whole answer is in what is
 * there now: after a crash halfway, or when everything is undone already, the same call gives the
 * rest. A path that somebody else changed is a conflict and stays; `force` gives it up. `left` are
 * places that are not ours to delete.
 */
export function planTree(
  steps: readonly Step[],
  current: Tree,
  left: readonly Left[],
  force: boolean,
): TreePlan {
  const changes = new Map<BytePath, Change>();
  const conflicts = new Map<BytePath, string>();
  const undone: BytePath[] = [];
  for (const path of touchedPaths(steps)) {
    const goal = goalOf(path, steps, force);
    const from = current.get(path);
    if (goal.broken) conflicts.set(path, changedBetween);
    if (sameEntry(from, goal.entry) || (!force && sameEntry(from, goal.oldest))) {
      undone.push(path);
      // Undone before with force, beyond the point where others came in between.
      if (!sameEntry(from, goal.entry)) conflicts.delete(path);
      continue;
    }
    const known = goal.points.some((point) => sameEntry(from, point));
    if (known || force) {
      changes.set(path, { path, from, to: goal.entry, isOwn: known && !goal.assumed });
    } else if (!conflicts.has(path)) {
      conflicts.set(path, changedSince);
    }
  }
  addFolders(changes, conflicts, current, steps);
  keepFull(changes, conflicts, current, left);
  return {
    changes: [...changes.values()],
    conflicts: [...conflicts].map(([path, reason]) => ({ path, reason })),
    undone,
  };
}

interface Goal {
  /** What should be there in the end. */
  readonly entry: Entry | undefined;
  /** What the oldest attempt found. */
  readonly oldest: Entry | undefined;
  /** What may be there now without anybody else having written it. */
  readonly points: readonly (Entry | undefined)[];
  /** An older attempt's change can't be undone, since a newer attempt found something else. */
  readonly broken: boolean;
  readonly assumed: boolean;
}

/**
 * Follows one path back. Each attempt that changed it leads from its `after` to its `before`; where
 * the next older one left something else, an outsider wrote in between and the way ends. But what
 * was there may also be what a still older attempt found: then all in between was undone once.
 */
function goalOf(path: BytePath, steps: readonly Step[], force: boolean): Goal {
  const own = steps
    .map(({ before, after, assumed }) => ({
      before: before.get(path),
      after: after.get(path),
      assumed,
    }))
    .filter((step) => !sameEntry(step.before, step.after));
  const points: (Entry | undefined)[] = [];
  let entry = own[0]?.after;
  let broken = false;
  for (let at = 0; at < own.length; at += 1) {
    const step = own[at];
    if (step === undefined) break;
    if (!sameEntry(step.after, entry)) {
      const back = own.findIndex((older, index) => index >= at && sameEntry(older.before, entry));
      if (back >= 0) {
        at = back;
        continue;
      }
      broken = !force;
      if (broken) break;
    }
    points.push(step.after, step.before);
    // Between two kinds there is a moment with neither.
    if (step.after !== undefined && step.before?.kind !== step.after.kind) points.push(undefined);
    entry = step.before;
  }
  return {
    entry,
    oldest: own.at(-1)?.before,
    points,
    broken,
    assumed: own.some(({ assumed }) => assumed),
  };
}

function touchedPaths(steps: readonly Step[]): Set<BytePath> {
  return new Set(steps.flatMap(({ before, after }) => differences(before, after)));
}

/** What comes back needs its folders: missing ones are made, anything else in their place is a conflict. */
function addFolders(
  changes: Map<BytePath, Change>,
  conflicts: Map<BytePath, string>,
  current: Tree,
  steps: readonly Step[],
): void {
  for (const change of [...changes.values()].toSorted(byPath)) {
    if (change.to === undefined) continue;
    for (const folder of [...ancestors(change.path)].toReversed()) {
      const planned = changes.get(folder);
      const there = planned === undefined ? current.get(folder) : planned.to;
      if (there?.kind === 'folder') continue;
      const wanted = folderOf(folder, steps);
      if (there === undefined && planned === undefined && wanted !== undefined) {
        changes.set(folder, { path: folder, from: undefined, to: wanted, isOwn: true });
        continue;
      }
      changes.delete(change.path);
      conflicts.set(change.path, 'there is no folder for it any more');
      break;
    }
  }
}

function folderOf(path: BytePath, steps: readonly Step[]): Entry | undefined {
  for (const { before } of steps.toReversed()) {
    const entry = before.get(path);
    if (entry?.kind === 'folder') return entry;
  }
  return undefined;
}

/** A folder goes only when all that it holds goes. */
function keepFull(
  changes: Map<BytePath, Change>,
  conflicts: Map<BytePath, string>,
  current: Tree,
  left: readonly Left[],
): void {
  const kept = new Set<BytePath>();
  const staying = [...current.keys()].filter((path) => {
    const change = changes.get(path);
    return change === undefined || change.to !== undefined;
  });
  for (const path of [...staying, ...left.map((one) => one.path)]) {
    for (const folder of ancestors(path)) kept.add(folder);
  }
  // Longest first, so that a folder which stays keeps those above it.
  for (const change of [...changes.values()].toSorted(byPath).toReversed()) {
    const goes = change.from?.kind === 'folder' && change.to?.kind !== 'folder';
    if (!goes || !kept.has(change.path)) continue;
    changes.delete(change.path);
    conflicts.set(change.path, notEmpty);
    for (const folder of ancestors(change.path)) kept.add(folder);
  }
}

/** A folder before what it holds. */
export function byPath(a: { readonly path: string }, b: { readonly path: string }): number {
  if (a.path === b.path) return 0;
  return a.path < b.path ? -1 : 1;
}
