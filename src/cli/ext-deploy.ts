import type { Command } from 'commander';
import { AppError } from '../base/base.ts';
import type { Bundle, Plan } from '../ext/ext.ts';
import type { CliContext } from './context.ts';
import { addBuildFlags } from './ext-build.ts';
import { bundleOf, carryOut, planAll, type DeployFlags, type PlanFlags } from './ext-carry-out.ts';
import { addTargetFlags, withTarget } from './ext-target.ts';
import { refused, renderPlan } from './ext-view.ts';
import { addExamples, collect, wholeNumber } from './flags.ts';
import { note, plural, printDocument } from './output.ts';
import { canAsk, confirm } from './prompts.ts';

const argument = 'What `centuria ext build` has made, or sources with --pg-dev-package.';

function addPlanFlags(command: Command): Command {
  return addBuildFlags(
    addTargetFlags(command)
      .option(
        '--database <name>',
        'Update this one; may repeat. All that have it otherwise.',
        collect,
      )
      .option(
        '--create [extension...]',
        'Create it in --database where it is not; all unless named.',
      )
      .option('--adopt', 'Keep and replace files that are there already, by hand or by a package.')
      .option('--one-way', 'Also where the catalogue has no way back.')
      .option('--standbys-ready', 'The standbys have the files already.')
      .option('--restart-command <command>', 'Restarts the server, run on the target by sh.')
      .option('--allow-unsigned', 'Take what no trusted key signed.')
      .option('--skip-build', 'Build nothing: of a folder, the bundle in it is taken.'),
  );
}

/** `centuria ext plan` and `centuria ext deploy`. */
export function registerExtDeploy(group: Command, context: CliContext): void {
  addExamples(
    addPlanFlags(
      group
        .command('plan')
        .description(
          'Show what a deployment would do and all that stands against it; write nothing.',
        )
        .argument('<bundle-or-source...>', argument),
    ),
    [['On another machine', 'centuria ext plan vector-0.8.0-pg17-x86_64.tar.gz --host root@db1']],
  ).action((paths: string[], flags: PlanFlags) =>
    deployAll(context, paths, { rehearsal: true, lockTimeout: 0, ...flags, dryRun: true }),
  );
  addExamples(
    addPlanFlags(
      group
        .command('deploy')
        .description('Deploy to a running server: files by one rename, then the catalogues.')
        .argument('[bundle-or-source...]', argument),
    )
      .option('--dry-run', 'Only plan: nothing is written.')
      .option(
        '--resume',
        'Go on with the deployment that was left unfinished or waits for a restart.',
      )
      .option('--no-rehearsal', 'Without trying it first on a private server on the target.')
      .option(
        '--lock-timeout <ms>',
        "How long a catalogue's update waits for others' locks.",
        wholeNumber(1, 3_600_000),
        5_000,
      )
      .option('--yes', 'Do not ask.'),
    [
      ['To another machine', 'centuria ext deploy vector-0.8.0-pg17-x86_64.tar.gz --host root@db1'],
      [
        'For the first time, in one database',
        'centuria ext deploy vector-0.8.0-pg17-x86_64.tar.gz --database shop --create',
      ],
      ['After the restart that it waits for', 'centuria ext deploy --resume --host root@db1'],
    ],
  ).action((paths: string[], flags: DeployFlags) => deployAll(context, paths, flags));
}

async function deployAll(
  context: CliContext,
  paths: readonly string[],
  flags: DeployFlags,
): Promise<void> {
  if (flags.resume === true && flags.dryRun === true) {
    throw new AppError('usage', '--resume goes on and --dry-run does nothing', {
      remedy: 'centuria ext status shows where the deployment stands.',
    });
  }
  if (paths.length === 0 && flags.resume !== true) {
    throw new AppError('usage', 'no bundle is named', {
      remedy: 'Name it before --create, which takes the words that follow it.',
    });
  }
  const onStop = 'Stopping: what was begun is taken back. This takes a moment.';
  const options = flags.dryRun === true ? {} : { onStop };
  await withTarget(context, flags, options, async (given) => {
    const bundles: Bundle[] = [];
    for (const path of paths) bundles.push(await bundleOf(context, path, flags, given));
    if (flags.resume === true) {
      await carryOut(context, bundles.length === 0 ? [undefined] : bundles, flags, given);
      return;
    }
    const plans = await planAll(given.target, bundles, flags);
    if (flags.dryRun === true) {
      printPlans(context, plans);
      assertAllowed(plans);
      return;
    }
    if (context.format === 'table') note(context, rendered(context, plans, 'stderr'));
    assertAllowed(plans);
    await askFirst(context, plans, flags);
    await carryOut(context, bundles, flags, given);
  });
}

function rendered(
  context: CliContext,
  plans: readonly Plan[],
  stream: 'stdout' | 'stderr',
): string {
  const view = { colours: context[stream].colours, verbose: context.verbose };
  return plans.map((plan) => renderPlan(plan, view)).join('\n\n');
}

function printPlans(context: CliContext, plans: readonly Plan[]): void {
  if (context.format === 'jsonl') {
    for (const plan of plans) printDocument(context, plan, () => '');
  } else {
    printDocument(context, { items: plans }, () => rendered(context, plans, 'stdout'));
  }
}

/** What one plan says against itself stops all of them: half of what was asked for helps nobody. */
function assertAllowed(plans: readonly Plan[]): void {
  const refusals = plans.flatMap(({ findings }) =>
    findings.filter(({ level }) => level === 'refuse'),
  );
  if (refusals.length > 0) throw refused(refusals);
}

async function askFirst(
  context: CliContext,
  plans: readonly Plan[],
  flags: DeployFlags,
): Promise<void> {
  if (flags.yes !== true && !canAsk(context)) {
    throw new AppError('usage', 'nothing is deployed without a yes', {
      remedy: 'Look first: --dry-run. Then add --yes.',
    });
  }
  const host = plans[0]?.host ?? 'the target';
  await confirm(context, `Deploy ${plural(plans.length, 'bundle')} to ${host}?`, flags);
}
