import type { Command } from 'commander';
import type {
  AgentPerformanceDetail,
  AgentPerformancePage,
  CombinationPage,
  InsightPage,
  PolicyPage,
  TaskTypePage,
} from '../api/api.ts';
import { AppError } from '../base/base.ts';
import type { Client } from '../client/client.ts';
import { shortUsd } from './amounts.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { renderFacts } from './facts.ts';
import { addExamples, wholeNumber } from './flags.ts';
import { percent } from './learn-recommend.ts';
import {
  formatAge,
  formatDuration,
  note,
  oneLine,
  plural,
  printDocument,
  printRows,
  type Column,
} from './output.ts';

const views = ['types', 'combinations', 'insights', 'policies'] as const;
type View = (typeof views)[number];

interface PageOptions {
  readonly limit: number;
  readonly cursor?: string;
}
type StatsOptions = PageOptions & { readonly [view in View]?: true };

/** `centuria learn stats`. */
export function registerStats(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('stats')
      .description('Show what came of attempts: by agent, by type of task, by combination.')
      .argument('[agent]', 'Only this one, with what was found out about it.')
      .option('--types', 'By type of task, with who does them best.')
      .option('--combinations', 'Agents that worked together.')
      .option('--insights', 'What was found out.')
      .option('--policies', 'What choices are made by, and why.')
      .option('--limit <number>', 'At most so many, 1 to 500.', wholeNumber(1, 500), 50)
      .option('--cursor <cursor>', 'Go on where an earlier list ended.'),
    [
      ['Who fails too often', `centuria learn stats -o jsonl | jq 'select(.alerts != [])'`],
      ['Who is best at what', 'centuria learn stats --types'],
      ['One agent', 'centuria learn stats lint-scan'],
    ],
  ).action(async (agent: string | undefined, options: StatsOptions) => {
    const asked = views.filter((view) => options[view] === true);
    if (asked.length + (agent === undefined ? 0 : 1) > 1) {
      throw new AppError('usage', 'only one of an agent and the options can be shown at once', {
        remedy: `Leave out ${asked
          .slice(agent === undefined ? 1 : 0)
          .map((view) => `--${view}`)
          .join(', ')}.`,
      });
    }
    const client = connect(context);
    const nowMs = context.clock.nowMs();
    if (agent !== undefined) {
      printDocument(context, await client.agentPerformance(agent), (found) =>
        renderAgent(found, context, nowMs),
      );
      return;
    }
    const { limit, cursor } = options;
    const page = { limit, ...(cursor === undefined ? {} : { cursor }) };
    await shows[asked[0] ?? 'agents'](context, client, page);
  });
}

type Show = (context: CliContext, client: Client, page: PageOptions) => Promise<void>;

const shows: Readonly<Record<View | 'agents', Show>> = {
  agents: async (context, client, page) =>
    printPage(context, await client.agentPerformances(page), {
      columns: agentColumns(context, context.clock.nowMs()),
      empty: 'No attempt has ended yet. Start one: centuria run start repo-review',
    }),
  types: async (context, client, page) =>
    printPage(context, await client.taskTypes(page), {
      columns: typeColumns(context.clock.nowMs()),
      empty: 'No attempt has ended yet. Start one: centuria run start repo-review',
    }),
  combinations: async (context, client, page) =>
    printPage(context, await client.combinations(page), {
      columns: combinationColumns,
      empty: 'No agents have worked together often enough yet to say how they do.',
    }),
  insights: async (context, client, page) =>
    printPage(context, await client.insights(page), {
      columns: insightColumns,
      empty: 'Nothing was found out yet: that takes more outcomes.',
    }),
  policies: async (context, client, page) =>
    printPage(context, await client.policies(page), {
      columns: policyColumns(context.clock.nowMs()),
      empty:
        'Choices are made by the policy that Centuria begins with. centuria learn retrain fits one.',
    }),
};

function printPage<Row>(
  context: CliContext,
  { items, nextCursor }: { readonly items: readonly Row[]; readonly nextCursor?: string },
  shown: { readonly columns: readonly Column<Row>[]; readonly empty: string },
): void {
  printRows(context, items, {
    ...shown,
    ...(nextCursor === undefined ? {} : { more: { nextCursor } }),
  });
  if (nextCursor === undefined || context.format === 'json') return;
  note(context, `There are more: --cursor ${nextCursor}`);
}

type Agent = AgentPerformancePage['items'][number];

/** What was never measured is a dash, never a zero. */
const shareOf = (share: number | undefined) => (share === undefined ? '–' : percent(share));
const timeOf = (ms: number | undefined) => (ms === undefined ? '–' : formatDuration(ms));
const costOf = (micro: number | undefined) =>
  micro === undefined ? '–' : shortUsd(Math.round(micro));
const ratingOf = ({ feedback, feedbackPrincipals }: Agent) =>
  feedback === undefined ? '–' : `${feedback.toFixed(1)} of ${feedbackPrincipals}`;

function agentColumns({ stdout }: CliContext, nowMs: number): Column<Agent>[] {
  const { red } = stdout.colours;
  return [
    {
      title: 'AGENT',
      cell: ({ agent }) => agent,
      cut: true,
      style: (text, { alerts }) => (alerts.length > 0 ? red(text) : text),
    },
    { title: 'ATTEMPTS', cell: ({ executions }) => String(executions), align: 'right' },
    { title: 'SUCCESS', cell: ({ successRate }) => shareOf(successRate), align: 'right' },
    { title: '7 DAYS', cell: ({ trend7d }) => trendOf(trend7d), align: 'right' },
    { title: 'TIME', cell: ({ averageMs }) => timeOf(averageMs), align: 'right' },
    { title: 'P95', cell: ({ p95Ms }) => timeOf(p95Ms), align: 'right' },
    { title: 'COST', cell: ({ averageMicroUsd }) => costOf(averageMicroUsd), align: 'right' },
    { title: 'RATED', cell: ratingOf, align: 'right' },
    { title: 'LAST', cell: ({ lastAt }) => formatAge(lastAt, nowMs) },
    { title: 'ALERTS', cell: ({ alerts }) => alerts.join(', '), cut: true, style: red },
  ];
}

/** In points of a hundred. */
function trendOf(trend: number | undefined): string {
  if (trend === undefined) return '–';
  const points = Math.round(trend * 100);
  return points > 0 ? `+${points}` : String(points).replace('-', '−');
}

function renderAgent(agent: AgentPerformanceDetail, context: CliContext, nowMs: number): string {
  const { succeeded, failed, cancelled, insights } = agent;
  const facts = renderFacts(context, [
    ['Agent', agent.agent],
    [
      'Attempts',
      `${agent.executions}: ${succeeded} succeeded, ${failed} failed, ${cancelled} cancelled`,
    ],
    ['Success', shareOf(agent.successRate)],
    ['Trend', `${trendOf(agent.trend7d)} in 7 days, ${trendOf(agent.trend30d)} in 30 days`],
    [
      'Time',
      `${timeOf(agent.averageMs)} on average, ${timeOf(agent.p95Ms)} at the 95th percentile`,
    ],
    ['Cost', costOf(agent.averageMicroUsd)],
    ['Tokens', agent.averageTokens === undefined ? '–' : agent.averageTokens.toFixed(0)],
    ['Rated', agent.feedback === undefined ? 'not yet' : `${ratingOf(agent)} ${people(agent)}`],
    ['Anomaly', agent.anomaly ?? 'none seen'],
    ['Alerts', agent.alerts.join(', ') || 'none'],
    ['Last', formatAge(agent.lastAt, nowMs)],
  ]);
  if (insights.length === 0) return facts;
  const found = insights.map(({ statement }) => `  ${oneLine(statement)}`);
  return [facts, '', context.stdout.colours.bold('Found out'), ...found].join('\n');
}

function people({ feedbackPrincipals }: Agent): string {
  return feedbackPrincipals === 1 ? 'principal' : 'principals';
}

function typeColumns(nowMs: number): Column<TaskTypePage['items'][number]>[] {
  return [
    { title: 'TYPE', cell: ({ type }) => type, cut: true },
    { title: 'ATTEMPTS', cell: ({ executions }) => String(executions), align: 'right' },
    { title: 'SUCCESS', cell: ({ successRate }) => shareOf(successRate), align: 'right' },
    { title: 'TIME', cell: ({ averageMs }) => timeOf(averageMs), align: 'right' },
    { title: 'P95', cell: ({ p95Ms }) => timeOf(p95Ms), align: 'right' },
    { title: 'AGENTS', cell: ({ agents }) => String(agents), align: 'right' },
    {
      title: 'BEST',
      cell: ({ best }) => (best === undefined ? '–' : `${best.agent} ${percent(best.rate)}`),
      cut: true,
    },
    { title: 'LAST', cell: ({ lastAt }) => formatAge(lastAt, nowMs) },
  ];
}

const combinationColumns: readonly Column<CombinationPage['items'][number]>[] = [
  { title: 'AGENTS', cell: ({ agents }) => agents.join(', '), cut: true },
  { title: 'MODE', cell: ({ mode }) => mode },
  { title: 'TIMES', cell: ({ executions }) => String(executions), align: 'right' },
  { title: 'SUCCESS', cell: ({ successRate }) => percent(successRate), align: 'right' },
  { title: 'EXPECTED', cell: ({ expectedRate }) => percent(expectedRate), align: 'right' },
  { title: 'SYNERGY', cell: ({ synergy }) => synergy.toFixed(2), align: 'right' },
  { title: 'CONFIDENCE', cell: ({ confidence }) => percent(confidence), align: 'right' },
];

const insightColumns: readonly Column<InsightPage['items'][number]>[] = [
  { title: 'KIND', cell: ({ kind }) => kind.replaceAll('_', ' ') },
  { title: 'CONFIDENCE', cell: ({ confidence }) => percent(confidence), align: 'right' },
  { title: 'FOUND OUT', cell: ({ statement }) => statement, cut: true },
];

function policyColumns(nowMs: number): Column<PolicyPage['items'][number]>[] {
  return [
    { title: 'POLICY', cell: ({ policy }) => policy },
    { title: 'STATE', cell: ({ state }) => state },
    { title: 'FITTED ON', cell: ({ executions }) => plural(executions, 'outcome'), align: 'right' },
    {
      title: 'VALUE',
      cell: ({ evaluation }) => (evaluation === undefined ? '–' : valueOf(evaluation.value)),
    },
    {
      title: 'INCUMBENT',
      cell: ({ evaluation }) => (evaluation === undefined ? '–' : valueOf(evaluation.incumbent)),
    },
    { title: 'FITTED', cell: ({ fittedAt }) => formatAge(fittedAt, nowMs) },
    { title: 'WHY', cell: ({ reason = '' }) => reason, cut: true },
  ];
}

function valueOf({ mean, low, high }: { mean: number; low: number; high: number }): string {
  return `${mean.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`;
}
