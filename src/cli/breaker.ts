import { Option, type Command } from 'commander';
import type { Breaker } from '../api/api.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { addExamples, wholeNumber } from './flags.ts';
import { formatAge, note, plural, printDocument, printRows } from './output.ts';

const states: readonly Breaker['state'][] = ['closed', 'open', 'half_open'];

interface ListOptions {
  readonly in?: Breaker['state'];
  readonly limit: number;
  readonly cursor?: string;
}

/** `centuria breaker`: what failed too often and is left alone for a while. */
export function registerBreaker(program: Command, context: CliContext): void {
  const group = program
    .command('breaker')
    .description('Look at circuit breakers: what failed too often is left alone for a while.');

  addExamples(
    group
      .command('list')
      .description('List what has ever failed: agents, models and tools, and how they do now.')
      .addOption(new Option('--in <state>', 'Only those in this state.').choices(states))
      .option('--limit <number>', 'At most so many, 1 to 500.', wholeNumber(1, 500), 50)
      .option('--cursor <cursor>', 'Go on where an earlier list ended.'),
    [['What is left alone now', 'centuria breaker list --in open']],
  ).action(async ({ in: state, ...page }: ListOptions) => {
    const filter = state === undefined ? page : { ...page, state };
    const { items, nextCursor } = await connect(context).breakers(filter);
    const nowMs = context.clock.nowMs();
    const { red, yellow } = context.stdout.colours;
    printRows(context, items, {
      columns: [
        { title: 'BREAKER', cell: ({ key }) => key, cut: true },
        {
          title: 'STATE',
          cell: (row) => row.state,
          style: (text, row) =>
            row.state === 'open' ? red(text) : row.state === 'half_open' ? yellow(text) : text,
        },
        { title: 'NOW', cell: describe, cut: true },
        { title: 'OPENED', cell: (row) => plural(row.openings, 'time'), align: 'right' },
        { title: 'LAST FAILURE', cell: (row) => lastFailure(row, nowMs), cut: true },
      ],
      empty: state === undefined ? 'Nothing has ever failed.' : `No circuit breaker is ${state}.`,
      ...(nextCursor === undefined ? {} : { more: { nextCursor } }),
    });
    if (nextCursor !== undefined && context.format !== 'json') {
      note(context, `There are more: --cursor ${nextCursor}`);
    }
  });

  addExamples(
    group
      .command('reset')
      .description('Close a circuit breaker at once, when the cause of its failures is gone.')
      .argument('<breaker>', 'agent:NAME, model:NAME or tool:NAME.'),
    [['An agent that was repaired', 'centuria breaker reset agent:lint-scan']],
  ).action(async (key: string) => {
    const breaker = await connect(context).resetBreaker(key);
    printDocument(context, breaker, () => `${key} is closed: the next call goes through.`);
  });
}

function describe(row: Breaker): string {
  if (row.state === 'open') return `until ${row.openUntil ?? 'it is reset'}`;
  if (row.state === 'closed') return `${plural(row.failures, 'failure')} lately`;
  return `${plural(row.trying, 'call')} under way, ${row.successes} good so far`;
}

function lastFailure({ lastFailureAt, lastFailure: code }: Breaker, nowMs: number): string {
  if (lastFailureAt === undefined) return '–';
  return `${formatAge(lastFailureAt, nowMs)}${code === undefined ? '' : `, ${code}`}`;
}
