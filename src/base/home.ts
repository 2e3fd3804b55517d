import { statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Config, ConfigSources } from './config.ts';
import { AppError } from './errors.ts';

/** The data folder: flag, environment, the nearest own `.centuria` from the working directory up, `~/.centuria`. */
export function findHome({ flags, env, cwd }: ConfigSources): Pick<Config, 'home' | 'homeOrigin'> {
  const flag = flags?.['home'];
  if (flag === '') {
    // Resolved against the working directory it would make that the data folder.
    throw new AppError('config_invalid', '--home is empty', { remedy: 'Name a folder.' });
  }
  if (typeof flag === 'string') return { home: resolve(cwd, flag), homeOrigin: 'flag' };
  const variable = env['CENTURIA_HOME'];
  if (variable !== undefined && variable !== '') {
    return { home: resolve(cwd, variable), homeOrigin: 'environment' };
  }
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    const candidate = join(folder, '.centuria');
    if (isOwnFolder(candidate)) return { home: candidate, homeOrigin: 'found' };
    if (dirname(folder) === folder) break;
  }
  return { home: join(homedir(), '.centuria'), homeOrigin: 'default' };
}

/** A `.centuria` that belongs to somebody else is not ours to read settings from. */
function isOwnFolder(path: string): boolean {
  try {
    const stat = statSync(path);
    return stat.isDirectory() && (process.getuid === undefined || stat.uid === process.getuid());
  } catch {
    // Not there, or behind a folder that is closed to us.
    return false;
  }
}
