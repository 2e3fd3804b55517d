/** What the lock files of a repository pin, whatever wrote them, in one shape. */
import { posix } from 'node:path';
import { isVendored } from './paths.ts';
import type { Repository } from './repository.ts';
import type { Ecosystem, LockedPackage, LockReader, Sibling } from './locked-package.ts';
import { readCargoLock, readComposerLock, readGemfileLock, readGoMod } from './locks-other.ts';
import { readBunLock, readNpmLock, readPnpmLock, readYarnLock } from './locks-npm.ts';
import { readPipfileLock, readPythonLock, readRequirements } from './locks-python.ts';

export interface LockFile {
  readonly path: string;
  readonly kind: string;
  readonly ecosystem: Ecosystem;
  /** Whether this format keeps a hash of every package, so that a missing one means something. */
  readonly keepsHashes: boolean;
  readonly packages: readonly LockedPackage[];
}

interface Format {
  readonly name: RegExp;
  readonly kind: string;
  readonly ecosystem: Ecosystem;
  readonly keepsHashes: boolean;
  readonly read: LockReader;
}

const formats: readonly Format[] = [
  format(/^(package-lock|npm-shrinkwrap)\.json$/, 'npm', 'npm', true, readNpmLock),
  format(/^pnpm-lock\.ya?ml$/, 'pnpm', 'npm', true, readPnpmLock),
  format(/^yarn\.lock$/, 'yarn', 'npm', true, readYarnLock),
  format(/^bun\.lock$/, 'bun', 'npm', true, readBunLock),
  format(/^(poetry|uv|pdm)\.lock$/, 'python lock', 'pypi', true, readPythonLock),
  format(/^Pipfile\.lock$/, 'pipenv', 'pypi', true, readPipfileLock),
  format(/^([\w.-]*requirements[\w.-]*|constraints)\.txt$/, 'pip', 'pypi', false, readRequirements),
  format(/^go\.mod$/, 'go', 'golang', true, readGoMod),
  format(/^Cargo\.lock$/, 'cargo', 'cargo', true, readCargoLock),
  format(/^Gemfile\.lock$/, 'bundler', 'gem', false, readGemfileLock),
  format(/^composer\.lock$/, 'composer', 'composer', false, readComposerLock),
];
const maxLockBytes = 16 * 1024 * 1024;

function format(
  name: RegExp,
  kind: string,
  ecosystem: Ecosystem,
  keepsHashes: boolean,
  read: LockReader,
): Format {
  return { name, kind, ecosystem, keepsHashes, read };
}

/** Every lock file that is not vendored. `note` is told of those that could not be read. */
export function readLockFiles(repository: Repository, note: (text: string) => void): LockFile[] {
  const locks: LockFile[] = [];
  const texts = new Map<string, string>();
  for (const { path, text } of repository.texts((file) => isGoSum(file.path), maxLockBytes))
    texts.set(path, text);
  for (const { path, text } of repository.texts(
    (file) => formatOf(file.path) !== undefined,
    maxLockBytes,
  )) {
    const found = formatOf(path);
    if (found === undefined) continue;
    const { kind, ecosystem, keepsHashes, read } = found;
    const sibling: Sibling = (name) => texts.get(posix.join(posix.dirname(path), name));
    try {
      locks.push({ path, kind, ecosystem, keepsHashes, packages: read(text, path, sibling) });
    } catch (error) {
      note(`${path} could not be read: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (repository.files.some((file) => posix.basename(file.path) === 'bun.lockb'))
    note('bun.lockb is a binary format, which is not read; bun.lock is.');
  return locks;
}

function isGoSum(path: string): boolean {
  return posix.basename(path) === 'go.sum' && !isVendored(path);
}

function formatOf(path: string): Format | undefined {
  if (isVendored(path)) return undefined;
  const name = posix.basename(path);
  return formats.find((item) => item.name.test(name));
}
