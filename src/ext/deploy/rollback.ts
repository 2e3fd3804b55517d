/** The way back: the catalogue first, while the scripts that lead back are there, then the files. */
import { AppError } from '../../base/base.ts';
import type { CatalogueStep, JournalLine, Plan, StepName } from '../deployment-types.ts';
import {
  activate,
  append,
  endJournal,
  keptIn,
  listDeployments,
  readActive,
  stateOf,
  type Deployment,
} from '../release/journal.ts';
import { lookAt } from '../release/live.ts';
import { apply, clearLeftovers } from '../release/operations.ts';
import type { Operation } from '../release/operations.ts';
import { changedFiles, readMetadata } from '../release/store.ts';
import { undoCatalogue } from '../server/catalogue.ts';
import type { ExtFinding } from '../types.ts';
import { answersAgain } from './server-back.ts';
import { waysOf } from './sides.ts';
import { isDown, limitsOf, lockName, sidesOf, type Target } from './target.ts';

export interface RollbackOptions {
  /** Of which bundle the last deployment is taken back; an unfinished deployment comes first. */
  readonly bundle?: string;
  /** Says what would be done, and does nothing. */
  readonly dryRun?: boolean;
  /**
   * Rolls the files back although the catalogue can't be: what it holds may not run on them. Of an
   * unfinished deployment also while the server does not run.
   */
  readonly filesOnly?: boolean;
  readonly restart?: () => Promise<void>;
  readonly lockTimeoutMs?: number;
  readonly statementTimeoutMs?: number;
  readonly actor: string;
  readonly onStep?: (step: StepName | 'rollback', event: JournalLine['event']) => void;
  readonly signal?: AbortSignal;
}

export interface RolledBack {
  readonly plan: Plan;
  /** What is live now; absent when no release of the bundle is. */
  readonly release?: string;
  readonly catalogue: readonly CatalogueStep[];
  readonly needsRestart: readonly string[];
  readonly findings: readonly ExtFinding[];
  readonly dryRun: boolean;
}

/**
 * Takes the unfinished deployment back, or else the last one of the bundle. Throws `not_found` when there
 * is none, `ext_refused` when its catalogue has no way back, `ext_failed`, `ext_busy`.
 */
export async function rollBack(target: Target, options: RollbackOptions): Promise<RolledBack> {
  const { host, layout, server } = target;
  const lock = await server.lock(lockName(target)).catch(async (error: unknown) => {
    // A server that does not run holds nobody's lock. That it is to be gone round must be said.
    if (options.filesOnly === true && isDown(error)) {
      await host.check('true');
      return undefined;
    }
    throw error;
  });
  try {
    const found = (await readActive(host, layout)) ?? (await lastOf(target, options.bundle));
    const { plan } = found;
    const oneWay = begun(found, 'catalogue') ? plan.oneWay : [];
    if (oneWay.length > 0 && options.filesOnly !== true && options.dryRun !== true) {
      const [first] = oneWay;
      throw new AppError(
        'ext_refused',
        `${first?.extension} in ${first?.database} has no script from ${first?.to} back to ${first?.from}`,
        {
          details: { oneWay },
          remedy: 'Restore the database from a backup, or roll the files back alone: --files-only.',
        },
      );
    }
    const adopted = keptIn(found.lines);
    const result = {
      plan,
      ...(plan.from === undefined ? {} : { release: plan.from }),
      catalogue: begun(found, 'catalogue') ? plan.catalogue : [],
      needsRestart: plan.needsRestart,
      findings: adopted === undefined ? [] : adoptedNote(adopted),
      dryRun: options.dryRun === true,
    };
    const isServerDown = lock === undefined;
    if (options.dryRun !== true) await takeBack(target, plan, { ...options, isServerDown });
    return result;
  } finally {
    await lock?.release();
  }
}

/** Does all of it, from wherever the deployment came to; may be repeated. */
export async function takeBack(
  target: Target,
  plan: Plan,
  options: Pick<
    RollbackOptions,
    'restart' | 'onStep' | 'actor' | 'filesOnly' | 'lockTimeoutMs' | 'statementTimeoutMs'
  > & { readonly isServerDown?: boolean },
): Promise<void> {
  const { host, layout, clock, server } = target;
  const say = async (event: JournalLine['event'], details?: Record<string, unknown>) => {
    const line = {
      step: 'rollback',
      event,
      ...(details === undefined ? {} : { details }),
    } as const;
    await append(host, layout, clock, plan.id, line);
    options.onStep?.('rollback', event);
  };
  const deployment = (await listDeployments(host, layout)).find((each) => each.plan.id === plan.id);
  if (deployment === undefined) {
    throw new AppError('ext_failed', `the journal ${plan.id} is gone`, {
      remedy: `See ${layout.journals}; without it nothing is changed.`,
    });
  }
  // From here on nobody deploys upon it until it has ended.
  await activate(host, layout, deployment);
  await say('begins');
  let isUnchanged = !deployment.isActive;
  try {
    const way = await wayBack(target, deployment);
    if (begun(deployment, 'catalogue') && options.filesOnly !== true) {
      // Fails before any file goes back: a catalogue that needs the new ones keeps them.
      await undoCatalogue(server, plan.catalogue, limitsOf(options)).catch((error: unknown) => {
        isUnchanged &&= hasUndoneNothing(error);
        throw error;
      });
    }
    isUnchanged = false;
    if (way !== undefined) await filesBack(target, plan, way);
    if (begun(deployment, 'restart')) await restartBack(target, plan, options);
    // Started again it answers; without that there is nobody to tell.
    const isThere = options.isServerDown !== true || options.restart !== undefined;
    if (begun(deployment, 'end') && isThere)
      await server.record(plan, {
        state: 'rolled_back',
        actor: options.actor,
        steps: deployment.lines,
      });
    await say('ends');
    await endJournal(host, layout);
  } catch (error) {
    const { message } = error as Error;
    await say('fails', isUnchanged ? { message, isUnchanged } : { message });
    // What was refused before its first change is still deployed, and others may deploy.
    if (isUnchanged) await endJournal(host, layout);
    throw error;
  }
}

/** What `undoCatalogue` throws when no step of it could be undone. */
function hasUndoneNothing(error: unknown): boolean {
  if (!(error instanceof AppError)) return false;
  const { undone } = error.details;
  return Array.isArray(undone) && undone.length === 0;
}

interface WayBack {
  readonly operations: readonly Operation[];
  readonly files: readonly { readonly path: string; readonly sha256: string }[];
  readonly paths: { readonly before: readonly string[]; readonly after: readonly string[] };
}

/**
 * What brings the files back, or undefined where none had been touched. Throws `ext_failed` while nothing is
 * changed yet, when the release that is gone back to is not what it was.
 */
async function wayBack(target: Target, deployment: Deployment): Promise<WayBack | undefined> {
  const { host, layout } = target;
  const { plan, lines } = deployment;
  const kept = keptIn(lines);
  const isTouched = kept !== undefined || (plan.adopted.length === 0 && begun(deployment, 'link'));
  if (!isTouched) return undefined;
  const metadata = await readMetadata(host, layout, plan.release);
  const from = plan.from === undefined ? undefined : await readMetadata(host, layout, plan.from);
  const paths = sidesOf(target, plan, metadata, from);
  for (const release of new Set([plan.from, kept])) {
    if (release === undefined) continue;
    const listed = release === plan.from ? from : await readMetadata(host, layout, release);
    const wrong = listed && (await changedFiles(host, layout, release, listed));
    if (wrong === undefined || wrong.length === 0) continue;
    throw new AppError('ext_failed', `${release} can not be gone back to: ${wrong[0]}`, {
      details: { release, changed: wrong },
      remedy: `Stage its bundle again, once ${layout.releases}/${release} is moved away.`,
    });
  }
  return { operations: waysOf(layout, plan, paths, kept).back, files: from?.files ?? [], paths };
}

async function filesBack(
  target: Target,
  plan: Plan,
  { operations, files, paths }: WayBack,
): Promise<void> {
  const { host, layout } = target;
  await apply(host, plan.id, operations);
  await clearLeftovers(host, plan.id, [
    layout.paths.libraryFolder,
    layout.paths.extensionFolder,
    layout.current,
  ]);
  await assertBack(target, plan, files, paths);
}

/** A rollback that did not bring back the bytes of before is not one. */
async function assertBack(
  { host, layout }: Target,
  plan: Plan,
  files: readonly { readonly path: string; readonly sha256: string }[],
  paths: { readonly before: readonly string[]; readonly after: readonly string[] },
): Promise<void> {
  const wanted =
    plan.adopted.length > 0
      ? new Map(plan.adopted.map(({ path, sha256 }) => [path, sha256]))
      : new Map(files.map(({ path, sha256 }) => [path, sha256]));
  const names = [...new Set([...paths.before, ...paths.after])];
  const wrong = (await lookAt(host, layout, names)).filter(({ path, kind, sha256 }) =>
    wanted.has(path) ? sha256 !== wanted.get(path) : kind !== 'absent',
  );
  if (wrong.length === 0) return;
  throw new AppError('ext_failed', `${wrong[0]?.target} is not what it was before`, {
    details: { files: wrong.map(({ target }) => target) },
    remedy: 'Something else writes to these folders: see who, then roll back again.',
  });
}

async function restartBack(
  target: Target,
  plan: Plan,
  { restart }: Pick<RollbackOptions, 'restart'>,
): Promise<void> {
  if (plan.needsRestart.length === 0 || restart === undefined) return;
  await restart();
  await answersAgain(target);
}

/**
 * The last deployment of a bundle that is live, in whole or in part: a way back that was cut short is
 * taken again before any other, or the one before would be taken back as well.
 */
async function lastOf(target: Target, bundle: string | undefined): Promise<Deployment> {
  const deployed = (await listDeployments(target.host, target.layout)).filter((deployment) =>
    ['deployed', 'unfinished', 'rollback_failed'].includes(stateOf(deployment)),
  );
  const bundles = new Set(deployed.map(({ plan }) => plan.bundle.name));
  if (bundle === undefined && bundles.size > 1) {
    throw new AppError(
      'invalid_input',
      `several bundles are deployed: ${[...bundles].join(', ')}`,
      {
        remedy: 'Name the one that is to be rolled back.',
      },
    );
  }
  const found = deployed.find(({ plan }) => bundle === undefined || plan.bundle.name === bundle);
  if (found !== undefined) return found;
  throw new AppError(
    'not_found',
    bundle === undefined ? 'nothing is deployed here' : `no deployment of ${bundle} is live`,
    { remedy: 'centuria ext status shows what there is.' },
  );
}

/** Whether a step was begun, and so may have done something. */
function begun({ lines }: Deployment, name: StepName): boolean {
  return lines.some(({ step, event }) => step === name && event === 'begins');
}

function adoptedNote(release: string): ExtFinding[] {
  return [
    {
      level: 'note',
      rule: 'adopted',
      message: `the files from before the first deployment come back from ${release}`,
    },
  ];
}
