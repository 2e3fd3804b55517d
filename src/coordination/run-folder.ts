import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../base/base.ts';

/** Where a run's agents leave files, such as reports: `<home>/runs/<run id>`. */
export function runFolder(home: string, runId: string): string {
  return join(home, 'runs', runId);
}

/** Creates the folder of a run where it is missing. Throws `home_unusable`. */
export async function prepareRunFolder(home: string, runId: string): Promise<string> {
  const folder = runFolder(home, runId);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return folder;
  } catch (cause) {
    throw new AppError('home_unusable', `the folder ${folder} can not be made`, { cause });
  }
}
