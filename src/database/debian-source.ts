import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { assertTools, installError, runTool } from './install-tools.ts';
import { PackageSource } from './postgres-packages.ts';

/** What a source package consists of that matters here. */
export interface DebianSourceFiles {
  /** Of the package: `0.8.0-1`. */
  readonly version: string;
  /** What its authors published, without Debian's changes: a compressed tar file. */
  readonly archive: string;
}

/**
 * Fetches a source package of a Debian release into an empty folder, by an apt state of its own there.
 * apt checks Debian's signature over the index and, by that, the hash of each file. Throws
 * `postgres_install_failed` with `details.reason`, or `cancelled`.
 */
export async function fetchDebianSource(options: {
  readonly name: string;
  readonly suite: string;
  readonly folder: string;
  readonly signal?: AbortSignal | undefined;
}): Promise<DebianSourceFiles> {
  const { name, suite, folder, signal } = options;
  await assertTools();
  const architecture = (await runTool('dpkg', ['--print-architecture'], { signal })).trim();
  const source = await PackageSource.open({ folder, suite, architecture, signal, sources: true });
  await source.downloadSource(name);
  const names = await readdir(source.downloadFolder);
  const description = names.find((each) => each.endsWith('.dsc'));
  const archive = upstreamArchive(names);
  if (description === undefined || archive === undefined) {
    throw installError('broken', `the source package ${name} of ${suite} has no upstream archive`);
  }
  const version = description.slice(description.indexOf('_') + 1, -'.dsc'.length);
  return { version, archive: join(source.downloadFolder, archive) };
}

/** The one of the authors; where Debian itself is the author there is only one. */
export function upstreamArchive(names: readonly string[]): string | undefined {
  const archives = names.filter((name) => /\.tar\.(?:gz|xz|bz2|lzma|zst)$/.test(name));
  return (
    archives.find((name) => /\.orig\.tar\.[^.]+$/.test(name)) ??
    archives.find((name) => !/\.(?:debian|diff)\.tar\.|\.orig-/.test(name))
  );
}
