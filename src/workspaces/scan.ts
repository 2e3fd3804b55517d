/** Takes the state of a folder: every entry with its content's hash, and the contents where wanted. */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, open, readFile, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, type Clock } from '../base/base.ts';
import { onDisk, shownOnDisk, type BytePath, type Entry, type State } from './entries.ts';
import { inParallel, systemCode, unless, unusable } from './failure.ts';
import { askGit, gitFacts } from './git.ts';
import { hashFile, type RunStore } from './store.ts';
import { look, stampOf, walk, type Found } from './walk.ts';

export interface Limits {
  /** Files, links and folders of one workspace. */
  readonly entries: number;
  /** Bytes of its files. */
  readonly bytes: number;
}

export interface ScanOptions {
  readonly root: string;
  readonly home: string;
  readonly clock: Clock;
  /** States that this one will be compared with. */
  readonly scope: readonly State[];
  /** States whose hashes are taken over for files that nothing has written to since. */
  readonly known: readonly State[];
  /** Where contents go; absent: only hashes are taken. */
  readonly keep?: RunStore;
  readonly limits?: Limits;
  /** A worktree of ours: its index is part of the state. */
  readonly isWorktree: boolean;
  /** Whether the folder's lock is held: then what restores that died left in it is removed. */
  readonly isLocked: boolean;
  readonly signal: AbortSignal | undefined;
}

/** Larger files are copied by the system and hashed from the copy, not held in memory. */
const inMemoryBytes = 1024 * 1024;
const atOnce = 16;
/** A file that was written within the clock's own tick may look as before: its hash is not believed. */
const settledMs = 2_000;

/** Throws `too_large`, `workspace_unusable`, and the signal's reason. */
export async function scan(options: ScanOptions): Promise<State> {
  const { root, home, scope, signal, limits } = options;
  const takenAtMs = options.clock.nowMs();
  const facts = await gitFacts(root, signal);
  const maxEntries = limits?.entries ?? Number.POSITIVE_INFINITY;
  const ignored = facts?.ignored ?? new Set<BytePath>();
  const mayOpen = options.isLocked;
  const walked = await walk({ root, home, ignored, scope, signal, maxEntries, mayOpen });
  const { found, left, drafts, opened } = walked;
  if (options.isLocked) {
    for (const path of drafts) await rm(onDisk(root, path), { recursive: true, force: true });
  }
  if (limits !== undefined) checkBytes(root, found, limits.bytes);
  const entries = new Map<BytePath, Entry>();
  try {
    await inParallel(found, atOnce, async (one) => {
      signal?.throwIfAborted();
      const entry = await entryOf(one, options);
      if (entry !== undefined) entries.set(one.path, entry);
    });
  } finally {
    for (const [path, mode] of opened.toReversed()) await chmod(onDisk(root, path), mode);
  }
  const index = options.isWorktree ? await keepIndex(options) : undefined;
  return {
    root,
    takenAtMs,
    entries,
    left: left.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    ...(facts === undefined ? {} : { head: facts.head }),
    ...(index === undefined ? {} : { index }),
  };
}

function checkBytes(root: string, found: readonly Found[], maxBytes: number): void {
  let bytes = 0;
  for (const { kind, stat } of found) if (kind === 'file') bytes += Number(stat.size);
  if (bytes <= maxBytes) return;
  const sizes = found.filter(({ kind }) => kind === 'file');
  const largest = sizes.toSorted((a, b) => (a.stat.size < b.stat.size ? 1 : -1))[0];
  const example = largest === undefined ? '' : `, such as ${shownOnDisk(root, largest.path)}`;
  throw new AppError('too_large', `${root} holds ${bytes} bytes, more than ${maxBytes}`, {
    details: { folder: root, bytes, maxBytes },
    remedy: `Let the agent work in a smaller folder, or move large files away${example}.`,
  });
}

async function entryOf(found: Found, options: ScanOptions): Promise<Entry | undefined> {
  const { path, kind, stat, target } = found;
  const entry = (content: string, seen = stat): Entry => ({
    kind,
    mode: kind === 'link' ? 0 : Number(seen.mode & 0o7777n),
    uid: Number(seen.uid),
    gid: Number(seen.gid),
    sizeBytes: Number(seen.size),
    mtimeNs: String(seen.mtimeNs),
    stamp: stampOf(seen),
    content,
  });
  if (kind !== 'file') return entry(target);
  const hash = await knownHash(path, entry(''), options);
  if (hash !== undefined) return entry(hash);
  return await readContent(path, entry, options);
}

/** The hash from an earlier state, when the file is the same one and has rested since before that. */
async function knownHash(
  path: BytePath,
  now: Entry,
  { known, keep }: ScanOptions,
): Promise<string | undefined> {
  for (const state of known) {
    const then = state.entries.get(path);
    if (then?.kind !== 'file' || then.stamp !== now.stamp || then.sizeBytes !== now.sizeBytes) {
      continue;
    }
    const changedMs = Number(BigInt(now.stamp.slice(now.stamp.indexOf(':') + 1)) / 1_000_000n);
    if (changedMs > state.takenAtMs - settledMs) continue;
    if (keep === undefined || (await keep.has(then.content))) return then.content;
  }
  return undefined;
}

/**
 * Looks first and reads then: a write in between makes the stamp too old, never the content. Undefined
 * for a file that is gone by now.
 */
async function readContent(
  path: BytePath,
  entry: (content: string, stat: Found['stat']) => Entry,
  { root, keep }: ScanOptions,
): Promise<Entry | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const onPath = onDisk(root, path);
  try {
    const handle = await unless(['ENOENT', 'ELOOP'], () => open(onPath, flags));
    if (handle === undefined) return undefined;
    try {
      const stat = await handle.stat({ bigint: true });
      if (stat.size > BigInt(inMemoryBytes)) {
        const large = keep === undefined ? await hashFile(onPath) : await keep.keepFile(onPath);
        return entry(large, stat);
      }
      const bytes = await handle.readFile();
      const hash = createHash('sha256').update(bytes).digest('hex');
      await keep?.keepBytes(hash, bytes);
      return entry(hash, stat);
    } finally {
      await handle.close();
    }
  } catch (error) {
    // It could be read before, or it would have been left alone: who closed it changed it.
    const closed = systemCode(error) === 'EACCES' ? await look(root, path) : undefined;
    if (closed !== undefined && keep === undefined) return entry('unreadable', closed.stat);
    throw unusable(shownOnDisk(root, path), 'reading the file', error);
  }
}

/** Where a worktree's own index is. */
export async function indexPath(root: string): Promise<string | undefined> {
  const answer = await askGit(root, ['rev-parse', '--absolute-git-dir']);
  if (answer.exitCode !== 0) return undefined;
  return join(answer.stdout.toString().replace(/\n$/, ''), 'index');
}

/**
 * Git takes a file for unchanged that has the size and times of the index's entry, unless the index is
 * not younger than the file. A copy is always younger, so it gets a time at which git reads all files.
 */
export async function distrustTimes(index: string): Promise<void> {
  await utimes(index, 1, 1);
}

async function keepIndex({ root, keep }: ScanOptions): Promise<string | undefined> {
  const path = await indexPath(root);
  if (path === undefined) return undefined;
  const bytes = await unless(['ENOENT'], () => readFile(path));
  if (bytes === undefined) return undefined;
  const hash = createHash('sha256').update(bytes).digest('hex');
  await keep?.keepBytes(hash, bytes);
  return hash;
}

/** The entry as it is now, its content by a fresh reading; undefined when there is none. */
export async function entryNow(
  root: string,
  path: BytePath,
  options: Pick<ScanOptions, 'home' | 'clock'>,
): Promise<Entry | undefined> {
  const found = await look(root, path);
  if (found === undefined) return undefined;
  const fresh = { root, scope: [], known: [], isWorktree: false, isLocked: false };
  return await entryOf(found, { ...options, ...fresh, signal: undefined });
}
