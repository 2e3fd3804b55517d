/** What was predicted of time and success, held against what came and against plain running figures. */
import {
  brierScore,
  calibrationError,
  type Stated,
} from '../../src/learning/evaluation/calibration.ts';
import { quantile } from '../../src/learning/evaluation/statistics.ts';
import { evaluateLog } from '../../src/learning/learning.ts';
import type { Course, CourseAttempt } from './learning-reviews-choices.ts';
import type { Measured } from './report.ts';

/** Runs at either end that are looked at by themselves. */
const endRuns = 50;
/** A probability of 0 or 1 that is wrong once would be infinitely wrong. */
const surest = 0.999;

interface Part {
  readonly name: string;
  readonly attempts: readonly Predicted[];
}

/** With what was known when it began, had nothing but running figures been kept. */
interface Predicted extends CourseAttempt {
  readonly agentMeanMs: number | undefined;
  readonly medianMs: number | undefined;
  /** Of the agent, with one success and one failure added. */
  readonly agentRate: number;
}

export function timeFigures(course: Course): Measured[] {
  return partsOf(course).flatMap(({ name, attempts }) => {
    const rows = attempts.filter(
      ({ succeeded, predictedMs = 0, ms, agentMeanMs, medianMs }) =>
        succeeded &&
        predictedMs > 0 &&
        ms > 0 &&
        agentMeanMs !== undefined &&
        medianMs !== undefined,
    );
    const error = (of: (row: Predicted) => number | undefined): number[] =>
      rows.length === 0
        ? []
        : [
            quantile(
              rows.map((row) => Math.abs(Math.log(row.ms / (of(row) ?? 1)))),
              0.5,
            ),
          ];
    const own = error(({ predictedMs }) => predictedMs);
    const peers = {
      'running mean of the agent': error(({ agentMeanMs }) => agentMeanMs),
      'running median of all': error(({ medianMs }) => medianMs),
    };
    const { times } = evaluateLog(attempts);
    const coverage = 'unavailable' in times ? times : times.coverage;
    return [
      ...Object.entries(peers).flatMap(([peer, values]): Measured[] => [
        {
          metric: `time_median_log_error_${name}`,
          unit: 'ln',
          values: own,
          peer: { name: peer, values },
        },
        {
          metric: `time_off_by_${name}`,
          unit: 'times',
          values: own.map(Math.exp),
          peer: { name: peer, values: values.map(Math.exp) },
        },
      ]),
      {
        metric: `time_within_90_interval_${name}`,
        unit: 'share',
        values: 'unavailable' in coverage ? [] : [coverage.share],
      },
    ];
  });
}

export function successFigures(course: Course): Measured[] {
  return partsOf(course).flatMap(({ name, attempts }) => {
    const rows = attempts.filter((row) => row.counts && row.predictedSuccess !== undefined);
    if (rows.length === 0) return [];
    const own = rows.map((row) => statedOf(row.predictedSuccess ?? 0, row));
    const rates = rows.map((row) => statedOf(row.agentRate, row));
    const beside = (metric: string, of: (rows: readonly Stated[]) => number): Measured => ({
      metric: `success_${metric}_${name}`,
      unit: '',
      values: [of(own)],
      peer: { name: 'running rate of the agent', values: [of(rates)] },
    });
    return [
      beside('brier', brierScore),
      beside('log_loss', logLoss),
      beside('ece', (each) => calibrationError(each, { by: 'mass' })),
    ];
  });
}

/** How often what was stated came, for people. */
export function tableOf(course: Course): string {
  const lines = partsOf(course).flatMap(({ name, attempts }) => {
    const { calibration } = evaluateLog(attempts.filter(({ counts }) => counts));
    if ('unavailable' in calibration) return [`${name}: ${calibration.unavailable}`];
    return [
      `${name}: stated success, what came (95 %), attempts`,
      ...calibration.reliability.map(
        ({ stated, observed, interval, count }) =>
          `  ${stated.toFixed(3)}  ${observed.toFixed(3)} (${interval.low.toFixed(3)} to ${interval.high.toFixed(3)})  ${count}`,
      ),
    ];
  });
  return `reliability\n${lines.join('\n')}`;
}

function partsOf(course: Course): Part[] {
  const attempts = withBaselines(course.attempts);
  if (course.runs < 2 * endRuns) return [{ name: 'all', attempts }];
  return [
    { name: 'all', attempts },
    { name: `first_${endRuns}`, attempts: attempts.filter(({ run }) => run < endRuns) },
    {
      name: `last_${endRuns}`,
      attempts: attempts.filter(({ run }) => run >= course.runs - endRuns),
    },
  ];
}

/** Only of what had ended before each began. */
function withBaselines(attempts: readonly CourseAttempt[]): Predicted[] {
  const ended = attempts.toSorted((a, b) => a.endedAtMs - b.endedAtMs);
  const times: number[] = [];
  const agents = new Map<string, { ms: number; tried: number; succeeded: number }>();
  let next = 0;
  return attempts
    .toSorted((a, b) => a.startedAtMs - b.startedAtMs)
    .map((attempt) => {
      for (let past = ended[next]; past !== undefined; past = ended[next]) {
        if (past.endedAtMs > attempt.startedAtMs) break;
        next += 1;
        if (!past.counts) continue;
        const known = agents.get(past.agent) ?? { ms: 0, tried: 0, succeeded: 0 };
        agents.set(past.agent, known);
        known.tried += 1;
        if (!past.succeeded) continue;
        known.succeeded += 1;
        known.ms += past.ms;
        times.push(past.ms);
      }
      const { ms = 0, tried = 0, succeeded = 0 } = agents.get(attempt.agent) ?? {};
      return {
        ...attempt,
        agentMeanMs: succeeded === 0 ? undefined : ms / succeeded,
        medianMs: times.length === 0 ? undefined : quantile(times, 0.5),
        agentRate: (succeeded + 1) / (tried + 2),
      };
    });
}

const statedOf = (probability: number, { succeeded }: CourseAttempt): Stated => ({
  probability,
  succeeded,
});

function logLoss(rows: readonly Stated[]): number {
  const sum = rows.reduce((total, { probability, succeeded }) => {
    const held = Math.min(surest, Math.max(1 - surest, probability));
    return total - Math.log(succeeded ? held : 1 - held);
  }, 0);
  return sum / rows.length;
}
