import type { Command } from 'commander';
import { AppError } from '../base/base.ts';
import type { Client } from '../client/client.ts';
import type { FailureGroup, PruneReport } from '../coordination/coordination.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { renderFacts } from './facts.ts';
import { addExamples, wholeNumber } from './flags.ts';
import {
  formatAge,
  formatBytes,
  note,
  oneLine,
  plural,
  printDocument,
  printRows,
  renderTable,
} from './output.ts';
import { confirm } from './prompts.ts';
import { shortId } from './run-ids.ts';
import { runColumns } from './run-view.ts';
import { lengthOption } from './times.ts';

const fingerprintArgument = [
  '<fingerprint>',
  'Of the failure, or its first characters, as centuria run failures list shows it.',
] as const;
const dayMs = 86_400_000;

/** `centuria run failures`: what failed, by how it failed. */
export function registerFailures(runs: Command, context: CliContext): void {
  const group = runs.command('failures').description('What failed, grouped by how it failed.');
  registerReading(group, context);
  registerChanges(group, context);
}

function registerReading(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('list')
      .description('List the kinds of failures, the latest first.')
      .option('--dismissed', 'Those that were dismissed as well.')
      .option('--limit <number>', 'At most so many, 1 to 500.', wholeNumber(1, 500), 50)
      .option('--cursor <cursor>', 'Go on where an earlier list ended.'),
    [['The most frequent', "centuria run failures list -o json | jq '.items|max_by(.count)'"]],
  ).action(async (options: { dismissed?: true; limit: number; cursor?: string }) => {
    const { items, nextCursor } = await connect(context).failures(options);
    const nowMs = context.clock.nowMs();
    printRows(context, items, {
      columns: [
        { title: 'FAILURE', cell: ({ fingerprint }) => fingerprint },
        { title: 'RUNS', cell: countOf, align: 'right' },
        { title: 'LAST', cell: ({ lastAt }) => formatAge(lastAt, nowMs) },
        { title: 'FIRST', cell: ({ firstAt }) => formatAge(firstAt, nowMs) },
        { title: 'WORKFLOWS', cell: ({ workflows }) => workflows.join(', '), cut: true },
        { title: 'CODE', cell: ({ error }) => error.code },
        { title: 'MESSAGE', cell: ({ error }) => error.message, cut: true },
      ],
      empty: 'Nothing has failed that was not dismissed.',
      ...(nextCursor === undefined ? {} : { more: { nextCursor } }),
    });
    sayMore(context, nextCursor);
  });

  addExamples(
    group
      .command('show')
      .description('Show one kind of failure with its runs.')
      .argument(...fingerprintArgument)
      .option('--workflow <workflow>', 'Only runs of this workflow.')
      .option('--limit <number>', 'At most so many runs, 1 to 500.', wholeNumber(1, 500), 20)
      .option('--cursor <cursor>', 'Go on where an earlier list of runs ended.'),
    [['Ids for a script', "centuria run failures show 3f2a -o json | jq -r '.runs[].id'"]],
  ).action(async (text: string, options: { workflow?: string; limit: number; cursor?: string }) => {
    const client = connect(context);
    const failure = await client.failure(await resolveFingerprint(text, client));
    const { items, nextCursor } = await client.failureRuns(failure.fingerprint, options);
    const shown = { ...failure, runs: items, ...(nextCursor === undefined ? {} : { nextCursor }) };
    printDocument(context, shown, () =>
      [
        renderGroup(failure, context),
        '',
        renderTable(items, runColumns(context), context.stdout.columns).trimEnd(),
      ].join('\n'),
    );
    sayMore(context, nextCursor);
  });
}

function registerChanges(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('retry')
      .description('Try the runs that failed so again, the newest 500 at most.')
      .argument(...fingerprintArgument)
      .option('--workflow <workflow>', 'Only runs of this workflow.'),
    [['Once the cause is mended', 'centuria run failures retry 3f2a']],
  ).action(async (text: string, options: { workflow?: string }) => {
    const client = connect(context);
    const fingerprint = await resolveFingerprint(text, client);
    const result = await client.retryFailures(fingerprint, options);
    printDocument(context, result, ({ retried, refused, isMore }) =>
      [
        `${plural(retried.length, 'run')} will be tried again.`,
        ...refused.map(
          ({ run, error }) => `  ${shortId(run)} was refused: ${oneLine(error.message)}`,
        ),
        ...(isMore ? ['There are more: give the same command again.'] : []),
      ].join('\n'),
    );
    if (result.refused.length > 0 && result.retried.length === 0) {
      throw new AppError('conflict', 'none of the runs could be tried again');
    }
  });

  addExamples(
    group
      .command('dismiss')
      .description('Show it no more until it happens again.')
      .argument(...fingerprintArgument),
    [['Seen to', 'centuria run failures dismiss 3f2a']],
  ).action(async (text: string) => {
    const client = connect(context);
    const failure = await client.dismissFailure(await resolveFingerprint(text, client));
    printDocument(
      context,
      failure,
      () => `Failure ${failure.fingerprint} is not shown any more until it happens again.`,
    );
  });
}

/** `centuria run prune`: forget old runs. */
export function registerPrune(runs: Command, context: CliContext): void {
  addExamples(
    runs
      .command('prune')
      .description('Forget runs that have ended and began long ago, by whole months.')
      .requiredOption('--older-than <length>', 'Days or weeks, such as 90d.')
      .option('--plan', 'Only show what would go, and what keeps the rest.')
      .option('-y, --yes', 'Do not ask.'),
    [
      ['What would go', 'centuria run prune --older-than 90d --plan'],
      ['Every day by itself', 'CENTURIA_RUN_KEEP_DAYS=90 centuria up'],
    ],
  ).action(async (options: { olderThan: string; plan?: true; yes?: boolean }) => {
    const days = lengthOption('--older-than', options.olderThan) / dayMs;
    if (!Number.isInteger(days)) {
      throw new AppError('usage', `--older-than ${options.olderThan} is no number of whole days`, {
        remedy: 'Write 90d or 12w.',
      });
    }
    const client = connect(context);
    const plan = await client.pruneRuns(days, true);
    if (options.plan === true) {
      printDocument(context, plan, (report) => renderPrune(report, context));
      return;
    }
    const going = goingRuns(plan);
    await confirm(context, `Forget ${plural(going, 'run')} from before ${plan.before}?`, options);
    printDocument(context, await client.pruneRuns(days, false), (report) =>
      renderPrune(report, context),
    );
  });
}

function goingRuns({ months, strays }: PruneReport): number {
  const going = months.filter(({ keptBecause }) => keptBecause === undefined);
  return going.reduce((sum, { runs }) => sum + runs, strays.runs);
}

function renderPrune(report: PruneReport, context: CliContext): string {
  const { months, strays, planned, before, keys, definitions } = report;
  const would = planned ? 'would go' : 'went';
  const rows = months.map((month) => ({ ...month, fate: month.keptBecause ?? would }));
  const table =
    rows.length === 0
      ? 'No month lies wholly before that.'
      : renderTable(
          rows,
          [
            { title: 'MONTH', cell: ({ month }) => month },
            { title: 'RUNS', cell: ({ runs }) => String(runs), align: 'right' },
            { title: 'BYTES', cell: ({ bytes }) => formatBytes(bytes), align: 'right' },
            { title: 'FATE', cell: ({ fate }) => fate },
            { title: 'KEPT BY', cell: ({ keptBy = [] }) => keptBy.map(shortId).join(', ') },
          ],
          context.stdout.columns,
          context.stdout.colours.bold,
        ).trimEnd();
  const others = [
    ...(strays.runs === 0 ? [] : [`${plural(strays.runs, 'run')} outside of months ${would}.`]),
    ...(strays.keptOpen === 0
      ? []
      : [`${plural(strays.keptOpen, 'open run')} outside of months stay.`]),
    ...(planned || keys + definitions === 0
      ? []
      : [
          `${plural(keys, 'idempotency key')} and ${plural(definitions, 'definition')} went with them.`,
        ]),
  ];
  const total = `${plural(goingRuns(report), 'run')} from before ${before} ${would}.`;
  return [table, ...others, total].join('\n');
}

/** A whole fingerprint, or the one of the newest 500 that begins so. */
async function resolveFingerprint(text: string, client: Client): Promise<string> {
  const wanted = text.toLowerCase();
  if (wanted.length >= 16 || wanted === '') return wanted;
  const { items } = await client.failures({ dismissed: true, limit: 500 });
  const found = items.filter(({ fingerprint }) => fingerprint.startsWith(wanted));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only.fingerprint;
  if (only === undefined) {
    throw new AppError('not_found', `no failure begins with ${text}`, {
      remedy: 'centuria run failures list --dismissed shows them.',
    });
  }
  throw new AppError('conflict', `${found.length} failures begin with ${text}`, {
    remedy: `Give more of it: ${found.map(({ fingerprint }) => fingerprint).join(', ')}.`,
  });
}

function renderGroup(group: FailureGroup, context: CliContext): string {
  const { fingerprint, workflows, firstAt, lastAt, error } = group;
  return renderFacts(context, [
    ['Failure', fingerprint],
    ['Code', error.code],
    ['Message', oneLine(error.message)],
    ...(error.remedy === undefined ? [] : [['Remedy', oneLine(error.remedy)] as const]),
    ['Runs', countOf(group)],
    ['Workflows', workflows.join(', ')],
    ['First', firstAt],
    ['Last', lastAt],
    ...(group.dismissedAt === undefined
      ? []
      : [['Dismissed', `${group.dismissedAt} by ${group.dismissedBy ?? 'nobody known'}`] as const]),
  ]);
}

function countOf({ count, isMore }: FailureGroup): string {
  return isMore ? `${count}+` : String(count);
}

function sayMore(context: CliContext, nextCursor: string | undefined): void {
  if (nextCursor !== undefined && context.format !== 'json') {
    note(context, `There are more: --cursor ${nextCursor}`);
  }
}
