/** The files below a folder that need not be a repository: logs, migrations somewhere. */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
} from 'node:fs';
import { join, posix, resolve } from 'node:path';
import { ToolError } from './errors.ts';
import { compareText } from './report.ts';

export interface PlainFile {
  /** Below the folder, `/` between folders. */
  readonly path: string;
  readonly absolute: string;
}

const maxDepth = 8;
const maxEntries = 20_000;
const left = new Set(['.git', 'node_modules']);

/**
 * The regular files below `folder` that `wanted` picks, in the order of their paths, no link
 * followed. `cut` is true where the folder holds more than is worth listing. Throws `noInput` where
 * there is no such folder.
 */
export function listPlainFiles(
  folder: string,
  wanted: (path: string) => boolean,
): { files: PlainFile[]; cut: boolean } {
  const top = resolve(folder);
  if (statSync(top, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new ToolError('noInput', `${top} is not a folder`, 'Give --repo a folder with files.');
  const files: PlainFile[] = [];
  let entries = 0;
  let cut = false;
  const visit = (at: string, depth: number): void => {
    for (const entry of readFolder(join(top, at))) {
      entries += 1;
      if (entries > maxEntries || depth > maxDepth) {
        cut = true;
        return;
      }
      const path = posix.join(at, entry.name);
      if (entry.isDirectory() && !left.has(entry.name)) visit(path, depth + 1);
      else if (entry.isFile() && wanted(path)) files.push({ path, absolute: join(top, path) });
    }
  };
  visit('', 0);
  return { files: files.toSorted((a, b) => compareText(a.path, b.path)), cut };
}

function readFolder(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    // A folder that may not be read is as one that is not there; its files are not in the list.
    return [];
  }
}

/** A descriptor of a regular file; undefined for anything else, so that a pipe or a link holds nobody up. */
export function openPlainFile(path: string): { fd: number; sizeBytes: number } | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (stat.isFile()) return { fd, sizeBytes: stat.size };
    closeSync(fd);
  } catch {
    return undefined;
  }
  return undefined;
}

/** The bytes of a file; undefined where it can not be read or is larger than `maxBytes`. */
export function readPlainFile(path: string, maxBytes: number): Buffer | undefined {
  const opened = openPlainFile(path);
  if (opened === undefined) return undefined;
  try {
    if (opened.sizeBytes > maxBytes) return undefined;
    const bytes = Buffer.alloc(opened.sizeBytes);
    let filled = 0;
    while (filled < bytes.length) {
      const got = readSync(opened.fd, bytes, filled, bytes.length - filled, filled);
      if (got === 0) break;
      filled += got;
    }
    return bytes.subarray(0, filled);
  } finally {
    closeSync(opened.fd);
  }
}

/** `*` and `?` within a name, `**` across folders; a pattern without `/` is about the name alone. */
export function matchesPattern(path: string, pattern: string): boolean {
  const target = pattern.includes('/') ? path : posix.basename(path);
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll(/\*\*\/|\*\*|\*|\?/g, (mark) =>
      mark === '**/' ? '(?:.*/)?' : mark === '**' ? '.*' : mark === '*' ? '[^/]*' : '[^/]',
    );
  return new RegExp(`^${source}$`).test(target);
}
