import { expect, test } from 'vitest';
import type { Finding, ToolReport } from '../base/base.ts';
import { renderReport } from './review-markdown.ts';
import { merge, type AgentResult } from './review-merge.ts';

function result(
  agent: string,
  findings: readonly Partial<Finding>[],
  total = findings.length,
): AgentResult {
  const full = findings.map((finding) =>
    Object.assign(
      { severity: 'low', rule: 'rule', message: 'Something is wrong.' } satisfies Finding,
      finding,
    ),
  );
  const report: ToolReport = {
    tool: agent,
    summary: `${agent} is done.`,
    findings: full,
    total,
    truncated: total > full.length,
    metrics: {},
    notes: [`${agent} has limits.`],
  };
  return { task: agent, agent, report, reason: undefined };
}

test('what two agents say of one line under similar names is one finding with both', () => {
  const merged = merge([
    result('one', [
      {
        severity: 'medium',
        rule: 'plugin/no-unused-vars',
        file: 'a.ts',
        line: 3,
        fix: 'Remove it.',
      },
    ]),
    result('two', [
      {
        severity: 'high',
        rule: 'NO_UNUSED_VARS',
        file: 'a.ts',
        line: 3,
        message: 'x is unused',
        evidence: 'let x',
      },
    ]),
    result('three', [{ rule: 'no-unused-vars', file: 'a.ts', line: 4 }]),
  ]);
  expect(merged.findings).toHaveLength(2);
  expect(merged.findings[0]).toMatchObject({
    severity: 'high',
    agent: 'two',
    agents: ['two', 'one'],
    fix: 'Remove it.',
    evidence: 'let x',
  });
  expect(merged.bySeverity).toEqual({ critical: 0, high: 1, medium: 0, low: 1, info: 0 });
  expect(merged.byAgent).toEqual({ one: 1, two: 1, three: 1 });
  expect(merged.filesTouched).toBe(1);
});

test('different faults of one line stay apart, and so do different faults of one agent', () => {
  const place = { file: 'a.ts', line: 1 };
  const merged = merge([
    result('one', [
      { ...place, rule: 'long-source', message: '4000 lines.' },
      { ...place, rule: 'x', message: 'First.' },
      { ...place, rule: 'x', message: 'Second.' },
    ]),
    result('two', [{ ...place, rule: 'byte-order-mark', message: 'A mark at the start.' }]),
  ]);
  expect(merged.findings).toHaveLength(4);
});

test('severity comes first; then agreement, then heat, and tests come last', () => {
  const merged = merge([
    result('one', [
      { file: 'cold.ts', line: 1, severity: 'medium' },
      { file: 'src/hot.ts', line: 9, severity: 'medium' },
      { file: 'agreed.ts', line: 1, severity: 'medium' },
      { file: 'test/a.test.ts', line: 1, severity: 'medium' },
      { file: 'worst.ts', line: 1, severity: 'high' },
    ]),
    result('two', [{ file: 'agreed.ts', line: 1 }]),
    result('hot-spots', [
      { rule: 'hot-spot', message: 'Hot.', file: 'src/hot.ts', line: 1, severity: 'medium' },
    ]),
  ]);
  expect(merged.findings.map(({ file, rule }) => `${file} ${rule}`)).toEqual([
    'worst.ts rule',
    'agreed.ts rule',
    'src/hot.ts hot-spot',
    'src/hot.ts rule',
    'cold.ts rule',
    'test/a.test.ts rule',
  ]);
});

test('the order of the agents changes nothing', () => {
  const results = [
    result('one', [
      { file: 'a', line: 1 },
      { file: 'b', line: 2 },
    ]),
    result('two', [{ file: 'a', line: 1 }, {}]),
  ];
  expect(merge(results).findings).toEqual(merge(results.toReversed()).findings);
});

test('the page names who did not examine, with the reason, before the long lists', () => {
  const results = [
    result('one', [{ file: 'a.ts', line: 1, severity: 'critical' }], 40),
    { task: 'two', agent: 'two', report: undefined, reason: 'failed: no binary' },
  ];
  const page = renderReport('Review of project', results, merge(results));
  expect(page).toMatch(
    /^# Review of project\n\n\*\*1 critical\*\* in 1 file, by 1 of 2 agents\. 39 lesser findings left out/,
  );
  expect(page.indexOf('**two**: failed: no binary')).toBeGreaterThan(0);
  expect(page.indexOf('## Not examined')).toBeLessThan(page.indexOf('## Critical'));
  expect(page).toContain('one has limits.');
});

test('a rule that fires everywhere does not hide the others', () => {
  const many = Array.from({ length: 100 }, (_none, n): Partial<Finding> => ({
    severity: 'high',
    rule: 'loud',
    file: `${n}.ts`,
    line: 1,
  }));
  const results = [
    result('one', many),
    result('two', [{ severity: 'medium', rule: 'quiet', file: 'z.ts', line: 1 }]),
  ];
  const first = renderReport('r', results, merge(results)).split('## ')[1] ?? '';
  expect(first).toMatch(/and 98 more of loud/);
  expect(first).toContain('`z.ts:1`');
});

test('nothing of a repository becomes markup in the page', () => {
  const results = [
    result('one', [
      {
        severity: 'high',
        file: 'a`b|c\n.ts',
        line: 1,
        rule: 'x',
        message: '<img src=x> [l](http://e) *b* | `c`',
        evidence: '``` | <b>',
      },
    ]),
  ];
  const page = renderReport('r', results, merge(results));
  expect(page).not.toMatch(/<img|(?<!\\)\]\(http|(?<!\\)\*b/);
  expect(page).toContain('``a`b|c␤.ts:1``');
});
