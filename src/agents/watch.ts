import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { watch } from 'chokidar';
import type { Log } from '../base/base.ts';
import { isDefinitionFile, type AgentFolder } from './folders.ts';

/** Editors write in several steps: after the last one it is quiet for so long. */
const quietMs = 150;
/** Whoever never stops writing does not keep the others' changes from being seen. */
const mostMs = 1_000;

/** Calls `onChange` when something in the folders may have changed; resolves when it is watching. */
export async function watchFolders(
  folders: readonly AgentFolder[],
  log: Log,
  onChange: () => void,
): Promise<{ close(): Promise<void> }> {
  const paths = folders.map((folder) => resolve(folder.path));
  const watcher = watch(paths, {
    depth: 0,
    ignoreInitial: true,
    ignored: (path, stats) => stats?.isFile() === true && !isDefinitionFile(basename(path)),
  });
  let quiet: NodeJS.Timeout | undefined;
  let most: NodeJS.Timeout | undefined;
  const fire = (): void => {
    clearTimeout(quiet);
    clearTimeout(most);
    quiet = undefined;
    most = undefined;
    onChange();
  };
  const changed = (): void => {
    clearTimeout(quiet);
    quiet = setTimeout(fire, quietMs);
    most ??= setTimeout(fire, mostMs);
  };
  watcher.on('all', changed);
  // The library does not see a folder come that was not there when it was told of it.
  const missing = new Set(paths.filter((path) => !existsSync(path)));
  watcher.on('unlinkDir', (path) => {
    if (paths.includes(resolve(path))) missing.add(resolve(path));
  });
  const look = setInterval(() => {
    for (const path of [...missing].filter((each) => existsSync(each))) {
      missing.delete(path);
      watcher.add(path);
      changed();
    }
  }, mostMs);
  watcher.on('error', (error) => {
    // Out of watches, most often. The folders are read again with every round of checks anyhow.
    log.warn({ error }, 'agent folders can not be watched; changes are seen within 30 s');
  });
  await new Promise<void>((done) => {
    watcher.once('ready', () => done());
    watcher.once('error', () => done());
  });
  return {
    async close() {
      clearInterval(look);
      clearTimeout(quiet);
      clearTimeout(most);
      await watcher.close();
    },
  };
}
