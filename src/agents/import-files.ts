/** The files that an import reads: which ones there are, and their bytes within limits. */
import { constants, type Dirent } from 'node:fs';
import { lstat, open, readdir, realpath, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { isDefinitionFile } from './folders.ts';
import { maxSourceBytes } from './frontmatter.ts';

/** A file to import, or the reason why a place can't be read. */
export interface FoundFile {
  readonly file: string;
  readonly refused?: { readonly message: string; readonly instead: string };
}

/** As many as a registry reads of one folder. */
export const maxFiles = 5_000;
const maxDepth = 32;

/**
 * The `*.md` files of the paths, those of folders with all below, in the order of their names.
 * README.md and what begins with a dot is passed over. A link inside a folder is not followed: what
 * it leads to inside is read anyhow, and what lies outside was not asked for.
 */
export async function findFiles(paths: readonly string[]): Promise<FoundFile[]> {
  const found = new Map<string, FoundFile>();
  for (const path of paths) {
    for (const each of await filesAt(path)) {
      if (!found.has(each.file)) found.set(each.file, each);
    }
  }
  const files = [...found.values()];
  if (files.length <= maxFiles) return files;
  const message = `there are ${files.length} files, more than ${maxFiles}`;
  const over = { message, instead: 'Import them in parts.' };
  return files.map(({ file }, index) => (index < maxFiles ? { file } : { file, refused: over }));
}

async function filesAt(path: string): Promise<FoundFile[]> {
  try {
    const isFolder = (await stat(path)).isDirectory();
    return isFolder ? await walk(path, await realpath(path), 0) : [{ file: path }];
  } catch (error) {
    return [unreadable(path, error)];
  }
}

async function walk(folder: string, root: string, depth: number): Promise<FoundFile[]> {
  if (depth > maxDepth) {
    const message = `the folders are nested deeper than ${maxDepth} levels`;
    return [{ file: folder, refused: { message, instead: 'Name the inner folder.' } }];
  }
  const found: FoundFile[] = [];
  const entries = await readdir(folder, { withFileTypes: true });
  for (const entry of entries.toSorted(byName)) {
    const file = join(folder, entry.name);
    if (entry.name.startsWith('.')) continue;
    if (entry.isDirectory()) {
      const inner = walk(file, root, depth + 1);
      found.push(...(await inner.catch((error: unknown) => [unreadable(file, error)])));
    } else if (isDefinitionFile(entry.name)) {
      if (!entry.isSymbolicLink()) found.push({ file });
      else if (!(await leadsInside(file, root))) {
        const message = 'a symbolic link that leads out of the folder or nowhere';
        found.push({ file, refused: { message, instead: 'Name what it leads to.' } });
      }
    }
  }
  return found;
}

/** By code units, so that every machine imports in the same order. */
function byName(a: Dirent, b: Dirent): number {
  return a.name < b.name ? -1 : 1;
}

async function leadsInside(link: string, root: string): Promise<boolean> {
  const target = await realpath(link).catch(() => undefined);
  return target !== undefined && !relative(root, target).startsWith(`..${sep}`);
}

/**
 * The bytes of a regular file of at most the format's size; otherwise what is wrong with it. A pipe
 * or a device that bears the name of a file is not opened, since it could block for ever.
 */
export async function readBounded(file: string): Promise<FoundFile | { readonly bytes: Buffer }> {
  try {
    if (!(await stat(file)).isFile()) {
      return { file, refused: { message: 'it is no regular file', instead: 'Name a file.' } };
    }
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      // One byte more shows that there is more.
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(maxSourceBytes + 1));
      if (bytesRead <= maxSourceBytes) return { bytes: buffer.subarray(0, bytesRead) };
      const { size } = await handle.stat();
      const message = `the file has ${size} bytes, more than ${maxSourceBytes}`;
      const instead = 'Keep long material in files that the prompt names.';
      return { file, refused: { message, instead } };
    } finally {
      await handle.close();
    }
  } catch (error) {
    return unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): FoundFile {
  const { code } = error as NodeJS.ErrnoException;
  const reason = code === 'ENOENT' ? 'there is no such file' : `it can not be read: ${code}`;
  return { file, refused: { message: reason, instead: 'Name a file or a folder of them.' } };
}

/** Whether something lies at the path, links not followed. */
export async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  );
}
