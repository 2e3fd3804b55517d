import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';

/** Where programs are looked for. */
export interface ProgramPlaces {
  readonly packageRoot: string;
  /** The variable PATH. */
  readonly path: string | undefined;
}

/** A program that was found: what to start and the arguments that come before its own. */
export interface FoundProgram {
  readonly file: string;
  readonly leading: readonly string[];
}

/**
 * Finds a program: `bin/NAME.mjs` of the package (run by this Node), `bin/NAME`,
 * `node_modules/.bin/NAME`, then PATH. An absolute path is taken as it is.
 */
export async function findProgram(
  program: string,
  places: ProgramPlaces,
): Promise<FoundProgram | undefined> {
  if (isAbsolute(program)) {
    return (await isExecutable(program)) ? { file: program, leading: [] } : undefined;
  }
  const script = join(places.packageRoot, 'bin', `${program}.mjs`);
  if (await isFile(script)) return { file: process.execPath, leading: [script] };
  for (const folder of searchFolders(places)) {
    const file = join(folder, program);
    if (await isExecutable(file)) return { file, leading: [] };
  }
  return undefined;
}

/**
 * The folders of programs in their order, also what a command gets as its PATH. Relative entries are
 * left out: a command often works inside a repository that must not bring its own `git`.
 */
export function searchFolders(places: ProgramPlaces): string[] {
  return [
    join(places.packageRoot, 'bin'),
    join(places.packageRoot, 'node_modules', '.bin'),
    ...(places.path ?? '').split(delimiter).filter((folder) => isAbsolute(folder)),
  ];
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return await isFile(path);
  } catch {
    return false;
  }
}
