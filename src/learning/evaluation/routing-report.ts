/** The measurement of choices for people: Markdown with plots, and sentences that say what the figures mean. */
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { drawPlot, type Plot } from './plot.ts';
import type { CalibrationFigures } from './routing-calibration.ts';
import { shares } from './routing-curve.ts';
import type { MeasuredCurve, RoutingEvaluation, SeededFigure } from './routing-evaluation.ts';
import type { Interval } from './statistics.ts';

/** Writes `report.md`, `quality.svg`, `reliability.svg` and `figures.json` into the folder; says their paths. */
export async function writeRoutingReport(
  evaluation: RoutingEvaluation,
  folder: string,
): Promise<readonly string[]> {
  await mkdir(folder, { recursive: true });
  const figures = JSON.stringify(
    evaluation,
    // One number a row: of use while values are compared, not to read.
    (key, value: unknown) => (key === 'influences' ? undefined : value),
    2,
  );
  const files = [
    ['report.md', routingReport(evaluation)],
    ['quality.svg', drawPlot(qualityPlot(evaluation))],
    ...evaluation.calibration
      .slice(0, 1)
      .map((one) => ['reliability.svg', drawPlot(reliabilityPlot(one))]),
    ['figures.json', `${figures}\n`],
  ] as [string, string][];
  return Promise.all(
    files.map(async ([name, text]) => {
      const path = join(folder, name);
      await writeFile(path, text);
      return path;
    }),
  );
}

/** What the figures of every learner mean, a sentence each. */
export function verdicts({ curves }: RoutingEvaluation): string[] {
  return learnersOf(curves).map(({ name, apgr, beatsRandom }) => {
    const figure = `APGR ${ratio(apgr.mean)}, 95 % interval ${rangeOf(apgr.interval, ratio)}`;
    if (beatsRandom) return `**${name}** chooses better than chance (${figure}).`;
    return apgr.interval.high < 0.5
      ? `**${name}** chooses worse than chance (${figure}).`
      : `**${name}** is not shown to be better than chance (${figure}: 0.5 is in it).`;
  });
}

/** The report as Markdown; its plots are `quality.svg` and `reliability.svg` beside it. */
export function routingReport(evaluation: RoutingEvaluation): string {
  return [
    ...measured(evaluation),
    ...qualityPart(evaluation),
    ...calibrationPart(evaluation),
    ...banditPart(evaluation),
  ].join('\n');
}

function measured(evaluation: RoutingEvaluation): string[] {
  const { file, embedder, training, heldOut, seeds, agents, weak, strong } = evaluation;
  return [
    `# Choosing an agent on ${basename(file)}`,
    '',
    `${training + heldOut} questions. Fitted on ${training}, measured on the ${heldOut} whose SHA-256 says so: always the same.`,
    `Embedder \`${embedder}\`; ${seeds} seeds (order of learning, ties, draws); intervals of 95 % over questions.`,
    `The weaker agent is ${weak}, the stronger ${strong}, by the half that was learned from.`,
    '',
    ...table(
      ['agent', 'right on the held-out half', 'interval', 'mean cost', 'mean time'],
      agents.map(({ agent, rate, interval, meanCostUsd, meanMs }) => [
        `always ${agent}`,
        share(rate),
        rangeOf(interval, share),
        meanCostUsd === undefined ? 'not in the data' : `${meanCostUsd.toPrecision(3)} USD`,
        meanMs === undefined ? 'not in the data' : `${meanMs.toPrecision(3)} ms`,
      ]),
    ),
    '',
    '## What it means',
    '',
    ...verdicts(evaluation).map((text) => `- ${text}`),
    `- A random choice has an APGR of 0.5 by construction. How close to it published routers come on such data is why intervals stand here: a mean alone says nothing.`,
    '',
  ];
}

function qualityPart({ curves, strong }: RoutingEvaluation): string[] {
  return [
    `## Quality against the share of calls to ${strong}`,
    '',
    '![Quality against the share of strong calls](quality.svg)',
    '',
    'PGR is the part of the gap between the weaker and the stronger agent that is closed. APGR is its mean over all',
    'shares, CPT(50) and CPT(80) the least share of strong calls that closes 50 % and 80 % of the gap; all read at',
    '0 %, 10 %, … 100 %, with straight lines between (RouteLLM, Ong et al. 2024). Low CPT is good.',
    '',
    ...table(
      ['', 'APGR', 'over seeds', 'CPT(50)', 'CPT(80)'],
      curves.map(({ name, apgr, cpt50, cpt80 }) => [
        name,
        seeded(apgr, ratio),
        rangeOf(apgr.spread, ratio),
        seeded(cpt50, share),
        seeded(cpt80, share),
      ]),
    ),
    '',
    ...table(
      ['right at', ...shares.map((each) => `${Math.round(100 * each)} %`)],
      curves.map(({ name, quality }) => [name, ...quality.map(share)]),
    ),
    '',
    ...curves.map(({ name, about }) => `- **${name}**: ${about}.`),
    '',
  ];
}

function calibrationPart({ calibration }: RoutingEvaluation): string[] {
  const rows = calibration.flatMap(({ name, stated, platt, isotonic }) =>
    [
      ['as stated', stated] as const,
      ['after Platt', platt] as const,
      ['after isotonic', isotonic] as const,
    ].map(([how, errors]) => [
      name,
      how,
      ...[errors.brier, errors.byWidth, errors.byMass].map(small),
    ]),
  );
  const [first] = calibration;
  const rates = first && [
    'the rate of each agent',
    'for all questions',
    ...[first.rates.brier, first.rates.byWidth, first.rates.byMass].map(small),
  ];
  return [
    '## Whether the probabilities are true',
    '',
    `![Reliability of ${first?.name ?? ''}](reliability.svg)`,
    '',
    'Of all agents’ predictions on the held-out half. Brier: mean squared error, lower is better. ECE: how far stated',
    'and observed lie apart, by ten bins of equal width and by fifteen of equal mass. The last row states one number an',
    'agent: whoever has a higher Brier score has learned nothing from the questions.',
    '',
    ...table(
      ['', 'probabilities', 'Brier', 'ECE, width', 'ECE, mass'],
      [...rows, ...(rates ? [rates] : [])],
    ),
    '',
    ...calibration.flatMap(({ name, bounds }) =>
      bounds === undefined
        ? []
        : [
            `- **${name}**, lower bounds of 95 %, in ${bounds.groups} groups by agent and tenth of the bound: at least so many succeeded in ${bounds.held}; contradicted in ${bounds.contradicted.length}${bounds.contradicted.length === 0 ? '' : ` (${bounds.contradicted.join('; ')})`}.`,
          ],
    ),
    '',
  ];
}

function banditPart({ bandit, seeds, agents }: RoutingEvaluation): string[] {
  const rows = bandit.flatMap(({ policy, truth, estimates }) =>
    estimates.map(({ estimator, value, error, held }) => [
      policy,
      share(truth),
      estimator.toUpperCase(),
      share(value.value),
      rangeOf(value.interval, share),
      value.bootstrap === undefined ? '' : rangeOf(value.bootstrap, share),
      small(error),
      `${held} of ${seeds}`,
    ]),
  );
  return [
    '## As a log that knows one outcome a question',
    '',
    `Of each question only the outcome of one agent is kept, drawn with ${ratio(1 / agents.length)}. Policies are fitted on such a log`,
    'of one half and valued from such a log of the other one; here the truth is known. The truth is that of these',
    'questions, so the interval, which also allows for other questions, should hold it in more than 95 %.',
    '',
    ...table(
      [
        'policy',
        'truth',
        'estimator',
        'estimate',
        'interval',
        'bootstrap',
        'mean error over seeds',
        'held',
      ],
      rows,
    ),
    '',
  ];
}

export function qualityPlot({ curves, heldOut, weak, strong }: RoutingEvaluation): Plot {
  const all = curves.flatMap(({ quality, band }) => [
    ...quality,
    ...band.flatMap(({ low, high }) => [low, high]),
  ]);
  return {
    title: `Right answers by the share of calls to ${strong}`,
    description: `Share of ${heldOut} held-out questions answered right, from all calls to ${weak} on the left to all calls to ${strong} on the right, a line for each way of choosing.`,
    x: { label: `calls to ${strong}`, from: 0, to: 1, step: 0.1 },
    y: {
      label: 'right answers',
      from: Math.floor(20 * Math.min(...all)) / 20,
      to: Math.ceil(20 * Math.max(...all)) / 20,
      step: 0.05,
    },
    series: curves.map(({ name, quality, band }, index) => ({
      name,
      points: quality.map((y, step) => ({ x: shares[step] ?? 0, y })),
      // Bands of all would hide each other: that of the first one is what the report is about.
      ...(index === 0 ? { band, name: `${name}, with 95 %` } : {}),
      isReference: name === 'random' || name === 'oracle',
    })),
  };
}

export function reliabilityPlot({ name, reliability }: CalibrationFigures): Plot {
  const series = [
    ['as stated', reliability.stated],
    ['after Platt', reliability.platt],
  ] as const;
  return {
    title: `Stated against observed success: ${name}`,
    description:
      'Share of successes against the stated probability, in ten bins of equal mass with 95 % intervals; the diagonal is what a true probability gives.',
    x: { label: 'stated probability of success', from: 0, to: 1, step: 0.1 },
    y: { label: 'observed successes', from: 0, to: 1, step: 0.1 },
    series: [
      ...series.map(([how, bins]) => ({
        name: how,
        points: bins.map(({ stated, observed, interval }) => ({
          x: stated,
          y: observed,
          bar: interval,
        })),
        marksOnly: true,
      })),
      {
        name: 'true',
        points: [
          { x: 0, y: 0 },
          { x: 1, y: 1 },
        ],
        isReference: true,
      },
    ],
  };
}

const learnersOf = (curves: readonly MeasuredCurve[]): MeasuredCurve[] =>
  curves.filter(({ name }) => name !== 'random' && name !== 'oracle');

/** A Markdown table. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`);
}

export const share = (value: number): string =>
  Number.isNaN(value) ? '–' : `${(100 * value).toFixed(1)} %`;
export const ratio = (value: number): string => (Number.isNaN(value) ? '–' : value.toFixed(3));
const small = (value: number): string => value.toFixed(4);

export const rangeOf = ({ low, high }: Interval, show: (value: number) => string): string =>
  `${show(low)} to ${show(high)}`;

const seeded = (figure: SeededFigure, show: (value: number) => string): string =>
  `${show(figure.mean)} (${rangeOf(figure.interval, show)})`;
