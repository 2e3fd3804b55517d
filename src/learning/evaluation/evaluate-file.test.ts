import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createOfflineEmbedder } from '../embedding/offline.ts';
import { drawPlot } from './plot.ts';
import { evaluateFile } from './evaluate-file.ts';
import { readRoutingData } from './routing-data.ts';
import { evaluateRouting, type RoutingEvaluation } from './routing-evaluation.ts';
import { nearestNeighbours } from './routing-learners.ts';
import { verdicts, writeRoutingReport } from './routing-report.ts';
import { routerLearner } from './router-learner.ts';
import { randomFrom } from './statistics.ts';

const folder = mkdtempSync(join(tmpdir(), 'centuria-evaluation-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Sums are hard for the small one, colours are not. */
function questions(count: number): string {
  const random = randomFrom(3);
  const rows = Array.from({ length: count }, (_, index) => {
    const isSum = random() < 0.5;
    const prompt = isSum
      ? `add the numbers ${index} and ${index + 7}`
      : `which colour has the flower called number ${index}`;
    return `${prompt},${random() < (isSum ? 0.15 : 0.9)},${random() < 0.9}`;
  });
  return ['prompt,small_correct,large_correct', ...rows].join('\n');
}

describe('where success depends on what is asked', () => {
  let evaluation: RoutingEvaluation;
  beforeAll(async () => {
    const path = join(folder, 'topics.csv');
    writeFileSync(path, questions(140));
    evaluation = await evaluateRouting({
      data: await readRoutingData(path),
      embedder: await createOfflineEmbedder(),
      learners: [routerLearner()],
      baselines: [nearestNeighbours],
      seeds: 1,
      resamples: 100,
    });
  }, 60_000);

  test('the router and the baseline are shown to beat chance, and a sentence says so', () => {
    const [router, baseline, random, oracle] = evaluation.curves;
    for (const curve of [router, baseline]) {
      expect(curve?.apgr.mean).toBeGreaterThan(0.65);
      expect(curve?.beatsRandom).toBe(true);
      expect(curve?.apgr.mean).toBeLessThanOrEqual(oracle?.apgr.mean ?? 0);
      expect(curve?.apgr.mean).toBeGreaterThan(random?.apgr.mean ?? 1);
    }
    expect(verdicts(evaluation)[0]).toMatch(
      /^\*\*router\*\* chooses better than chance \(APGR 0\./,
    );
    expect(evaluation).toMatchObject({ weak: 'small', strong: 'large', seeds: 1 });
  });

  test('an interval that holds one half is told as no proof', () => {
    const curves = evaluation.curves.map((curve) => ({
      ...curve,
      beatsRandom: false,
      apgr: { ...curve.apgr, interval: { low: 0.48, high: 0.61 } },
    }));
    expect(verdicts({ ...evaluation, curves })[0]).toMatch(
      /^\*\*router\*\* is not shown to be better than chance .*0\.480 to 0\.610: 0\.5 is in it/,
    );
  });

  test('every estimate of a log stands beside the truth', () => {
    const { bandit } = evaluation;
    expect(bandit.map(({ policy }) => policy)).toEqual([
      'always small',
      'always large',
      'random',
      'router, half to large',
      'k-NN, half to large',
    ]);
    for (const { truth, estimates } of bandit) {
      expect(estimates.map(({ estimator }) => estimator)).toEqual(['ips', 'snips', 'dr']);
      for (const { value } of estimates) expect(Math.abs(value.value - truth)).toBeLessThan(0.3);
    }
  });

  test('the report and its plots are written, with text as text', async () => {
    const files = await writeRoutingReport(evaluation, join(folder, 'report'));
    const [report = '', quality = '', reliability = ''] = files;
    expect(readFileSync(report, 'utf8')).toContain('](quality.svg)');
    for (const file of [quality, reliability]) {
      const svg = readFileSync(file, 'utf8');
      expect(svg).toMatch(/^<svg [^>]*role="img"/);
      expect(svg).toContain('prefers-color-scheme:dark');
      expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    }
    expect(readFileSync(quality, 'utf8')).toContain('>calls to large</text>');
  });
});

test('too few questions are refused', async () => {
  const data = join(folder, 'few.csv');
  writeFileSync(data, questions(40));
  const embedder = await createOfflineEmbedder();
  await expect(evaluateFile({ data, out: folder, embedder })).rejects.toThrow('each half needs 50');
});

test('names in a plot are text, not markup', () => {
  const axis = { label: 'x', from: 0, to: 1, step: 0.5 };
  const points = [{ x: 0, y: 0 }];
  const svg = drawPlot({
    title: '<b>&',
    description: '',
    x: axis,
    y: axis,
    series: [{ name: '"<', points }],
  });
  expect(svg).toContain('&lt;b&gt;&amp;');
  expect(svg).toContain('&quot;&lt;');
});
