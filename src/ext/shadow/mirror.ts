/**
 * A private, writable install made of a real one by links: PostgreSQL finds its folders relative to
 * its program, so a copy of three programs beside links to all the rest is an install of its own.
 */
import { posix } from 'node:path';
import type { Host } from '../host/host.ts';
import type { ServerPaths } from '../types.ts';

/**
 * Copied, because PostgreSQL follows links to learn where it is. What ends in `.real` is run by a
 * script beside it, where an install brings its own loader.
 */
const programs = ['postgres', 'initdb', 'pg_ctl'].flatMap((name) => [name, `${name}.real`]);

/**
 * `$1` the real ancestor of all folders, `$2` what mirrors it, `$3` the folder of the programs below
 * it, and then the folders that become real ones, parents first. Everything else in them is linked.
 */
const mirrorScript = `
set -eu
umask 022
from=$1 to=$2 bin=$3
shift 3
for folder in "$@"; do
  if [ -L "$to/$folder" ]; then rm "$to/$folder"; fi
  mkdir -p "$to/$folder"
  (
    set -- "$from/$folder"/*
    if [ -e "$1" ] || [ -L "$1" ]; then ln -s -- "$@" "$to/$folder/"; fi
  )
done
for name in ${programs.join(' ')}; do
  if [ -e "$from/$bin/$name" ]; then
    rm "$to/$bin/$name"
    cp "$from/$bin/$name" "$to/$bin/$name"
  fi
done
`;

/** `$1` the folder with the files, `$2` pkglibdir and `$3` SHAREDIR/extension of a mirror. */
const addScript = `
set -eu
put() {
  to=$2
  set -- "$1"/*
  if [ -e "$1" ] || [ -L "$1" ]; then ln -sfn -- "$@" "$to/"; fi
}
put "$1/lib" "$2"
put "$1/extension" "$3"
`;

const removeScript = 'rm -f -- "$@"';

/**
 * Mirrors an install below a folder of the target that is there already, and returns where. Files
 * can be added to libraryFolder and extensionFolder, or replaced or removed there, and the install
 * that was mirrored keeps its own. Costs three copied programs (10 MB) and some hundred links.
 *
 * Three layouts are known to work: Debian's, an install of `centuria pg get` (whose scripts find
 * their loader five folders up, which is why the name of the common ancestor is kept), and npm's.
 * Throws `ext_failed`.
 */
export async function mirrorInstall(
  host: Host,
  paths: ServerPaths,
  folder: string,
  signal?: AbortSignal,
): Promise<ServerPaths> {
  const { binFolder, libraryFolder, shareFolder, extensionFolder } = paths;
  const ancestor = commonAncestor([binFolder, libraryFolder, shareFolder, extensionFolder]);
  const mirrored = posix.join(folder, posix.basename(ancestor));
  const opened = foldersBelow(ancestor, [binFolder, libraryFolder, extensionFolder]);
  const bin = posix.relative(ancestor, binFolder);
  await host.check(mirrorScript, {
    args: [ancestor, mirrored, bin, ...opened],
    ...(signal === undefined ? {} : { signal }),
  });
  const moved = (path: string): string => posix.join(mirrored, posix.relative(ancestor, path));
  return {
    binFolder: moved(binFolder),
    libraryFolder: moved(libraryFolder),
    shareFolder: moved(shareFolder),
    extensionFolder: moved(extensionFolder),
  };
}

/** Puts links to a release's files (`lib/*`, `extension/*`) into a mirror, in the place of what has their names. */
export async function addFiles(
  host: Host,
  mirror: ServerPaths,
  release: string,
  signal?: AbortSignal,
): Promise<void> {
  await host.check(addScript, {
    args: [release, mirror.libraryFolder, mirror.extensionFolder],
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Takes files out of a mirror, named as in a bundle: `lib/vector.so`, `extension/vector.control`. */
export async function removeFiles(
  host: Host,
  mirror: ServerPaths,
  files: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  if (files.length === 0) return;
  const args = files.map((file) => {
    const folder = file.startsWith('lib/') ? mirror.libraryFolder : mirror.extensionFolder;
    return posix.join(folder, posix.relative(file.startsWith('lib/') ? 'lib' : 'extension', file));
  });
  await host.check(removeScript, { args, ...(signal === undefined ? {} : { signal }) });
}

/** The deepest folder that all of them lie in, or are. */
export function commonAncestor(paths: readonly string[]): string {
  const [first = [], ...others] = paths.map((path) => posix.normalize(path).split('/'));
  let length = 0;
  while (length < first.length && others.every((other) => other[length] === first[length])) {
    length += 1;
  }
  return first.slice(0, length).join('/') || '/';
}

/** The folders on the way from the ancestor (`.`) to each path, those paths among them, parents first. */
export function foldersBelow(ancestor: string, paths: readonly string[]): string[] {
  const found = new Set(['.']);
  for (const path of paths) {
    const parts = posix
      .relative(ancestor, path)
      .split('/')
      .filter((part) => part !== '');
    for (let length = 1; length <= parts.length; length += 1) {
      found.add(parts.slice(0, length).join('/'));
    }
  }
  return [...found];
}
