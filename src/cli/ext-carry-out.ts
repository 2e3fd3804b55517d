/** From what a command line names to releases that are live. */
import { resolve } from 'node:path';
import { AppError, toAppError } from '../base/base.ts';
import type { Bundle, Deployed, ExtTarget, Plan } from '../ext/ext.ts';
import type { CliContext } from './context.ts';
import { build, tellBuilt, type BuildFlags } from './ext-build.ts';
import { findBundle, isDirectory, openBundle } from './ext-files.ts';
import { showSteps } from './ext-progress.ts';
import {
  actorOf,
  restartOf,
  typedTarget,
  type RestartFlags,
  type TargetFlags,
  type WithTarget,
} from './ext-target.ts';
import { findingsOf, tellFindings } from './ext-view.ts';
import { Exit } from './failure.ts';
import { note, printDocument } from './output.ts';

export interface PlanFlags extends TargetFlags, BuildFlags, RestartFlags {
  readonly adopt?: true;
  readonly oneWay?: true;
  readonly standbysReady?: true;
  /** True: all of the bundle. */
  readonly create?: true | string[];
  readonly database?: string[];
  readonly skipBuild?: true;
}

export interface DeployFlags extends PlanFlags {
  readonly resume?: true;
  readonly dryRun?: true;
  readonly rehearsal: boolean;
  readonly lockTimeout: number;
  readonly yes?: true;
}

/** A bundle that is read, built, or looked for in a folder. */
export async function bundleOf(
  context: CliContext,
  path: string,
  flags: PlanFlags,
  { target, signal }: WithTarget,
): Promise<Bundle> {
  const folder = resolve(context.cwd, path);
  if (!(await isDirectory(folder))) return await openBundle(context, path, flags);
  if (flags.skipBuild === true) {
    return await openBundle(context, await findBundle(folder, target.facts), flags);
  }
  const built = await build(context, path, flags, signal);
  if (context.format === 'table') tellBuilt(context, built);
  const { readBundle } = await import('../ext/ext.ts');
  // It was made a moment ago, here: what is asked of it is that it is whole.
  return await readBundle(built.bundle, path, { trusted: [], requireSignature: false });
}

/** Plans of all of them, before anything is written for one. */
export async function planAll(
  target: ExtTarget,
  bundles: readonly Bundle[],
  flags: PlanFlags,
): Promise<Plan[]> {
  const { planDeployment } = await import('../ext/ext.ts');
  assertCreatable(bundles, flags);
  const plans: Plan[] = [];
  for (const bundle of bundles) {
    plans.push(await planDeployment(target, bundle, planOptions(bundle, flags)));
  }
  return plans;
}

function assertCreatable(bundles: readonly Bundle[], { create, database }: PlanFlags): void {
  if (create === undefined) return;
  if (database === undefined) {
    throw new AppError('usage', 'in which databases to create extensions is not said', {
      remedy: 'Add --database NAME.',
    });
  }
  const known = bundles.flatMap(({ metadata }) => metadata.extensions.map(({ name }) => name));
  const foreign = create === true ? undefined : create.find((name) => !known.includes(name));
  if (foreign === undefined) return;
  throw new AppError('usage', `--create ${foreign}: no bundle holds it`, {
    remedy: `There ${known.length === 1 ? 'is' : 'are'} ${known.join(', ')}.`,
  });
}

function planOptions({ metadata }: Bundle, flags: PlanFlags) {
  const { create, database } = flags;
  const own = metadata.extensions.map(({ name }) => name);
  return {
    adopt: flags.adopt === true,
    acceptOneWay: flags.oneWay === true,
    acceptStandbys: flags.standbysReady === true,
    mayRestart: flags.restartCommand !== undefined,
    create:
      create === undefined
        ? []
        : create === true
          ? own
          : own.filter((name) => create.includes(name)),
    ...(database === undefined ? {} : { databases: database }),
  };
}

/** One after another, each wholly or not at all; `undefined` goes on with what was left unfinished. */
export async function carryOut(
  context: CliContext,
  bundles: readonly (Bundle | undefined)[],
  flags: DeployFlags,
  { target, signal }: WithTarget,
): Promise<void> {
  const { deploy } = await import('../ext/ext.ts');
  const done: (Deployed & { rollback: string })[] = [];
  try {
    for (const bundle of bundles) {
      const none = { adopt: false, acceptOneWay: false, acceptStandbys: false, mayRestart: false };
      const deployed = await deploy(target, bundle, {
        ...(bundle === undefined ? { ...none, create: [] } : planOptions(bundle, flags)),
        ...restartOf(target, flags),
        rehearse: flags.rehearsal,
        lockTimeoutMs: flags.lockTimeout,
        actor: actorOf(),
        onStep: showSteps(context),
        signal,
      });
      const { name } = deployed.plan.bundle;
      done.push({ ...deployed, rollback: `centuria ext rollback ${name}${typedTarget(flags)}` });
      if (deployed.state === 'waiting_for_restart') break;
    }
  } catch (thrown) {
    const error = toAppError(thrown);
    // What came of those before must not be lost with the one that failed.
    printDone(context, done, flags);
    tellFindings(context, findingsOf(error.details));
    throw error;
  }
  printDone(context, done, flags);
  // A script that goes on as if all were done would be wrong.
  if (done.some(({ state }) => state === 'waiting_for_restart')) throw new Exit(1);
}

function printDone(
  context: CliContext,
  done: readonly (Deployed & { rollback: string })[],
  flags: DeployFlags,
): void {
  if (context.format === 'json') {
    if (done.length > 0) printDocument(context, { items: done }, () => '');
    return;
  }
  for (const each of done) {
    const { plan, state, findings, rollback } = each;
    tellFindings(context, findings);
    const { name, version } = plan.bundle;
    printDocument(context, each, () =>
      state === 'deployed'
        ? `Deployed ${name} ${version}: ${plan.release} is live on ${plan.host}.`
        : `The files of ${name} ${version} are switched; its catalogue waits for a restart of the server.`,
    );
    if (context.format !== 'table') continue;
    note(
      context,
      state === 'deployed'
        ? `To take it back: ${rollback}`
        : `After the restart: centuria ext deploy --resume${typedTarget(flags)}\n` +
            `To take it back instead: ${rollback}`,
    );
  }
}
