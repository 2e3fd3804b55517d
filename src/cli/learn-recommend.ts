import { text as textOf } from 'node:stream/consumers';
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { RecommendationAnswer, RecommendRequest } from '../api/api.ts';
import { shortUsd } from './amounts.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { addExamples, collect } from './flags.ts';
import { formatDuration, oneLine, printDocument, renderTable, type Column } from './output.ts';

const modes = ['exploitation', 'balanced', 'exploration'] as const;
const mostFactors = 5;
const mostLeftOut = 8;

interface RecommendOptions {
  readonly type?: string;
  readonly among?: readonly string[];
  readonly exclude?: readonly string[];
  readonly category?: string;
  readonly capability?: readonly string[];
  readonly partner?: readonly string[];
  readonly complexity?: number;
  readonly mode?: (typeof modes)[number];
  readonly perUsd?: number;
  readonly perMinute?: number;
}

/** `centuria learn recommend`. */
export function registerRecommend(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('recommend')
      .description('Say which agent should do a task, why, and how sure that is.')
      .argument('<task>', 'The task in words; - reads standard input.')
      .option('--type <name>', 'What kind of task it is, as workflow/task of your runs.')
      .option('--among <agent>', 'Only this agent and others that are named. May repeat.', collect)
      .option('--exclude <agent>', 'Not this agent. May repeat.', collect)
      .option('--category <category>', 'Only agents of this category.')
      .option('--capability <name>', 'Only agents that have it. May repeat.', collect)
      .option('--partner <agent>', 'An agent that will work beside it. May repeat.', collect)
      .option('--complexity <number>', 'From 0 to 1, where you know.', between(0, 1))
      .addOption(
        new Option('--mode <mode>', 'How much to try out; for a recommendation: nothing.').choices(
          modes,
        ),
      )
      .option('--per-usd <number>', 'What a dollar costs, of a success.', between(0, 1_000))
      .option('--per-minute <number>', 'What a minute costs, of a success.', between(0, 1_000)),
    [
      ['Who should do it', 'centuria learn recommend "find the slow queries of this service"'],
      [
        'One of two',
        'centuria learn recommend "scan for secrets" --among secret-scan --among lint',
      ],
      ['Only its name', 'centuria learn recommend "write the tests" -o json | jq -r .agent'],
    ],
  ).action(async (task: string, options: RecommendOptions) => {
    const description = task === '-' ? (await textOf(context.stdin)).trim() : task;
    const answer = await connect(context).recommend(requestOf(description, options));
    printDocument(context, answer, (found) => renderRecommendation(found, context));
  });
}

function requestOf(description: string, options: RecommendOptions): RecommendRequest {
  const { among, exclude, capability, category, partner, ...rest } = options;
  return {
    description,
    ...rest,
    ...(among === undefined ? {} : { candidates: [...among] }),
    ...(exclude === undefined ? {} : { exclude: [...exclude] }),
    ...(capability === undefined ? {} : { capabilities: [...capability] }),
    ...(partner === undefined ? {} : { partners: [...partner] }),
    // The server knows the categories, and names the nearest one.
    ...(category === undefined
      ? {}
      : { category: category as NonNullable<RecommendRequest['category']> }),
  };
}

type Prospect = RecommendationAnswer['prospects'][number];
type Face = Pick<CliContext, 'stdout'>;

/** The agents in a table, then why, what is like it, what would change it, and who was left out. */
export function renderRecommendation(found: RecommendationAnswer, { stdout }: Face): string {
  const { bold } = stdout.colours;
  const section = (title: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : ['', bold(title), ...lines.map((line) => `  ${oneLine(line)}`)];
  return [
    renderTable(found.prospects, prospectColumns, stdout.columns, bold).trimEnd(),
    '',
    verdictOf(found),
    ...section('Why', factorLines(found)),
    ...section('Tasks like it', neighbourLines(found)),
    ...section('What would change it', found.wouldChange),
    ...section('Left out', leftOutLines(found)),
  ].join('\n');
}

const prospectColumns: readonly Column<Prospect>[] = [
  { title: 'AGENT', cell: ({ agent }) => agent, cut: true },
  {
    title: 'SUCCESS',
    cell: ({ success: { mean, low, high } }) => `${percent(mean)} (${whole(low)}–${whole(high)})`,
  },
  { title: 'CONFIDENCE', cell: ({ success }) => percent(success.low), align: 'right' },
  { title: 'TIME', cell: ({ expected: { ms } }) => known(ms, formatDuration) },
  { title: 'COST', cell: ({ expected: { microUsd } }) => known(microUsd, money) },
  { title: 'EVIDENCE', cell: ({ evidence }) => evidence.toFixed(1), align: 'right' },
];

function known(
  estimate: { readonly mean: number; readonly low: number; readonly high: number } | undefined,
  format: (amount: number) => string,
): string {
  if (estimate === undefined) return 'not measured';
  const { mean, low, high } = estimate;
  return `${format(mean)} (${format(low)}–${format(high)})`;
}

function money(microUsd: number): string {
  return shortUsd(Math.round(microUsd));
}

function verdictOf({ agent, confidence, basis, policy }: RecommendationAnswer): string {
  const sure = `${agent}: success is at least ${percent(confidence)} probable, 95 % sure (${policy}).`;
  if (basis === 'outcomes') return sure;
  const lack =
    basis === 'definitions'
      ? 'There is no outcome of such a task yet: the words of the definitions decided.'
      : 'Nothing is known of such a task: no outcome, and no definition that speaks of it.';
  return `${lack}\n${sure}`;
}

function factorLines({ factors }: RecommendationAnswer): string[] {
  return factors
    .slice(0, mostFactors)
    .map(({ weight, text }) => `${weight < 0 ? '−' : '+'}${points(Math.abs(weight))}  ${text}`);
}

function points(weight: number): string {
  return (weight * 100).toFixed(1).padStart(5);
}

function neighbourLines({ neighbours }: RecommendationAnswer): string[] {
  return neighbours.map(({ similarity, text, agents }) => {
    const tried = agents.map((one) => `${one.agent} ${one.succeeded} of ${one.tried}`);
    return `${similarity.toFixed(2)}  ${text}: ${tried.join(', ') || 'nobody tried'}`;
  });
}

function leftOutLines({ leftOut }: RecommendationAnswer): string[] {
  const lines = leftOut.slice(0, mostLeftOut).map(({ agent, reason }) => `${agent}: ${reason}`);
  const rest = leftOut.length - lines.length;
  return rest === 0 ? lines : [...lines, `and ${rest} more: -o json names them`];
}

export function percent(share: number): string {
  return `${whole(share)} %`;
}

function whole(share: number): string {
  return String(Math.round(share * 100));
}

/** An argument parser for numbers within bounds, both included. */
function between(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (value >= minimum && value <= maximum) return value;
    throw new InvalidArgumentError(`It takes a number from ${minimum} to ${maximum}.`);
  };
}
