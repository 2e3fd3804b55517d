/**
 * Carries out planned changes, each by one step of the file system that is done or not: a crash
 * between two leaves what the plan of the next call takes up.
 */
import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import {
  chmod,
  copyFile,
  lchown,
  mkdir,
  readFile,
  rename,
  rm,
  rmdir,
  symlink,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import {
  onDisk,
  parentOf,
  sameEntry,
  shown,
  shownOnDisk,
  type BytePath,
  type Entry,
  type Tree,
} from './entries.ts';
import { systemCode, unless, unusable } from './failure.ts';
import { isOpen, loosen, type Loosened } from './loosen.ts';
import { byPath, type Change, type PathConflict } from './plan.ts';
import { hashFile, lost, syncPath, type RunStore } from './store.ts';
import { draftPrefix, isReached, isUnchanged, look } from './walk.ts';

export interface RestoreOptions {
  readonly root: string;
  readonly changes: readonly Change[];
  readonly current: Tree;
  /** What the oldest attempt found: the times of folders come from it. */
  readonly before: Tree;
  /** Has the contents of every `to`. */
  readonly contentPath: RunStore['contentPath'];
  /** Where what is not known to be an attempt's own work is copied before it is replaced. */
  readonly asideFolder: string;
  /** Where folders that had to be opened for writing are noted until they are closed again. */
  readonly loosenedPath: string;
  /** Whether modification times come back; not where what was built from the files stays. */
  readonly withTimes: boolean;
  /** The entry with its content as it is now. */
  readonly entryNow: (path: BytePath) => Promise<Entry | undefined>;
  readonly signal: AbortSignal;
}

export interface Restored {
  readonly done: readonly Change[];
  /** What could not be done, and was not touched. */
  readonly conflicts: readonly PathConflict[];
  /** Whether anything was copied to `asideFolder`. */
  readonly setAside: boolean;
}

/** A path that stands in the way of its change; the rest goes on. */
class Obstacle extends Error {}

const perPath = new Set([
  'EACCES',
  'EPERM',
  'EROFS',
  'EBUSY',
  'ENOTEMPTY',
  'EISDIR',
  'ENOTDIR',
  'ENOENT',
]);

/** Throws `workspace_lost`, `workspace_unusable` (a full disk), and the signal's reason. */
export async function restore(options: RestoreOptions): Promise<Restored> {
  const { root, changes, current, signal } = options;
  const done: Change[] = [];
  const conflicts: PathConflict[] = [];
  let setAside = false;
  const loosened = await loosen(root, current, changes, options.loosenedPath);
  const attempt = async (change: Change, work: () => Promise<void>): Promise<boolean> => {
    signal.throwIfAborted();
    try {
      await work();
      return true;
    } catch (error) {
      const isOwn = error instanceof Obstacle;
      if (!isOwn && !perPath.has(systemCode(error) ?? '')) {
        throw unusable(shownOnDisk(root, change.path), 'restoring it', error);
      }
      conflicts.push({ path: change.path, reason: error instanceof Error ? error.message : '' });
      return false;
    }
  };
  const waiting: Change[] = [];
  // What a folder holds goes before the folder.
  for (const change of changes.toSorted(byPath).toReversed()) {
    const fits = await attempt(change, async () => {
      if (await isDone(change, options)) return;
      if (!change.isOwn && (await keepAside(change, options))) setAside = true;
      if (mustGoFirst(change)) await remove(root, change.path, change.from);
    });
    if (fits) waiting.push(change);
  }
  // And comes after it.
  for (const change of waiting.toReversed()) {
    if (change.to === undefined) done.push(change);
    else if (await attempt(change, () => put(change, options))) done.push(change);
  }
  await settle(options, done, loosened);
  return { done, conflicts, setAside };
}

/** True when somebody did it meanwhile; refuses what is no longer what the plan saw. */
async function isDone({ path, from, to }: Change, options: RestoreOptions): Promise<boolean> {
  const { root } = options;
  if (!(await isReached(root, path))) {
    if (from === undefined) return false;
    throw new Obstacle('its folder is not there any more');
  }
  if (from !== undefined && (await isUnchanged(root, path, from))) return false;
  const now = await options.entryNow(path);
  if (from === undefined && now === undefined) return false;
  // Folders change with what they hold, and some are open only while this lasts.
  if (now?.kind === 'folder' && from?.kind === 'folder') {
    if (now.mode === from.mode || now.mode === (from.mode | 0o700)) return false;
  }
  if (sameEntry(now, to)) return true;
  // It could not be seen in a closed folder.
  throw new Obstacle('changed while it was being restored');
}

/** A rename replaces a file or a link by another; a folder it does not, nor anything by a folder. */
function mustGoFirst({ from, to }: Change): boolean {
  if (from === undefined) return false;
  if (to === undefined) return true;
  return (from.kind === 'folder') !== (to.kind === 'folder');
}

async function remove(root: string, path: BytePath, from: Entry | undefined): Promise<void> {
  const onPath = onDisk(root, path);
  await unless(['ENOENT'], () => (from?.kind === 'folder' ? rmdir(onPath) : unlink(onPath)));
}

async function put(change: Change, options: RestoreOptions): Promise<void> {
  const { path, to } = change;
  const { root } = options;
  if (to === undefined) return;
  if (!(await isReached(root, path))) throw new Obstacle('its folder is not there any more');
  const onPath = onDisk(root, path);
  if (to.kind === 'folder' && (await look(root, path)) !== undefined) {
    await openFolder(onPath, to);
    return;
  }
  const name = `${draftPrefix}${randomBytes(8).toString('hex')}`;
  const parent = parentOf(path);
  const draft = onDisk(root, parent === '' ? name : `${parent}/${name}`);
  try {
    if (to.kind === 'folder') {
      await mkdir(draft);
      await openFolder(draft, to);
    } else if (to.kind === 'link') await symlink(Buffer.from(to.content, 'latin1'), draft);
    else await writeContent(draft, to, options);
    if (to.kind !== 'folder') await own(draft, to);
    if (to.kind === 'file') await chmod(draft, to.mode);
    await rename(draft, onPath);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

/** At once with its mode, unless that forbids to put something into it: then with its mode in the end. */
async function openFolder(path: Buffer, { mode }: Entry): Promise<void> {
  await chmod(path, isOpen(mode) ? mode : mode | 0o700);
}

/** The hash is taken of what was written, so that a damaged store never passes for the file. */
async function writeContent(draft: Buffer, to: Entry, options: RestoreOptions): Promise<void> {
  const kept = await options.contentPath(to.content);
  let hash: string;
  if (to.sizeBytes <= 1024 * 1024) {
    const bytes = await readFile(kept);
    hash = createHash('sha256').update(bytes).digest('hex');
    await writeFile(draft, bytes, { flag: 'wx', mode: 0o600 });
  } else {
    await copyFile(kept, draft, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    hash = await hashFile(draft);
  }
  if (hash !== to.content)
    throw lost(`the content ${to.content.slice(0, 12)} is damaged in ${kept}`);
  if (options.withTimes) await utimes(draft, ...timesOf(to));
  await syncPath(draft);
}

/** Who may not give a file away keeps it. */
async function own(path: Buffer, { uid, gid }: Entry): Promise<void> {
  if (uid === process.getuid?.() && gid === process.getgid?.()) return;
  await unless(['EPERM', 'EINVAL'], () => lchown(path, uid, gid));
}

/** Microseconds are what a double holds of today's seconds. */
function timesOf({ mtimeNs }: Entry): [number, number] {
  const seconds = Number(BigInt(mtimeNs) / 1000n) / 1_000_000;
  return [seconds, seconds];
}

/** Copies a file that may be somebody else's work to where it can be found by its name. */
async function keepAside({ path, from }: Change, options: RestoreOptions): Promise<boolean> {
  if (from?.kind !== 'file' || from.content === 'unreadable') return false;
  const names = path.split('/').map((name) => shown(name).replaceAll('\0', ''));
  const target = join(options.asideFolder, ...names);
  await mkdir(join(target, '..'), { recursive: true, mode: 0o700 });
  await copyFile(onDisk(options.root, path), target, constants.COPYFILE_FICLONE);
  await syncPath(target);
  return true;
}

/** Modes and times of folders, deepest first, when nothing is put into them any more. */
async function settle(
  { root, before, withTimes }: RestoreOptions,
  done: readonly Change[],
  loosened: Loosened,
): Promise<void> {
  const touched = new Set(done.map(({ path }) => parentOf(path)));
  const wanted = new Map<BytePath, Entry>();
  for (const { path, to } of done) if (to?.kind === 'folder') wanted.set(path, to);
  for (const path of [...wanted.keys(), ...touched].toSorted().toReversed()) {
    const onPath = onDisk(root, path);
    if ((await look(root, path))?.kind !== 'folder') continue;
    const to = wanted.get(path);
    await unless(['EACCES'], () => syncPath(onPath));
    if (to !== undefined) {
      await own(onPath, to);
      await chmod(onPath, to.mode);
    }
    const entry = before.get(path);
    if (withTimes && entry !== undefined) await utimes(onPath, ...timesOf(entry));
  }
  await loosened.close(new Set(wanted.keys()));
}
