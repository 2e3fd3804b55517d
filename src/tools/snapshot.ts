import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ToolError } from './errors.ts';
import type { Repository, TrackedFile } from './repository.ts';

export interface Snapshot {
  readonly folder: string;
  /** The files in it, relative, in the order of their paths. */
  readonly paths: readonly string[];
}

/**
 * Gives a program that is not ours copies of chosen files in a temporary folder. Such a program looks
 * for settings upwards and beside what it reads, follows links, and some write caches; in the copy
 * there are no settings or links but those that were chosen, and nothing of it outlives the call.
 */
export async function withSnapshot<T>(
  repository: Repository,
  wanted: (file: TrackedFile) => boolean,
  maxBytes: number,
  work: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  return withFolder(async (folder) => {
    const paths: string[] = [];
    const made = new Set<string>();
    for (const file of repository.files) {
      if (!wanted(file)) continue;
      const bytes = repository.read(file, maxBytes);
      if (bytes === undefined) continue;
      const target = join(folder, file.path);
      if (!made.has(dirname(target))) {
        mkdirSync(dirname(target), { recursive: true });
        made.add(dirname(target));
      }
      writeFileSync(target, bytes);
      paths.push(file.path);
    }
    return work({ folder, paths });
  });
}

/** A temporary folder for as long as `work` takes; also removed where the process ends meanwhile. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'centuria-tool-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  try {
    return await work(folder);
  } finally {
    remove();
    process.off('exit', remove);
  }
}

const require = createRequire(import.meta.url);

/** The path of a file in a package of ours; throws `unavailable` where it is not installed. */
export function ownFile(request: string, product: string): string {
  try {
    return require.resolve(request);
  } catch {
    throw new ToolError(
      'unavailable',
      `${product} is not installed (${request})`,
      'Run npm install.',
    );
  }
}

/** What a program of ours needs of the environment: nothing that could configure it. */
export function plainEnvironment(home: string): Record<string, string> {
  const path = process.env['PATH'] ?? '/usr/bin:/bin';
  return { PATH: path, HOME: home, TMPDIR: home, LC_ALL: 'C.UTF-8', CI: '1', NO_COLOR: '1' };
}
