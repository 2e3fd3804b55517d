/**
 * Which state of a folder was kept last, by whichever run: a hint that saves reading again what nothing
 * has written to. It may be wrong or gone at any time; then the folder is read.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../base/base.ts';
import type { State } from './entries.ts';
import { asUnusable, unless } from './failure.ts';
import { openRunStore, parseStateId } from './store.ts';

function hintPath(home: string, root: string): string {
  return join(home, 'snapshots', 'latest', createHash('sha256').update(root).digest('hex'));
}

/** Needs the folder's lock. */
export async function noteLatest(home: string, root: string, id: string): Promise<void> {
  const path = hintPath(home, root);
  await asUnusable(path, 'noting the state', async () => {
    await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
    await writeFile(`${path}.draft`, id);
    await rename(`${path}.draft`, path);
  });
}

/** The state, or none. */
export async function readLatest(home: string, root: string): Promise<State[]> {
  const path = hintPath(home, root);
  const id = await unless(['ENOENT'], () => readFile(path, 'utf8'));
  if (id === undefined) return [];
  try {
    const state = await openRunStore(home, parseStateId(id).runId).readState(id);
    if (state?.root === root) return [state];
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
  }
  await rm(path, { force: true });
  return [];
}
