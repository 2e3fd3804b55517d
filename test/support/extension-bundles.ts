/** Bundles of the sample extensions, compiled for the server of `startExtensionServer`. */
import { cpSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLog } from '../../src/base/base.ts';
import { cacheFolder } from '../../src/database/database.ts';
import { buildExtension } from '../../src/ext/build/build.ts';
import { readBundle } from '../../src/ext/package/bundle.ts';
import { openPackage, type OpenedPackage } from '../../src/ext/package/open-package.ts';
import { packageDebian } from '../../src/ext/package/package.ts';
import type { Bundle } from '../../src/ext/types.ts';

const fixtures = join(import.meta.dirname, '../fixtures/extensions');
const cache = join(cacheFolder(process.env), 'ext');

/** Opened once a process: reading and checking it takes longer than a build. */
let opened: Promise<OpenedPackage> | undefined;

/** Headers of PostgreSQL 17 from Debian, as the suite's server is. */
export function serverPackage(): Promise<OpenedPackage> {
  opened ??= (async () => {
    const { bytes } = await packageDebian(
      { major: 17, architecture: process.arch === 'arm64' ? 'aarch64' : 'x86_64' },
      { cacheFolder: cache },
    );
    const into = join(cache, 'packages');
    await mkdir(into, { recursive: true });
    return await openPackage(bytes, { into, trusted: [], requireSignature: false });
  })();
  return opened;
}

/** `counter` in the release `1.0`, `1.1` and so on; see its Makefile for what settings do. */
export async function buildSample(
  name: 'counter' | 'preloaded' | 'words',
  settings: Readonly<Record<string, string>>,
  into: string,
): Promise<{ bundle: Bundle; file: string }> {
  const source = join(into, `source-${name}`);
  cpSync(join(fixtures, name), source, { recursive: true });
  const built = await buildExtension({
    source,
    package: await serverPackage(),
    settings,
    cacheFolder: cache,
    jobs: 1,
    signal: AbortSignal.timeout(120_000),
    log: createLog({ level: 'error' }),
  });
  const file = join(into, `${Object.values(settings).join('-')}-${built.fileName}`);
  await writeFile(file, built.bundle);
  const bytes = await readFile(file);
  return {
    bundle: await readBundle(bytes, file, { trusted: [], requireSignature: false }),
    file,
  };
}
