/** Whether what runs is what was deployed: looked at in the files, the catalogue and a fresh backend. */
import type { Plan } from '../deployment-types.ts';
import { linkText, livePaths, targetOf, type Layout } from '../release/layout.ts';
import { lookAt } from '../release/live.ts';
import { changedFiles, readSmoke } from '../release/store.ts';
import { runSmoke } from '../server/catalogue.ts';
import type { ExtFinding, Metadata } from '../types.ts';
import type { Target } from './target.ts';

/** The libraries of a release by the name that the server knows, with the file behind it. */
export function libraryPaths(layout: Layout, metadata: Metadata): ReadonlyMap<string, string> {
  return new Map(
    livePaths(layout, metadata)
      .filter((path) => path.startsWith('lib/'))
      .map((path) => [targetOf(layout, path) ?? '', linkText(layout, metadata.name, path)]),
  );
}

/** Looks at a release that should be live. Findings that refuse are reasons to take it back. */
export async function verifyLive(
  target: Target,
  plan: Pick<Plan, 'release' | 'catalogue' | 'needsRestart'>,
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

/** In backends that began after the deployment; every database that has the extension. */
async function smokeFindings(
  target: Target,
  plan: Pick<Plan, 'release' | 'catalogue' | 'needsRestart'>,
  metadata: Metadata,
): Promise<ExtFinding[]> {
  const { host, layout, server } = target;
  const smoke = await readSmoke(host, layout, plan.release, metadata);
  const state = await server.state();
  const findings: ExtFinding[] = [];
  for (const { database, extension, to } of plan.catalogue) {
    const installed = state.installed.find(
      (each) => each.database === database && each.name === extension,
    );
    if (installed?.version !== to) {
      findings.push({
        level: 'refuse',
        rule: 'catalogue-behind',
        message: `${extension} in ${database} is ${installed?.version ?? 'not there'}, not ${to}`,
      });
      continue;
    }
    const sql = smoke.get(extension);
    if (sql === undefined) continue;
    findings.push(...(await runSmoke(server, { database, extension, sql })));
  }
  return findings;
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
