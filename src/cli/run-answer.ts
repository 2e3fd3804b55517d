import type { Command } from 'commander';
import type { AnswerRunRequest } from '../api/api.ts';
import { AppError } from '../base/base.ts';
import type { Amounts } from '../coordination/coordination.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { addExamples, wholeNumber } from './flags.ts';
import { note, oneLine, printDocument, printRows } from './output.ts';
import { resolveRunId, runArgument, shortId } from './run-ids.ts';

/** `centuria run questions|approve|reject`: what runs ask people. */
export function registerAnswers(group: Command, context: CliContext): void {
  registerQuestions(group, context);
  registerApprove(group, context);
  registerReject(group, context);
}

function registerQuestions(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('questions')
      .description('List what runs ask people, the newest run first.')
      .option(
        '--limit <number>',
        'Look at so many waiting runs, 1 to 100.',
        wholeNumber(1, 100),
        50,
      )
      .option('--cursor <cursor>', 'Go on where an earlier list ended.'),
    [
      ['What waits for somebody', 'centuria run questions'],
      ['Ids of the runs', 'centuria run questions -o jsonl | jq -r .run'],
    ],
  ).action(async (options: { limit: number; cursor?: string }) => {
    const { items, nextCursor } = await connect(context).questions(options);
    printRows(context, items, {
      columns: [
        { title: 'RUN', cell: ({ run }) => shortId(run) },
        { title: 'WORKFLOW', cell: ({ workflow }) => workflow, cut: true },
        { title: 'KIND', cell: ({ question }) => question.kind },
        { title: 'TASK', cell: ({ question }) => question.task, cut: true },
        { title: 'QUESTION', cell: ({ question }) => oneLine(question.prompt), cut: true },
        { title: 'ID', cell: ({ question }) => question.id },
      ],
      empty: 'No run asks anything.',
      ...(nextCursor === undefined ? {} : { more: { nextCursor } }),
    });
    if (context.format !== 'table') return;
    if (items.length > 0) note(context, 'Answer: centuria run approve RUN, or reject RUN');
    if (nextCursor !== undefined) note(context, `There are more: --cursor ${nextCursor}`);
  });
}

function registerApprove(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('approve')
      .description('Say yes to what a run asks: approve, choose an answer, or add to its budget.')
      .argument('<run>', runArgument)
      .option('--question <id>', 'Which, when it asks several things.')
      .option('--choose <number>', 'Of a tie: which answer, from 0.', wholeNumber(0, 1_000))
      .option('--add <amounts>', 'Of a budget: how much more, as in usd=5,tokens=10000,seconds=60.')
      .option('--comment <text>', 'For the record.'),
    [
      ['Let it go on', 'centuria run approve latest --comment "looked at the diff"'],
      ['The second of the answers', 'centuria run approve latest --choose 1'],
      ['Five dollars more', 'centuria run approve latest --add usd=5'],
    ],
  ).action(
    async (
      text: string,
      options: { question?: string; choose?: number; add?: string; comment?: string },
    ) => {
      const { choose, add, ...rest } = options;
      await answer(context, text, {
        decision: 'approve',
        ...rest,
        ...(choose === undefined ? {} : { choice: choose }),
        ...(add === undefined ? {} : { add: parseAmounts(add) }),
      });
    },
  );
}

function registerReject(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('reject')
      .description('Say no to what a run asks.')
      .argument('<run>', runArgument)
      .option('--question <id>', 'Which, when it asks several things.')
      .option('--comment <text>', 'Why, for the record.'),
    [['Stop it here', 'centuria run reject latest --comment "not on a Friday"']],
  ).action((text: string, options: { question?: string; comment?: string }) =>
    answer(context, text, { decision: 'reject', ...options }),
  );
}

async function answer(context: CliContext, text: string, body: AnswerRunRequest): Promise<void> {
  const client = connect(context);
  const id = await resolveRunId(text, client.runs);
  const run = await client.answerRun(id, body);
  const what = body.decision === 'approve' ? 'was told yes' : 'was told no';
  printDocument(
    context,
    run,
    () => `Run ${shortId(id)} ${what}. Watch it: centuria run watch ${shortId(id)}`,
  );
}

/** `usd=5,tokens=10000,seconds=60` as whole millionths, tokens and milliseconds. Throws `usage`. */
export function parseAmounts(text: string): Amounts {
  const units: Readonly<Record<string, readonly [keyof Amounts, number]>> = {
    usd: ['microUsd', 1_000_000],
    tokens: ['tokens', 1],
    seconds: ['ms', 1_000],
  };
  const found: Partial<Record<keyof Amounts, number>> = {};
  for (const part of text.split(',')) {
    const [, name = '', digits] = /^\s*([a-z]+)=(\d{1,9}(?:\.\d{1,6})?)\s*$/.exec(part) ?? [];
    const [key, factor] = units[name] ?? [];
    const amount = Math.round(Number(digits) * (factor ?? Number.NaN));
    if (key === undefined || !Number.isSafeInteger(amount) || key in found) {
      throw new AppError('usage', `--add ${text}: ${part.trim()} is no amount`, {
        remedy: 'Write usd=5, tokens=10000 or seconds=60, with commas between several.',
      });
    }
    found[key] = amount;
  }
  return found;
}
