import type { Command } from 'commander';
import { AppError } from '../base/base.ts';
import type { Client } from '../client/client.ts';
import type { RunDetail, UndoPlan } from '../coordination/coordination.ts';
import { connect } from './connection.ts';
import type { CliContext, Colours } from './context.ts';
import { addExamples } from './flags.ts';
import { note, oneLine, plural, printDocument } from './output.ts';
import { hasEnded } from './progress.ts';
import { canAsk, confirm } from './prompts.ts';
import { resolveRunId, runArgument, shortId } from './run-ids.ts';

interface UndoOptions {
  readonly plan?: true;
  readonly force?: true;
  readonly yes?: true;
}

/** How often to look whether it is done: an undo moves files, and nothing streams it after the end. */
const lookMs = 300;
/** Of one effect; the plan as a document has them all. */
const mostFiles = 10;

/** `centuria run undo`. */
export function registerUndo(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('undo')
      .description('Undo what a run has changed, the newest effect first; stops it if it is open.')
      .argument('<run>', runArgument)
      .option('--plan', 'Only show what would be undone.')
      .option('--force', 'Overwrite what others have changed since.')
      .option('--yes', 'Do not ask.'),
    [
      ['What would be undone', 'centuria run undo latest --plan'],
      ['Undo it', 'centuria run undo latest'],
    ],
  ).action(async (text: string, options: UndoOptions) => {
    const client = connect(context);
    const id = await resolveRunId(text, client.runs);
    const plan = await client.undoPlan(id);
    if (options.plan === true) {
      printDocument(context, plan, (found) => renderUndo(found, context.stdout.colours));
      return;
    }
    const run = await client.run(id);
    const isLeft = plan.effects.some(({ how }) => how === 'workspace' || how === 'compensation');
    if (hasEnded(run) && !isLeft) {
      assertNothingStays(plan, id);
      printDocument(context, run, () => `Run ${shortId(id)} left nothing to undo.`);
      return;
    }
    if (context.format === 'table') note(context, renderUndo(plan, context.stderr.colours));
    await askFirst(context, plan, run, options);
    await client.undoRun(id, options.force === true);
    reportUndone(context, await untilUndone(context, client, id));
  });
}

/** Asking for a yes to what can't be done would promise it. */
function assertNothingStays({ effects }: UndoPlan, id: string): void {
  const tasks = effects.flatMap(({ task, how }) => (how === 'impossible' ? [task] : []));
  if (tasks.length === 0) return;
  throw new AppError('conflict', `what run ${shortId(id)} did can't be undone`, {
    details: { run: id, tasks },
    remedy: `See why: centuria run undo ${shortId(id)} --plan.`,
  });
}

async function askFirst(
  context: CliContext,
  plan: UndoPlan,
  run: RunDetail,
  options: UndoOptions,
): Promise<void> {
  const id = shortId(run.id);
  if (options.yes !== true && !canAsk(context)) {
    throw new AppError('usage', `run ${id} is not undone without a yes`, {
      remedy: `Look first: centuria run undo ${id} --plan. Then add --yes.`,
    });
  }
  const stops = hasEnded(run) ? '' : ', which stops it';
  const over = plan.conflicts && options.force === true ? ' and overwrite what others changed' : '';
  await confirm(context, `Undo run ${id}${stops}${over}?`, options);
}

async function untilUndone(context: CliContext, client: Client, id: string): Promise<RunDetail> {
  for (;;) {
    const run = await client.run(id);
    if (run.undo === 'undone' || run.undo === 'failed') return run;
    await context.clock.sleep(lookMs);
  }
}

function reportUndone(context: CliContext, run: RunDetail): void {
  const id = shortId(run.id);
  if (run.undo === 'failed') {
    throw new AppError('conflict', `not all of run ${id} could be undone`, {
      details: { run: run.id },
      remedy: `See what is left: centuria run undo ${id} --plan, and centuria run events ${id}.`,
    });
  }
  printDocument(context, run, () => `Run ${id} is undone.`);
}

/** What undoing would do, the newest effect first. */
export function renderUndo(plan: UndoPlan, colours: Colours): string {
  const { effects, conflicts } = plan;
  if (effects.length === 0) return 'It has changed nothing that Centuria knows of.';
  const marks = {
    workspace: colours.green('↶'),
    compensation: colours.cyan('↶'),
    impossible: colours.red('✗'),
    done: colours.dim('✓'),
  };
  const lines = effects.flatMap(({ task, how, summary, files = [] }) => {
    const shown = files
      .slice(0, mostFiles)
      .map(({ path, action }) =>
        action === 'conflict'
          ? `    ${colours.yellow('conflict')}  ${path}`
          : `    ${action.padEnd(8)}  ${path}`,
      );
    const rest = files.length - shown.length;
    return [
      `${marks[how]} ${task}  ${oneLine(summary)}`,
      ...shown,
      ...(rest > 0 ? [`    … ${plural(rest, 'file')} more`] : []),
    ];
  });
  return conflicts
    ? [
        ...lines,
        colours.yellow('Others have changed some of it since: --force overwrites that.'),
      ].join('\n')
    : lines.join('\n');
}
