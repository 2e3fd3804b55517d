/** What `make install` laid out, and which of it belongs to a bundle. */
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../base/base.ts';
import type { ServerPaths } from '../types.ts';

export interface Installed {
  /** By path in the bundle: `lib/vector.so`, `extension/vector.control`. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** Absolute paths that the target would have had; headers, documentation and the like. */
  readonly leftOut: readonly string[];
}

/** An extension of the largest kind (PostGIS with its update scripts) installs some 2,000. */
const mostFiles = 20_000;

/**
 * Reads the folder that stood for the root folder. Links are followed, since a bundle has none.
 * Throws `ext_build_failed` when nothing of it lies where the server looks.
 */
export async function readInstalled(
  installFolder: string,
  paths: Pick<ServerPaths, 'libraryFolder' | 'extensionFolder'>,
): Promise<Installed> {
  const files = new Map<string, Buffer>();
  const leftOut: string[] = [];
  for (const path of await listFiles(installFolder)) {
    const inBundle = bundlePath(path, paths);
    if (inBundle === undefined) leftOut.push(path);
    else files.set(inBundle, await readWithin(installFolder, path));
  }
  if (files.size === 0) {
    const where = leftOut.length === 0 ? '' : ` (but ${leftOut.slice(0, 3).join(', ')})`;
    throw new AppError('ext_build_failed', `make install laid out nothing for the server${where}`, {
      remedy:
        `It must put files below DESTDIR into ${paths.libraryFolder} and ${paths.extensionFolder}, ` +
        'which is what pg_config says.',
      details: { leftOut },
    });
  }
  const sorted = [...files].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return { files: new Map(sorted), leftOut };
}

/** Where a file of the target belongs in a bundle; absent for what a server does not load or read. */
export function bundlePath(
  path: string,
  { libraryFolder, extensionFolder }: Pick<ServerPaths, 'libraryFolder' | 'extensionFolder'>,
): string | undefined {
  if (path.startsWith(`${extensionFolder}/`)) {
    return `extension/${path.slice(extensionFolder.length + 1)}`;
  }
  if (!path.startsWith(`${libraryFolder}/`)) return undefined;
  const name = path.slice(libraryFolder.length + 1);
  // Folders below it hold bitcode and pgxs itself.
  return /^[^/]+\.so(?:\.[\d.]+)?$/.test(name) ? `lib/${name}` : undefined;
}

/** Absolute as on the target, sorted. */
async function listFiles(root: string): Promise<string[]> {
  const paths: string[] = [];
  const folders = [''];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const entries = await readdir(join(root, folder), { withFileTypes: true });
    for (const entry of entries) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) folders.push(path);
      else paths.push(path);
    }
    if (paths.length > mostFiles) {
      throw new AppError('too_large', `make install laid out more than ${mostFiles} files`);
    }
  }
  return paths.toSorted();
}

async function readWithin(root: string, path: string): Promise<Buffer> {
  const end = await realpath(join(root, path)).catch(() => undefined);
  if (end === undefined || !end.startsWith(`${await realpath(root)}/`)) {
    throw new AppError('ext_build_failed', `${path}: an installed link that leads outside`, {
      remedy: 'Install the file itself: a bundle carries contents.',
      details: { path },
    });
  }
  if (!(await stat(end)).isFile()) {
    throw new AppError('ext_build_failed', `${path}: installed, but it is no regular file`);
  }
  return await readFile(end);
}
