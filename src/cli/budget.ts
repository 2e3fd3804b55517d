import { Option, type Command } from 'commander';
import type { Budget, BudgetChangeRequest, BudgetUsePage } from '../api/api.ts';
import { AppError } from '../base/base.ts';
import {
  concurrencyLimit,
  shortCount,
  shortUsd,
  timeLimit,
  tokenLimit,
  usdLimit,
  type GivenLimit,
} from './amounts.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { renderFacts } from './facts.ts';
import { addExamples, wholeNumber } from './flags.ts';
import { formatAge, formatDuration, note, plural, printDocument, printRows } from './output.ts';
import { confirm } from './prompts.ts';

const budgetArgument = ['<budget>', 'Its name.'] as const;
const periods: readonly Budget['period'][] = ['day', 'week', 'month', 'forever'];
const kinds = ['run', 'agent', 'period'] as const;

interface PageOptions {
  readonly limit: number;
  readonly cursor?: string;
}

/** `centuria budget`: what runs may use together. */
export function registerBudget(program: Command, context: CliContext): void {
  const group = program
    .command('budget')
    .description('Administer budgets that runs share: money, tokens, time, calls at once.');
  registerSet(group, context);
  registerReading(group, context);
  registerHistory(group, context);
  registerDelete(group, context);
}

interface SetOptions {
  readonly usd?: GivenLimit;
  readonly tokens?: GivenLimit;
  readonly seconds?: GivenLimit;
  readonly concurrency?: GivenLimit;
  readonly per?: Budget['period'];
}

function registerSet(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('set')
      .description('Make a budget, or change the limits that are given; the others stay.')
      .argument('<budget>', 'Lower-case letters, digits and . _ -, 63 at most.')
      .option('--usd <amount>', 'US dollars, as in 50 or 12.75; none: no limit.', usdLimit)
      .option('--tokens <number>', 'Tokens, as in 500k or 2M; none: no limit.', tokenLimit)
      .option('--seconds <time>', 'Time of calls: seconds, or 10h; none: no limit.', timeLimit)
      .option('--concurrency <number>', 'Calls at once; none: no limit.', concurrencyLimit)
      .addOption(
        new Option(
          '--per <period>',
          'What the limits are for, by UTC; a new budget is for ever unless given.',
        ).choices(periods),
      ),
    [
      ['Money and tokens by month', 'centuria budget set team-a --usd 50 --tokens 2M --per month'],
      ['No more than eight calls at once', 'centuria budget set team-a --concurrency 8'],
      ['No limit of time any more', 'centuria budget set team-a --seconds none'],
    ],
  ).action(async (name: string, options: SetOptions) => {
    const { usd, tokens, seconds, concurrency, per } = options;
    const given = { microUsd: usd, tokens, ms: seconds, concurrency };
    const limits = Object.fromEntries(
      Object.entries(given)
        .filter(([, limit]) => limit !== undefined)
        .map(([kind, limit]) => [kind, limit === 'none' ? null : limit]),
    ) as NonNullable<BudgetChangeRequest['limits']>;
    if (per === undefined && Object.keys(limits).length === 0) {
      throw new AppError('usage', 'nothing is to be set', {
        remedy: 'Give --usd, --tokens, --seconds, --concurrency or --per.',
      });
    }
    const budget = await connect(context).setBudget(name, {
      limits,
      ...(per === undefined ? {} : { period: per }),
    });
    printDocument(context, budget, () => `Budget ${name}: ${limitsOf(budget)}.`);
  });
}

function registerReading(group: Command, context: CliContext): void {
  addExamples(
    addPage(group.command('list').description('List the budgets, with what is used of each.')),
    [['Those that are used up', `centuria budget list -o jsonl | jq 'select(.reached != [])'`]],
  ).action(async (options: PageOptions) => {
    const { items, nextCursor } = await connect(context).budgets(options);
    const { red } = context.stdout.colours;
    printRows(context, items, {
      columns: [
        {
          title: 'BUDGET',
          cell: ({ name }) => name,
          cut: true,
          style: (text, { reached }) => (reached.length > 0 ? red(text) : text),
        },
        { title: 'PER', cell: ({ period }) => period },
        { title: 'MONEY', cell: (row) => takenOf(row, 'microUsd'), align: 'right' },
        { title: 'TOKENS', cell: (row) => takenOf(row, 'tokens'), align: 'right' },
        { title: 'TIME', cell: (row) => takenOf(row, 'ms'), align: 'right' },
        { title: 'CALLS', cell: callsOf, align: 'right' },
      ],
      empty: 'No budgets. Make one: centuria budget set team-a --usd 50 --per month',
      ...(nextCursor === undefined ? {} : { more: { nextCursor } }),
    });
    tellOfMore(context, nextCursor);
  });

  addExamples(
    group
      .command('show')
      .description('Show a budget: what is used, set aside and left of it.')
      .argument(...budgetArgument),
    [['What is left', 'centuria budget show team-a']],
  ).action(async (name: string) => {
    printDocument(context, await connect(context).budget(name), (budget) =>
      renderBudget(budget, context),
    );
  });
}

function registerHistory(group: Command, context: CliContext): void {
  addExamples(
    addPage(
      group
        .command('history')
        .description('Show who used how much in this period, or how much was used in each.')
        .argument(...budgetArgument)
        .addOption(
          new Option('--by <kind>', 'A line for each of these.').choices(kinds).default('run'),
        ),
    ),
    [
      ['Which agent is dear', 'centuria budget history team-a --by agent'],
      ['Month by month', 'centuria budget history team-a --by period'],
    ],
  ).action(async (name: string, options: PageOptions & { by: (typeof kinds)[number] }) => {
    const { items, nextCursor } = await connect(context).budgetUse(name, options);
    const nowMs = context.clock.nowMs();
    printRows<BudgetUsePage['items'][number]>(context, items, {
      columns: [
        { title: options.by.toUpperCase(), cell: ({ key }) => key },
        { title: 'MONEY', cell: (row) => shortUsd(row.microUsd), align: 'right' },
        { title: 'TOKENS', cell: (row) => shortCount(row.tokens), align: 'right' },
        { title: 'TIME', cell: (row) => formatDuration(row.ms), align: 'right' },
        { title: 'CALLS', cell: ({ calls }) => String(calls), align: 'right' },
        // A figure beside which nothing is said is taken to be all there was.
        { title: 'NOT ALL KNOWN', cell: (row) => String(row.unknownCalls), align: 'right' },
        { title: 'LAST', cell: (row) => formatAge(row.lastAt, nowMs) },
      ],
      empty: `Nothing was used of budget ${name} in this period.`,
      ...(nextCursor === undefined ? {} : { more: { nextCursor } }),
    });
    tellOfMore(context, nextCursor);
  });
}

function registerDelete(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('delete')
      .description('Delete a budget and its history; what names it can not start any more.')
      .argument(...budgetArgument)
      .option('-y, --yes', 'Do not ask.'),
    [['Without being asked', 'centuria budget delete team-a --yes']],
  ).action(async (name: string, options: { yes?: boolean }) => {
    const client = connect(context);
    const { running } = await client.budget(name);
    const question = `Delete budget ${name} and its history? ${plural(running, 'call')} under way.`;
    await confirm(context, question, options);
    await client.deleteBudget(name);
    printDocument(context, { name, deleted: true }, () => `Budget ${name} was deleted.`);
  });
}

function addPage(command: Command): Command {
  return command
    .option('--limit <number>', 'At most so many, 1 to 500.', wholeNumber(1, 500), 50)
    .option('--cursor <cursor>', 'Go on where an earlier list ended.');
}

function tellOfMore(context: CliContext, nextCursor: string | undefined): void {
  if (nextCursor === undefined || context.format === 'json') return;
  note(context, `There are more: --cursor ${nextCursor}`);
}

type Kind = keyof Budget['spent'];
const format: Readonly<Record<Kind, (amount: number) => string>> = {
  microUsd: shortUsd,
  tokens: shortCount,
  ms: formatDuration,
};

/** What is used and set aside, of what there is: `$1.20 / $50.00`. */
function takenOf({ limits, spent, reserved }: Budget, kind: Kind): string {
  const taken = format[kind](spent[kind] + reserved[kind]);
  const limit = limits[kind];
  return limit === undefined ? taken : `${taken} / ${format[kind](limit)}`;
}

function callsOf({ limits, running }: Budget): string {
  return limits.concurrency === undefined ? String(running) : `${running} / ${limits.concurrency}`;
}

function limitsOf({ limits, period }: Budget): string {
  const { microUsd, tokens, ms, concurrency } = limits;
  const texts = [
    ...(microUsd === undefined ? [] : [shortUsd(microUsd)]),
    ...(tokens === undefined ? [] : [`${shortCount(tokens)} tokens`]),
    ...(ms === undefined ? [] : [`${formatDuration(ms)} of calls`]),
  ];
  const amounts =
    texts.length === 0
      ? []
      : [`${texts.join(', ')} ${period === 'forever' ? 'for ever' : `a ${period}`}`];
  return [
    ...amounts,
    ...(concurrency === undefined ? [] : [`${plural(concurrency, 'call')} at once`]),
  ].join(', ');
}

function renderBudget(budget: Budget, context: CliContext): string {
  const { limits, spent, reserved, periodStart, periodEnd } = budget;
  const line = (kind: Kind): string => {
    const limit = limits[kind];
    const used = `${format[kind](spent[kind])} used, ${format[kind](reserved[kind])} set aside`;
    if (limit === undefined) return `${used}, no limit`;
    const left = limit - spent[kind] - reserved[kind];
    const rest = left < 0 ? `${format[kind](-left)} too much` : `${format[kind](left)} left`;
    return `${used}, ${rest} of ${format[kind](limit)}`;
  };
  return renderFacts(context, [
    ['Budget', budget.name],
    [
      'Period',
      periodStart === undefined ? 'for ever' : `${budget.period}, ${periodStart} to ${periodEnd}`,
    ],
    ['Money', line('microUsd')],
    ['Tokens', line('tokens')],
    ['Time', line('ms')],
    ['Calls under way', callsOf(budget)],
    ['Reached', budget.reached.join(', ') || 'no limit'],
    [
      'Set',
      `${budget.updatedAt}${budget.updatedBy === undefined ? '' : ` by ${budget.updatedBy}`}`,
    ],
  ]);
}
