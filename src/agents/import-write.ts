/** Definitions written into a folder: each whole or not at all, and none over another's. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Problem } from './agents.ts';
import { definitionFiles } from './folders.ts';
import { isThere, readBounded } from './import-files.ts';
import { parseAgent } from './parse.ts';

export interface WriteOptions {
  /** Takes the place of a file that says something else. */
  readonly force?: boolean;
  /** Writes nothing, and says what would be. */
  readonly plan?: boolean;
}

/** `conflict`: what stands there says something else, or the agent is defined in another file of the folder. */
export type Written =
  | { readonly is: 'written' | 'unchanged'; readonly file: string }
  | { readonly is: 'conflict'; readonly message: string; readonly instead: string };

/** The folder that definitions are written to, with the agents that other files of it define. */
export interface TargetFolder {
  readonly path: string;
  /** Agent to file, where the file is not called after its agent. */
  readonly elsewhere: ReadonlyMap<string, string>;
}

export async function openTarget(path: string): Promise<TargetFolder> {
  const elsewhere = new Map<string, string>();
  // A folder that is not there yet is made for the first file.
  const unread: Problem[] = [];
  for (const file of await definitionFiles(path, unread)) {
    const read = await readBounded(file);
    const name = 'bytes' in read ? parseAgent(read.bytes, file).definition?.name : undefined;
    if (name !== undefined && file !== join(path, `${name}.md`)) elsewhere.set(name, file);
  }
  return { path, elsewhere };
}

/** Writes `NAME.md`: to a name of its own first, then put in place at once. */
export async function writeDefinition(
  target: TargetFolder,
  name: string,
  text: string,
  options: WriteOptions,
): Promise<Written> {
  const file = join(target.path, `${name}.md`);
  const other = target.elsewhere.get(name);
  if (other !== undefined) {
    return conflict(`the agent ${name} is defined in ${other}`, 'Remove or rename that file.');
  }
  const isTaken = await isThere(file);
  if (isTaken) {
    const there = await readBounded(file);
    if (!('bytes' in there)) {
      return conflict(`${file} is in the way: ${there.refused?.message}`, 'Remove it.');
    }
    if (Buffer.from(text, 'utf8').equals(there.bytes)) return { is: 'unchanged', file };
    if (options.force !== true) {
      return conflict(`${file} is there and says something else`, '--force writes over it.');
    }
  }
  if (options.plan === true) return { is: 'written', file };
  try {
    await put(file, text, isTaken);
    return { is: 'written', file };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return conflict(`${file} can not be written: ${code}`, 'Nothing was changed.');
  }
}

function conflict(message: string, instead: string): Written {
  return { is: 'conflict', message, instead };
}

async function put(file: string, text: string, replace: boolean): Promise<void> {
  const folder = join(file, '..');
  // As the data folder's own: for its owner. A folder that is there keeps its mode.
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // The registry passes over what begins with a dot.
  const beside = join(folder, `.${randomUUID()}.tmp`);
  try {
    const handle = await open(beside, 'wx', 0o644);
    try {
      await handle.writeFile(text, 'utf8');
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (replace) await rename(beside, file);
    else await placeNew(beside, file);
  } finally {
    await rm(beside, { force: true });
  }
}

/** A link fails where a name is taken, a rename would replace it; some file systems have no links. */
async function placeNew(beside: string, file: string): Promise<void> {
  try {
    await link(beside, file);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code)) throw error;
    await rename(beside, file);
  }
}
