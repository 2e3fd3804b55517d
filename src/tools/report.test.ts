import { expect, test } from 'vitest';
import type { Finding, Severity } from '../base/base.ts';
import { ReportBuilder, severityOrder, shorten } from './report.ts';

const finding = (severity: Severity, file: string, line = 1): Finding => ({
  severity,
  rule: 'r',
  message: 'm',
  file,
  line,
});

test('a report is the same whatever the order of its findings, worst first', () => {
  const findings = ['b', 'a', 'c'].flatMap((file) =>
    severityOrder.map((severity, n) => finding(severity, file, n + 1)),
  );
  const reports = [findings, findings.toReversed()].map((order) => {
    const builder = new ReportBuilder('t', 4);
    for (const one of order) builder.add(one);
    return builder.build('s');
  });
  expect(reports[0]).toEqual(reports[1]);
  expect(reports[0]?.findings.map(({ severity, file }) => `${severity} ${file}`)).toEqual([
    'critical a',
    'critical b',
    'critical c',
    'high a',
  ]);
  expect(reports[0]).toMatchObject({ total: 15, truncated: true });
});

test('the worst survive however many come after them', () => {
  const builder = new ReportBuilder('t', 2);
  builder.add(finding('critical', 'first'));
  for (let n = 0; n < 5_000; n += 1) builder.add(finding('info', `file-${n}`));
  const report = builder.build('s');
  expect(report.findings[0]).toMatchObject({ severity: 'critical', file: 'first' });
  expect(report.total).toBe(5_001);
});

test('what a repository contains can not steer a terminal or break a line', () => {
  expect(shorten('a\u001b[31mred\r\nb\u202ec', 100)).toBe('a [31mred b c');
  expect(shorten('abcdef', 4)).toBe('abc…');
  expect(shorten('ab😀def', 4)).toBe('ab…');
  const builder = new ReportBuilder('t', 2);
  builder.add({ ...finding('low', 'x'), message: 'a\nb', evidence: '\u001b]0;title\u0007' });
  expect(builder.build('s').findings[0]).toMatchObject({ message: 'a b', evidence: ']0;title' });
});

test('a note is said once', () => {
  const builder = new ReportBuilder('t', 2);
  builder.notes(['one', 'one', 'two']);
  expect(builder.build('s').notes).toEqual(['one', 'two']);
});
