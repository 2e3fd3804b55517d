import { Option, type Command } from 'commander';
import type { NewScheduleBody } from '../api/api.ts';
import { AppError } from '../base/base.ts';
import type { Schedule } from '../coordination/coordination.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { addExamples, collect, wholeNumber } from './flags.ts';
import { readInputs } from './inputs.ts';
import { note, printDocument, printRows } from './output.ts';
import { confirm } from './prompts.ts';
import { shortId } from './run-ids.ts';
import { renderSchedule, renderTimes, scheduleColumns } from './schedule-view.ts';
import { lengthOption, momentAfter } from './times.ts';

interface CreateOptions {
  readonly workflow: string;
  readonly cron?: string;
  readonly every?: string;
  readonly timezone?: string;
  readonly input?: readonly string[];
  readonly inputJson?: string;
  readonly missed?: Schedule['missed'];
  readonly overlap?: Schedule['overlap'];
  readonly until?: string;
  readonly priority?: number;
  readonly plan?: true;
}

const nameArgument = ['<name>', 'Its name.'] as const;
const shownFires = 20;

/** `centuria schedule`: runs that start by themselves. */
export function registerSchedule(program: Command, context: CliContext): void {
  const group = program.command('schedule').description('Start runs at times, or every so often.');
  registerCreate(group, context);
  registerReading(group, context);
  registerChanges(group, context);
}

function registerCreate(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('create')
      .description('Create a schedule. Its runs start as you, and need your rights at each time.')
      .argument('<name>', 'Lower-case letters, digits and . _ -, 100 at most.')
      .requiredOption('--workflow <workflow>', 'What it runs.')
      .option('--cron <fields>', 'Minute, hour, day of month, month and day of week; or @daily.')
      .option('--every <length>', 'Every so often from now on instead, such as 15m.')
      .option('--timezone <zone>', 'Whose clock --cron means, such as Europe/Berlin (default UTC).')
      .option('--input <name=value>', 'An input; name:=JSON for other types. May repeat.', collect)
      .option('--input-json <file>', 'Inputs as one JSON object; - reads standard input.')
      .addOption(
        new Option(
          '--missed <policy>',
          'Times more than a minute ago at which nothing was running: skip them, make up for the newest once, or for all, 100 at most (default skip).',
        ).choices(['skip', 'once', 'all']),
      )
      .addOption(
        new Option(
          '--overlap <policy>',
          'When the run before goes on: allow both, skip the time, or cancel the run (default skip).',
        ).choices(['allow', 'skip', 'cancel']),
      )
      .option('--until <time>', 'No time after that: a date, or 30d from now.')
      .option('--priority <number>', 'Of its runs, 1 to 100 (default 50).', wholeNumber(1, 100))
      .option('--plan', 'Only show its first times.'),
    [
      [
        'Every working day at six, in Berlin',
        'centuria schedule create morning --workflow repo-review --cron "0 6 * * 1-5" --timezone Europe/Berlin',
      ],
      [
        'Every quarter of an hour',
        'centuria schedule create often --workflow repo-review --every 15m',
      ],
      [
        'When would it fire',
        'centuria schedule create nightly --workflow repo-review --cron "30 2 * * *" --timezone Europe/Berlin --plan',
      ],
    ],
  ).action(async (name: string, options: CreateOptions) => {
    const client = connect(context);
    const { inputs } = await client.workflow(options.workflow);
    const body = requestOf(name, options, await readInputs(options, inputs, context), context);
    if (options.plan === true) {
      printDocument(context, await client.planSchedule(body), ({ next }) => renderTimes(next));
      return;
    }
    printDocument(context, await client.createSchedule(body), (made) =>
      [`Schedule ${name} was created. Its next times:`, renderTimes(made.next)].join('\n'),
    );
  });
}

function requestOf(
  name: string,
  options: CreateOptions,
  input: Record<string, unknown>,
  context: CliContext,
): NewScheduleBody {
  const { workflow, cron, every, timezone, missed, overlap, until, priority } = options;
  if ((cron === undefined) === (every === undefined)) {
    throw new AppError('usage', 'a schedule needs one of --cron and --every', {
      remedy: 'For instance --cron "0 6 * * 1-5", or --every 15m.',
    });
  }
  return {
    name,
    workflow,
    input,
    ...(cron === undefined ? {} : { cron }),
    ...(every === undefined ? {} : { everySeconds: lengthOption('--every', every) / 1_000 }),
    ...(timezone === undefined ? {} : { timezone }),
    ...(missed === undefined ? {} : { missed }),
    ...(overlap === undefined ? {} : { overlap }),
    ...(until === undefined ? {} : { until: momentAfter('--until', until, context.clock.nowMs()) }),
    ...(priority === undefined ? {} : { priority }),
  };
}

function registerReading(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('list')
      .description('List the schedules, with their next time and what became of the last one.')
      .option('--limit <number>', 'At most so many, 1 to 500.', wholeNumber(1, 500), 50)
      .option('--cursor <cursor>', 'Go on where an earlier list ended.'),
    [['What fails', `centuria schedule list -o jsonl | jq 'select(.lastFire.status=="failed")'`]],
  ).action(async (options: { limit: number; cursor?: string }) => {
    const { items, nextCursor } = await connect(context).schedules(options);
    printRows(context, items, {
      columns: scheduleColumns(context),
      empty:
        'No schedules. Create one: centuria schedule create morning --workflow repo-review --cron "0 6 * * *"',
      ...(nextCursor === undefined ? {} : { more: { nextCursor } }),
    });
    sayMore(context, nextCursor);
  });

  addExamples(
    group
      .command('show')
      .description('Show a schedule: its next times, and what became of the last ones and why.')
      .argument(...nameArgument)
      .option('--limit <number>', 'Last times, 1 to 500.', wholeNumber(1, 500), shownFires)
      .option('--cursor <cursor>', 'Go on where an earlier list of times ended.'),
    [['Only its runs', "centuria schedule show morning -o json | jq -r '.fires[].run'"]],
  ).action(async (name: string, options: { limit: number; cursor?: string }) => {
    const client = connect(context);
    const schedule = await client.schedule(name);
    const { items, nextCursor } = await client.scheduleFires(name, options);
    const shown = {
      ...schedule,
      fires: items,
      ...(nextCursor === undefined ? {} : { nextCursor }),
    };
    printDocument(context, shown, () => renderSchedule(schedule, items, context));
    sayMore(context, nextCursor);
  });
}

function registerChanges(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('pause')
      .description('Let it fire no more; times in between do not count as missed.')
      .argument(...nameArgument),
    [['For now', 'centuria schedule pause morning']],
  ).action(async (name: string) => {
    printDocument(
      context,
      await connect(context).pauseSchedule(name),
      () => `Schedule ${name} is paused. It goes on with: centuria schedule resume ${name}`,
    );
  });

  addExamples(
    group
      .command('resume')
      .description('Let it fire again, from its next time on.')
      .argument(...nameArgument),
    [['Again', 'centuria schedule resume morning']],
  ).action(async (name: string) => {
    printDocument(context, await connect(context).resumeSchedule(name), ({ state, next }) =>
      state === 'active'
        ? [`Schedule ${name} goes on. Its next times:`, renderTimes(next)].join('\n')
        : `Schedule ${name} is ${state}: it has no time to come.`,
    );
  });

  addExamples(
    group
      .command('run-now')
      .description('Start a run of it now, as you, paused or not.')
      .argument(...nameArgument),
    [['And wait for it', 'centuria schedule run-now morning && centuria run wait latest']],
  ).action(async (name: string) => {
    const fire = await connect(context).runSchedule(name);
    if (fire.status === 'failed') {
      const { code = 'run_failed', remedy } = fire.error ?? {};
      const message = fire.reason ?? 'the run was not started';
      throw new AppError(code, message, remedy === undefined ? {} : { remedy });
    }
    printDocument(context, fire, ({ run, reason }) =>
      run === undefined
        ? `Schedule ${name} is about to start a run: ${reason ?? 'it waits for its turn'}.`
        : `Run ${run} was started.\nWatch it: centuria run wait ${shortId(run)}`,
    );
  });

  addExamples(
    group
      .command('delete')
      .description('Delete a schedule; the runs that it has started stay, and go on.')
      .argument(...nameArgument)
      .option('-y, --yes', 'Do not ask.'),
    [['Without being asked', 'centuria schedule delete morning --yes']],
  ).action(async (name: string, options: { yes?: boolean }) => {
    const client = connect(context);
    const { workflow } = await client.schedule(name);
    await confirm(context, `Delete schedule ${name} of ${workflow}?`, options);
    await client.deleteSchedule(name);
    printDocument(context, { name, deleted: true }, () => `Schedule ${name} was deleted.`);
  });
}

function sayMore(context: CliContext, nextCursor: string | undefined): void {
  if (nextCursor !== undefined && context.format !== 'json') {
    note(context, `There are more: --cursor ${nextCursor}`);
  }
}
