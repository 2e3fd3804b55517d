import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { renderAnswer } from './review-answer.ts';
import { decide } from './review-gate.ts';
import { readResult } from './review-results.ts';

let repo: string;
beforeAll(() => {
  repo = mkdtempSync(join(tmpdir(), 'centuria-review-'));
  writeFileSync(join(repo, 'a.ts'), 'one\ntwo\n');
});
afterAll(() => rmSync(repo, { recursive: true }));

const rules = () => ({ repo, unsure: new Set(['experts']) });

test('the answer of an expert becomes findings; a place that is not there goes, the finding stays', () => {
  const finding = {
    severity: 'high',
    title: 'Anybody may ask',
    cwe: 'CWE-862',
    repair: 'Ask who asks',
    confidence: 'likely',
  };
  const output = {
    summary: 'Two doors are open.',
    findings: [
      { ...finding, file: './a.ts', line: 2 },
      { ...finding, file: 'a.ts', line: 99 },
      { ...finding, file: '../secret', line: 1 },
    ],
    notReviewed: ['the tests'],
  };
  const { report, answer } = readResult(
    'look',
    { agent: 'security', status: 'completed', output },
    rules(),
  );
  const [first, ...others] = report?.findings ?? [];
  expect(first).toEqual({
    severity: 'high',
    rule: 'CWE-862',
    message: 'Anybody may ask',
    file: 'a.ts',
    line: 2,
    fix: 'Ask who asks',
  });
  expect(others.map((item) => item.file)).toEqual([undefined, undefined]);
  expect(report?.notes.join(' ')).toContain('2 places that it names');
  expect(renderAnswer(answer, (text) => text)).toEqual([
    '**summary**: Two doors are open.',
    '',
    '**not reviewed**',
    '',
    '- the tests',
  ]);
});

test.each([
  [{ tool: 'x', findings: [] }],
  [{ findings: 'none' }],
  [{ findings: [{ severity: 'awful', message: 'x' }] }],
  [{}],
  [''],
  [null],
])('%j is neither a report nor an answer', (output) => {
  const result = readResult('t', { agent: 'a', status: 'completed', output }, rules());
  expect(result.report).toBeUndefined();
  expect(result.reason).toMatch(/^its output is not a report/);
});

function element(line: number) {
  return { severity: 'high', rule: 'r', message: `at ${line}`, file: 'a.ts', line };
}

test('what a vote took is told with its share, and what one unsure voter alone names is lowered', () => {
  const verdict = {
    votes: [{ answer: 0 }, { answer: 0 }, { answer: -1 }],
    elements: [
      { element: element(1), share: 1, taken: true },
      { element: element(2), share: 0.5, taken: false },
    ],
  };
  const result = { agent: null, status: 'completed', output: [element(1)], verdict };
  const brief = (task: string) =>
    readResult(task, result, rules()).report?.findings.map(
      ({ severity, message }) => `${severity} ${message}`,
    );
  expect(brief('experts')).toEqual([
    'high at 1 [named by 100 % of 2]',
    'info at 2 [named by 50 % of 2]',
  ]);
  expect(brief('linters')).toEqual([
    'high at 1 [named by 100 % of 2]',
    'high at 2 [named by 50 % of 2]',
  ]);
  expect(readResult('experts', result, rules()).report).toMatchObject({
    summary: '2 voters: 1 of 2 findings agreed on.',
    notes: ['1 of 3 voters gave no answer.', expect.any(String)],
  });
});

test('a vote that came to nothing says why each voter gave no answer', () => {
  const error = {
    code: 'quorum_missed',
    message: '0 of 2 answered',
    details: {
      votes: [
        { task: 'experts/a', error: 'no key' },
        { task: 'experts/b', error: null },
      ],
    },
  };
  expect(readResult('experts', { agent: null, status: 'failed', error }, rules())).toMatchObject({
    agent: 'experts',
    report: undefined,
    reason: 'failed: 0 of 2 answered (quorum_missed); experts/a: no key',
  });
});

function reportOf(severity: 'high' | 'low') {
  return {
    tool: 't',
    summary: 's',
    findings: [{ severity, rule: 'r', message: 'wrong', file: 'a.ts', line: 1 }],
    total: 1,
    truncated: false,
    metrics: {},
    notes: [],
  };
}

test('a gate stops at what is grave, and never takes what was not examined for good', () => {
  const results = [
    { task: 'grave', agent: 'a', report: reportOf('high'), reason: undefined },
    { task: 'light', agent: 'b', report: reportOf('low'), reason: undefined },
    { task: 'blind', agent: 'c', report: undefined, reason: 'failed: no network' },
  ];
  expect(decide({ light: 'high' }, results)).toEqual({ decision: 'go', reasons: [] });
  expect(decide({ light: 'high', blind: 'high' }, results)).toEqual({
    decision: 'undecided',
    reasons: ['blind was not examined: failed: no network'],
  });
  expect(decide({ grave: 'high', blind: 'low', none: 'low' }, results)).toEqual({
    decision: 'no-go',
    reasons: [
      'grave: high, wrong (a.ts:1)',
      'blind was not examined: failed: no network',
      'none was not examined: there is no such task',
    ],
  });
});
