/** What is deployed: pgvector, which nobody here wrote, and one bundle with five small extensions. */
import { cp, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createLog } from '../../src/base/base.ts';
import { cacheFolder } from '../../src/database/database.ts';
import { buildExtension, type Built } from '../../src/ext/build/build.ts';
import { debianSource } from '../../src/ext/matrix/debian-source.ts';
import { readBundle } from '../../src/ext/package/bundle.ts';
import type { Bundle, ExtensionEntry } from '../../src/ext/types.ts';
import { serverPackage } from '../../test/support/extension-bundles.ts';

const cache = join(cacheFolder(process.env), 'ext');
const samples = join(import.meta.dirname, '../../test/fixtures/extensions');
const log = createLog({ level: 'error' });

/** Its Makefile asks for code of this very processor unless `OPTFLAGS` says otherwise. */
const portable = { OPTFLAGS: '' };

export interface BuiltBundle {
  readonly bundle: Bundle;
  readonly bytes: Buffer;
  readonly buildMs: number;
}

export async function pgvectorSource(): Promise<string> {
  return (await debianSource({ name: 'pgvector', cacheFolder: cache, log })).folder;
}

/** Against Debian's headers of PostgreSQL 17. `date` as SOURCE_DATE_EPOCH. */
export async function buildFrom(
  source: string,
  options: {
    readonly settings?: Readonly<Record<string, string>>;
    readonly cacheFolder?: string;
    readonly date?: number;
  } = {},
): Promise<BuiltBundle> {
  const before = performance.now();
  const built: Built = await buildExtension({
    source,
    package: await serverPackage(),
    settings: portable,
    cacheFolder: cache,
    jobs: 2,
    signal: AbortSignal.timeout(180_000),
    log,
    ...options,
  });
  const buildMs = performance.now() - before;
  const bundle = await readBundle(built.bundle, built.fileName, {
    trusted: [],
    requireSignature: false,
  });
  return { bundle, bytes: built.bundle, buildMs };
}

/** The files of one release on the disk, as a target has them. */
export interface ReleaseFolder {
  readonly folder: string;
  readonly extensions: readonly ExtensionEntry[];
  /** By path. */
  readonly smoke: ReadonlyMap<string, string>;
}

/** The sample, compiled under so many names, each with SQL and a library of its own. */
export async function buildSamples(count: number, into: string): Promise<ReleaseFolder> {
  const folder = join(into, `release-of-${count}`);
  const extensions: ExtensionEntry[] = [];
  const smoke = new Map<string, string>();
  for (let number = 1; number <= count; number += 1) {
    const source = join(into, `source-${count}-${number}`);
    await copyRenamed(join(samples, 'counter'), source, `tally${number}`);
    const { bundle } = await buildFrom(source, { settings: { RELEASE: '1.1' } });
    extensions.push(...bundle.metadata.extensions);
    await writeFiles(folder, bundle);
    for (const path of bundle.metadata.smoke) {
      smoke.set(path, String(bundle.files.get(path)));
    }
  }
  return { folder, extensions, smoke };
}

export async function writeFiles(folder: string, { files }: Bundle): Promise<void> {
  for (const [path, bytes] of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes, { mode: 0o644 });
  }
}

/** Every name of the sample begins with `counter` or holds it, and none of the build's own does. */
async function copyRenamed(from: string, to: string, name: string): Promise<void> {
  await cp(from, to, { recursive: true });
  for (const entry of await readdir(to, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    await writeFile(path, (await readFile(path, 'utf8')).replaceAll('counter', name));
    await rename(path, join(entry.parentPath, entry.name.replaceAll('counter', name)));
  }
}
