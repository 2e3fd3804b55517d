import { resolve } from 'node:path';
import type { Command } from 'commander';
import { AppError } from '../base/base.ts';
import type { CliContext } from './context.ts';
import { addExamples, wholeNumber } from './flags.ts';
import { note, printDocument, renderTable, type Column } from './output.ts';
import type { RoutingEvaluation } from '../learning/learning.ts';

interface EvaluateOptions {
  readonly data: string;
  readonly out: string;
  readonly seeds: number;
}

/** `centuria learn evaluate`: in this process, without a server. */
export function registerEvaluate(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('evaluate')
      .description('Measure choices on questions with what each agent came to; needs no server.')
      .requiredOption(
        '--data <file>',
        'CSV or JSON lines: prompt, and AGENT_correct of each agent.',
      )
      .option('--out <folder>', 'Where the report and its plots are written.', 'learn-report')
      .option('--seeds <number>', 'How often, each in another order.', wholeNumber(1, 100), 5),
    [
      ['A report with plots', 'centuria learn evaluate --data questions.csv --out report'],
      ['Figures for a script', 'centuria learn evaluate --data questions.csv -o json | jq .curves'],
    ],
  ).action(async ({ data, out, seeds }: EvaluateOptions) => {
    const leaving = new AbortController();
    const onInterrupt = (): void =>
      leaving.abort(new AppError('cancelled', 'the measurement was stopped'));
    process.once('SIGINT', onInterrupt);
    try {
      // Loaded here: no other command needs the models and the mathematics.
      const { createOfflineEmbedder, evaluateFile } = await import('../learning/learning.ts');
      const { evaluation, verdicts, files } = await evaluateFile({
        data: resolve(context.cwd, data),
        out: resolve(context.cwd, out),
        seeds,
        embedder: await createOfflineEmbedder(),
        signal: leaving.signal,
        progress: (text) => note(context, `${text} …`),
      });
      printDocument(context, { ...evaluation, verdicts, files }, () =>
        [
          `${evaluation.heldOut} questions held out of ${evaluation.heldOut + evaluation.training}; ${evaluation.weak} against ${evaluation.strong}`,
          '',
          renderTable(evaluation.curves, columns, context.stdout.columns),
          ...verdicts.map((text) => text.replaceAll('**', '')),
          '',
          ...files.map((file) => `Written: ${file}`),
        ].join('\n'),
      );
    } finally {
      process.off('SIGINT', onInterrupt);
    }
  });
}

type Curve = RoutingEvaluation['curves'][number];
type Figure = Curve['apgr'];

const figure = ({ mean, interval }: Figure): string =>
  Number.isFinite(mean)
    ? `${mean.toFixed(3)} (${interval.low.toFixed(3)}–${interval.high.toFixed(3)})`
    : 'not reached';

const columns: readonly Column<Curve>[] = [
  { title: 'CHOICE', cell: ({ name }) => name, cut: true },
  { title: 'APGR', cell: ({ apgr }) => figure(apgr) },
  { title: 'CPT 50 %', cell: ({ cpt50 }) => figure(cpt50) },
  { title: 'CPT 80 %', cell: ({ cpt80 }) => figure(cpt80) },
];
