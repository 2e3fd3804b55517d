import { compareText, count, severityOrder } from './report.ts';
import type { Decision } from './review-gate.ts';
import { renderAnswer } from './review-answer.ts';
import type { AgentResult, Merged, MergedFinding } from './review-merge.ts';

const firstItems = 12;
const sameRuleFirst = 2;
const hotFiles = 10;
const listed = 150;

/** The report for people: the most pressing first, so that the first screen is worth a minute and the rest can be searched. */
export function renderReport(
  title: string,
  results: readonly AgentResult[],
  merged: Merged,
  verdict?: Decision,
): string {
  const missing = results.filter(({ report }) => report === undefined);
  return [
    `# ${escape(title)}`,
    '',
    ...decision(verdict),
    headline(results, merged),
    '',
    '## Look at these first',
    '',
    ...first(merged.findings),
    '',
    ...notExamined(missing),
    ...answers(results),
    ...files(merged.findings),
    ...all(merged),
    ...agents(results),
    '',
  ].join('\n');
}

const words = {
  go: 'Go: nothing that was examined stands against it',
  'no-go': 'No-go',
  undecided: 'Undecided: nothing found stands against it, and not all was examined',
} as const;

function decision(verdict: Decision | undefined): string[] {
  if (verdict === undefined) return [];
  const reasons = verdict.reasons.map((reason) => `- ${escape(reason)}`);
  return [`**${words[verdict.decision]}.**`, '', ...reasons, ...(reasons.length > 0 ? [''] : [])];
}

/** What experts said beyond findings, each in the order of its own answer. */
function answers(results: readonly AgentResult[]): string[] {
  return results
    .filter(({ answer }) => answer !== undefined)
    .flatMap(({ agent, answer }) => [
      `## What ${escape(agent)} says`,
      '',
      ...renderAnswer(answer, escape),
      '',
    ]);
}

function headline(
  results: readonly AgentResult[],
  { findings, bySeverity, filesTouched, cut }: Merged,
): string {
  const done = results.filter(({ report }) => report !== undefined).length;
  const parts = severityOrder.filter((s) => bySeverity[s] > 0).map((s) => `${bySeverity[s]} ${s}`);
  const more = cut > 0 ? ` ${count(cut, 'lesser finding')} left out by the agents.` : '';
  const what =
    findings.length === 0
      ? 'Nothing found'
      : `**${parts.join(', ')}** in ${count(filesTouched, 'file')}`;
  return `${what}, by ${done} of ${count(results.length, 'agent')}.${more}`;
}

/** A rule that fires everywhere must not hide the others. */
function first(findings: readonly MergedFinding[]): string[] {
  const lines: string[] = [];
  const shown = new Map<string, number>();
  const totals = new Map<string, number>();
  const pressing = findings.filter(({ severity }) => severity !== 'info');
  if (pressing.length === 0) return ['Nothing that presses.'];
  for (const { rule, agent } of pressing)
    totals.set(`${agent} ${rule}`, (totals.get(`${agent} ${rule}`) ?? 0) + 1);
  for (const finding of pressing) {
    if (lines.length >= firstItems) break;
    const key = `${finding.agent} ${finding.rule}`;
    const times = (shown.get(key) ?? 0) + 1;
    shown.set(key, times);
    if (times > sameRuleFirst) continue;
    const rest = (totals.get(key) ?? 0) - sameRuleFirst;
    const more =
      times === sameRuleFirst && rest > 0 ? ` *(and ${rest} more of ${escape(finding.rule)})*` : '';
    const fix = finding.fix === undefined ? '' : ` **Fix:** ${escape(finding.fix)}`;
    lines.push(`${lines.length + 1}. ${describe(finding)}${fix}${more}`);
  }
  return lines;
}

function describe(finding: MergedFinding): string {
  const place = finding.file === undefined ? '' : ` ${placeOf(finding)}`;
  return `**${finding.severity}**${place} ${escape(finding.message)} (${finding.agents.map(escape).join(', ')})`;
}

function notExamined(missing: readonly AgentResult[]): string[] {
  if (missing.length === 0) return [];
  return [
    '## Not examined',
    '',
    'These agents came to no report; what they look at was not looked at.',
    '',
    ...missing.map(
      ({ agent, reason }) => `- **${escape(agent)}**: ${escape(reason ?? 'no reason given')}`,
    ),
    '',
  ];
}

function files(findings: readonly MergedFinding[]): string[] {
  const weights = { critical: 1_000, high: 100, medium: 10, low: 1, info: 0 };
  const rows = new Map<string, { weight: number; amount: number; agents: Set<string> }>();
  for (const { file, severity, agents: by } of findings) {
    if (file === undefined || severity === 'info') continue;
    const row = rows.get(file) ?? { weight: 0, amount: 0, agents: new Set<string>() };
    row.weight += weights[severity];
    row.amount += 1;
    for (const agent of by) row.agents.add(agent);
    rows.set(file, row);
  }
  const ranked = [...rows]
    .toSorted(([a, x], [b, y]) => y.weight - x.weight || compareText(a, b))
    .slice(0, hotFiles);
  if (ranked.length < 2) return [];
  return [
    '## Files with the most to do',
    '',
    '| file | findings | agents |',
    '| --- | ---: | --- |',
    ...ranked.map(
      ([file, row]) =>
        `| ${cell(file)} | ${row.amount} | ${[...row.agents].toSorted().map(escape).join(', ')} |`,
    ),
    '',
  ];
}

function all({ findings }: Merged): string[] {
  const lines: string[] = [];
  let room = listed;
  for (const severity of severityOrder) {
    const group = findings.filter((finding) => finding.severity === severity);
    if (group.length === 0) continue;
    lines.push(`## ${severity[0]?.toUpperCase()}${severity.slice(1)} (${group.length})`, '');
    const shown = group.slice(0, severity === 'info' ? 0 : room);
    room -= shown.length;
    for (const finding of shown) {
      const evidence = finding.evidence === undefined ? '' : `\n  ${code(finding.evidence)}`;
      lines.push(`- ${describe(finding)} ${code(finding.rule)}${evidence}`);
    }
    const rest = group.slice(shown.length);
    if (rest.length > 0) lines.push(...(shown.length > 0 ? [''] : []), ...byRule(rest));
    lines.push('');
  }
  return lines;
}

/** Beyond what anybody reads, the kinds and their numbers; each finding is in report.json. */
function byRule(findings: readonly MergedFinding[]): string[] {
  const rules = [...Map.groupBy(findings, ({ agent, rule }) => `${agent}\0${rule}`)].toSorted(
    ([a, x], [b, y]) => y.length - x.length || compareText(a, b),
  );
  const rows = rules.slice(0, 40).map(([, group]) => {
    const [example] = group;
    return example === undefined
      ? ''
      : `| ${cell(example.rule)} | ${group.length} | ${escape(example.agent)} | ${placeOf(example).replaceAll('|', '\\|')} |`;
  });
  return ['| rule | findings | agent | for example |', '| --- | ---: | --- | --- |', ...rows];
}

function agents(results: readonly AgentResult[]): string[] {
  const done = results
    .filter(({ report }) => report !== undefined)
    .toSorted((a, b) => compareText(a.agent, b.agent));
  const rows = done.map(
    ({ agent, report }) =>
      `| ${escape(agent)} | ${report?.total ?? 0} | ${escape(report?.summary ?? '')} |`,
  );
  const notes = done.flatMap(({ agent, report }) =>
    (report?.notes ?? []).map((note) => `- ${escape(agent)}: ${escape(note)}`),
  );
  return [
    '## What each agent says',
    '',
    '| agent | findings | summary |',
    '| --- | ---: | --- |',
    ...rows,
    ...(notes.length === 0 ? [] : ['', '## Limits of this review', '', ...notes]),
  ];
}

function placeOf({ file, line }: MergedFinding): string {
  if (file === undefined) return '';
  return code(line === undefined ? file : `${file}:${line}`);
}

/** As code, whatever signs it holds. A file name may hold line ends and backticks. */
function code(text: string): string {
  const line = text.replaceAll(/\p{Cc}/gu, '␤');
  const longest = Math.max(0, ...(line.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  const space = line.startsWith('`') || line.endsWith('`') ? ' ' : '';
  return `${fence}${space}${line}${space}${fence}`;
}

/** As code in a table, where a bar ends the cell even in code. */
function cell(text: string): string {
  return code(text).replaceAll('|', '\\|');
}

/** As text: what comes from a repository must not become markup, a link or an image. */
function escape(text: string): string {
  return text
    .replaceAll(/\p{Cc}+/gu, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/[\\`*_[\]|#~!]/g, '\\$&');
}
