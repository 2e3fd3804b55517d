/** Lists what a folder holds and decides what of it is ours to put back. */
import { createHash } from 'node:crypto';
import { constants, type BigIntStats } from 'node:fs';
import { chmod, lstat, open, readdir, readlink } from 'node:fs/promises';
import { AppError } from '../base/base.ts';
import {
  onDisk,
  parentOf,
  shownOnDisk,
  type BytePath,
  type Entry,
  type Left,
  type LeftReason,
  type State,
} from './entries.ts';
import { inParallel, systemCode, unless, unusable } from './failure.ts';

/** A name that only restoring uses: what has it was left by a restore that died. */
export const draftPrefix = '.centuria-restoring-';

/** What git ignores comes back, too, where it is at most this much: settings do, built folders don't. */
const ignoredLimit = { entries: 2_000, bytes: 32 * 1024 * 1024 };
/** Folders that are left alone are looked through for changes up to this many entries. */
const fingerprintEntries = 500_000;
/** Of calls to the file system: node's pool has four threads, and more wait there, not here. */
const atOnce = 32;

export interface WalkOptions {
  readonly root: string;
  /** The data folder of this process. */
  readonly home: string;
  /** What git ignores. */
  readonly ignored: ReadonlySet<BytePath>;
  /**
   * States of the same folder that the result is compared with: what one of them holds is listed,
   * whatever the rules of now say; what they left is left.
   */
  readonly scope: readonly State[];
  readonly signal: AbortSignal | undefined;
  /** Whether folders of `scope` that were closed to us since may be opened: see `Listing.opened`. */
  readonly mayOpen: boolean;
  /** Ends the walk with `too_large` beyond it. */
  readonly maxEntries: number;
}

/** An entry before its content is known. */
export interface Found {
  readonly path: BytePath;
  readonly kind: Entry['kind'];
  readonly stat: BigIntStats;
  /** The target of a link. */
  readonly target: string;
}

export interface Listing {
  readonly found: readonly Found[];
  readonly left: readonly Left[];
  /** What a restore that died left behind. */
  readonly drafts: readonly BytePath[];
  /** Folders that were opened to see what they hold, with the modes to give them back. */
  readonly opened: readonly (readonly [BytePath, number])[];
}

/** Lists a folder. Links are entries, never ways. Other file systems below it are left alone. */
export async function walk(options: WalkOptions): Promise<Listing> {
  const { root, signal } = options;
  const found: Found[] = [];
  const left: Left[] = [];
  const drafts: BytePath[] = [];
  const opened: [BytePath, number][] = [];
  const top = await topOf(root);
  const { dev } = top.stat;
  found.push(top);
  const leftBefore = new Map(
    options.scope.flatMap((state) => state.left.map(({ path, why }) => [path, why] as const)),
  );
  const folders: BytePath[] = [''];
  for (let next = folders.pop(); next !== undefined; next = folders.pop()) {
    signal?.throwIfAborted();
    const folder = next;
    let names = await namesIn(root, folder);
    if (names === undefined && options.mayOpen && !isForeign(options, folder)) {
      const mode = found.find(({ path }) => path === folder)?.stat.mode ?? 0n;
      opened.push([folder, Number(mode & 0o7777n)]);
      await chmod(onDisk(root, folder), Number(mode & 0o7777n) | 0o700);
      names = await namesIn(root, folder);
    }
    const hasGit = names?.includes('.git') === true;
    // A folder that an attempt closed is listed without what it holds.
    if (names === undefined && !isForeign(options, folder)) continue;
    if (names === undefined || (folder !== '' && hasGit && isForeign(options, folder))) {
      const why: LeftReason = names === undefined ? 'unreadable' : 'repository';
      const own = found.findIndex(({ path }) => path === folder);
      if (own >= 0) found.splice(own, 1);
      left.push(await leftAt(options, folder, why));
      continue;
    }
    await inParallel(names, atOnce, async (name) => {
      const path = folder === '' ? name : `${folder}/${name}`;
      if (name.startsWith(draftPrefix)) return void drafts.push(path);
      const entry = await look(root, path);
      if (entry === undefined) return;
      const why = await reasonToLeave(options, entry, dev, leftBefore);
      if (why !== undefined) return void left.push(await leftAt(options, path, why));
      found.push(entry);
      if (entry.kind === 'folder') folders.push(path);
    });
    if (found.length > options.maxEntries) throw tooMany(root, options.maxEntries);
  }
  return { found, left, drafts, opened };
}

/** Undefined when this user may not list it. */
async function namesIn(root: string, folder: BytePath): Promise<string[] | undefined> {
  try {
    const names = await readdir(onDisk(root, folder), { encoding: 'buffer' });
    return names.map((name) => name.toString('latin1'));
  } catch (error) {
    if (folder !== '' && systemCode(error) === 'EACCES') return undefined;
    // Gone since its parent was listed.
    if (folder !== '' && systemCode(error) === 'ENOENT') return [];
    throw unusable(shownOnDisk(root, folder), 'listing the folder', error);
  }
}

async function topOf(root: string): Promise<Found> {
  const top = await look(root, '');
  if (top?.kind === 'folder') return top;
  throw new AppError(
    'workspace_unusable',
    `${root} ${top ? 'is not a folder' : 'does not exist'}`,
    {
      details: { folder: root },
      remedy: 'Put the folder back where it was.',
    },
  );
}

/** Undefined for what is gone by now. A special file comes as one without a kind of ours: see `isSpecial`. */
export async function look(root: string, path: BytePath): Promise<Found | undefined> {
  return await unless(['ENOENT', 'ENOTDIR'], async () => {
    const stat = await lstat(onDisk(root, path), { bigint: true });
    const kind = stat.isDirectory() ? 'folder' : stat.isSymbolicLink() ? 'link' : 'file';
    const target =
      kind === 'link' ? (await readlink(onDisk(root, path), 'buffer')).toString('latin1') : '';
    return { path, kind, stat, target };
  });
}

function isSpecial({ kind, stat }: Found): boolean {
  return kind === 'file' && !stat.isFile();
}

async function reasonToLeave(
  options: WalkOptions,
  entry: Found,
  dev: bigint,
  leftBefore: ReadonlyMap<BytePath, LeftReason>,
): Promise<LeftReason | undefined> {
  const { root, home, scope, ignored } = options;
  const { path } = entry;
  if (`${root}/${path}` === home) return 'home';
  if (isSpecial(entry)) return 'special';
  if (entry.stat.dev !== dev) return 'mount';
  if (scope.some((state) => state.entries.has(path))) return undefined;
  const before = leftBefore.get(path);
  if (before !== undefined) return before;
  // Where there was none, it is a file like others, and undoing takes it away.
  if (path === '.git') return scope.length === 0 ? 'git' : undefined;
  if (entry.kind === 'file' && !(await isReadable(root, entry))) return 'unreadable';
  if (ignored.has(path) && !(await isSmall(root, entry))) return 'ignored';
  return undefined;
}

/** A repository inside is somebody else's, unless a state that is compared with took it for plain files. */
function isForeign(options: WalkOptions, folder: BytePath): boolean {
  return !options.scope.some((state) => state.entries.get(folder)?.kind === 'folder');
}

/** The owner's own bits are asked first, since most files have them and a call costs more. */
async function isReadable(root: string, { path, stat }: Found): Promise<boolean> {
  const isMine = Number(stat.uid) === process.getuid?.();
  if (isMine && (stat.mode & 0o400n) !== 0n) return true;
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await unless(['EACCES', 'EPERM', 'ENOENT'], () => open(onDisk(root, path), flags));
  await handle?.close();
  return handle !== undefined;
}

async function isSmall(root: string, entry: Found): Promise<boolean> {
  if (entry.kind === 'link') return true;
  if (entry.kind === 'file') return entry.stat.size <= BigInt(ignoredLimit.bytes);
  let entries = 0;
  let bytes = 0n;
  for await (const { stat } of below(root, entry.path)) {
    entries += 1;
    bytes += stat.size;
    if (entries > ignoredLimit.entries || bytes > BigInt(ignoredLimit.bytes)) return false;
  }
  return true;
}

async function leftAt(options: WalkOptions, path: BytePath, why: LeftReason): Promise<Left> {
  // Git changes its own folder with every command, and ours changes while it is looked at.
  if (why === 'git' || why === 'home' || why === 'mount' || why === 'unreadable') {
    return { path, why };
  }
  const lines: string[] = [];
  const own = await look(options.root, path);
  if (own !== undefined) lines.push(lineOf(own));
  for await (const entry of below(options.root, path)) {
    options.signal?.throwIfAborted();
    lines.push(lineOf(entry));
    if (lines.length > fingerprintEntries) return { path, why };
  }
  const text = lines.toSorted().join('\0');
  return { path, why, fingerprint: createHash('sha256').update(text, 'latin1').digest('hex') };
}

function lineOf({ path, kind, stat, target }: Found): string {
  // A folder's size and time say how its file system keeps it, and what is in it is listed.
  const times = kind === 'folder' ? '' : `${stat.size} ${stat.mtimeNs} ${stat.ino}`;
  return `${path}\n${kind} ${stat.mode} ${times} ${target}`;
}

/** Everything below a folder but git's own. */
async function* below(root: string, folder: BytePath): AsyncGenerator<Found> {
  const folders = [folder];
  for (let at = folders.pop(); at !== undefined; at = folders.pop()) {
    const names = (await unless(['ENOTDIR'], () => namesIn(root, at as BytePath))) ?? [];
    const entries: Found[] = [];
    await inParallel(names, atOnce, async (name) => {
      if (name === '.git') return;
      const entry = await look(root, `${at}/${name}`);
      if (entry !== undefined) entries.push(entry);
    });
    for (const entry of entries) {
      if (entry.kind === 'folder') folders.push(entry.path);
      yield entry;
    }
  }
}

export function tooMany(root: string, maxEntries: number): AppError {
  return new AppError('too_large', `${root} holds more than ${maxEntries} files and folders`, {
    details: { folder: root, maxEntries },
    remedy: 'Let the agent work in a smaller folder, or let git ignore what need not come back.',
  });
}

/** Whether an entry still is what was seen; false for one that is gone or was written since. */
export async function isUnchanged(root: string, path: BytePath, seen: Entry): Promise<boolean> {
  const now = await look(root, path);
  return (
    now !== undefined &&
    stampOf(now.stat) === seen.stamp &&
    Number(now.stat.size) === seen.sizeBytes
  );
}

export function stampOf(stat: BigIntStats): string {
  return `${stat.ino}:${stat.ctimeNs}`;
}

/** Whether the folder that a path is in is reached without a link. */
export async function isReached(root: string, path: BytePath): Promise<boolean> {
  for (let at = parentOf(path); at !== ''; at = parentOf(at)) {
    if ((await look(root, at))?.kind !== 'folder') return false;
  }
  return true;
}
