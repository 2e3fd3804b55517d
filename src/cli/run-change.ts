import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import type { Command } from 'commander';
import { AppError } from '../base/base.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { addExamples, collect } from './flags.ts';
import { parseInputs } from './inputs.ts';
import { printDocument } from './output.ts';
import { resolveRunId, runArgument, shortId } from './run-ids.ts';
import { inputSpecs } from './run-start.ts';
import { waitForRun } from './run-wait.ts';

/** `centuria run pause|resume|cancel|retry|fork|signal`. */
export function registerChanges(group: Command, context: CliContext): void {
  registerHold(group, context);
  registerCancel(group, context);
  registerRetry(group, context);
  registerFork(group, context);
  registerSignal(group, context);
}

function registerHold(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('pause')
      .description('Start nothing new in a run until it is resumed; attempts under way go on.')
      .argument('<run>', runArgument)
      .option('--reason <text>', 'Why, for the record.', 'paused by hand'),
    [['The newest run', 'centuria run pause latest --reason "waiting for the fix"']],
  ).action(async (text: string, { reason }: { reason: string }) => {
    const client = connect(context);
    const id = await resolveRunId(text, client.runs);
    const run = await client.pauseRun(id, reason);
    printDocument(
      context,
      run,
      () => `Run ${shortId(id)} starts nothing new. Go on: centuria run resume ${shortId(id)}`,
    );
  });

  addExamples(
    group.command('resume').description('Let a paused run go on.').argument('<run>', runArgument),
    [['The newest run', 'centuria run resume latest']],
  ).action(async (text: string) => {
    const client = connect(context);
    const id = await resolveRunId(text, client.runs);
    const run = await client.resumeRun(id);
    printDocument(context, run, () => `Run ${shortId(id)} goes on.`);
  });
}

function registerCancel(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('cancel')
      .description('Ask a run to stop; what is under way is ended.')
      .argument('<run>', runArgument)
      .option('--reason <text>', 'Why, for the record.', 'cancelled by hand'),
    [['The newest run', 'centuria run cancel latest --reason "wrong branch"']],
  ).action(async (text: string, { reason }: { reason: string }) => {
    const client = connect(context);
    const id = await resolveRunId(text, client.runs);
    const run = await client.cancelRun(id, reason);
    printDocument(context, run, () => `Run ${shortId(id)} was asked to stop.`);
  });
}

function registerRetry(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('retry')
      .description('Try what failed, was cancelled or skipped again; what completed is kept.')
      .argument('<run>', runArgument)
      .option('--from <task>', 'Do this task again, and all that stands on it, completed or not.')
      .option('--wait', 'Show the run until it has ended; exit 1 unless it completed.'),
    [
      ['And watch it', 'centuria run retry latest --wait'],
      ['From a task on', 'centuria run retry latest --from report'],
    ],
  ).action(async (text: string, { from, wait }: { from?: string; wait?: true }) => {
    const client = connect(context);
    const id = await resolveRunId(text, client.runs);
    const run = await client.retryRun(id, from);
    if (wait === true) await waitForRun(context, client, await client.run(id));
    else printDocument(context, run, () => `Run ${shortId(id)} goes on.`);
  });
}

function registerFork(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('fork')
      .description('Start a new run that keeps the results of what does not stand on a task.')
      .argument('<run>', runArgument)
      .requiredOption('--from <task>', 'The first task that is done anew.')
      .option('--input <name=value>', 'Replaces an input; name:=JSON. May repeat.', collect)
      .option('--wait', 'Show the new run until it has ended; exit 1 unless it completed.'),
    [
      [
        'Another title for the same findings',
        'centuria run fork latest --from report --input title=Draft',
      ],
    ],
  ).action(
    async (text: string, options: { from: string; input?: readonly string[]; wait?: true }) => {
      const client = connect(context);
      const id = await resolveRunId(text, client.runs);
      const { workflow } = await client.run(id);
      const input = parseInputs(
        options.input ?? [],
        await inputSpecs(client, workflow),
        context.cwd,
      );
      const run = await client.forkRun(id, { from: options.from, input });
      if (options.wait === true) {
        await waitForRun(context, client, await client.run(run.id));
        return;
      }
      printDocument(
        context,
        run,
        () =>
          `Run ${run.id} was forked from ${shortId(id)} at ${options.from}.\nWatch it: centuria run watch ${shortId(run.id)}`,
      );
    },
  );
}

function registerSignal(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('signal')
      .description('Give a signal to a task that waits, or will wait, for one of that name.')
      .argument('<run>', runArgument)
      .argument('<name>', 'The name of the signal.')
      .option('--data <json>', 'What comes with it: JSON, @file, or @- for standard input.'),
    [
      ['Let it go on', 'centuria run signal latest go'],
      ['With data', 'centuria run signal latest deployed --data \'{"version":"1.2.0"}\''],
    ],
  ).action(async (text: string, name: string, options: { data?: string }) => {
    const data = options.data === undefined ? null : await readData(options.data, context);
    const client = connect(context);
    const id = await resolveRunId(text, client.runs);
    const run = await client.signalRun(id, { name, data });
    printDocument(context, run, () => `Run ${shortId(id)} was given the signal ${name}.`);
  });
}

/** JSON from the command line, a file or standard input. Throws `invalid_input`. */
async function readData(
  given: string,
  context: Pick<CliContext, 'cwd' | 'stdin'>,
): Promise<unknown> {
  const source = given.startsWith('@') ? given.slice(1) : undefined;
  let text = given;
  try {
    if (source === '-') text = await readAll(context.stdin);
    else if (source !== undefined) text = readFileSync(resolve(context.cwd, source), 'utf8');
  } catch (cause) {
    throw new AppError('invalid_input', `--data ${given} can not be read`, { cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError('invalid_input', `--data: ${(cause as Error).message}`, {
      cause,
      remedy: 'It is JSON: a text needs quotes of its own, as in --data \'"yes"\'.',
    });
  }
}
