/** Whether what runs is what was deployed: looked at in the files, the catalogue and a fresh backend. */
import { AppError } from '../../base/base.ts';
import type { Plan } from '../deployment-types.ts';
import { libraryPaths, livePaths } from '../release/layout.ts';
import { lookAt } from '../release/live.ts';
import {
  changedFiles,
  listReleases,
  readMetadata,
  readSmoke,
  smokeByExtension,
} from '../release/store.ts';
import { runSmoke } from '../server/catalogue.ts';
import type { ExtFinding, Metadata } from '../types.ts';
import type { Target } from './target.ts';

/** Looks at a release that should be live. Findings that refuse are reasons to take it back. */
export async function verifyLive(
  target: Target,
  plan: Pick<Plan, 'release' | 'catalogue'>,
  metadata: Metadata,
): Promise<ExtFinding[]> {
  const { host, layout } = target;
  const changed = await changedFiles(host, layout, plan.release, metadata);
  const live = await lookAt(host, layout, livePaths(layout, metadata));
  const wanted = new Map(metadata.files.map(({ path, sha256 }) => [path, sha256]));
  return [
    ...changed.map((line): ExtFinding => ({
      level: 'refuse',
      rule: 'release-changed',
      message: `${plan.release}: ${line}`,
      remedy: `See who writes below ${layout.releases}.`,
    })),
    ...live
      .filter(({ path, sha256 }) => sha256 !== wanted.get(path))
      .map(({ path, target: file, kind }): ExtFinding => ({
        level: 'refuse',
        rule: 'not-live',
        file: path,
        message: `${file} ${kind === 'absent' ? 'is missing' : 'has another content'}`,
      })),
    ...(await smokeFindings(target, plan, metadata)),
    ...(await staleFindings(target, metadata)),
  ];
}

/** In backends that began after the deployment: in each database that has the extension, taken back. */
async function smokeFindings(
  target: Target,
  plan: Pick<Plan, 'release' | 'catalogue'>,
  metadata: Metadata,
): Promise<ExtFinding[]> {
  const { host, layout, server } = target;
  const texts = await readSmoke(host, layout, plan.release, metadata);
  const smoke = smokeByExtension(texts, metadata);
  const { installed } = await server.state();
  const findings: ExtFinding[] = [];
  for (const { database, extension, to } of plan.catalogue) {
    const version = installed.find(
      (each) => each.database === database && each.name === extension,
    )?.version;
    if (version !== to) {
      findings.push({
        level: 'refuse',
        rule: 'catalogue-behind',
        message: `${extension} in ${database} is ${version ?? 'not there'}, the files are of ${to}`,
        remedy: `alter extension ${extension} update; or deploy again, which does it with a way back`,
      });
      continue;
    }
    const sql = smoke.get(extension);
    if (sql !== undefined) findings.push(...(await runSmoke(server, { database, extension, sql })));
  }
  return findings;
}

/** What a bundle that is live comes to now; all of them unless one is named. Throws `not_found`. */
export async function verify(
  target: Target,
  bundle?: string,
): Promise<
  { readonly bundle: string; readonly release: string; readonly findings: ExtFinding[] }[]
> {
  const { host, layout, server } = target;
  const { current, releases } = await listReleases(host, layout);
  const chosen = [...current].filter(([name]) => bundle === undefined || name === bundle);
  if (bundle !== undefined && chosen.length === 0) {
    throw new AppError('not_found', `no release of ${bundle} is live on ${host.name}`, {
      remedy: 'centuria ext status shows what there is.',
    });
  }
  const { installed } = await server.state();
  const verified = [];
  for (const [name, release] of chosen) {
    if (!releases.includes(release)) {
      verified.push({ bundle: name, release, findings: [goneFinding(name, release)] });
      continue;
    }
    const metadata = await readMetadata(host, layout, release);
    const catalogue = metadata.extensions.flatMap(({ name: extension, version }) =>
      installed
        .filter((each) => each.name === extension)
        .map(({ database }) => ({ database, extension, action: 'none' as const, to: version })),
    );
    verified.push({
      bundle: name,
      release,
      findings: await verifyLive(target, { release, catalogue }, metadata),
    });
  }
  return verified;
}

/** All links of a bundle lead nowhere. */
export function goneFinding(bundle: string, release: string): ExtFinding {
  return {
    level: 'refuse',
    rule: 'release-missing',
    message: `${bundle} points to ${release}, which is gone`,
    remedy: `Deploy its bundle again: the links in the server's folders lead nowhere.`,
  };
}

/** Sessions that go on with the old library are normal; a new deployment just says which. */
async function staleFindings(target: Target, metadata: Metadata): Promise<ExtFinding[]> {
  const stale = await target.server.stale(libraryPaths(target.layout, metadata));
  if ('unavailable' in stale) {
    return [
      {
        level: 'note',
        rule: 'stale-unknown',
        message: `which backends still run an older library can not be said: ${stale.unavailable}`,
      },
    ];
  }
  return stale.value.map(({ pid, user = 'nobody', database = '-', kind }) => ({
    level: 'note',
    rule: 'stale-backend',
    message: `process ${pid} (${kind}, ${user}, ${database}) goes on with the older library until it ends`,
    remedy: `When it may be ended: select pg_terminate_backend(${pid})`,
  }));
}
