/** The output of a repository review as the terminal shows it; the same shape for every workflow that merges findings. */
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import type { Colours } from './context.ts';
import { oneLine, plural, renderTable, type Column } from './output.ts';

const severity = Type.Union([
  Type.Literal('critical'),
  Type.Literal('high'),
  Type.Literal('medium'),
  Type.Literal('low'),
  Type.Literal('info'),
]);
const severities = ['critical', 'high', 'medium', 'low', 'info'] as const;

/** An agent whose findings are missing: its name alone, or with the reason. */
const failedAgent = Type.Union([
  Type.String(),
  Type.Object({ agent: Type.String(), reason: Type.String() }),
]);

const reviewOutput = Type.Object({
  summary: Type.Object({
    bySeverity: Type.Record(Type.String(), Type.Number()),
    byAgent: Type.Record(Type.String(), Type.Number()),
    filesTouched: Type.Number(),
    agentsFailed: Type.Array(failedAgent),
  }),
  top: Type.Array(
    Type.Object({
      severity,
      rule: Type.String(),
      message: Type.String(),
      agent: Type.String(),
      file: Type.Optional(Type.String()),
      line: Type.Optional(Type.Number()),
    }),
  ),
  verdict: Type.Optional(
    Type.Object({ decision: Type.String(), reasons: Type.Array(Type.String()) }),
  ),
  reportMarkdown: Type.String(),
  reportJson: Type.String(),
});

export type ReviewOutput = Static<typeof reviewOutput>;
type TopFinding = ReviewOutput['top'][number];

/** How many findings a terminal shows; the report has them all. */
const shownFindings = 10;

/** The output of a run as a review; undefined where it is something else. */
export function asReview(output: unknown): ReviewOutput | undefined {
  return Value.Check(reviewOutput, output) ? output : undefined;
}

/** Counts, the most pressing findings, agents whose findings are missing, and where the report is. */
export function renderReview(
  review: ReviewOutput,
  colours: Colours,
  columns: number | undefined,
): string {
  const { summary, top } = review;
  const counts = severities
    .map((name) => `${summary.bySeverity[name] ?? 0} ${name}`)
    .filter((text) => !text.startsWith('0 '));
  const total = severities.reduce((sum, name) => sum + (summary.bySeverity[name] ?? 0), 0);
  const agents = Object.keys(summary.byAgent).length;
  const found =
    total === 0
      ? 'No findings'
      : `${plural(total, 'finding')} in ${plural(summary.filesTouched, 'file')}: ${counts.join(', ')}`;
  const lines = [
    ...decision(review, colours),
    `${colours.bold(found)} (${plural(agents, 'agent')})`,
    '',
  ];
  if (top.length > 0) {
    lines.push(renderTable(top.slice(0, shownFindings), findingColumns(colours), columns));
  }
  if (summary.agentsFailed.length > 0) {
    lines.push(colours.yellow('Not examined:'));
    for (const failed of summary.agentsFailed) lines.push(`  ${describeFailed(failed)}`);
    lines.push('');
  }
  lines.push(`Report: ${review.reportMarkdown}`, `        ${review.reportJson}`);
  return `${lines.join('\n')}\n`;
}

/** Whether it may go on, and what stands against it, before anything else. */
function decision({ verdict }: ReviewOutput, colours: Colours): string[] {
  if (verdict === undefined) return [];
  const word = oneLine(verdict.decision);
  const colour = word === 'go' ? colours.green : word === 'no-go' ? colours.red : colours.yellow;
  const reasons = verdict.reasons.map((reason) => `  ${oneLine(reason)}`);
  return [colours.bold(colour(word)), ...reasons, ''];
}

function findingColumns(colours: Colours): Column<TopFinding>[] {
  const styles: Record<TopFinding['severity'], (text: string) => string> = {
    critical: (text) => colours.bold(colours.red(text)),
    high: colours.red,
    medium: colours.yellow,
    low: colours.cyan,
    info: colours.dim,
  };
  return [
    {
      title: 'SEVERITY',
      cell: (finding) => finding.severity,
      style: (text, finding) => styles[finding.severity](text),
    },
    { title: 'WHERE', cell: placeOf, cut: true },
    { title: 'AGENT', cell: (finding) => finding.agent },
    { title: 'FINDING', cell: (finding) => finding.message, cut: true },
  ];
}

function placeOf({ file, line }: TopFinding): string {
  if (file === undefined) return '–';
  return line === undefined ? file : `${file}:${line}`;
}

function describeFailed(failed: ReviewOutput['summary']['agentsFailed'][number]): string {
  return oneLine(typeof failed === 'string' ? failed : `${failed.agent}: ${failed.reason}`);
}
