import type { Command } from 'commander';
import { AppError } from '../base/base.ts';
import type { RolledBack } from '../ext/ext.ts';
import type { CliContext } from './context.ts';
import { showSteps } from './ext-progress.ts';
import {
  actorOf,
  addTargetFlags,
  restartOf,
  withTarget,
  type RestartFlags,
  type TargetFlags,
  type WithTarget,
} from './ext-target.ts';
import { renderFindings } from './ext-view.ts';
import { addExamples } from './flags.ts';
import { note, printDocument } from './output.ts';
import { canAsk, confirm } from './prompts.ts';
import type { Colours } from './context.ts';

interface RollbackFlags extends TargetFlags, RestartFlags {
  readonly dryRun?: true;
  readonly filesOnly?: true;
  readonly yes?: true;
}

/** `centuria ext rollback`. */
export function registerExtRollback(group: Command, context: CliContext): void {
  const command = group
    .command('rollback')
    .description(
      'Take the unfinished deployment back, or else the last one: catalogues, then files.',
    )
    .argument('[name]', 'Of the bundle, where several are deployed.')
    .option('--dry-run', 'Only say what would be done.')
    .option(
      '--files-only',
      'Leave the catalogues as they are: where they have no way back, or the server does not start.',
    )
    .option('--restart-command <command>', 'Restarts the server, run on the target by sh.')
    .option('--yes', 'Do not ask.');
  addExamples(addTargetFlags(command), [
    ['What would be done', 'centuria ext rollback vector --host root@db1 --dry-run'],
    ['Do it', 'centuria ext rollback vector --host root@db1'],
  ]).action(async (name: string | undefined, flags: RollbackFlags) => {
    const onStop = 'A rollback is not stopped halfway: wait until it has ended.';
    const options = {
      ...(flags.dryRun === true ? {} : { onStop }),
      mayBeDown: flags.filesOnly === true,
    };
    await withTarget(context, flags, options, (given) => rollBackOne(context, name, flags, given));
  });
}

async function rollBackOne(
  context: CliContext,
  bundle: string | undefined,
  flags: RollbackFlags,
  { target }: WithTarget,
): Promise<void> {
  const { rollBack } = await import('../ext/ext.ts');
  const options = {
    ...(bundle === undefined ? {} : { bundle }),
    filesOnly: flags.filesOnly === true,
    actor: actorOf(),
  };
  const found = await rollBack(target, { ...options, dryRun: true });
  if (flags.dryRun === true) {
    printDocument(context, found, () => renderRollback(found, flags, context.stdout.colours));
    return;
  }
  if (context.format === 'table')
    note(context, renderRollback(found, flags, context.stderr.colours));
  const { release, host } = found.plan;
  if (flags.yes !== true && !canAsk(context)) {
    throw new AppError('usage', 'nothing is rolled back without a yes', {
      remedy: 'Look first: --dry-run. Then add --yes.',
    });
  }
  await confirm(context, `Take ${release} back on ${host}?`, flags);
  const done = await rollBack(target, {
    ...options,
    ...restartOf(target, flags),
    onStep: showSteps(context),
  });
  printDocument(context, done, () => endOf(done));
  if (
    context.format === 'table' &&
    done.needsRestart.length > 0 &&
    flags.restartCommand === undefined
  ) {
    note(context, `Restart the server: it has ${done.needsRestart.join(', ')} loaded from before.`);
  }
}

function endOf({ plan, release }: RolledBack): string {
  const now = release ?? (plan.adopted.length > 0 ? 'what was there by hand' : 'nothing of it');
  return `Took ${plan.release} back on ${plan.host}: ${now} is live.`;
}

function renderRollback(found: RolledBack, { filesOnly }: RollbackFlags, colours: Colours): string {
  const { plan, release, catalogue, findings, needsRestart } = found;
  const lines = [
    colours.bold(`Back from ${plan.release} on ${plan.host}`),
    `  to         ${release ?? (plan.adopted.length > 0 ? 'the files of before' : 'nothing: it was the first')}`,
  ];
  for (const { database, extension, action, from, to, back } of catalogue) {
    if (action === 'none') continue;
    const name = `  catalogue  ${database}: `;
    if (filesOnly === true) lines.push(`${name}${extension} stays at ${to}, as asked`);
    else if (action === 'create') lines.push(`${name}drop ${extension} ${to}`);
    else if (back === undefined) {
      lines.push(colours.red(`${name}${extension} has no way from ${to} back to ${from}`));
    } else lines.push(`${name}update ${extension} ${back.join(' → ')}`);
  }
  lines.push(...needsRestart.map((name) => `  restart    for ${name}, a preloaded library`));
  if (findings.length > 0) lines.push(renderFindings(findings, colours));
  return lines.join('\n');
}
