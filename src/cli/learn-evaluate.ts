import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { LearningEvaluation } from '../api/api.ts';
import { AppError } from '../base/base.ts';
import { connect } from './connection.ts';
import type { CliContext } from './context.ts';
import { addExamples, wholeNumber } from './flags.ts';
import { note, plural, printDocument, renderTable, type Column } from './output.ts';
import { renderFacts } from './facts.ts';
import type { RoutingEvaluation } from '../learning/learning.ts';

interface EvaluateOptions {
  readonly data?: string;
  readonly out: string;
  readonly seeds: number;
}

/** `centuria learn evaluate`: of a file in this process, without a server; else of what the server recorded. */
export function registerEvaluate(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('evaluate')
      .description(
        'Measure choices: those of the server by its record, or on a file of questions without a server.',
      )
      .option(
        '--data <questions>',
        'A file of CSV or JSON lines: prompt, and AGENT_correct of each agent. Needs no server.',
      )
      .option('--out <folder>', 'Where the report and its plots are written.', 'learn-report')
      .option('--seeds <number>', 'How often, each in another order.', wholeNumber(1, 100), 5),
    [
      ['How the choices of this server fared', 'centuria learn evaluate'],
      ['A report with plots', 'centuria learn evaluate --data questions.csv --out report'],
      ['Figures for a script', 'centuria learn evaluate --data questions.csv -o json | jq .curves'],
    ],
  ).action(({ data, out, seeds }: EvaluateOptions) =>
    data === undefined ? evaluateRecord(context) : evaluateQuestions(context, { data, out, seeds }),
  );
}

async function evaluateQuestions(
  context: CliContext,
  { data, out, seeds }: Required<EvaluateOptions>,
): Promise<void> {
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
}

/** By what the server has recorded of its choices. */
async function evaluateRecord(context: CliContext): Promise<void> {
  const report = await connect(context).learningEvaluation();
  printDocument(context, report, () => renderRecord(context, report));
}

function renderRecord(context: CliContext, report: LearningEvaluation): string {
  const { successRate, byChance, calibration, times, drift, unavailable } = report;
  if (report.outcomes === 0) {
    return 'No routed task has ended yet. `route: auto` in a workflow lets an agent be chosen.';
  }
  const facts: [string, string][] = [
    ['Choices', `${report.outcomes} that ended, among ${plural(report.agents, 'agent')}`],
    ...row('Success', successRate, rate),
    ...row('By chance', byChance, (value) => `${rate(value)} (doubly robust)`),
    ...row(
      'Calibration',
      calibration,
      ({ brier, expectedCalibrationError: error, outcomes }) =>
        `Brier ${brier.toFixed(3)}, expected error ${error.toFixed(3)}, on ${plural(outcomes, 'outcome')}`,
    ),
    ...row(
      'Time',
      times,
      ({ medianFactor, outcomes }) =>
        `half of ${outcomes} were within a factor of ${medianFactor.toFixed(2)} of what was predicted`,
    ),
    ...row('Time held', times?.coverage, (value) => `${rate(value)} in the interval of 90 %`),
    ...row('Drift', drift.success, (text) => text),
    ...row('Drift of time', drift.times, (text) => text),
    ...unavailable.map((text): [string, string] => ['Not measured', text]),
  ];
  return renderFacts(context, facts);
}

function row<Value>(
  title: string,
  value: Value | undefined,
  show: (value: Value) => string,
): [string, string][] {
  return value === undefined ? [] : [[title, show(value)]];
}

function rate({ value, low, high }: { value: number; low: number; high: number }): string {
  return `${percent(value)} (95 %: ${percent(low)} to ${percent(high)})`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
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
