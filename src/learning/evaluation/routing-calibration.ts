/** Whether a learner's probabilities of success are true on questions that it was not fitted on. */
import {
  boundCoverage,
  brierScore,
  calibrationError,
  fitIsotonic,
  fitPlatt,
  reliability,
  type Bin,
  type BoundCoverage,
  type Stated,
} from './calibration.ts';
import { crossFit } from './cross-fit.ts';
import type { RoutingSplit } from './routing-split.ts';
import type { Predicted, RoutingLearner } from './routing-learners.ts';
import { mean, randomFrom } from './statistics.ts';

export interface CalibrationError {
  readonly brier: number;
  /** Of ten bins of equal width. */
  readonly byWidth: number;
  /** Of fifteen bins with as many rows in each. */
  readonly byMass: number;
}

export interface CalibrationFigures {
  readonly name: string;
  /** All agents' predictions together. */
  readonly stated: CalibrationError;
  readonly platt: CalibrationError;
  readonly isotonic: CalibrationError;
  /** Of saying the training half's rate of each agent, whatever the question. */
  readonly rates: CalibrationError;
  readonly reliability: {
    readonly stated: readonly Bin[];
    readonly platt: readonly Bin[];
  };
  /** Of a learner that states lower bounds; groups are tenths of the bound, by agent. */
  readonly bounds?: BoundCoverage;
}

/**
 * Calibrators are fitted on predictions of the training half that come from models fitted on the other
 * four fifths of it, and measured on the held-out half. One seed: the calibration hardly differs by it.
 */
export function measureCalibration(
  learner: RoutingLearner,
  split: RoutingSplit,
): CalibrationFigures {
  const { agents, training, heldOut } = split;
  const crossed = crossFit(
    training,
    ({ text }) => text,
    (rows) => learner.fit(rows, agents, randomFrom(1)),
  );
  const predict = learner.fit(training, agents, randomFrom(1));
  const predicted = heldOut.map((task) => predict(task));
  const each = agents.map((_, agent) => {
    const known = statedOf(training, crossed, agent);
    const stated = statedOf(heldOut, predicted, agent);
    const rate = mean(known.map(({ succeeded }) => Number(succeeded)));
    const mended = (calibrate: (probability: number) => number): Stated[] =>
      stated.map((row) => ({ ...row, probability: calibrate(row.probability) }));
    return {
      stated,
      platt: mended(fitPlatt(known)),
      isotonic: mended(fitIsotonic(known)),
      rates: mended(() => rate),
    };
  });
  const pooled = {
    stated: each.flatMap(({ stated }) => stated),
    platt: each.flatMap(({ platt }) => platt),
  };
  const bounds = boundsOf(split, predicted);
  return {
    name: learner.name,
    stated: errorsOf(pooled.stated),
    platt: errorsOf(pooled.platt),
    isotonic: errorsOf(each.flatMap(({ isotonic }) => isotonic)),
    rates: errorsOf(each.flatMap(({ rates }) => rates)),
    reliability: {
      stated: reliability(pooled.stated, { by: 'mass' }),
      platt: reliability(pooled.platt, { by: 'mass' }),
    },
    ...(bounds === undefined ? {} : { bounds }),
  };
}

function statedOf(
  questions: RoutingSplit['heldOut'],
  predictions: readonly Predicted[],
  agent: number,
): Stated[] {
  return questions.map(({ succeeded }, index) => ({
    probability: predictions[index]?.success[agent] ?? Number.NaN,
    succeeded: succeeded[agent] ?? false,
  }));
}

function errorsOf(rows: readonly Stated[]): CalibrationError {
  return {
    brier: brierScore(rows),
    byWidth: calibrationError(rows, { by: 'width', bins: 10 }),
    byMass: calibrationError(rows, { by: 'mass', bins: 15 }),
  };
}

function boundsOf(
  { agents, heldOut }: RoutingSplit,
  predicted: readonly Predicted[],
): BoundCoverage | undefined {
  if (predicted.some(({ low }) => low === undefined)) return undefined;
  const rows = agents.flatMap((agent, index) => {
    const stated = heldOut.map(({ succeeded }, row) => ({
      bound: predicted[row]?.low?.[index] ?? Number.NaN,
      succeeded: succeeded[index] ?? false,
    }));
    return stated
      .toSorted((a, b) => a.bound - b.bound)
      .map((row, place) => ({
        ...row,
        group: `${agent}, tenth ${Math.floor((10 * place) / stated.length) + 1}`,
      }));
  });
  return boundCoverage(rows);
}
