/**
 * Folders that their owner may not write to (mode 555) must be opened for as long as something is put
 * back into them. Which ones is written down first, so that a crash in between leaves none open.
 */
import { chmod, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { onDisk, parentOf, type BytePath, type Tree } from './entries.ts';
import { unless } from './failure.ts';
import type { Change } from './plan.ts';
import { syncPath } from './store.ts';

export interface Loosened {
  /** Gives the folders their modes back, except those that have others by now. */
  close(except: ReadonlySet<BytePath>): Promise<void>;
}

type Modes = readonly (readonly [BytePath, number])[];

/** Whether something can be put into a folder of this mode; the system's administrator always can. */
export function isOpen(mode: number): boolean {
  return process.getuid?.() === 0 || (mode & 0o300) === 0o300;
}

/** Opens what `changes` need. */
export async function loosen(
  root: string,
  current: Tree,
  changes: readonly Change[],
  notePath: string,
): Promise<Loosened> {
  const modes: [BytePath, number][] = [];
  const folders = new Set(changes.map(({ path }) => parentOf(path)));
  for (const path of [...folders].toSorted()) {
    const entry = current.get(path);
    if (entry?.kind === 'folder' && !isOpen(entry.mode)) modes.push([path, entry.mode]);
  }
  // Those that are made closed are made open first, and closed after a crash as well.
  const made = changes.filter(({ from, to }) => from?.kind !== 'folder' && to?.kind === 'folder');
  const closed: [BytePath, number][] = made.flatMap(({ path, to }) =>
    to === undefined || isOpen(to.mode) ? [] : [[path, to.mode]],
  );
  if (modes.length + closed.length > 0) {
    await writeFile(`${notePath}.draft`, JSON.stringify({ root, modes: [...modes, ...closed] }));
    await syncPath(`${notePath}.draft`);
    await rename(`${notePath}.draft`, notePath);
    for (const [path, mode] of modes) await chmod(onDisk(root, path), mode | 0o700);
  }
  return {
    async close(except) {
      if (modes.length + closed.length === 0) return;
      await closeAll(
        root,
        modes.filter(([path]) => !except.has(path)),
      );
      await rm(notePath, { force: true });
    },
  };
}

/** Closes what a restore that died left open. Needs the folder's lock. */
export async function closeLoosened(notePath: string): Promise<void> {
  const text = await unless(['ENOENT'], () => readFile(notePath, 'utf8'));
  if (text === undefined) return;
  const { root, modes } = JSON.parse(text) as { root: string; modes: Modes };
  await closeAll(root, modes);
  await rm(notePath, { force: true });
}

/** Deepest first: a closed folder hides those below it. */
async function closeAll(root: string, modes: Modes): Promise<void> {
  for (const [path, mode] of modes.toReversed()) {
    await unless(['ENOENT', 'ENOTDIR'], () => chmod(onDisk(root, path), mode));
  }
}
