/** What a folder holds, as far as it can be undone. */

/**
 * A path inside a workspace, with `/` between names, each byte as one character (latin1): a name need
 * not be UTF-8, and what can't be named exactly could not be put back.
 */
export type BytePath = string;

export interface Entry {
  readonly kind: 'file' | 'folder' | 'link';
  /** The lowest twelve bits; always 0 for links, which have none of their own on Linux. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  /** Nanoseconds since 1970, as a decimal text. */
  readonly mtimeNs: string;
  /** Inode and time of the last change to it: differs after any write that went through the kernel. */
  readonly stamp: string;
  /** SHA-256 of a file, the target of a link, empty for a folder. */
  readonly content: string;
}

export type Tree = ReadonlyMap<BytePath, Entry>;

/** Something that is neither kept nor touched. */
export interface Left {
  readonly path: BytePath;
  readonly why: LeftReason;
  /** Over names, sizes and times below it; absent where there was too much to look at. */
  readonly fingerprint?: string;
}

export type LeftReason =
  | 'git'
  | 'repository'
  | 'ignored'
  | 'home'
  | 'mount'
  | 'special'
  | 'unreadable';

/** Where a git folder stood. */
export interface Head {
  /** A branch's full name; absent when HEAD is detached. */
  readonly branch?: string;
  /** Absent before the first commit. */
  readonly commit?: string;
}

/** A folder at one moment. */
export interface State {
  readonly root: string;
  readonly takenAtMs: number;
  readonly entries: Tree;
  readonly left: readonly Left[];
  readonly head?: Head;
  /** SHA-256 of the index of a worktree that is ours. */
  readonly index?: string;
  /** Taken when undoing began, since the attempt never said what it left: others may have been at it. */
  readonly assumed?: boolean;
}

/** Whether both are the same to whoever reads them; owners and times are not compared. */
export function sameEntry(a: Entry | undefined, b: Entry | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.kind === b.kind && a.mode === b.mode && a.content === b.content;
}

/** The paths whose entries differ. */
export function differences(before: Tree, after: Tree): BytePath[] {
  const found: BytePath[] = [];
  for (const [path, entry] of before) if (!sameEntry(entry, after.get(path))) found.push(path);
  for (const path of after.keys()) if (!before.has(path)) found.push(path);
  return found;
}

/** The folder a path lies in; empty for the workspace itself. */
export function parentOf(path: BytePath): BytePath {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

/** The folders above a path, nearest first, without the workspace itself. */
export function* ancestors(path: BytePath): Generator<BytePath> {
  for (let at = parentOf(path); at !== ''; at = parentOf(at)) yield at;
}

/** A path for people; bytes that are not UTF-8 show as U+FFFD. */
export function shown(path: BytePath): string {
  return Buffer.from(path, 'latin1').toString('utf8');
}

/** What the file system is asked for. */
export function onDisk(root: string, path: BytePath): Buffer {
  if (path === '') return Buffer.from(root);
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]);
}

/** For messages. */
export function shownOnDisk(root: string, path: BytePath): string {
  return path === '' ? root : `${root}/${shown(path)}`;
}
