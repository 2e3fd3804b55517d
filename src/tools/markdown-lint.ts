import type { Configuration, LintError } from 'markdownlint';
import { lint } from 'markdownlint/sync';
import type { Finding, Severity, ToolReport } from '../base/base.ts';
import { extensionOf, isGenerated, isTest, isVendored } from './paths.ts';
import { count, ReportBuilder, shorten } from './report.ts';
import { openRepository } from './repository.ts';
import type { ToolContext } from './tools.ts';

/**
 * Severities: medium where a reader sees something other than what was written (a reversed link, a
 * table that loses cells), low where screen readers, outlines or other renderers are hurt, info for
 * form. Matters of taste (line length, HTML, marker style) are off: the repository's own
 * configuration is not read, so it must not be contradicted.
 */
const severities: Readonly<Record<string, Severity>> = {
  MD011: 'medium',
  MD042: 'medium',
  MD056: 'low',
  MD018: 'low',
  MD020: 'low',
  MD001: 'low',
  MD025: 'info',
  MD028: 'info',
  MD037: 'low',
  MD038: 'info',
  MD039: 'info',
  MD045: 'low',
  MD010: 'info',
  MD009: 'info',
  MD012: 'info',
  MD022: 'info',
  MD031: 'info',
  MD032: 'info',
  MD040: 'info',
  MD047: 'info',
  MD058: 'info',
  MD059: 'info',
};

const config: Configuration = {
  default: false,
  ...Object.fromEntries(Object.keys(severities).map((rule) => [rule, true])),
  // A title in the front matter is not a second one.
  MD025: { front_matter_title: '' },
  // Tabs in code blocks belong to the code.
  MD010: { code_blocks: false },
};

/** Where nothing is lost, one finding says it for the file. */
const grouped = new Set<Severity>(['info']);

/** Markdown that renders differently from what was meant, is hard on screen readers, or is untidy. */
export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('markdown-lint', context.limit);
  let documents = 0;
  for (const { path, text } of repository.texts(
    ({ path: name }) => isOwnMarkdown(name),
    512 * 1024,
  )) {
    if (isGenerated(path, text)) continue;
    documents += 1;
    if (documents % 100 === 0) context.progress(`${documents} documents read`);
    for (const finding of judge(path, text)) report.add(finding);
  }
  report.metric('documents', documents);
  report.notes(repository.notes());
  return report.build(
    report.total === 0
      ? `${count(documents, 'document')} without remarks.`
      : `${count(report.total, 'remark')} on ${count(documents, 'document')}.`,
  );
}

function isOwnMarkdown(path: string): boolean {
  return (
    /^(md|markdown)$/.test(extensionOf(path)) &&
    !isVendored(path) &&
    !isGenerated(path) &&
    !isTest(path)
  );
}

function judge(path: string, text: string): Finding[] {
  const errors = lint({ strings: { text }, config, noInlineConfig: true })['text'] ?? [];
  const findings: Finding[] = [];
  for (const [rule, group] of Map.groupBy(errors, (error) => error.ruleNames[0] ?? 'markdown')) {
    // A row with too few cells is filled up; one with too many loses the rest.
    const isLoss =
      rule === 'MD056' && group.some((error) => error.errorDetail?.includes('Too many') === true);
    const severity = isLoss ? 'medium' : (severities[rule] ?? 'info');
    const ordered = group.toSorted((a, b) => a.lineNumber - b.lineNumber);
    const shown = grouped.has(severity) ? ordered.slice(0, 1) : ordered;
    for (const error of shown)
      findings.push(describe(path, severity, error, grouped.has(severity) ? ordered : []));
  }
  return findings;
}

function describe(
  path: string,
  severity: Severity,
  error: LintError,
  group: readonly LintError[],
): Finding {
  const name = error.ruleNames.slice(0, 2).join('/');
  const detail = error.errorDetail ? ` (${error.errorDetail})` : '';
  const lines = group.slice(0, 8).map((other) => other.lineNumber);
  const where =
    group.length > 1
      ? ` On ${group.length} lines: ${lines.join(', ')}${group.length > 8 ? ', …' : ''}.`
      : '';
  const column = error.errorRange?.[0];
  return {
    severity,
    rule: name,
    file: path,
    line: error.lineNumber,
    ...(column === undefined ? {} : { column }),
    message: `${error.ruleDescription}${detail}.${where}`,
    ...(error.errorContext ? { evidence: shorten(error.errorContext, 120) } : {}),
    fix: `See ${error.ruleInformation}`,
  };
}
