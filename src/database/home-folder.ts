import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError, type Log } from '../base/base.ts';
import { startEngine, type Engine } from './embedded-engine.ts';

/** Makes the data folder, for its owner only, or throws `home_unusable`. */
export function makeHome(home: string): void {
  try {
    makeFolder(home);
    accessSync(home, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new AppError('home_unusable', `the data folder ${home} ${unusableBecause(home)}`, {
      details: { home },
      remedy: 'Name a folder that this user may write with --home or CENTURIA_HOME.',
      cause,
    });
  }
}

/**
 * Makes a folder and what is missing above it. Node's own recursive form tries for ever where a file
 * system (/proc) says "no such file" for a folder whose parent exists.
 */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  const parent = dirname(path);
  if (parent !== path) makeFolder(parent);
  mkdirSync(path, { mode: 0o700 });
}

function unusableBecause(home: string): string {
  if (!existsSync(home)) return 'can not be made';
  return statSync(home).isDirectory() ? 'can not be written by this user' : 'is not a folder';
}

/**
 * Starts the engine on `<home>/database`, or makes that first. Needs the lock of `home`.
 *
 * A new database is copied into place file by file, and half of one would look like a damaged one.
 * So a mark stands beside it until all of it is on disk; with the mark there nobody has ever been
 * given this database, and it is made again.
 */
export async function startInHome(home: string, log: Log): Promise<Engine> {
  const folder = join(home, 'database');
  const mark = join(home, 'database.incomplete');
  if (existsSync(mark)) {
    log.warn({ folder }, 'the database was not completely made last time; making it again');
    rmSync(folder, { recursive: true, force: true });
  }
  if (existsSync(join(folder, 'PG_VERSION'))) return startEngine(folder);
  assertNothingThere(folder);
  writeFileSync(mark, '');
  await fsyncPath(home);
  const engine = await startEngine(folder);
  await engine.script('checkpoint');
  await fsyncTree(folder);
  rmSync(mark);
  await fsyncPath(home);
  return engine;
}

/** What is no database of ours must not be mixed with one, let alone be deleted later. */
function assertNothingThere(folder: string): void {
  const stat = statSync(folder, { throwIfNoEntry: false });
  if (stat === undefined || (stat.isDirectory() && readdirSync(folder).length === 0)) return;
  throw new AppError('home_unusable', `${folder} exists and is not a database`, {
    details: { folder },
    remedy: 'Move it away, or name another folder with --home.',
  });
}

/** Many at a time, which took 0.4 s where one after another took 1.6 s for the 990 files. */
async function fsyncTree(folder: string): Promise<void> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const paths = [folder, ...entries.map((entry) => join(entry.parentPath, entry.name))];
  const atOnce = 64;
  for (let at = 0; at < paths.length; at += atOnce) {
    await Promise.all(paths.slice(at, at + atOnce).map(fsyncPath));
  }
}

async function fsyncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
