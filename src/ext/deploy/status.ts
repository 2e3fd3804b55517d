/** What is live on a target, and what of it is no longer as it was deployed. */
import type { BundleStatus, Drift, ExtStatus } from '../deployment-types.ts';
import { libraryPaths, linkText, livePaths } from '../release/layout.ts';
import { listDeployments, stateOf } from '../release/journal.ts';
import { lookAt, namesOf } from '../release/live.ts';
import { changedFiles, listReleases, readMetadata } from '../release/store.ts';
import type { ExtFinding, Metadata } from '../types.ts';
import type { Target } from './target.ts';
import { goneFinding } from './verify.ts';

/** Reads only. */
export async function statusOf(target: Target): Promise<ExtStatus> {
  const { host, layout, facts, server } = target;
  const { current, releases } = await listReleases(host, layout);
  const state = await server.state();
  const bundles: BundleStatus[] = [];
  const findings: ExtFinding[] = [];
  for (const [name, release] of current) {
    if (!releases.includes(release)) {
      findings.push(goneFinding(name, release));
      continue;
    }
    const metadata = await readMetadata(host, layout, release);
    const offered = new Map(metadata.extensions.map((each) => [each.name, each.version]));
    bundles.push({
      name,
      release,
      metadata,
      drift: await driftOf(target, release, metadata),
      installed: state.installed.flatMap((each) => {
        const version = offered.get(each.name);
        return version === undefined ? [] : [{ ...each, offered: version }];
      }),
      stale: await server.stale(libraryPaths(layout, metadata)),
    });
  }
  const deployments = (await listDeployments(host, layout)).map((deployment) => {
    const { plan, lines } = deployment;
    const last = lines.at(-1);
    return {
      id: plan.id,
      bundle: plan.bundle.name,
      release: plan.release,
      state: stateOf(deployment),
      at: last?.at ?? '',
      lastStep: last?.step ?? 'begin',
    };
  });
  return {
    host: host.name,
    server: { version: facts.version, architecture: facts.architecture, paths: facts.paths },
    bundles,
    deployments,
    findings: [
      ...findings,
      ...deployments
        .filter(({ state: each }) => each === 'unfinished' || each === 'rollback_failed')
        .map(({ id, release }): ExtFinding => ({
          level: 'warn',
          rule: 'unfinished',
          message: `the deployment ${id} of ${release} is unfinished`,
          remedy:
            'centuria ext deploy --resume goes on with it, centuria ext rollback takes it back.',
        })),
    ],
  };
}

/** Files of the release, and names in the server's folders, that are not what was deployed. */
async function driftOf(
  { host, layout }: Target,
  release: string,
  metadata: Metadata,
): Promise<Drift[]> {
  const paths = livePaths(layout, metadata);
  const own = new Set(paths);
  const names = metadata.extensions.map(({ name }) => name);
  const foreign = (await namesOf(host, layout, names)).filter((path) => !own.has(path));
  const wanted = new Map(metadata.files.map((file) => [file.path, file]));
  const changed = await changedFiles(host, layout, release, metadata);
  const drift = changed.map((line): Drift => {
    const path = line.replace(/: .*$/, '');
    return { path, kind: 'changed', message: `in the release itself: ${line}` };
  });
  for (const file of await lookAt(host, layout, [...paths, ...foreign])) {
    const expected = wanted.get(file.path);
    const link = linkText(layout, metadata.name, file.path);
    const found = kindOf(file, expected?.sha256, link);
    if (found === undefined) continue;
    drift.push({
      path: file.path,
      ...found,
      ...(expected === undefined ? {} : { expected }),
    });
  }
  return drift;
}

function kindOf(
  file: Awaited<ReturnType<typeof lookAt>>[number],
  sha256: string | undefined,
  link: string,
): Pick<Drift, 'kind' | 'message'> | undefined {
  if (sha256 === undefined) {
    return { kind: 'foreign', message: `${file.target} belongs to no file of the release` };
  }
  if (file.kind === 'absent') return { kind: 'missing', message: `${file.target} is gone` };
  if (file.link !== link) {
    return { kind: 'replaced', message: `${file.target} is no longer the link of the release` };
  }
  if (file.sha256 === sha256) return undefined;
  return { kind: 'changed', message: `${file.target} gives another content than was deployed` };
}
