import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { ToolError } from './errors.ts';
import { openGit, type Git } from './git.ts';
import { compareText, count, shorten } from './report.ts';

/** A file that git tracks and that is there to be read. */
export interface TrackedFile {
  /** Relative to the repository, `/` between folders, exactly as git has it. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly isExecutable: boolean;
}

export interface TextFile extends TrackedFile {
  readonly text: string;
}

export interface Repository {
  /** The folder that holds the working tree, with no symbolic link in it. */
  readonly top: string;
  readonly git: Git;
  /** The commit that is checked out; undefined in a repository without one. */
  readonly head: string | undefined;
  /** The branch that is checked out; undefined where HEAD is detached. */
  readonly branch: string | undefined;
  readonly isShallow: boolean;
  /** Regular tracked files in the order of their paths. Links, submodules and missing files are noted. */
  readonly files: readonly TrackedFile[];
  /** Paths of tracked links and submodules, which are not read. */
  readonly otherEntries: readonly string[];
  /** The bytes of a file; undefined, with a note, where it can not be read or is larger than `maxBytes`. */
  read(file: TrackedFile, maxBytes?: number): Buffer | undefined;
  /** The first 8,000 bytes of a file of any size. */
  readStart(file: TrackedFile): Buffer | undefined;
  /** Text files that `wanted` picks, one after another. Binary and too large ones are left out and noted. */
  texts(wanted: (file: TrackedFile) => boolean, maxBytes?: number): Iterable<TextFile>;
  /** What a reader of the report must know: what was left out, and why. */
  notes(): string[];
  /** Throws `noInput` where there is no commit. */
  requireCommit(): string;
}

/** A text file longer than this is data; reading it costs more than it tells. */
const defaultTextBytes = 2 * 1024 * 1024;

/**
 * Opens the repository that `path` is in. Nothing of it is executed or changed, and no symbolic link
 * in it is followed. Throws `noInput` where there is none or it has no working tree.
 */
export async function openRepository(path: string): Promise<Repository> {
  const git = await openGit(path);
  const left = new LeftOut();
  const realFolders: RealFolders = new Map();
  if (git.isShallow) left.say('The clone is shallow: history before its edge is not there.');
  const { files, otherEntries } = await listFiles(git, left);
  const read = (file: TrackedFile, maxBytes = defaultTextBytes): Buffer | undefined =>
    readTracked(git.top, file, { maxBytes, isWhole: true }, left, realFolders);
  const readStart = (file: TrackedFile): Buffer | undefined =>
    readTracked(git.top, file, { maxBytes: startBytes, isWhole: false }, left, realFolders);
  return {
    top: git.top,
    git,
    head: git.head,
    branch: git.branch,
    isShallow: git.isShallow,
    files,
    otherEntries,
    read,
    readStart,
    *texts(wanted, maxBytes) {
      for (const file of files) {
        if (!wanted(file)) continue;
        // A large picture is no text that was left out.
        const start = file.sizeBytes > defaultTextBytes / 4 ? readStart(file) : undefined;
        if (start !== undefined && decode(start) === undefined) continue;
        const bytes = read(file, maxBytes);
        if (bytes === undefined) continue;
        const text = decode(bytes);
        if (text === undefined) continue;
        if (text.includes('\ufffd') && !isUtf8(bytes))
          left.add('not valid UTF-8, read with replacements', file.path);
        yield { ...file, text };
      }
    },
    notes: () => left.notes(),
    requireCommit() {
      if (git.head !== undefined) return git.head;
      throw new ToolError('noInput', `${git.top} has no commit yet`, 'Commit something first.');
    },
  };
}

/** As far as git looks for a NUL. */
const startBytes = 8_000;

/** NUL among the first 8,000 bytes is what git itself calls binary. */
export function isBinary(bytes: Uint8Array): boolean {
  return bytes.subarray(0, startBytes).includes(0);
}

/** Text without its byte order mark; undefined for binary content. UTF-16 with a mark counts as text. */
export function decode(bytes: Uint8Array): string | undefined {
  const encoding = utf16(bytes);
  if (encoding !== undefined) return new TextDecoder(encoding).decode(bytes);
  return isBinary(bytes) ? undefined : new TextDecoder().decode(bytes);
}

function utf16(bytes: Uint8Array): string | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  return bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : undefined;
}

function isUtf8(bytes: Uint8Array): boolean {
  if (utf16(bytes) !== undefined) return true;
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

async function listFiles(
  git: Git,
  left: LeftOut,
): Promise<{ files: TrackedFile[]; otherEntries: string[] }> {
  const files: TrackedFile[] = [];
  const otherEntries: string[] = [];
  const seen = new Set<string>();
  // Each record: mode, object, stage, a tab, the path.
  for await (const record of git.records(['ls-files', '-s', '-z'])) {
    const tab = record.indexOf(9);
    const path = record.toString('utf8', tab + 1);
    const mode = record.toString('latin1', 0, 6);
    // A path in conflict is listed once for each side.
    if (seen.has(path)) continue;
    seen.add(path);
    if (mode === '160000' || mode === '120000') otherEntries.push(path);
    if (mode === '160000') left.add('a submodule, not entered', path);
    else if (mode === '120000') left.add('a symbolic link, not followed', path);
    else if (!isUtf8(record)) left.add('a name that is not UTF-8, left out', path);
    else {
      const stat = statTracked(git.top, path);
      if (stat === undefined) left.add('tracked but not in the working tree', path);
      else files.push({ path, sizeBytes: stat.size, isExecutable: mode === '100755' });
    }
  }
  return { files: files.toSorted((a, b) => compareText(a.path, b.path)), otherEntries };
}

function statTracked(top: string, path: string): { size: number } | undefined {
  const stat = lstatSync(join(top, path), { throwIfNoEntry: false });
  return stat?.isFile() === true ? stat : undefined;
}

/** Whether a folder's real path is what its name says; looked up once a folder. */
type RealFolders = Map<string, boolean>;

/** A tracked folder may have been replaced by a link to anywhere after the commit. */
function isInside(top: string, path: string, realFolders: RealFolders): boolean {
  const folder = dirname(join(top, path));
  let inside = realFolders.get(folder);
  if (inside === undefined) {
    try {
      inside = realpathSync(folder) === folder;
    } catch {
      inside = false;
    }
    realFolders.set(folder, inside);
  }
  return inside;
}

function readTracked(
  top: string,
  file: TrackedFile,
  { maxBytes, isWhole }: { maxBytes: number; isWhole: boolean },
  left: LeftOut,
  realFolders: RealFolders,
): Buffer | undefined {
  if (!isInside(top, file.path, realFolders)) {
    left.add('behind a symbolic link, not followed', file.path);
    return undefined;
  }
  let descriptor: number | undefined;
  try {
    // Without O_NONBLOCK a named pipe in the place of the file would hold the tool for ever.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    descriptor = openSync(join(top, file.path), flags);
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) return undefined;
    if (isWhole && stat.size > maxBytes) {
      left.add(`larger than ${Math.round(maxBytes / 1024)} KiB, not read`, file.path);
      return undefined;
    }
    const bytes = Buffer.alloc(Math.min(stat.size, maxBytes));
    let filled = 0;
    while (filled < bytes.length) {
      const got = readSync(descriptor, bytes, filled, bytes.length - filled, filled);
      if (got === 0) break;
      filled += got;
    }
    return bytes.subarray(0, filled);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'error';
    left.add(`not readable (${code})`, file.path);
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** What was left out, grouped by reason, with the first few names. */
class LeftOut {
  readonly #reasons = new Map<string, Set<string>>();
  readonly #said: string[] = [];

  say(text: string): void {
    this.#said.push(text);
  }

  add(reason: string, path: string): void {
    const paths = this.#reasons.get(reason) ?? new Set();
    paths.add(path);
    this.#reasons.set(reason, paths);
  }

  notes(): string[] {
    const grouped = [...this.#reasons].map(([reason, paths]) => {
      const names = [...paths].slice(0, 3).map((path) => shorten(path, 80));
      const more = paths.size > names.length ? ', …' : '';
      return `${count(paths.size, 'file')} ${reason}: ${names.join(', ')}${more}`;
    });
    return [...this.#said, ...grouped];
  }
}
