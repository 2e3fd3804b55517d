/** What is asked before anything is written: the offline gate, the rehearsal, the dry run; and the rebuild. */
import { createHash } from 'node:crypto';
import { cp, lstat, mkdir, readdir, readFile, readlink, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { createLog, systemClock } from '../../src/base/base.ts';
import { installPostgres } from '../../src/database/database.ts';
import { checkBundle } from '../../src/ext/check/check.ts';
import { deploy } from '../../src/ext/deploy/deploy.ts';
import { rollBack } from '../../src/ext/deploy/rollback.ts';
import { planDeployment } from '../../src/ext/deploy/target.ts';
import { openLocalHost } from '../../src/ext/host/local.ts';
import { readBundle } from '../../src/ext/package/bundle.ts';
import { rehearse } from '../../src/ext/shadow/rehearse.ts';
import { serverPackage } from '../../test/support/extension-bundles.ts';
import { creating, plainly, type Deployments } from '../../test/support/ext-deployments.ts';
import type { ExtensionServer } from '../../test/support/extension-servers.ts';
import { buildFrom, buildSamples, pgvectorSource, type ReleaseFolder } from './ext-bundles.ts';
import type { Measured } from './report.ts';

const log = createLog({ level: 'error' });
const checks = 100;

/** pgvector against all that Debian's PostgreSQL 17 says of itself. */
export async function gate(): Promise<Measured[]> {
  const { facts } = await serverPackage();
  const { bundle, bytes, buildMs } = await buildFrom(await pgvectorSource());
  const refused = checkBundle(bundle, facts).filter(({ level }) => level === 'refuse');
  if (refused.length > 0) throw new Error(`pgvector is refused: ${refused[0]?.message}`);
  const checking: number[] = [];
  const withReading: number[] = [];
  for (let turn = 0; turn < checks; turn += 1) {
    const begun = performance.now();
    const read = await readBundle(bytes, 'vector', { trusted: [], requireSignature: false });
    const isRead = performance.now();
    checkBundle(read, facts);
    const done = performance.now();
    checking.push(done - isRead);
    withReading.push(done - begun);
  }
  const target = { atMost: 200 };
  return [
    { metric: 'pgvector_build_ms', unit: 'ms', values: [buildMs] },
    { metric: 'gate_p50_ms', unit: 'ms', values: checking, target },
    { metric: 'gate_p95_ms', unit: 'ms', values: [percentile(checking, 95)], target },
    {
      metric: 'gate_with_reading_p95_ms',
      unit: 'ms',
      values: [percentile(withReading, 95)],
      target,
    },
  ];
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil((share / 100) * sorted.length) - 1] ?? Number.NaN;
}

/** Updates from 1.0, which is installed, to 1.1; of one extension, and of five in one bundle. */
export async function rehearsals(
  server: ExtensionServer,
  folder: string,
  repeats: number,
): Promise<Measured[]> {
  const measured: Measured[] = [];
  for (const count of [1, 5]) {
    const release = await buildSamples(count, folder);
    const values: number[] = [];
    const parts = new Map<string, number[]>();
    await putLive(server, release);
    for (let turn = 0; turn < repeats; turn += 1) {
      const begun = performance.now();
      const partsMs = await rehearseOnce(server, folder, release);
      values.push(performance.now() - begun);
      for (const [part, ms] of Object.entries(partsMs)) {
        parts.set(part, [...(parts.get(part) ?? []), ms]);
      }
    }
    const metric = `rehearsal_of_${count}`;
    measured.push({ metric: `${metric}_ms`, unit: 'ms', values, target: { atMost: 3_000 } });
    for (const [part, ms] of parts) {
      measured.push({ metric: `${metric}_${part}_ms`, unit: 'ms', values: ms });
    }
  }
  return measured;
}

async function putLive({ paths }: ExtensionServer, { folder }: ReleaseFolder): Promise<void> {
  await cp(join(folder, 'lib'), paths.libraryFolder, { recursive: true });
  await cp(join(folder, 'extension'), paths.extensionFolder, { recursive: true });
}

async function rehearseOnce(
  { paths }: ExtensionServer,
  folder: string,
  release: ReleaseFolder,
): Promise<Readonly<Record<string, number>>> {
  const { findings, updates, partsMs } = await rehearse(openLocalHost(), {
    paths,
    major: 17,
    files: release.folder,
    extensions: release.extensions,
    installed: release.extensions.map(({ name }) => ({ database: 'app', name, version: '1.0' })),
    smoke: release.smoke,
    templateFolder: join(folder, 'rehearsal-template'),
    clock: systemClock,
    log,
  });
  const refusal = findings.find(({ level }) => level === 'refuse');
  if (refusal !== undefined) throw new Error(`the rehearsal refuses: ${refusal.message}`);
  if (updates.length !== release.extensions.length) throw new Error('an update is missing');
  return partsMs;
}

/** Plans of a deployment and of a rollback; counts names that are not as they were. */
export async function dryRun(on: Deployments): Promise<Measured[]> {
  await deploy(on.target, on.bundle('1.0'), creating);
  const folders = [join(on.server.folder, 'install'), on.stagingFolder];
  const before = await fingerprint(folders);
  const begun = performance.now();
  await planDeployment(on.target, on.bundle('1.1'), plainly);
  const planMs = performance.now() - begun;
  await rollBack(on.target, { actor: 'bench', dryRun: true });
  const after = await fingerprint(folders);
  await rollBack(on.target, { actor: 'bench' });
  const names = new Set([...before.keys(), ...after.keys()]);
  const changed = [...names].filter((name) => before.get(name) !== after.get(name));
  return [
    { metric: 'plan_ms', unit: 'ms', values: [planMs] },
    { metric: 'dry_run_names_compared', unit: 'names', values: [names.size] },
    {
      metric: 'dry_run_names_changed',
      unit: 'names',
      values: [changed.length],
      target: { atMost: 0 },
    },
  ];
}

/** By name: kind, permissions, time, and the content's hash or where it points. */
async function fingerprint(folders: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const folder of folders) {
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      const { mode, mtimeMs, size } = await lstat(path);
      const content = entry.isSymbolicLink()
        ? await readlink(path)
        : entry.isFile()
          ? createHash('sha256')
              .update(await readFile(path))
              .digest('hex')
          : '';
      found.set(path, `${mode} ${mtimeMs} ${size} ${content}`);
    }
  }
  return found;
}

/** Another folder, another cache, other times of the files: the bytes must be the same. */
export async function rebuild(folder: string): Promise<Measured[]> {
  const source = await pgvectorSource();
  const built = [];
  for (const name of ['first', 'then/elsewhere']) {
    const copy = join(folder, name, 'sources');
    await cp(source, copy, { recursive: true });
    await utimes(join(copy, 'Makefile'), 1_500_000_000, 1_500_000_000);
    built.push(
      await buildFrom(copy, { cacheFolder: join(folder, name, 'cache'), date: 1_700_000_000 }),
    );
  }
  const [first, second] = built;
  const isSame = first !== undefined && second?.bytes.equals(first.bytes) === true;
  return [
    {
      metric: 'rebuild_is_identical',
      unit: '1 is yes',
      values: [isSame ? 1 : 0],
      target: { atLeast: 1 },
    },
    { metric: 'rebuild_s', unit: 's', values: built.map(({ buildMs }) => buildMs / 1_000) },
  ];
}

/** From Debian's mirror, into a cache that is empty. */
export async function freshServer(folder: string): Promise<Measured[]> {
  const cache = join(folder, 'empty-cache');
  await mkdir(cache);
  const begun = performance.now();
  await installPostgres({ major: 17, cacheFolder: cache, log });
  const seconds = (performance.now() - begun) / 1_000;
  await rm(cache, { recursive: true });
  return [{ metric: 'fresh_postgres_17_s', unit: 's', values: [seconds], target: { atMost: 20 } }];
}
