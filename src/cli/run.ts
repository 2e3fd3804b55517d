import { readFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import { AppError } from '../base/base.ts';
import type { RunDetail, RunEvent, RunStatus } from '../coordination/coordination.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { addExamples, wholeNumber } from './flags.ts';
import { registerFailures, registerPrune } from './failures.ts';
import { note, printDocument, printRows } from './output.ts';
import { hasEnded } from './progress.ts';
import { asReview } from './review-report.ts';
import { registerAnswers } from './run-answer.ts';
import { registerChanges } from './run-change.ts';
import { resolveRunId, runArgument, shortId } from './run-ids.ts';
import { registerRunStart } from './run-start.ts';
import { describeRecorded, renderRun, runColumns } from './run-view.ts';
import { registerUndo } from './run-undo.ts';
import { waitForRun, watchRun } from './run-wait.ts';
import { lengthOption } from './times.ts';

const statuses: readonly RunStatus[] = [
  'created',
  'queued',
  'running',
  'paused',
  'waiting',
  'completed',
  'failed',
  'cancelled',
  'recovering',
];

/** `centuria run`: start runs of workflows, follow them and look back at them. */
export function registerRun(program: Command, context: CliContext): void {
  const group = program.command('run').description('Start runs of workflows and follow them.');
  registerRunStart(group, context);
  registerList(group, context);
  registerShow(group, context);
  registerEvents(group, context);
  registerWait(group, context);
  registerWatch(group, context);
  registerReport(group, context);
  registerChanges(group, context);
  registerAnswers(group, context);
  registerUndo(group, context);
  registerFailures(group, context);
  registerPrune(group, context);
}

function registerList(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('list')
      .description('List runs, newest first.')
      .addOption(new Option('--status <status>', 'Only runs in this state.').choices(statuses))
      .option('--workflow <workflow>', 'Only runs of this workflow.')
      .option('--limit <number>', 'At most so many, 1 to 500.', wholeNumber(1, 500), 50)
      .option('--cursor <cursor>', 'Go on where an earlier list ended.'),
    [
      ['What failed', 'centuria run list --status failed'],
      ['All ids, for a script', 'centuria run list -o jsonl | jq -r .id'],
    ],
  ).action(
    async (options: { status?: RunStatus; workflow?: string; limit: number; cursor?: string }) => {
      const client = connect(context);
      const { items, nextCursor } = await client.runs(options);
      printRows(context, items, {
        columns: runColumns(context),
        empty: 'No runs. Start one: centuria run start repo-review',
        ...(nextCursor === undefined ? {} : { more: { nextCursor } }),
      });
      if (nextCursor !== undefined && context.format !== 'json') {
        note(context, `There are more: --cursor ${nextCursor}`);
      }
    },
  );
}

function registerShow(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('show')
      .description('Show a run with its tasks, errors and figures.')
      .argument('<run>', runArgument),
    [
      ['The newest run', 'centuria run show latest'],
      ['What a run gave back', 'centuria run show latest -o json | jq .output'],
    ],
  ).action(async (text: string) => {
    const client = connect(context);
    const run = await client.run(await resolveRunId(text, client.runs));
    const { items: calls } = await client.runCalls(run.id);
    const shown = calls.length === 0 ? run : { ...run, calls };
    printDocument(context, shown, () => renderRun(run, context, calls));
  });
}

function registerEvents(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('events')
      .description('Print the events of a run, the facts that all else is read from.')
      .argument('<run>', runArgument)
      .option('-f, --follow', 'Go on until the run has ended.')
      .option(
        '--after <number>',
        'Only events after this number.',
        wholeNumber(0, Number.MAX_SAFE_INTEGER),
        0,
      ),
    [
      ['Watch a run', 'centuria run events latest -f'],
      ['One JSON line an event', 'centuria run events latest -o jsonl'],
    ],
  ).action(async (text: string, options: { follow?: true; after: number }) => {
    if (options.follow === true && context.format === 'json') {
      throw new AppError('usage', 'one JSON document can not be followed', {
        remedy: 'Use -o jsonl with --follow.',
      });
    }
    const client = connect(context);
    const id = await resolveRunId(text, client.runs);
    const stream =
      options.follow === true
        ? client.follow(id, { after: options.after })
        : allEvents(async (after) => (await client.events(id, { after })).items, options.after);
    if (context.format === 'json') {
      const items: RunEvent[] = [];
      for await (const event of stream) items.push(event);
      printDocument(context, { items }, () => '');
      return;
    }
    for await (const event of stream) {
      const line = context.format === 'jsonl' ? JSON.stringify(event) : describeRecorded(event);
      context.stdout.write(`${line}\n`);
    }
  });
}

async function* allEvents(
  page: (after: number) => Promise<readonly RunEvent[]>,
  from: number,
): AsyncIterable<RunEvent> {
  for (let after = from; ;) {
    const events = await page(after);
    yield* events;
    const last = events.at(-1);
    if (last === undefined) return;
    after = last.seq;
  }
}

function registerWait(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('wait')
      .description('Wait for the end of a run, with its progress. Exits 1 unless it completed.')
      .argument('<run>', runArgument)
      .option('--timeout <length>', 'Give up after so long (90s, 15m, 2h); the run goes on.'),
    [
      ['Then do something', 'centuria run wait latest && echo done'],
      ['Not for ever', 'centuria run wait latest --timeout 10m'],
    ],
  ).action(async (text: string, { timeout }: { timeout?: string }) => {
    const timeoutMs = timeout === undefined ? undefined : lengthOption('--timeout', timeout);
    const client = connect(context);
    const id = await resolveRunId(text, client.runs);
    await waitForRun(context, client, await client.run(id), timeoutMs);
  });
}

function registerWatch(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('watch')
      .description('Watch a run until it has ended; answer what it asks with a key.')
      .argument('<run>', runArgument),
    [['The newest run', 'centuria run watch latest']],
  ).action(async (text: string) => {
    const client = connect(context);
    const run = await client.run(await resolveRunId(text, client.runs));
    // What has ended stands still: the picture is the same as that of show.
    const ended = hasEnded(run) ? run : await watchRun(context, client, run);
    if (ended === run || context.format !== 'table') {
      printDocument(context, ended, (detail) => renderRun(detail, context));
    }
  });
}

function registerReport(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('report')
      .description('Print the report that a run has written, as Markdown.')
      .argument('<run>', runArgument),
    [['Read it in pages', 'centuria run report latest | less']],
  ).action(async (text: string) => {
    const client = connect(context);
    const run = await client.run(await resolveRunId(text, client.runs));
    const report = await readReport(run);
    printDocument(context, { run: run.id, ...report }, ({ markdown }) => markdown);
  });
}

async function readReport(run: RunDetail): Promise<{ path: string; markdown: string }> {
  const review = asReview(run.output);
  if (review === undefined) {
    const why = run.status === 'completed' ? 'its workflow writes none' : `it is ${run.status}`;
    throw new AppError('not_found', `run ${shortId(run.id)} has no report: ${why}`, {
      remedy: `See centuria run show ${shortId(run.id)}.`,
    });
  }
  const path = review.reportMarkdown;
  try {
    return { path, markdown: await readFile(path, 'utf8') };
  } catch (cause) {
    throw new AppError('not_found', `the report ${path} can not be read`, {
      remedy: 'It may have been deleted, or the server runs on another machine.',
      cause,
    });
  }
}
