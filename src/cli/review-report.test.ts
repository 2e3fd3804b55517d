import picocolors from 'picocolors';
import { expect, test } from 'vitest';
import { asReview, renderReview, type ReviewOutput } from './review-report.ts';

const review: ReviewOutput = {
  summary: {
    bySeverity: { critical: 1, low: 12 },
    byAgent: { secrets: 1, todo: 12, licences: 0 },
    filesTouched: 4,
    agentsFailed: [{ agent: 'types', reason: 'there is no tsconfig.json' }],
  },
  top: [
    {
      severity: 'critical',
      rule: 'aws-key',
      message: 'an AWS key',
      agent: 'secrets',
      file: 'a/b.ts',
      line: 7,
    },
    ...Array.from({ length: 12 }, (_, index) => ({
      severity: 'low' as const,
      rule: 'todo',
      message: `todo ${index}`,
      agent: 'todo',
    })),
  ],
  reportMarkdown: '/data/runs/1/report.md',
  reportJson: '/data/runs/1/report.json',
};

test('the summary counts, shows the ten most pressing findings, what is missing and where the files are', () => {
  const text = renderReview(review, picocolors.createColors(false), undefined);
  const lines = text.split('\n');
  expect(lines[0]).toBe('13 findings in 4 files: 1 critical, 12 low (3 agents)');
  expect(lines[3]).toBe('critical  a/b.ts:7  secrets  an AWS key');
  expect(lines.filter((line) => line.startsWith('low'))).toHaveLength(9);
  expect(text).toContain('Not examined:\n  types: there is no tsconfig.json\n');
  expect(text).toContain('Report: /data/runs/1/report.md\n        /data/runs/1/report.json\n');
});

test('a decision stands before everything else, with what stands against it', () => {
  const gated = {
    ...review,
    verdict: { decision: 'no-go', reasons: ['tree: dirty', 'audit: unknown'] },
  };
  const lines = renderReview(gated, picocolors.createColors(false), 80).split('\n');
  expect(lines.slice(0, 4)).toEqual(['no-go', '  tree: dirty', '  audit: unknown', '']);
});

test('a review without findings says so', () => {
  const clean = { ...review, top: [], summary: { ...review.summary, bySeverity: {} } };
  expect(renderReview(clean, picocolors.createColors(false), 80)).toMatch(/^No findings/);
});

test('the output of another workflow is no review', () => {
  expect(asReview({ summary: 'fine' })).toBeUndefined();
  expect(asReview(undefined)).toBeUndefined();
  expect(asReview(JSON.parse(JSON.stringify(review)))).toEqual(review);
});
