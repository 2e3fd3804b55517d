/**
 * How well the router chooses between two models, beside plain baselines, on questions of which it is known
 * what each model came to. Reads the file that `CENTURIA_ROUTING_DATA` names; nothing of it is kept here.
 */
import { createOfflineEmbedder } from '../../src/learning/embedding/offline.ts';
import { readRoutingData } from '../../src/learning/evaluation/routing-data.ts';
import {
  evaluateRouting,
  type MeasuredCurve,
} from '../../src/learning/evaluation/routing-evaluation.ts';
import { routerLearner } from '../../src/learning/evaluation/router-learner.ts';
import type { Measured, MeasureOptions } from './report.ts';

const defaultSeeds = 5;
const figures = ['apgr', 'cpt50', 'cpt80'] as const;

export async function measure({ repeats, progress }: MeasureOptions): Promise<Measured[]> {
  const path = process.env['CENTURIA_ROUTING_DATA'];
  if (path === undefined) {
    throw new Error(
      'CENTURIA_ROUTING_DATA names no file: docs/guides/evaluating-choices.md says which',
    );
  }
  const evaluation = await evaluateRouting({
    data: await readRoutingData(path),
    embedder: await createOfflineEmbedder(),
    learners: [routerLearner()],
    seeds: repeats ?? defaultSeeds,
    progress,
  });
  const [router, ...others] = evaluation.curves;
  if (router === undefined) throw new Error('nothing was measured');
  const curves = figures.flatMap((figure) =>
    others.map((peer): Measured => ({
      metric: `router_${figure}`,
      unit: '',
      values: rangeOf(router, figure),
      peer: { name: peer.name, values: rangeOf(peer, figure) },
    })),
  );
  const [own] = evaluation.calibration;
  if (own === undefined) return curves;
  const calibration = (['brier', 'byWidth', 'byMass'] as const).map((figure): Measured => ({
    metric: `router_${figure === 'brier' ? 'brier' : `ece_${figure === 'byWidth' ? 'width' : 'mass'}`}`,
    unit: '',
    values: [own.stated[figure]],
    peer: { name: 'one rate an agent', values: [own.rates[figure]] },
  }));
  return [...curves, ...calibration];
}

/** The mean over the seeds between its extremes: the median of the three is what is told. */
const rangeOf = (curve: MeasuredCurve, figure: (typeof figures)[number]): number[] => {
  const { mean, spread } = curve[figure];
  return [spread.low, mean, spread.high];
};
